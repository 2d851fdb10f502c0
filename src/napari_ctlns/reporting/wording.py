"""Measurements in the words and digits that people read them in."""

import math
from collections.abc import Mapping
from typing import Any

_MINUS = "\N{MINUS SIGN}"
_DASH = "\N{EN DASH}"
_TIMES = "\N{MULTIPLICATION SIGN}"

_Names = tuple[tuple[str, str, str, int], ...]
"""Of columns: column, name, unit, digits."""

_SIZES: _Names = (
    ("mean_diameter_mm", "Mean diameter", "mm", 1),
    ("max_3d_diameter_mm", "Greatest diameter in 3D", "mm", 1),
    ("equivalent_diameter_mm", "Diameter of equal sphere", "mm", 1),
    ("volume_mm3", "Volume by voxels", "mm³", 0),
    ("mesh_volume_mm3", "Volume by mesh", "mm³", 0),
    ("surface_area_mm2", "Surface", "mm²", 0),
    ("sphericity", "Sphericity", "", 2),
    ("elongation", "Elongation", "", 2),
    ("flatness", "Flatness", "", 2),
    ("solid_diameter_mm", "Diameter of solid part", "mm", 1),
    ("solid_volume_mm3", "Volume of solid part", "mm³", 0),
)
_BESIDE: _Names = (
    ("median_hu", "Median density", "HU", 0),
    ("contrast_hu", "Above surroundings", "HU", 0),
    ("pleura_distance_mm", "From the pleura", "mm", 1),
)


def number(value: Any, digits: int, unit: str = "") -> str:
    """Return a number with its unit, a dash for none."""
    if value is None or not math.isfinite(float(value)):
        return _DASH
    words = f"{float(value):,.{digits}f}".replace(",", "\N{THIN SPACE}").replace("-", _MINUS)
    return f"{words} {unit}".rstrip()


def axes(row: Mapping[str, Any]) -> str:
    """Return long and short axis, as ``8.2 x 6.1``."""
    return f"{number(row['long_axis_mm'], 1)} {_TIMES} {number(row['short_axis_mm'], 1)}"


def spread(row: Mapping[str, Any]) -> str:
    """Return mean HU with its standard deviation."""
    return f"{number(row['mean_hu'], 0)} \N{PLUS-MINUS SIGN} {number(row['sd_hu'], 0)} HU"


def measured(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values of what was measured of a nodule, what is unknown left out."""
    told = [("Long and short axis", f"{axes(row)} mm"), *_known(row, _SIZES)]
    told += [("Mean density", spread(row)), *_known(row, _BESIDE)]
    if math.isfinite(float(row["mean_probability"])):
        told.append(("Probability by the model", number(100 * row["mean_probability"], 0, "%")))
    return told


def _known(row: Mapping[str, Any], names: _Names) -> list[tuple[str, str]]:
    return [
        (name, number(row[column], digits, unit))
        for column, name, unit, digits in names
        if math.isfinite(float(row[column]))
    ]


def kind(row: Mapping[str, Any]) -> str:
    """Return type, side and warnings of a nodule, in a line."""
    parts = [str(row["type"]).capitalize()]
    if row["side"]:
        parts.append(f"{row['side']} lung")
    if row["cut_by_edge"]:
        parts.append("cut by the scan's edge: larger than measured")
    return " · ".join(parts)
