"""The command that says how nodules grew between two scans."""

from pathlib import Path
from typing import Annotated

import typer

from napari_ctlns.cli.options import SERIES, STRICT, run_job
from napari_ctlns.cli.scan_commands import SCAN, read_for_command
from napari_ctlns.volume import Volume


def growth(
    scan: SCAN,
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="Its nodules, one label each.")],
    later_scan: Annotated[
        Path, typer.Argument(metavar="LATER_SCAN", help="A later scan of the same patient.")
    ],
    later_mask: Annotated[
        Path, typer.Argument(metavar="LATER_MASK", help="The nodules of the later scan.")
    ],
    out: Annotated[Path, typer.Option(help="The growth table to write: .csv or .json.")],
    days: Annotated[
        float | None,
        typer.Option(metavar="N", help="Days between the scans; else the DICOM dates tell."),
    ] = None,
    series: SERIES = None,
    later_series: Annotated[
        str | None, typer.Option(metavar="UID", help="Which of several series of the later scan.")
    ] = None,
    strict: STRICT = False,
) -> None:
    """Say how nodules grew between two scans of a patient."""
    from napari_ctlns.measurement import write_table
    from napari_ctlns.measurement.growth import growth_job, interval_days

    earlier, nodules = _read(scan, mask, series, strict)
    later, later_nodules = _read(later_scan, later_mask, later_series, strict)
    between = interval_days(earlier, later, days)
    result = run_job(
        lambda control: growth_job(earlier, nodules, later, later_nodules, between, control)
    )
    write_table(result["growth"].table, out)


def _read(scan: Path, mask: Path, series: str | None, strict: bool) -> tuple[Volume, Volume]:
    from napari_ctlns.formats import read_mask_onto

    volume = read_for_command(scan, series, strict)
    nodules = read_mask_onto(mask, volume)
    for words in nodules.source.warnings:
        typer.echo(f"warning: {words}", err=True)
    return volume, nodules


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(growth)
