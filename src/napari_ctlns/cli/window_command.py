"""The command that opens napari."""

from pathlib import Path
from typing import Annotated

import typer

from napari_ctlns.cli.options import SERIES, STRICT


def open_in_napari(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SCAN|RUN|FOLDER",
            help="Scans, masks, annotations, projects, a run, a model; or folders of scans.",
        ),
    ] = None,
    series: SERIES = None,
    strict: STRICT = False,
) -> None:
    """Open napari with everything loaded."""
    from napari_ctlns.plugin.launching import run

    run(paths or [], series, strict)


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command("open")(open_in_napari)
