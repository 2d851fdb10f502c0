"""Two masks of one scan compared nodule by nodule: readers, versions, model against hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_ctlns.errors import MaskError
from napari_ctlns.masks.components import Box, IntArray
from napari_ctlns.metrics.overlap import VoxelCounts, count_voxels
from napari_ctlns.metrics.surface import hausdorff95_mm
from napari_ctlns.volume import FloatArray, Geometry, Triple, Volume

ONLY_A, ONLY_B, BOTH = 1, 2, 3
"""The labels of differences."""
_ENDS = (np.minimum, np.maximum)


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
    in_a, in_b = _Side.of(a.array), _Side.of(b.array)
    common = _common(in_a, in_b)
    both = VoxelCounts(int(common.sum()), len(in_a.voxels), len(in_b.voxels), a.array.size)
    groups = _groups(common)
    nodules = (_pair(in_a, in_b, rows, columns, a.geometry) for rows, columns in groups)
    largest_first = sorted(nodules, key=lambda n: -max(n.volume_a_mm3, n.volume_b_mm3))
    return MaskPairs(tuple(largest_first), both.dice, both.iou)


def differences(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return where two masks of one shape differ: `ONLY_A`, `ONLY_B`, `BOTH`, else 0."""
    return ((a != 0) * np.uint8(ONLY_A)) | ((b != 0) * np.uint8(ONLY_B))


@dataclass(frozen=True, eq=False)
class _Side:
    """One of the masks by its voxels, few of a scan.

    ``voxels`` are their places in the flat array, ``owners`` whose they are among ``labels``;
    each label has a number of voxels, a mean index and a box.
    """

    array: npt.NDArray[Any]
    voxels: IntArray
    owners: IntArray
    labels: IntArray
    counts: IntArray
    centroids: FloatArray
    boxes: list[Box]

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> "_Side":
        voxels = np.flatnonzero(array != 0)  # of booleans: many times as fast as of numbers
        labels, owners = np.unique(array.reshape(-1)[voxels].astype(int), return_inverse=True)
        counts = np.bincount(owners, minlength=len(labels))
        by_label = np.argsort(owners, kind="stable")
        index = np.stack(np.unravel_index(voxels[by_label], array.shape))
        begins = np.cumsum(counts) - counts
        reduced = [ufunc.reduceat(index, begins, axis=1) for ufunc in (np.add, *_ENDS)]
        total, low, high = reduced if len(labels) else [np.zeros((3, 0), int)] * 3
        boxes: list[Box] = [
            (slice(z, z_end), slice(y, y_end), slice(x, x_end))
            for (z, y, x), (z_end, y_end, x_end) in zip(
                low.T.tolist(), (high + 1).T.tolist(), strict=True
            )
        ]
        return cls(array, voxels, owners, labels, counts, (total / counts).T, boxes)

    def centroid(self, rows: npt.NDArray[Any]) -> FloatArray:
        """Return the mean index of the voxels of some labels, given by their places."""
        weights = self.counts[rows]
        return np.asarray(weights @ self.centroids[rows] / weights.sum())

    def inside(self, rows: npt.NDArray[Any], box: Box) -> npt.NDArray[np.bool_]:
        return np.isin(self.array[box], self.labels[rows])


def _common(a: _Side, b: _Side) -> IntArray:
    """Return the voxels that each label of A (rows) has in common with each of B (columns)."""
    there = b.array.reshape(-1)[a.voxels]
    both = there != 0
    columns = np.searchsorted(b.labels, there[both])
    shape = (len(a.labels), len(b.labels))
    flat = a.owners[both] * shape[1] + columns
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)


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
        (side.centroid(own), side.counts[own].sum())
        for side, own in ((in_a, rows), (in_b, columns))
        if len(own)
    ]
    centres = geometry.index_to_world(np.array([centre for centre, _ in there]))
    x, y, z = np.average(centres, axis=0, weights=[voxels for _, voxels in there]).tolist()
    in_both = len(there) == 2
    return NodulePair(
        labels_a=tuple(in_a.labels[rows].tolist()),
        labels_b=tuple(in_b.labels[columns].tolist()),
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
