"""The folder of a search: refusing what is none, in words."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_ctlns.errors import OutputError, RunError
from napari_ctlns.recipe import dotted_keys

JOURNAL = "study.journal"


def must_be_ours(out: Path) -> None:
    """Make the folder, or refuse one that holds something else.

    Raises
    ------
    RunError
        If it is a file, or holds no search.
    OutputError
        If it cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise RunError(f"{out} is a file; choose another place with --out")
    if out.exists() and any(out.iterdir()) and not (out / JOURNAL).is_file():
        raise RunError(f"{out} is not empty and holds no search; choose another folder with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {out}: {reason}; choose another place for it") from error


@contextlib.contextmanager
def told(out: Path) -> Iterator[None]:
    """Say in words why a study cannot be opened."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {out}: {reason}; choose another place for it") from error
    # reading the journal raises whatever the damage leads to
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise RunError(
            f"{out / JOURNAL} is damaged ({type(error).__name__}); choose another folder with --out"
        ) from error


def difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Name the first key that differs."""
    for key in dotted_keys(ours):
        one, other = _value(theirs, key), _value(ours, key)
        if one != other:
            return f" ({key} is {one} there, {other} here)"
    return ""


def _value(values: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
