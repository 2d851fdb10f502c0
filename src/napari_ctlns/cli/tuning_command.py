"""The command that searches the values of a recipe."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ctlns.cli.options import (
    CHANGES,
    DEVICE,
    RECIPE,
    DeviceName,
    changed_recipe,
    run_job,
)
from napari_ctlns.jobs.registry import JOBS, start_job
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import TuneSpec


def tune(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="What `ctlns prepare` made.")],
    trials: Annotated[int, typer.Option(min=1, help="How many, those before and others included.")],
    out: Annotated[Path, typer.Option(help="The folder of the search.")],
    recipe: RECIPE = "ct-lns",
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes of each trial.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train at once.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Where drawn values are counted from.")] = 0,
    changes: CHANGES = None,
    device: DEVICE = DeviceName.auto,
) -> None:
    """Search the values of a recipe that suit a dataset best."""
    flags: dict[str, Any] = {} if epochs is None else {"optimisation.epochs": epochs}
    spec = TuneSpec(
        dataset=dataset.absolute(),
        out=out.absolute(),
        recipe=changed_recipe(load_recipe(recipe), changes, flags),
        trials=trials,
        workers=workers,
        seed=seed,
        device=device.value,
    )
    result = run_job(lambda control: start_job(JOBS["tune"], spec, control))
    _print_trials(result["rows"])
    if best := result.get("best"):
        typer.echo(f"best: trial {best['trial']}, recipe {best['recipe']}, run {best['run']}")


def _print_trials(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a line for each trial; keys without their sections, and no empty columns."""
    names = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    cells = [[name.rpartition(".")[2] for name in names]]
    cells += [[_words(row[name]) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(tune)
