"""The nodule table: one row per nodule, fixed columns with units in their names."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import ndimage

from napari_ctlns.atomic import write_text
from napari_ctlns.errors import MaskError, OutputError
from napari_ctlns.masks.components import Box, equivalent_diameter_mm
from napari_ctlns.measurement.axes import axial_axes
from napari_ctlns.measurement.shape import mesh_shape
from napari_ctlns.volume import Geometry, Volume

_TYPES: dict[str, str] = {
    "label": "int64",
    "centroid_x_mm": "float64",
    "centroid_y_mm": "float64",
    "centroid_z_mm": "float64",
    "voxels": "int64",
    "volume_mm3": "float64",
    "mesh_volume_mm3": "float64",
    "surface_area_mm2": "float64",
    "sphericity": "float64",
    "equivalent_diameter_mm": "float64",
    "long_axis_mm": "float64",
    "short_axis_mm": "float64",
    "mean_diameter_mm": "float64",
    "max_3d_diameter_mm": "float64",
    "mean_hu": "float64",
    "sd_hu": "float64",
    "min_hu": "float64",
    "max_hu": "float64",
    "touches_border": "bool",
    "mean_probability": "float64",
}
COLUMNS = tuple(_TYPES)
"""The columns of the nodule table, in order."""


def measure(mask: Volume, scan: Volume, probability: Volume | None = None) -> pd.DataFrame:
    """Measure every nodule of a mask.

    Parameters
    ----------
    mask
        One label per nodule, 0 outside.
    scan
        The CT, on the same grid; values below -1024 HU count as -1024 HU.
    probability
        What the model thought, on the same grid, if there was a model.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, one row per label, ascending; without rows if the mask is empty.
        Lengths in mm, centroids (the mean of the voxel centres) in LPS mm. Shape and
        intensity follow the IBSI (doi:10.1148/radiol.2020191145): voxel volume YEKZ,
        mesh volume RNU0, area C0JK, sphericity QCFX, maximum 3D diameter L0JK, mean
        Q4LE, standard deviation the root of the population variance ECT3, minimum
        1GSF, maximum 84IY. Long and short axis are explained at
        `measurement.axes.axial_axes`; ``mean_diameter_mm`` is their mean, unrounded.
        ``mean_probability`` is NaN without a probability.

    Raises
    ------
    MaskError
        If the grids differ.
    """
    return measure_nodules(mask, scan, boxes_of(mask), probability)


def boxes_of(mask: Volume) -> dict[int, Box]:
    """Return the box that fits each label of a mask closely, ascending."""
    labels = mask.array if mask.array.dtype != np.bool_ else mask.array.view(np.uint8)
    boxes = enumerate(ndimage.find_objects(labels), start=1)
    return {label: box for label, box in boxes if box is not None}


def check_grids(mask: Volume, **others: Volume | None) -> None:
    """Raise `MaskError` if a mask and other volumes, by what they are called, differ in grid."""
    for name, other in others.items():
        if other is not None and not mask.geometry.same_grid(other.geometry):
            message = f"mask and {name} lie on different grids; bring the mask onto its grid first"
            raise MaskError(message)


def measure_nodules(
    mask: Volume, scan: Volume, boxes: Mapping[int, Box], probability: Volume | None = None
) -> pd.DataFrame:
    """Measure some nodules of a mask, in the time that these take.

    Parameters
    ----------
    mask, scan, probability
        As for `measure`.
    boxes
        The box that fits each of these labels closely; one without voxels has no row.

    Returns
    -------
    pandas.DataFrame
        As of `measure`, in the order of ``boxes``.

    Raises
    ------
    MaskError
        If the grids differ.
    """
    check_grids(mask, scan=scan, probability=probability)
    found = ((label, box, mask.array[box] == label) for label, box in boxes.items())
    rows = [
        _row(label, box, inside, mask.geometry, scan, probability)
        for label, box, inside in found
        if inside.any()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(_TYPES)


def write_table(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a nodule table; its format follows the extension, ``.csv`` or ``.json``.

    JSON is a list of objects, one a nodule, with null for what is not known.

    Raises
    ------
    OutputError
        If the extension is another, or the file cannot be written.
    """
    extension = Path(path).suffix.lower()
    if extension == ".csv":
        write_text(path, table.to_csv(index=False, lineterminator="\n"))
    elif extension == ".json":
        rows = json.loads(table.to_json(orient="records", double_precision=15))
        write_text(path, json.dumps(rows, indent=2) + "\n")
    else:
        message = f"cannot write a table as {extension or 'a file without extension'}; "
        raise OutputError(message + "use .csv or .json")


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a nodule table that `write_table` wrote, ``.csv`` or ``.json``.

    Raises
    ------
    MaskError
        If the file is missing or holds no nodule table.
    """
    try:
        if Path(path).suffix.lower() == ".json":
            table = pd.DataFrame(json.loads(Path(path).read_text("utf-8")), columns=list(COLUMNS))
        else:
            # pandas' own faster parser may miss the last digit
            table = pd.read_csv(path, float_precision="round_trip")
        return table[list(COLUMNS)].astype(_TYPES)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MaskError(f"no nodule table in {path}; measure the mask again") from error


def _row(
    label: int,
    box: Box,
    inside: npt.NDArray[np.bool_],
    geometry: Geometry,
    scan: Volume,
    probability: Volume | None,
) -> dict[str, Any]:
    index = np.argwhere(inside).mean(axis=0) + [s.start for s in box]
    x, y, z = geometry.index_to_world(index)
    voxels = int(np.count_nonzero(inside))
    volume = voxels * geometry.voxel_volume
    mesh = mesh_shape(inside, geometry.spacing)
    axes = axial_axes(inside, geometry.spacing)
    hu = cropped(scan, box).hu()[inside].astype(float)
    return {
        "label": label,
        "centroid_x_mm": x,
        "centroid_y_mm": y,
        "centroid_z_mm": z,
        "voxels": voxels,
        "volume_mm3": volume,
        "mesh_volume_mm3": mesh.volume_mm3,
        "surface_area_mm2": mesh.surface_area_mm2,
        "sphericity": mesh.sphericity,
        "equivalent_diameter_mm": equivalent_diameter_mm(volume),
        "long_axis_mm": axes.long_mm,
        "short_axis_mm": axes.short_mm,
        "mean_diameter_mm": (axes.long_mm + axes.short_mm) / 2,
        "max_3d_diameter_mm": mesh.max_3d_diameter_mm,
        "mean_hu": hu.mean(),
        "sd_hu": hu.std(),
        "min_hu": hu.min(),
        "max_hu": hu.max(),
        "touches_border": any(
            s.start == 0 or s.stop == n for s, n in zip(box, geometry.shape, strict=True)
        ),
        "mean_probability": _mean(probability, box, inside),
    }


def cropped(volume: Volume, box: Box) -> Volume:
    """Return what of a volume lies in a box, a view."""
    array = volume.array[box]
    start = [s.start for s in box]
    return replace(volume, array=array, geometry=volume.geometry.cropped(start, array.shape))


def _mean(volume: Volume | None, box: Box, inside: npt.NDArray[np.bool_]) -> float:
    return np.nan if volume is None else float(volume.array[box][inside].mean(dtype=float))
