"""More of each nodule than the nodule table has: axes in place, IBSI, type, surroundings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from napari_ctlns.masks.components import Bools, Box
from napari_ctlns.masks.solid_part import solid_part
from napari_ctlns.measurement.axes import Axes, Point, axial_axes
from napari_ctlns.measurement.intensity import Intensity, intensity_of
from napari_ctlns.measurement.place import Sides, pleura_distance_mm
from napari_ctlns.measurement.shape import principal_axes
from napari_ctlns.measurement.surroundings import cut_by_edge, surroundings_hu
from napari_ctlns.measurement.table import boxes_of, check_grids, cropped
from napari_ctlns.volume import Geometry, Volume

_ENDS = [
    f"{axis}_axis_{end}_{along}_mm"
    for axis in ("long", "short")
    for end in ("start", "end")
    for along in "xyz"
]
_TYPES: dict[str, str] = {
    "long_axis_slice": "int64",
    **dict.fromkeys(_ENDS, "float64"),
    "major_axis_mm": "float64",
    "minor_axis_mm": "float64",
    "least_axis_mm": "float64",
    "elongation": "float64",
    "flatness": "float64",
    **dict.fromkeys(Intensity._fields, "float64"),
    "type": "object",
    "solid_volume_mm3": "float64",
    "solid_diameter_mm": "float64",
    "side": "object",
    "pleura_distance_mm": "float64",
    "cut_by_edge": "bool",
    "surroundings_hu": "float64",
    "contrast_hu": "float64",
}
DETAILS: tuple[str, ...] = tuple(_TYPES)
"""The columns of the details, in order."""


def measure_details(
    mask: Volume,
    scan: Volume,
    boxes: Mapping[int, Box] | None = None,
    lungs: Volume | None = None,
) -> pd.DataFrame:
    """Measure of every nodule what the nodule table does not have.

    Parameters
    ----------
    mask
        One label per nodule, 0 outside.
    scan
        The CT, on the same grid; values below -1024 HU count as -1024 HU.
    boxes
        The box that fits each of some labels closely; only these are measured. None: all.
    lungs
        The lungs, on the same grid, if they are known; else side and pleura are not.

    Returns
    -------
    pandas.DataFrame
        ``label`` and `DETAILS`, one row per label, in the order of ``boxes`` or ascending.

        ``long_axis_slice`` is an index along z of the mask; the ends of the axes of
        `measurement.axes.axial_axes` are LPS mm. The next five are of
        `measurement.shape.principal_axes`, then come the statistics of
        `measurement.intensity`. ``type`` is of `masks.solid_part`;
        ``solid_volume_mm3`` and ``solid_diameter_mm`` (the mean of long and short axis, as
        guidelines measure it) are those of the solid part, 0 for ground glass and those of
        the whole nodule if it is solid. ``side`` is ``"left"``, ``"right"`` or ``""``; the
        distance to the pleura is NaN without lungs. ``contrast_hu`` is the nodule's mean HU
        less ``surroundings_hu``; see `measurement.surroundings`.

    Raises
    ------
    MaskError
        If the grids differ.
    """
    check_grids(mask, scan=scan, lungs=lungs)
    there = boxes_of(mask) if boxes is None else boxes
    sides = None if lungs is None or not there else Sides(scan, lungs)
    found = ((label, box, mask.array[box] == label) for label, box in there.items())
    rows = [
        _row(label, box, inside, mask, scan, lungs, sides)
        for label, box, inside in found
        if inside.any()
    ]
    columns = {"label": "int64", **_TYPES}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def _row(
    label: int,
    box: Box,
    inside: Bools,
    mask: Volume,
    scan: Volume,
    lungs: Volume | None,
    sides: Sides | None,
) -> dict[str, Any]:
    geometry = mask.geometry
    hu = cropped(scan, box).hu()
    places = np.argwhere(inside)
    start = np.array([s.start for s in box])
    axes = axial_axes(inside, geometry.spacing)
    around_hu = surroundings_hu(mask, scan, label, box, lungs)
    beside = {
        "side": "" if sides is None else sides.side_of(places.mean(axis=0) + start),
        "pleura_distance_mm": (
            np.nan if lungs is None else pleura_distance_mm(mask, label, box, lungs)
        ),
        "cut_by_edge": cut_by_edge(scan, box, inside),
        "surroundings_hu": around_hu,
        "contrast_hu": float(hu[inside].mean(dtype=float)) - around_hu,
    }
    principal = principal_axes(places * np.asarray(geometry.spacing, float))
    return {
        "label": label,
        **_axes_in_place(axes, start, geometry),
        "major_axis_mm": principal.major_mm,
        "minor_axis_mm": principal.minor_mm,
        "least_axis_mm": principal.least_mm,
        "elongation": principal.elongation,
        "flatness": principal.flatness,
        **intensity_of(hu[inside].astype(float))._asdict(),
        **_solid(hu, inside, axes, geometry),
        **beside,
    }


def _axes_in_place(axes: Axes, start: np.ndarray[Any, Any], geometry: Geometry) -> dict[str, Any]:
    z = axes.slice_index + int(start[0])
    ends = [_index(z, end, start) for pair in (axes.long_ends, axes.short_ends) for end in pair]
    world = geometry.index_to_world(ends).ravel().tolist()
    return {"long_axis_slice": z, **dict(zip(_ENDS, world, strict=True))}


def _index(z: int, end: Point, start: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    return z, end[0] + float(start[1]), end[1] + float(start[2])


def _solid(
    hu: np.ndarray[Any, Any], inside: Bools, axes: Axes, geometry: Geometry
) -> dict[str, Any]:
    part = solid_part(hu, inside, geometry.spacing)
    if part.type == "part-solid":
        axes = axial_axes(part.inside, geometry.spacing)
    voxels = int(np.count_nonzero(part.inside))
    return {
        "type": part.type,
        "solid_volume_mm3": voxels * geometry.voxel_volume,
        "solid_diameter_mm": (axes.long_mm + axes.short_mm) / 2 if voxels else 0.0,
    }
