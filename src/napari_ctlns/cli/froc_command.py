"""The command that compares candidates with annotations as in the LUNA16 evaluation."""

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_ctlns.atomic import atomic_path
from napari_ctlns.cli.options import JSON, print_json, print_table
from napari_ctlns.errors import OutputError


def froc(
    candidates: Annotated[
        Path, typer.Argument(metavar="CANDIDATES", help="A CSV of marks, each with a probability.")
    ],
    annotations: Annotated[Path, typer.Option(metavar="CSV", help="The nodules to be found.")],
    excluded: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Findings on which marks do not count.")
    ] = None,
    seriesuids: Annotated[
        Path | None, typer.Option(metavar="CSV", help="The scans to count, else all named.")
    ] = None,
    json: JSON = False,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the curve.")] = None,
) -> None:
    """Find out how many nodules are found at how many false positives, as LUNA16 does."""
    from napari_ctlns.formats.marks import read_marks, read_scan_ids, read_truth
    from napari_ctlns.metrics.luna_froc import froc_bands, froc_summary, luna_froc
    from napari_ctlns.metrics.luna_matching import match_marks

    if plot is not None and plot.suffix.lower() != ".png":
        raise OutputError(f"the plot is a PNG, {plot.name} is none; end its name in .png")
    marks = read_marks(candidates)
    nodules = read_truth(annotations)
    left_out = () if excluded is None else read_truth(excluded)
    scans = None if seriesuids is None else read_scan_ids(seriesuids)
    if marks and not {m.scan_id for m in marks} & {*(n.scan_id for n in nodules), *(scans or ())}:
        typer.echo(f"warning: no candidate is of a scan in {seriesuids or annotations}", err=True)
    matches = match_marks(marks, nodules, left_out, scans)
    curve, bands = luna_froc(matches), froc_bands(matches)
    if plot is not None:
        from napari_ctlns.metrics.froc_plot import froc_png

        with atomic_path(plot) as temporary:
            temporary.write_bytes(froc_png(curve, bands))
    summary = froc_summary(matches, curve, bands)
    (print_json if json else print_table)(summary if json else _for_people(summary))


def _for_people(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers with their bounds beside them, one a line."""
    rows = {
        f"sensitivity at {rate}": f"{value:.3f}{_bounds(summary['sensitivity_95'][rate])}"
        for rate, value in summary["sensitivity"].items()
    }
    rows["cpm"] = f"{summary['cpm']:.3f}{_bounds(summary['cpm_95'])}"
    counts = {name: value for name, value in summary.items() if isinstance(value, int)}
    return {**rows, **counts}


def _bounds(interval: list[float]) -> str:
    low, high = interval
    return f"  ({low:.3f} to {high:.3f})" if low == low else ""  # NaN: not known


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(froc)
