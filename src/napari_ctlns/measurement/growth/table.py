"""Two scans and their masks become the growth table: one row per nodule."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from napari_ctlns.errors import MaskError
from napari_ctlns.events import Progress
from napari_ctlns.measurement.details import measure_details
from napari_ctlns.measurement.growth.alignment import Alignment
from napari_ctlns.measurement.growth.change import Size, change
from napari_ctlns.measurement.growth.pairing import ERROR_MM, pair
from napari_ctlns.measurement.growth.registering import aligning
from napari_ctlns.measurement.table import measure
from napari_ctlns.volume import FloatArray, Geometry, Triple, Volume

_TYPES: dict[str, str] = {
    "label": "Int64",
    "later_label": "Int64",
    "status": "object",
    "distance_mm": "float64",
    "days": "float64",
    "volume_mm3": "float64",
    "later_volume_mm3": "float64",
    "volume_change_percent": "float64",
    "volume_change_low_percent": "float64",
    "volume_change_high_percent": "float64",
    "change": "object",
    "doubling_time_days": "float64",
    "doubling_time_low_days": "float64",
    "doubling_time_high_days": "float64",
    "mean_diameter_mm": "float64",
    "later_mean_diameter_mm": "float64",
    "diameter_change_mm": "float64",
    "type": "object",
    "later_type": "object",
    "solid_diameter_mm": "float64",
    "later_solid_diameter_mm": "float64",
    "x_mm": "float64",
    "y_mm": "float64",
    "z_mm": "float64",
    "later_x_mm": "float64",
    "later_y_mm": "float64",
    "later_z_mm": "float64",
}
GROWTH_COLUMNS = tuple(_TYPES)
"""The columns of the growth table, in order."""
CUT = "cut by the scan's edge"
_CENTRE = ["centroid_x_mm", "centroid_y_mm", "centroid_z_mm"]
_DOUBTFUL_ERROR = 2.0
"""By how much more may be erred where the lungs agree poorly."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Growth:
    """What became of the nodules of a patient.

    Attributes
    ----------
    table
        As `growth_table` returns it.
    alignment
        How the scans lie to each other.
    warnings
        What is to be doubted, in words.
    """

    table: pd.DataFrame
    alignment: Alignment
    warnings: tuple[str, ...] = ()


def compare_scans(
    scan: Volume, mask: Volume, later_scan: Volume, later_mask: Volume, days: float
) -> Growth:
    """Lay two scans on each other, pair their nodules and say how these grew.

    Parameters
    ----------
    scan, later_scan
        CTs in HU.
    mask, later_mask
        Their nodules, on their grids, one label each.
    days
        Between them, above 0.

    Raises
    ------
    ScanError
        As `registering.align`.
    MaskError
        If there is no nodule in either mask, or a mask lies on another grid than its scan.
    """
    steps = comparing(scan, mask, later_scan, later_mask, days)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def comparing(
    scan: Volume, mask: Volume, later_scan: Volume, later_mask: Volume, days: float
) -> Generator[Progress, None, Growth]:
    """Do what `compare_scans` does in steps, and say after each how far it is."""
    if not mask.array.any() and not later_mask.array.any():
        raise MaskError("no nodules in either mask; draw or predict some first")
    nodules, later_nodules = _nodules(mask, scan), _nodules(later_mask, later_scan)
    alignment = yield from aligning(scan, later_scan)
    table = growth_table(
        nodules, later_nodules, alignment, scan.geometry, later_scan.geometry, days
    )
    return Growth(table, alignment, (*_of_two_patients(scan, later_scan), *alignment.warnings))


def growth_table(
    nodules: pd.DataFrame,
    later_nodules: pd.DataFrame,
    alignment: Alignment,
    grid: Geometry,
    later_grid: Geometry,
    days: float,
) -> pd.DataFrame:
    """Pair measured nodules of two scans and say how they grew.

    Parameters
    ----------
    nodules, later_nodules
        The nodule table with the details, `measurement.COLUMNS` and `measurement.DETAILS`.
    alignment
        From the earlier scan to the later.
    grid, later_grid
        Of the masks.
    days
        Between the scans, above 0.

    Returns
    -------
    pandas.DataFrame
        `GROWTH_COLUMNS`: the paired nodules by label, then those that are only on one scan.
        ``status`` is ``"paired"``, ``"gone"``, ``"new"``, or ``"not covered"`` where the
        other scan was not taken there. ``label`` and ``later_label`` are NA where there is
        none. The numbers of growth are those of `change.Change`, NaN unless paired;
        ``doubling_time_high_days`` is infinite where a nodule may be stable. ``change`` is
        in words; of a nodule that is cut by the scan's edge volumes cannot be compared. The
        places are LPS mm on each scan; of what is only on one, the other place is where it
        would be. ``distance_mm`` is between centres, one carried to the other's scan.
    """
    centres = nodules[_CENTRE].to_numpy(float).reshape(-1, 3)
    later_centres = later_nodules[_CENTRE].to_numpy(float).reshape(-1, 3)
    there, before = alignment.to_later(centres), alignment.to_earlier(later_centres)
    error = ERROR_MM * (_DOUBTFUL_ERROR if alignment.is_doubtful else 1)
    radii, later_radii = _radii(nodules), _radii(later_nodules)
    pairs = pair(there, radii, later_centres, later_radii, error)
    earlier_rows, later_rows = nodules.to_dict("records"), later_nodules.to_dict("records")
    rows = []
    for i, j, distance in zip(pairs.earlier, pairs.later, pairs.distances_mm, strict=True):
        one, other = earlier_rows[i], later_rows[j]
        places = {**_place("", centres[i]), **_place("later_", later_centres[j])}
        grown = _change(one, other, grid.spacing, later_grid.spacing, days)
        found = {"status": "paired", "distance_mm": float(distance), **places, **grown}
        rows.append({**_of("", one), **_of("later_", other), **found})
    rows.sort(key=lambda row: row["label"])
    for i in np.setdiff1d(np.arange(len(nodules)), pairs.earlier):
        status = "gone" if later_grid.contains(there[i]) else "not covered"
        places = {**_place("", centres[i]), **_place("later_", there[i])}
        rows.append({**_of("", earlier_rows[i]), "status": status, **places})
    for j in np.setdiff1d(np.arange(len(later_nodules)), pairs.later):
        status = "new" if grid.contains(before[j]) else "not covered"
        places = {**_place("", before[j]), **_place("later_", later_centres[j])}
        rows.append({**_of("later_", later_rows[j]), "status": status, **places})
    words = {"change": "", "type": "", "later_type": ""}
    table = pd.DataFrame([{**words, "days": days, **row} for row in rows], columns=GROWTH_COLUMNS)
    return table.astype(_TYPES)


def _nodules(mask: Volume, scan: Volume) -> pd.DataFrame:
    return measure(mask, scan).merge(measure_details(mask, scan), on="label", validate="1:1")


def _radii(nodules: pd.DataFrame) -> FloatArray:
    return nodules["equivalent_diameter_mm"].to_numpy(float) / 2


def _place(which: str, point: FloatArray) -> Row:
    return {f"{which}{axis}_mm": float(mm) for axis, mm in zip("xyz", point, strict=True)}


def _of(which: str, nodule: Row) -> Row:
    """Return what the table says of a nodule at one scan."""
    names = ("label", "volume_mm3", "mean_diameter_mm", "type", "solid_diameter_mm")
    return {f"{which}{name}": nodule[name] for name in names}


def _change(one: Row, other: Row, spacing: Triple, later_spacing: Triple, days: float) -> Row:
    if one["cut_by_edge"] or other["cut_by_edge"]:
        return {"change": CUT}
    found = change(
        Size(one["volume_mm3"], one["surface_area_mm2"], spacing),
        Size(other["volume_mm3"], other["surface_area_mm2"], later_spacing),
        days,
    )
    return {
        "volume_change_percent": found.percent,
        "volume_change_low_percent": found.low_percent,
        "volume_change_high_percent": found.high_percent,
        "change": found.words,
        "doubling_time_days": found.doubling_days,
        "doubling_time_low_days": found.low_days,
        "doubling_time_high_days": found.high_days,
        "diameter_change_mm": other["mean_diameter_mm"] - one["mean_diameter_mm"],
    }


def _of_two_patients(scan: Volume, later_scan: Volume) -> tuple[str, ...]:
    known = all(v.source.format == "dicom" and v.patient_id for v in (scan, later_scan))
    if not known or scan.patient_id == later_scan.patient_id:
        return ()
    return ("the scans have different patient ids; check that they are of one patient",)
