"""The greatest distance between points, and between the outermost points of a mask."""

import contextlib
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform

from napari_ctlns.volume import FloatArray, Triple

_FEW = 200
"""Points whose distances are all known sooner than their convex hull."""


def longest(points: FloatArray) -> tuple[float, FloatArray]:
    """Return the greatest distance between two of some points, and those two.

    Parameters
    ----------
    points
        (n, dimensions), two or more.

    Returns
    -------
    tuple
        The distance, and the two points, (2, dimensions).
    """
    points = _far_out(points)
    if len(points) > _FEW:
        with contextlib.suppress(QhullError):  # all in one plane or line: keep all
            points = points[ConvexHull(points).vertices]
    distances = squareform(pdist(points))
    ends = points[list(np.unravel_index(distances.argmax(), distances.shape))]
    return float(distances.max()), ends


def max_diameter_mm(inside: npt.NDArray[Any], spacing: Triple) -> float:
    """Return the greatest distance between two points of a mask's surface mesh, mm.

    That is the IBSI's maximum 3D diameter (L0JK) of the mesh of marching cubes: its vertices
    lie halfway between a voxel inside and one outside, on lines along the axes, and of these
    only those count that are the first or last on their line.

    Parameters
    ----------
    inside
        (z, y, x), not empty; beyond the array is outside.
    spacing
        Millimetres between voxels along (z, y, x).
    """
    mask = np.asarray(inside) != 0
    points = []
    for axis in range(3):
        lines = np.moveaxis(mask, axis, -1)
        at = np.argwhere(lines.any(axis=-1))
        row = lines[tuple(at.T)]
        first, last = row.argmax(axis=1) - 0.5, row.shape[1] - row[:, ::-1].argmax(axis=1) - 0.5
        ends = np.concatenate([np.c_[at, first], np.c_[at, last]])
        points.append(np.insert(ends[:, :2], axis, ends[:, 2], axis=1))
    return longest(np.concatenate(points) * np.asarray(spacing))[0]


def _far_out(points: FloatArray) -> FloatArray:
    """Return the points that the two farthest of all can be among.

    Those two are at least as far apart as any two that are known, so neither is nearer to a
    centre than that distance less the greatest one from the centre.
    """
    away = points - (points.min(axis=0) + points.max(axis=0)) / 2
    from_centre = np.sqrt((away**2).sum(axis=1))
    reach = from_centre.max()
    opposite = points - points[from_centre.argmax()]
    known = np.sqrt((opposite**2).sum(axis=1).max())
    # a little less, for rounding
    return points[from_centre >= (known - reach) * (1 - 1e-9) - 1e-9]
