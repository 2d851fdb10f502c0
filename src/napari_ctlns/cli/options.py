"""Options that several commands have, and how commands answer."""

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ctlns.events import Control, Event, ThreadControl
from napari_ctlns.recipe import Recipe, load_recipe, parse_changes

SERIES = Annotated[str | None, typer.Option(metavar="UID", help="Which of several series.")]
STRICT = Annotated[bool, typer.Option("--strict", help="Refuse what else would be mended.")]
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
RECIPE = Annotated[str, typer.Option(metavar="NAME|TOML", help="A built-in recipe or a file.")]
PROBABILITY = Annotated[
    Path | None, typer.Option(help="What `ctlns predict --probability` wrote of this scan.")
]
GIVEN_BY = Annotated[
    Path | None, typer.Option("--model", metavar="MODEL", help="The model that found them.")
]
CHANGES = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="section.key=value", help="Change the recipe; repeatable."),
]


class DeviceName(StrEnum):
    """Where networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


DEVICE = Annotated[DeviceName, typer.Option(help="Where the network runs.")]


def changed_recipe(
    recipe: Recipe, assignments: Sequence[str] | None, changes: Mapping[str, Any] | None = None
) -> Recipe:
    """Return a recipe with what the command line changes in it.

    Raises
    ------
    RecipeError
        If a key is unknown or a value not allowed.
    """
    return recipe.with_changes({**parse_changes(assignments or ()), **(changes or {})})


def recipe_of(name: str, assignments: Sequence[str] | None) -> Recipe:
    """Return a recipe by name or file, changed by ``--set``."""
    return changed_recipe(load_recipe(name), assignments)


def run_job(start: Callable[[Control], Iterator[Event]]) -> dict[str, Any]:
    """Run a job on this terminal and return its result.

    Raises
    ------
    CtlnsError, UnexpectedError
        As the job failed.
    KeyboardInterrupt
        If Ctrl-C stopped it.
    """
    from napari_ctlns.jobs.console import run_on_console
    from napari_ctlns.jobs.drain import Drain

    control = ThreadControl()
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
        return run_on_console(Drain(start(control)), control).result


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object; numbers that are none (NaN, infinite) become null."""
    typer.echo(json.dumps(_plain(values), indent=2, allow_nan=False))


def print_table(values: Mapping[str, Any]) -> None:
    """Print names and values for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in _plain(values).items():
        table.add_row(name, _words(value))
    Console(highlight=False, soft_wrap=True).print(table)


def print_rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table to choose from on standard error, for standard output is for results.

    No cell is ever shortened: what is chosen must be copied whole.
    """
    cells = [list(names), *([_words(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip(), err=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_words(item) for item in value) if value else "none"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "none" if value is None or value == "" else str(value)
