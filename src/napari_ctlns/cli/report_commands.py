"""Commands that hand nodules on: a page of a scan, and meshes."""

from pathlib import Path
from typing import Annotated

import typer

from napari_ctlns.cli.circumstances import (
    AGE,
    EXCLUDED,
    GROWTH,
    PRIOR,
    PRIOR_CATEGORY,
    REMARKS,
    RISK,
    SETTING,
    SIZE_BY,
    SizeBy,
    circumstances_of,
    read_prior,
)
from napari_ctlns.cli.options import GIVEN_BY, PROBABILITY, SERIES, STRICT
from napari_ctlns.cli.scan_commands import SCAN, nodules_of, read_for_command, warned


def report(
    scan: SCAN,
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="One label per nodule.")],
    out: Annotated[Path, typer.Option(metavar="HTML", help="The page to write.")],
    setting: SETTING = None,
    risk: RISK = None,
    age: AGE = None,
    cancer_or_immunosuppression: EXCLUDED = False,
    prior: PRIOR = None,
    prior_category: PRIOR_CATEGORY = None,
    growth: GROWTH = None,
    size_by: SIZE_BY = SizeBy.diameter,
    remark: REMARKS = None,
    probability: PROBABILITY = None,
    model: GIVEN_BY = None,
    identify: Annotated[
        bool, typer.Option("--identify", help="Tell name, id, dates and path of the scan.")
    ] = False,
    series: SERIES = None,
    strict: STRICT = False,
) -> None:
    """Write a page of a scan: its nodules in pictures and numbers, for reading and printing."""
    from napari_ctlns.formats import read_probability
    from napari_ctlns.formats.seg import findings_in
    from napari_ctlns.reporting.measuring import all_measured
    from napari_ctlns.reporting.method import model_facts
    from napari_ctlns.reporting.page import Options, check_page, write_page

    check_page(out)
    circumstances = circumstances_of(
        setting, risk, age, cancer_or_immunosuppression, prior, prior_category, size_by, remark
    )
    options = Options(
        circumstances=circumstances if setting is not None else None,
        growth=None if growth is None else read_prior(growth),
        model={} if model is None else model_facts(model),
        identify=identify,
    )
    volume = read_for_command(scan, series, strict)
    nodules = nodules_of(mask, volume)
    likely = None if probability is None else read_probability(probability, volume)
    table = all_measured(nodules, volume, likely)
    write_page(out, volume, nodules, table, findings_in(nodules.source), options)


def mesh(
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="One label per nodule.")],
    out: Annotated[Path, typer.Option(help="The mesh to write: .stl or .obj, LPS mm.")],
    label: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Only this nodule; repeatable.")
    ] = None,
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Take off the steps of voxels; volumes stay.")
    ] = False,
) -> None:
    """Write the surfaces of nodules as a mesh file."""
    from napari_ctlns.formats import read_mask
    from napari_ctlns.reporting.meshes import write_meshes

    write_meshes(warned(read_mask(mask)), out, label or (), smooth)


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (report, mesh):
        app.command()(command)
