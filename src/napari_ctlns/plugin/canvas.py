"""The canvas, napari's world: where the voxels of a scan lie on it.

It is in millimetres along the axes of the array, (z, y, x), with the origin
where LPS has it. For a scan whose axes are the patient's the canvas is LPS in
reversed order; for an oblique one it is LPS turned by the rotation that stays
in `Geometry`, so distances are true in both.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_ctlns.volume import FloatArray, Geometry

COMMON: dict[str, Any] = {"units": ("mm",) * 3, "axis_labels": ("z", "y", "x")}
"""What every layer of ours says of its axes."""


def lps_to_canvas(geometry: Geometry, lps: npt.ArrayLike) -> FloatArray:
    """Return canvas millimetres (..., zyx) of LPS millimetres (..., xyz)."""
    return geometry.world_to_index(lps) * geometry.spacing + _corner(geometry)


def canvas_to_lps(geometry: Geometry, canvas: npt.ArrayLike) -> FloatArray:
    """Return LPS millimetres (..., xyz) of canvas millimetres (..., zyx)."""
    return geometry.index_to_world((np.asarray(canvas) - _corner(geometry)) / geometry.spacing)


def _corner(geometry: Geometry) -> FloatArray:
    return np.asarray(geometry.origin, float)[::-1]


def placed(geometry: Geometry) -> dict[str, Any]:
    """Return where napari is to draw the voxels of a grid, as layer data says it."""
    # spacing goes into `scale`: only then are brushes round in millimetres
    return {**COMMON, "scale": geometry.spacing, "translate": tuple(_corner(geometry))}


def same_canvas(layer: Labels, grid: Geometry) -> bool:
    """Whether a labels layer has the voxels that a grid has on the canvas."""
    return (
        layer.data.shape == grid.shape
        and np.allclose(layer.scale, grid.spacing, atol=1e-4)
        and np.allclose(layer.translate, grid.origin[::-1], atol=1e-3)
    )
