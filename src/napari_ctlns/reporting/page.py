"""A page of one scan: what it is, each nodule in pictures and numbers, and how they were made."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from scipy import ndimage

from napari_ctlns import __version__
from napari_ctlns.atomic import write_text
from napari_ctlns.drawing import PREDICTED_COLOUR, TRUE_COLOUR
from napari_ctlns.errors import OutputError
from napari_ctlns.findings import Findings
from napari_ctlns.formats import describe
from napari_ctlns.measurement.guidelines import NOTICE, Advice, Circumstances, advise, advise_scan
from napari_ctlns.pages import rendered
from napari_ctlns.reporting.growth import growth_words, is_later
from napari_ctlns.reporting.identity import identity_of, without_identity
from napari_ctlns.reporting.key_pictures import KeyPictures, key_pictures
from napari_ctlns.reporting.wording import axes, kind, measured, number
from napari_ctlns.volume import Volume

PAGE_EXTENSIONS = (".html", ".htm")
_FORMATS = {
    "dicom": "DICOM",
    "mhd": "MetaImage",
    "mha": "MetaImage",
    "nifti": "NIfTI",
    "nrrd": "NRRD",
}


@dataclass(frozen=True)
class Options:
    """What a page tells besides pictures and measurements.

    Attributes
    ----------
    circumstances
        What guidelines are asked with; None: they are not asked.
    growth
        A table of growth to or from another scan, as `ctlns growth` writes it.
    model
        Facts of the model that found the nodules, see `method.model_facts`.
    identify
        Whether to tell whose scan it is.
    """

    circumstances: Circumstances | None = None
    growth: pd.DataFrame | None = None
    model: Mapping[str, str] = field(default_factory=dict)
    identify: bool = False


@dataclass(frozen=True)
class Section:
    """A nodule on the page."""

    label: int
    kind: str
    cells: tuple[str, ...]
    views: KeyPictures
    measured: list[tuple[str, str]]
    advice: tuple[Advice, ...]
    growth: str
    remarks: str


def write_page(
    path: str | os.PathLike[str],
    scan: Volume,
    mask: Volume,
    table: pd.DataFrame,
    findings: Findings | None = None,
    options: Options | None = None,
) -> None:
    """Write the page of a scan as one HTML file that needs nothing else.

    Parameters
    ----------
    path
        ``.html``.
    scan, mask
        On one grid.
    table
        Of the nodules of ``mask``, see `measuring.all_measured`.
    findings
        Of the mask: status, type and note of each nodule are told.
    options
        What else is told.

    Raises
    ------
    OutputError
        If the extension is another, or the file cannot be written.
    MaskError
        If the table of growth is of other masks.
    """
    path = Path(path)
    check_page(path)
    options = options or Options()
    growth = options.growth
    later = growth is not None and is_later(growth, table)
    before = growth if later else None
    page = {
        "title": "Lung nodules",
        "lead": _lead(table, scan),
        "identity": identity_of(scan) if options.identify else {},
        "facts": _facts(scan),
        "warnings": [
            words if options.identify else without_identity(words, scan)
            for words in dict.fromkeys((*scan.source.warnings, *mask.source.warnings))
        ],
        "sections": _sections(scan, mask, table, findings, options, later),
        "advice": _advice_of_scan(table, options, before),
        "notice": NOTICE,
        "gone": _gone(growth, later),
        "model": dict(options.model),
        "versions": _versions(),
        "outline": PREDICTED_COLOUR,
        "axis": TRUE_COLOUR,
    }
    write_text(path, rendered("napari_ctlns.reporting", "scan.html.j2", **page))


def check_page(path: Path) -> None:
    """Refuse a file that is no page by its name.

    Raises
    ------
    OutputError
        If the extension is another, or there is a folder of that name.
    """
    if path.suffix.lower() not in PAGE_EXTENSIONS:
        raise OutputError(f"cannot write {path.name}: a report is a .html file")
    if path.is_dir():
        raise OutputError(f"cannot write {path}: there is a folder of that name; choose another")


def _lead(table: pd.DataFrame, scan: Volume) -> str:
    count = len(table)
    words = "No nodule" if not count else "One nodule" if count == 1 else f"{count} nodules"
    z, y, x = (round(mm) for mm in scan.geometry.size_mm)
    size = f"{x} \N{MULTIPLICATION SIGN} {y} \N{MULTIPLICATION SIGN} {z} mm"
    return f"{words} in a CT of {size}"


def _facts(scan: Volume) -> dict[str, str]:
    told = describe(scan)
    times = " \N{MULTIPLICATION SIGN} "
    low, high = told["hu_range"]
    turned = "oblique to the patient" if scan.geometry.is_oblique else "along the patient's axes"
    return {
        "Voxels": times.join(str(n) for n in reversed(told["shape"])),
        "Spacing": times.join(f"{mm:.3g}" for mm in reversed(told["spacing_mm"])) + " mm",
        "Orientation": turned,
        "Densities": f"{number(low, 0)} to {number(high, 0)} HU",
        "Format": _FORMATS.get(told["format"], str(told["format"])),
    }


def _sections(
    scan: Volume,
    mask: Volume,
    table: pd.DataFrame,
    findings: Findings | None,
    options: Options,
    later: bool,
) -> list[Section]:
    growth = options.growth
    advice: dict[int, tuple[Advice, ...]] = {}
    if options.circumstances is not None:
        advice = advise(table, options.circumstances, growth if later else None)
    changes = {} if growth is None else _by_label(growth, "later_label" if later else "label")
    array = mask.array.view("u1") if mask.array.dtype == bool else mask.array
    boxes = ndimage.find_objects(array)
    sections = []
    for record in table.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        label = int(row["label"])
        change = changes.get(label)
        sections.append(
            Section(
                label=label,
                kind=kind(row),
                cells=_cells(row),
                views=key_pictures(scan, mask, boxes[label - 1], row),
                measured=measured(row),
                advice=advice.get(label, ()),
                growth="" if change is None else growth_words(change, later),
                remarks=_remarks(label, findings),
            )
        )
    return sections


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the table at the top has of a nodule, in the order of its columns."""
    numbers = (("mean_diameter_mm", 1), ("volume_mm3", 0), ("mean_hu", 0))
    return (axes(row), *(number(row[column], digits) for column, digits in numbers))


def _by_label(growth: pd.DataFrame, column: str) -> dict[int, dict[str, Any]]:
    rows = growth.dropna(subset=[column]).to_dict("records")
    return {int(row[column]): {str(k): v for k, v in row.items()} for row in rows}


def _gone(growth: pd.DataFrame | None, later: bool) -> int:
    """Return how many nodules of the earlier scan are not on this one."""
    return int((growth["status"] == "gone").sum()) if growth is not None and later else 0


def _advice_of_scan(
    table: pd.DataFrame, options: Options, growth: pd.DataFrame | None
) -> tuple[Advice, ...]:
    if options.circumstances is None:
        return ()
    return advise_scan(table, options.circumstances, growth)


def _remarks(label: int, findings: Findings | None) -> str:
    """Return what a person said of a nodule."""
    if findings is None or label not in findings.labels:
        return ""
    finding = findings.of_label(label)
    status = "" if finding.status == "new" else finding.status
    kind_said = "" if finding.type == "unknown" else f"{finding.type} to the reader"
    return "; ".join(part for part in (status, kind_said, finding.note.strip()) if part)


def _versions() -> str:
    names = ("numpy", "scipy", "scikit-image", "SimpleITK")
    others = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return f"napari-ctlns {__version__}, Python {platform.python_version()}, {others}"
