"""What is wrong with a recipe, in words."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from napari_ctlns.errors import RecipeError

_Model = TypeVar("_Model", bound=BaseModel)


def validated(model: type[_Model], values: Mapping[str, Any], where: str) -> _Model:
    """Return what ``values`` describe.

    Raises
    ------
    RecipeError
        With the path of the first wrong key, what is allowed there, and ``where``.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"] == "extra_forbidden":
            words = _unknown_key(model, problem)
        else:
            words = first_problem(error)
        raise RecipeError(f"{words} (in {where})") from error


def first_problem(error: ValidationError) -> str:
    """Say in words what pydantic found first: the path of the field and what is allowed."""
    problems = error.errors()
    path = _path(problems[0])
    # of a value that may be of several kinds, each kind says what it would take
    same = [problem for problem in problems if _path(problem) == path]
    words = " or ".join(
        dict.fromkeys(problem["msg"].removeprefix("Value error, ") for problem in same)
    )
    return f"{path}: {words}" if path else words


def _path(problem: ErrorDetails) -> str:
    # union members ("float", "tuple[...]") are no part of the path
    kinds = {"float", "int", "str", "constrained-float", "constrained-int"}
    parts = [
        str(part)
        for part in problem["loc"]
        if not isinstance(part, str) or (part.isidentifier() and part not in kinds)
    ]
    return ".".join(parts)


def _unknown_key(model: type[BaseModel], problem: ErrorDetails) -> str:
    """Say which keys there are beside an unknown one, the likeliest first."""
    section: Any = model
    for part in problem["loc"][:-1]:
        section = section.model_fields[part].annotation if part in section.model_fields else None
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return f"{_path(problem)}: no such key"
    known = list(section.model_fields)
    likely = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
    meant = f"did you mean {likely[0]}? " if likely else ""
    return f"{_path(problem)}: no such key; {meant}There are {', '.join(known)}"
