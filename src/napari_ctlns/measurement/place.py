"""Where in the lungs a nodule lies: the side, and how far from the pleura."""

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from napari_ctlns.masks.coarse import (
    AIR_OR_LUNG_HU,
    CoarseGrid,
    coarse_hu,
    distance,
    eroded,
    middle_column,
)
from napari_ctlns.masks.components import Bools, Box
from napari_ctlns.masks.label_box import around
from napari_ctlns.volume import FloatArray, Volume

SMALLEST_SHARE = 0.1
"""Of the larger lung; less is a part of it that is cut off."""
_NEAR_MM, _FAR_MM = 8.0, 128.0


class Sides:
    """Tells the left lung from the right one.

    Parameters
    ----------
    scan
        The CT.
    lungs
        Its lungs, on the same grid.
    """

    def __init__(self, scan: Volume, lungs: Volume) -> None:
        grid = CoarseGrid.over(scan.geometry)
        cells = grid.sampled(lungs.array) != 0
        self._geometry = scan.geometry
        self._two = _two_lungs(cells)
        self._scale = np.asarray(grid.full_shape) / grid.shape
        self._spacing = np.asarray(grid.spacing)
        self._middle: float | None = None
        if self._two is None and cells.any() and not grid.is_part_of_a_chest:
            tissue = coarse_hu(scan, grid)[0] >= AIR_OR_LUNG_HU
            self._middle = (middle_column(tissue) + 0.5) * self._scale[2] - 0.5

    def side_of(self, index: npt.ArrayLike) -> str:
        """Return the side of an index (z, y, x) of the scan: left, right, or "" if unknown.

        It is that of the nearer lung; of lungs that are one piece, or of a single lung, that
        of the body's half. A single lung in a part of a chest has no side.
        """
        place = np.asarray(index, float)
        if self._two is not None:
            cell = ((place + 0.5) / self._scale - 0.5) * self._spacing
            away = [cKDTree(lung * self._spacing).query(cell)[0] for lung in self._two]
            own, other = (self._two[k].mean(axis=0) for k in np.argsort(away))
            return self._side(own * self._scale, other * self._scale)
        if self._middle is not None:
            return self._side(place, np.array([place[0], place[1], self._middle]))
        return ""

    def _side(self, own: FloatArray, other: FloatArray) -> str:
        """Say on which side of another index one lies; in LPS x grows to the left."""
        x, other_x = self._geometry.index_to_world([own, other])[:, 0]
        return "left" if x > other_x else "right"


def _two_lungs(cells: Bools) -> tuple[FloatArray, FloatArray] | None:
    """Return the cells of each lung, (n, 3), or None if they are not two pieces."""
    # what holds lungs together in front of the heart is thin
    pieces = cc3d.connected_components(eroded(cells), connectivity=6)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    if len(sizes) < 3:
        return None
    first, second = np.argsort(sizes)[:-3:-1]
    if sizes[second] < SMALLEST_SHARE * sizes[first]:
        return None
    one, two = (np.argwhere(pieces == k).astype(float) for k in (first, second))
    # one below the other are two parts of one lung
    beside = abs(one[:, 2].mean() - two[:, 2].mean()) * 2 > max(np.ptp(one[:, 2]), 1)
    return (one, two) if beside else None


def pleura_distance_mm(mask: Volume, label: int, box: Box, lungs: Volume) -> float:
    """Return how far a nodule is from the surface of the lungs, mm.

    That is the pleura on ribs, diaphragm and mediastinum; fissures are not seen. It is
    counted from the nodule's nearest voxel to the nearest one beyond the lungs, the width of
    a voxel taken off: 0 where they touch, and for a nodule beyond the lungs. NaN if nothing
    but lung is seen.

    Parameters
    ----------
    mask, lungs
        On one grid.
    label, box
        Of the nodule, and what fits it closely.
    """
    spacing = mask.geometry.spacing
    reach = _NEAR_MM
    while reach <= _FAR_MM:
        wider = around(box, mask.geometry.shape, spacing, reach)
        inside = mask.array[wider] == label
        beyond = (lungs.array[wider] == 0) & ~inside
        if (inside & (lungs.array[wider] == 0)).any():
            return 0.0
        nearest = float(distance(inside, spacing)[beyond].min(initial=np.inf))
        if nearest <= reach:
            return max(nearest - min(spacing), 0.0)
        reach *= 2
    return float("nan")
