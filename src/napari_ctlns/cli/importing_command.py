"""The command that takes in models of others."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_ctlns.cli.options import CHANGES, print_table, run_job
from napari_ctlns.jobs.registry import JOBS, start_job
from napari_ctlns.recipe import load_recipe, parse_changes
from napari_ctlns.specs import ImportSpec


class ActivationName(StrEnum):
    """What makes an answer a probability."""

    softmax = "softmax"
    sigmoid = "sigmoid"
    none = "none"


def import_model(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="An nnU-Net v2 folder, a MONAI bundle, or an ONNX file."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="The model folder to write.")],
    label: Annotated[
        str | None, typer.Option(metavar="NAME|N", help="What masks show, of several labels.")
    ] = None,
    fold: Annotated[
        str | None, typer.Option(metavar="N|all", help="Of nnU-Net: one fold alone.")
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(metavar="SPL|RAS|...", help="Where the axes of its arrays run to."),
    ] = None,
    activation: Annotated[
        ActivationName | None, typer.Option(help="What makes its answer a probability.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME|TOML", help="Of ONNX: how scans are prepared; else ct-lns."),
    ] = None,
    changes: CHANGES = None,
) -> None:
    """Make a model folder of a model that was trained elsewhere."""
    spec = ImportSpec(
        source=source.absolute(),
        out=out.absolute(),
        label=label,
        fold=fold,
        axes=axes,
        activation=None if activation is None else activation.value,
        recipe=None if recipe is None else load_recipe(recipe),
        changes=parse_changes(changes or ()),
    )
    print_table(run_job(lambda control: start_job(JOBS["import-model"], spec, control)))


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(import_model)
