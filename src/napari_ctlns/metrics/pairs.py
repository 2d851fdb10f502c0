"""Two masks of one scan compared nodule by nodule: readers, versions, model against hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_ctlns.errors import MaskError
from napari_ctlns.masks.components import Box, Parts, parts_of
from napari_ctlns.metrics.nodules import overlap_of
from napari_ctlns.metrics.overlap import count_voxels
from napari_ctlns.metrics.surface import hausdorff95_mm
from napari_ctlns.volume import FloatArray, Geometry, Triple, Volume

ONLY_A, ONLY_B, BOTH = 1, 2, 3
"""The labels of differences."""


@dataclass(frozen=True)
class NodulePair:
    """What two masks hold of one nodule.

    Attributes
    ----------
    labels_a, labels_b
        Its labels in each; none where it is only in the other, several where one mask
        splits what is one nodule in the other.
    dice
        Overlap of both; 0 where it is only in one.
    volume_a_mm3, volume_b_mm3
        Voxels times the volume of one.
    centre
        The mean of all its voxels, LPS millimetres (x, y, z).
    centre_distance_mm
        Between the means of its voxels in A and in B; None where it is only in one.
    hausdorff95_mm
        Between both surfaces; None where it is only in one.
    box
        Where it lies, (z, y, x).
    """

    labels_a: tuple[int, ...]
    labels_b: tuple[int, ...]
    dice: float
    volume_a_mm3: float
    volume_b_mm3: float
    centre: Triple
    centre_distance_mm: float | None
    hausdorff95_mm: float | None
    box: Box


@dataclass(frozen=True)
class MaskPairs:
    """All nodules of two masks, from the largest on; ``dice`` and ``iou`` are of all voxels."""

    nodules: tuple[NodulePair, ...]
    dice: float
    iou: float


def pair_masks(a: Volume, b: Volume) -> MaskPairs:
    """Pair the nodules of two masks.

    Labels belong to one nodule if one of them overlaps no other label as much as the
    other. Which mask is A makes no difference.

    Parameters
    ----------
    a, b
        Masks of one grid, one label per nodule, 0 outside.

    Raises
    ------
    MaskError
        If their grids differ.
    """
    if not a.geometry.same_grid(b.geometry):
        message = "the two masks lie on different grids; bring one onto the other's grid first"
        raise MaskError(message)
    counts = count_voxels(a.array, b.array)
    in_a, in_b = _Side.of(a.array), _Side.of(b.array)
    groups = _groups(overlap_of(in_b.parts, in_a.parts, in_b.array, in_a.array))
    nodules = (_pair(in_a, in_b, rows, columns, a.geometry) for rows, columns in groups)
    largest_first = sorted(nodules, key=lambda n: -max(n.volume_a_mm3, n.volume_b_mm3))
    return MaskPairs(tuple(largest_first), counts.dice, counts.iou)


def differences(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return where two masks of one shape differ: `ONLY_A`, `ONLY_B`, `BOTH`, else 0."""
    return ((a != 0) * np.uint8(ONLY_A)) | ((b != 0) * np.uint8(ONLY_B))


@dataclass(frozen=True, eq=False)
class _Side:
    """One of the masks: its labels, and where each lies."""

    array: npt.NDArray[Any]
    parts: Parts
    boxes: list[Box]

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> "_Side":
        array = array.view(np.uint8) if array.dtype == bool else array
        parts, found = parts_of(array), find_objects(array)
        return cls(array, parts, [found[label - 1] for label in parts.labels])

    def centroid(self, rows: npt.NDArray[Any]) -> FloatArray:
        """Return the mean index of the voxels of some labels, given by their places."""
        weights = self.parts.voxels[rows]
        return np.asarray(weights @ self.parts.centroids[rows] / weights.sum())

    def inside(self, rows: npt.NDArray[Any], box: Box) -> npt.NDArray[np.bool_]:
        return np.isin(self.array[box], self.parts.labels[rows])


def _groups(common: npt.NDArray[Any]) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield the labels of A (rows) and of B (columns) that are one nodule, by their places."""
    rows, columns = common.shape
    best_of_row = common == common.max(axis=1, keepdims=True, initial=0)
    best_of_column = common == common.max(axis=0, keepdims=True, initial=0)
    linked = np.argwhere((common > 0) & (best_of_row | best_of_column))
    ends = (linked[:, 0], rows + linked[:, 1])
    graph = coo_array((np.ones(len(linked)), ends), shape=(rows + columns,) * 2)
    count, group = connected_components(graph, directed=False)
    for number in range(count):
        yield (
            np.flatnonzero(group[:rows] == number),
            np.flatnonzero(group[rows:] == number),
        )


def _pair(
    in_a: _Side,
    in_b: _Side,
    rows: npt.NDArray[Any],
    columns: npt.NDArray[Any],
    geometry: Geometry,
) -> NodulePair:
    box = _joined([in_a.boxes[i] for i in rows] + [in_b.boxes[i] for i in columns])
    own_a, own_b = in_a.inside(rows, box), in_b.inside(columns, box)
    counts = count_voxels(own_a, own_b)
    there = [
        (side.centroid(own), side.parts.voxels[own].sum())
        for side, own in ((in_a, rows), (in_b, columns))
        if len(own)
    ]
    centres = geometry.index_to_world(np.array([centre for centre, _ in there]))
    x, y, z = np.average(centres, axis=0, weights=[voxels for _, voxels in there]).tolist()
    in_both = len(there) == 2
    return NodulePair(
        labels_a=tuple(in_a.parts.labels[rows].tolist()),
        labels_b=tuple(in_b.parts.labels[columns].tolist()),
        dice=counts.dice,
        volume_a_mm3=counts.predicted * geometry.voxel_volume,
        volume_b_mm3=counts.true * geometry.voxel_volume,
        centre=(x, y, z),
        centre_distance_mm=float(np.linalg.norm(np.diff(centres, axis=0))) if in_both else None,
        hausdorff95_mm=hausdorff95_mm(own_a, own_b, geometry.spacing),
        box=box,
    )


def _joined(boxes: list[Box]) -> Box:
    z, y, x = (
        slice(min(s.start for s in sides), max(s.stop for s in sides))
        for sides in zip(*boxes, strict=True)
    )
    return z, y, x
