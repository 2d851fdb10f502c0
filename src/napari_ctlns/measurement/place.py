"""Where in the lungs a nodule lies: the side, and how far from the pleura."""

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from napari_ctlns.masks.coarse import (
    AIR_OR_LUNG_HU,
    SAMPLE_MM,
    CoarseGrid,
    coarse_hu,
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
        self._scale = np.asarray(grid.full_shape) / grid.shape
        self._spacing = np.asarray(grid.spacing)
        two = _two_lungs(cells)
        self._centres = [] if two is None else [lung.mean(axis=0) * self._scale for lung in two]
        self._trees = [] if two is None else [_tree(lung * self._spacing) for lung in two]
        self._middle: float | None = None
        if two is None and cells.any() and not grid.is_part_of_a_chest:
            tissue = coarse_hu(scan, grid)[0] >= AIR_OR_LUNG_HU
            self._middle = (middle_column(tissue) + 0.5) * self._scale[2] - 0.5

    def side_of(self, index: npt.ArrayLike) -> str:
        """Return the side of an index (z, y, x) of the scan: left, right, or "" if unknown.

        It is that of the nearer lung; of lungs that are one piece, or of a single lung, that
        of the body's half. A single lung in a part of a chest has no side.
        """
        place = np.asarray(index, float)
        if self._trees:
            cell = ((place + 0.5) / self._scale - 0.5) * self._spacing
            own, other = np.argsort([tree.query(cell)[0] for tree in self._trees])
            return self._side(self._centres[own], self._centres[other])
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
    inside = mask.array[box] == label
    if (inside & (lungs.array[box] == 0)).any():
        return 0.0
    border = np.argwhere(inside & ~eroded(np.pad(inside, 1))[1:-1, 1:-1, 1:-1])
    tree = _tree((border + [s.start for s in box]) * np.asarray(mask.geometry.spacing))
    nearest = _nearest_beyond(tree, box, lungs, _NEAR_MM)
    if nearest > _NEAR_MM:
        # what a coarse look finds is as near or nearer to a close look
        coarse = _nearest_beyond(tree, box, lungs, _FAR_MM, SAMPLE_MM)
        nearest = _nearest_beyond(tree, box, lungs, min(coarse, _FAR_MM))
    return max(nearest - min(mask.geometry.spacing), 0.0) if nearest <= _FAR_MM else float("nan")


def _nearest_beyond(
    nodule: cKDTree, box: Box, lungs: Volume, reach_mm: float, each_mm: float = 0.0
) -> float:
    """Return how far, in mm, a nodule is from what is beyond the lungs, or more than the reach.

    Of what is beyond only the surface can be nearest, and of that only what is as near to the
    nodule's box as the first guess is to the nodule: next to nothing.

    Parameters
    ----------
    nodule, box
        The voxels of its border in mm, and the box that fits it closely.
    lungs
        The lungs.
    reach_mm
        How far around the box to look.
    each_mm
        Only at voxels so far apart; then others may be nearer.
    """
    spacing = np.asarray(lungs.geometry.spacing)
    steps = np.maximum(each_mm // spacing, 1).astype(int)
    wider = around(box, lungs.geometry.shape, lungs.geometry.spacing, reach_mm)
    z, y, x = (slice(s.start, s.stop, step) for s, step in zip(wider, steps, strict=True))
    beyond = lungs.array[z, y, x] == 0
    if not beyond.any():
        return float("inf")
    # many times as fast as np.argwhere
    places = np.unravel_index(np.flatnonzero(beyond & ~eroded(beyond)), beyond.shape)
    surface = np.stack(places, axis=1) * steps + [s.start for s in wider]
    in_box = surface.clip([s.start for s in box], [s.stop - 1 for s in box])
    to_box = np.linalg.norm((surface - in_box) * spacing, axis=1)
    guess = nodule.query(surface[to_box.argmin()] * spacing)[0]
    away = nodule.query(surface[to_box <= guess] * spacing)[0]
    return float(away.min(initial=guess))


def _tree(points: FloatArray) -> cKDTree:
    """Return a tree of points that is made fast, for few questions."""
    return cKDTree(points, balanced_tree=False, compact_nodes=False)
