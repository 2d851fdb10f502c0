"""What can be said of all nodules of a scan in one pass over it: size, place, box, HU."""

import pandas as pd

from napari_ctlns.measurement.labels import check_grids, label_rows
from napari_ctlns.volume import FloatArray, Geometry, Volume

_TYPES: dict[str, str] = {
    "label": "int64",
    "voxels": "int64",
    "volume_mm3": "float64",
    "centroid_x_mm": "float64",
    "centroid_y_mm": "float64",
    "centroid_z_mm": "float64",
    "first_z": "int64",
    "first_y": "int64",
    "first_x": "int64",
    "last_z": "int64",
    "last_y": "int64",
    "last_x": "int64",
    "mean_hu": "float64",
    "min_hu": "float64",
    "max_hu": "float64",
}
QUICK_COLUMNS = tuple(_TYPES)
"""The columns of the quick table, in order."""


def quick_table(mask: Volume, scan: Volume) -> pd.DataFrame:
    """Measure of every nodule what needs no look at its shape.

    Parameters
    ----------
    mask
        One label per nodule, 0 outside.
    scan
        The CT, on the same grid; values below -1024 HU count as -1024 HU.

    Returns
    -------
    pandas.DataFrame
        `QUICK_COLUMNS`, one row per label, ascending; what the nodule table has too is the
        same there. ``first_z`` to ``last_x`` are the indices of the outermost voxels.

    Raises
    ------
    MaskError
        If the grids differ.
    """
    check_grids(mask, scan=scan)
    return _table(label_rows(mask.array, scan.array), mask.geometry)


def _table(rows: FloatArray, geometry: Geometry) -> pd.DataFrame:
    voxels = rows[:, 1]
    world = geometry.index_to_world(rows[:, 2:5] / voxels[:, None])
    columns = [
        rows[:, 0],
        voxels,
        voxels * geometry.voxel_volume,
        *world.T,
        *rows[:, 6:9].T,
        *rows[:, 10:13].T,
        rows[:, 5] / voxels,
        rows[:, 9],
        rows[:, 13],
    ]
    return pd.DataFrame(dict(zip(QUICK_COLUMNS, columns, strict=True))).astype(_TYPES)
