"""Commands on one scan or mask, without learning."""

from collections.abc import Sequence
from enum import StrEnum
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
    advised,
    circumstances_of,
    read_prior,
)
from napari_ctlns.cli.options import (
    GIVEN_BY,
    JSON,
    PROBABILITY,
    SERIES,
    STRICT,
    print_json,
    print_rows,
    print_table,
)
from napari_ctlns.errors import MaskError, ScanError
from napari_ctlns.findings import Annotation
from napari_ctlns.volume import Volume

SCAN = Annotated[Path, typer.Argument(metavar="SCAN", help="A readable file or DICOM folder.")]


class MaskMethod(StrEnum):
    """How annotations become a mask."""

    sphere = "sphere"
    fitted = "fitted"


def info(scan: SCAN, series: SERIES = None, strict: STRICT = False, json: JSON = False) -> None:
    """Say what a scan is, and what had to be mended."""
    from napari_ctlns.formats import describe

    (print_json if json else print_table)(describe(read_for_command(scan, series, strict)))


def convert(
    scan: SCAN,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The file to write; its extension says how.")
    ],
    series: SERIES = None,
    strict: STRICT = False,
) -> None:
    """Write a scan in another format."""
    from napari_ctlns.formats import write_volume

    write_volume(read_for_command(scan, series, strict), out)


def mask(
    scan: SCAN,
    annotations: Annotated[Path, typer.Option(help="A CSV like LUNA16's.")],
    out: Annotated[Path, typer.Option(help="The mask to write; its extension says how.")],
    method: Annotated[MaskMethod, typer.Option(help="How nodules are drawn.")] = MaskMethod.sphere,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave out rows that cannot be used.")
    ] = False,
    series: SERIES = None,
    strict: STRICT = False,
) -> None:
    """Draw annotated nodules as a mask on the scan's own grid."""
    from napari_ctlns.formats import (
        annotations_of,
        read_annotations,
        readable_annotations,
        write_volume,
    )

    if skip_bad_rows:
        rows, problems = readable_annotations(annotations)
        for words in problems:
            typer.echo(f"warning: left out, {words}", err=True)
    else:
        rows = read_annotations(annotations)
    volume = read_for_command(scan, series, strict)
    draw = {MaskMethod.sphere: _spheres, MaskMethod.fitted: _fitted}[method]
    write_volume(draw(volume, annotations_of(rows, volume)), out)


def _spheres(volume: Volume, annotations: Sequence[Annotation]) -> Volume:
    from napari_ctlns.masks.spheres import sphere_mask

    return volume.mask(sphere_mask(volume.geometry, annotations))


def _fitted(volume: Volume, annotations: Sequence[Annotation]) -> Volume:
    from napari_ctlns.masks.fitted import fitted_mask

    fitted = fitted_mask(volume, annotations)
    for number, words in fitted.spheres.items():
        place = "({:g}, {:g}, {:g}) mm".format(*annotations[number].centre)
        typer.echo(f"warning: nodule at {place} drawn as a sphere: {words}", err=True)
    return volume.mask(fitted.mask)


def lungs(
    scan: SCAN,
    out: Annotated[Path, typer.Option(help="The mask to write; its extension says how.")],
    series: SERIES = None,
    strict: STRICT = False,
) -> None:
    """Find the lungs, without a network, as a mask on the scan's own grid."""
    from napari_ctlns.formats import write_volume
    from napari_ctlns.masks.lungs import lung_mask

    found = lung_mask(read_for_command(scan, series, strict))
    if not found.array.any():
        raise MaskError(f"no lungs in {scan}; give a chest CT in HU that shows some of a lung")
    write_volume(found, out, structure="lung")


def measure(
    scan: SCAN,
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="One label per nodule.")],
    out: Annotated[
        Path, typer.Option(help="The nodule table to write: .csv, .json or, DICOM SR, .dcm.")
    ],
    probability: PROBABILITY = None,
    model: GIVEN_BY = None,
    details: Annotated[
        bool, typer.Option("--details/--no-details", help="Add axes in place, type, IBSI and more.")
    ] = False,
    lungs: Annotated[
        Path | None,
        typer.Option(metavar="MASK", help="The lungs, for the details; found if not given."),
    ] = None,
    setting: SETTING = None,
    risk: RISK = None,
    age: AGE = None,
    cancer_or_immunosuppression: EXCLUDED = False,
    prior: PRIOR = None,
    prior_category: PRIOR_CATEGORY = None,
    growth: GROWTH = None,
    size_by: SIZE_BY = SizeBy.diameter,
    remark: REMARKS = None,
    series: SERIES = None,
    strict: STRICT = False,
) -> None:
    """Measure every nodule of a mask; with a setting, say what guidelines advise."""
    from napari_ctlns.formats import read_probability
    from napari_ctlns.measurement import measure as measure_nodules
    from napari_ctlns.measurement import with_details, write_table
    from napari_ctlns.reporting.dicom_sr import SR_EXTENSION, of_dicom_series, report_sr

    circumstances = circumstances_of(
        setting, risk, age, cancer_or_immunosuppression, prior, prior_category, size_by, remark
    )
    grown = None if growth is None else read_prior(growth)
    volume = read_for_command(scan, series, strict)
    nodules = nodules_of(mask, volume)
    likely = None if probability is None else read_probability(probability, volume)
    is_report = out.suffix.lower() == SR_EXTENSION
    if is_report:
        of_dicom_series(volume, out)
        details = True
    table = measure_nodules(nodules, volume, likely)
    columns = list(table.columns)
    if details or circumstances.setting is not None:
        table = with_details(table, nodules, volume, _lungs(volume, lungs) if details else None)
        columns = list(table.columns) if details else columns
    if circumstances.setting is not None:
        table, columns = advised(table, circumstances, grown, columns)
    if is_report:
        typer.echo(f"its segments are in {report_sr(table, nodules, volume, out, model)}", err=True)
    else:
        write_table(table[columns], out)


def _lungs(volume: Volume, path: Path | None) -> Volume | None:
    """Return the lungs of a scan: those of a file, or what is found; None if none are."""
    from napari_ctlns.formats import read_mask_onto
    from napari_ctlns.masks.lungs import lung_mask

    lungs = lung_mask(volume) if path is None else warned(read_mask_onto(path, volume))
    if lungs.array.any():
        return lungs
    if path is not None:
        raise MaskError(f"no lungs in {path}; leave --lungs away to have them found")
    typer.echo("warning: no lungs found: side and distance to the pleura stay empty", err=True)
    return None


def compare(
    mask: Annotated[Path, typer.Argument(metavar="MASK", help="The mask to judge.")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="The mask that is right.")],
    json: JSON = False,
) -> None:
    """Compare a mask with the truth: overlap, distance, volumes."""
    from napari_ctlns.formats import read_mask, read_mask_onto
    from napari_ctlns.metrics import compare_masks

    true_mask = warned(read_mask(truth))
    agreement = compare_masks(warned(read_mask_onto(mask, true_mask)), true_mask)
    (print_json if json else print_table)(agreement)


def nodules_of(mask: Path, scan: Volume) -> Volume:
    """Read a mask onto the grid of a scan; say what was mended.

    Raises
    ------
    MaskError
        As `read_mask_onto`, and if there is no nodule in it.
    """
    from napari_ctlns.formats import read_mask_onto

    nodules = warned(read_mask_onto(mask, scan))
    if not nodules.array.any():
        raise MaskError(f"no nodules in {mask}; draw or predict some first")
    return nodules


def read_for_command(scan: Path, series: str | None, strict: bool) -> Volume:
    """Read a scan; say what was mended, and which series there are of several."""
    from napari_ctlns.formats import read_scan
    from napari_ctlns.formats.dicom.series import SeveralSeriesError

    try:
        return warned(read_scan(scan, series=series, strict=strict))
    except SeveralSeriesError as error:
        print_rows(
            ("UID", "description", "modality", "slices", "size"),
            [
                (s.uid, s.description, s.modality, len(s.slices), "{} x {}".format(*s.shape))
                for s in error.series
            ],
        )
        raise ScanError(error.summary) from error


def warned(volume: Volume) -> Volume:
    """Say what was mended on reading."""
    for words in volume.source.warnings:
        typer.echo(f"warning: {words}", err=True)
    return volume


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (info, convert, mask, lungs, measure, compare):
        app.command()(command)
