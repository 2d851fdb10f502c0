"""Recipes from TOML: those built in, and a person's own files."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from napari_ctlns.errors import RecipeError
from napari_ctlns.recipe.problems import validated
from napari_ctlns.recipe.whole import Recipe


def builtin_recipes() -> tuple[str, ...]:
    """Return the names of the built-in recipes, the default first."""
    names = (f.name.removesuffix(".toml") for f in _folder().iterdir() if f.name.endswith(".toml"))
    return tuple(sorted(names, key=lambda name: (name != "ct-lns", name)))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Return a built-in recipe by name, or one from a TOML file.

    Raises
    ------
    RecipeError
        If there is none of that name, the file is no TOML, a key is unknown or a
        value not allowed.
    """
    if str(name_or_path) in builtin_recipes():
        return _parsed((_folder() / f"{name_or_path}.toml").read_text("utf-8"), str(name_or_path))
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.is_file():
        known = ", ".join(builtin_recipes())
        raise RecipeError(f"no recipe {name_or_path}; take one of {known}, or a .toml file")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read recipe {path}; give an existing .toml file") from error
    return _parsed(text, str(path))


def parse_changes(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn ``section.key=value`` texts into dotted keys and typed values.

    A value is read as TOML (numbers, true, [1, 2, 3]); what is not TOML is a word.

    Raises
    ------
    RecipeError
        If a text has no ``=``.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise RecipeError(f"{assignment}: write it as section.key=value")
        try:
            changes[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key.strip()] = text.strip()
    return changes


def _folder() -> Any:
    return files("napari_ctlns") / "recipes"


def _parsed(text: str, where: str) -> Recipe:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where} is not TOML: {error}") from error
    return validated(Recipe, values, where)
