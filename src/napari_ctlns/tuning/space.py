"""What is searched: the recipe's ranges, as Optuna has them, and back."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from pydantic import TypeAdapter, ValidationError

from napari_ctlns.errors import RecipeError
from napari_ctlns.recipe import Recipe, SearchRange

_EXAMPLE = '[search."optimisation.learning_rate"] with low = 1e-4, high = 1e-2, log = true'
_FIXED = {"name", "description", "structure", "optimisation.best_by"}
_TELLING_WORDS = (str, bool, int, float)


def search_space(recipe: Recipe) -> dict[str, BaseDistribution]:
    """Return where Optuna looks for the value of each key.

    Raises
    ------
    RecipeError
        If the recipe searches nothing, calls the last epoch the best, names a key that no
        trial may change, or an end of a range, or a choice, that its key does not allow.
    """
    if not recipe.search:
        raise RecipeError(f"recipe {recipe.name} has no [search] section; add one, as {_EXAMPLE}")
    if recipe.optimisation.best_by == "last":
        raise RecipeError(
            'optimisation.best_by "last" says nothing of how good a trial is; take "val_dice"'
        )
    for key, wanted in recipe.search.items():
        if key in _FIXED:
            raise RecipeError(f"search.{key}: trials could not be compared; search another key")
        if key.startswith("preparation."):
            raise RecipeError(
                f"search.{key}: the dataset is prepared already; prepare one for each value, "
                "and tune on each"
            )
        for value in wanted.choices or (wanted.low, wanted.high):
            _must_be_allowed(key, value)
    return {key: _distribution(wanted) for key, wanted in recipe.search.items()}


def recipe_with(recipe: Recipe, found: Mapping[str, Any]) -> Recipe:
    """Return a recipe with the values that Optuna chose, and nothing left to search.

    Raises
    ------
    RecipeError
        If the values, each allowed, do not fit together.
    """
    return settled(recipe, chosen_values(recipe, found))


def settled(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some values changed, and nothing left to search.

    Raises
    ------
    RecipeError
        If the values do not fit together.
    """
    return recipe.model_copy(update={"search": {}}).with_changes(changes)


def chosen_values(recipe: Recipe, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Optuna chose as the recipe has it, by dotted key."""
    values: dict[str, Any] = {}
    for key, value in found.items():
        choices = recipe.search[key].choices
        words = {} if choices is None else {_word(choice): choice for choice in choices}
        values[key] = words.get(value, value)
    return values


def incomparable_keys(recipe: Recipe) -> tuple[str, ...]:
    """Return the searched keys that change what a validation loss means."""
    if recipe.optimisation.best_by != "val_loss":
        return ()
    return tuple(key for key in recipe.search if key.startswith(("loss.", "patches.")))


def _distribution(wanted: SearchRange) -> BaseDistribution:
    if wanted.choices is not None:
        return CategoricalDistribution(tuple(_word(choice) for choice in wanted.choices))
    assert wanted.low is not None and wanted.high is not None  # noqa: PT018 - as the range has it
    if isinstance(wanted.low, int) and isinstance(wanted.high, int):
        return IntDistribution(wanted.low, wanted.high, log=wanted.log)
    return FloatDistribution(wanted.low, wanted.high, log=wanted.log)


def _word(choice: Any) -> Any:
    """Return a choice as Optuna can store it: lists, as of sizes, as text."""
    return choice if isinstance(choice, _TELLING_WORDS) else json.dumps(choice)


def _must_be_allowed(key: str, value: Any) -> None:
    section: Any = Recipe
    *parents, name = key.split(".")
    for parent in parents:
        section = section.model_fields[parent].annotation
    field = section.model_fields[name]
    kind: Any = (
        Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    )
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise RecipeError(
            f"search.{key}: {value} is not allowed: {error.errors()[0]['msg']}"
        ) from error
