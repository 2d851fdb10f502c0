"""Connected components of masks: labelling, sizes, holes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from napari_ctlns.volume import FloatArray

LabelArray = npt.NDArray[np.unsignedinteger[Any]]
IntArray = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

_BLOCK = 8
"""Voxels; smaller blocks take longer to go through than they save."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Where the labels of a mask lie and how large they are.

    Attributes
    ----------
    labels
        The labels present, ascending, without 0; shape (n,).
    voxels
        How many voxels each has; shape (n,).
    centroids
        The mean index (z, y, x) of each one's voxels; shape (n, 3).
    """

    labels: IntArray
    voxels: IntArray
    centroids: FloatArray


def parts_of(mask: npt.NDArray[Any]) -> Parts:
    """Return labels, sizes and centroids of an integer or boolean mask (z, y, x)."""
    where = np.nonzero(mask)
    labels, inverse = np.unique(mask[where].astype(np.int64), return_inverse=True)
    voxels = np.bincount(inverse, minlength=len(labels))
    sums = [np.bincount(inverse, weights=axis, minlength=len(labels)) for axis in where]
    centroids = np.stack(sums, axis=-1) / np.maximum(voxels, 1)[:, None]
    return Parts(labels, voxels, centroids)


def smallest_dtype(highest_label: int) -> np.dtype[Any]:
    """Return the smallest unsigned type, uint8 or more, that holds a label."""
    return np.dtype(np.min_scalar_type(max(int(highest_label), 0)))


def equivalent_diameter_mm(volume_mm3: float) -> float:
    """Return the diameter of the sphere that has this volume."""
    return float((6 * volume_mm3 / np.pi) ** (1 / 3))


def label_components(binary: npt.NDArray[Any]) -> LabelArray:
    """Return the connected components of a mask, numbered by size.

    Parameters
    ----------
    binary
        (z, y, x); every value but 0 counts as inside. Voxels that share a face, an
        edge or a corner are connected.

    Returns
    -------
    numpy.ndarray
        Unsigned, (z, y, x): 1 for the largest component, 2 for the next; 0 outside.
        Components of equal size keep the order of their first voxels.
    """
    found = connected(np.asarray(binary) != 0, 26)
    count = int(found.max(initial=0))
    sizes = np.bincount(found[found != 0], minlength=count + 1)
    by_size = 1 + np.argsort(-sizes[1:], kind="stable")
    return renumbered(found, by_size, count + 1)


def connected(mask: Bools, connectivity: int) -> LabelArray:
    """Return the connected components of a mask (z, y, x), numbered from 1.

    ``connectivity`` is 6 for voxels that share a face, 26 for a corner, too. Of a mask that is
    one line of voxels cc3d runs out of labels, so that gets a margin.
    """
    z, y, x = mask.shape
    is_line = mask.size == max(mask.shape)
    whole = np.pad(mask, [(0, 1)] * 3) if is_line else mask
    return np.asarray(cc3d.connected_components(whole, connectivity=connectivity)[:z, :y, :x])


def components_of(mask: Bools) -> Iterator[tuple[Box, Bools]]:
    """Yield where the connected components of a mask lie, and their voxels there.

    Labels are given only around blocks that hold any voxels: what masks of a scan mark
    fills next to nothing of it.

    Parameters
    ----------
    mask
        (z, y, x). Voxels that share a face, an edge or a corner are connected.
    """
    groups = connected(highest_of_blocks(mask, (_BLOCK,) * 3), 26)
    for group, box in enumerate(_boxes(groups), start=1):
        place = _scaled(box, mask.shape)
        here = groups[box] == group  # boxes overlap
        for axis in range(3):
            here = here.repeat(_BLOCK, axis=axis)
        z, y, x = (s.stop - s.start for s in place)
        labels = connected(mask[place] & here[:z, :y, :x], 26)
        for label, within in enumerate(_boxes(labels), start=1):
            yield moved(within, place), labels[within] == label


def moved(box: Box, within: Box) -> Box:
    """Return where in the scan a box within another box lies."""
    (z, y, x), (depth, row, column) = box, (side.start for side in within)
    return (
        slice(z.start + depth, z.stop + depth),
        slice(y.start + row, y.stop + row),
        slice(x.start + column, x.stop + column),
    )


def highest_of_blocks(array: npt.NDArray[Any], sides: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Return the highest value of each block; the last ones may be smaller than ``sides``."""
    depth, *plane = sides
    # slice upon slice: many times as fast as `reduceat` along the first axis
    slabs = (array[z : z + depth].max(axis=0) for z in range(0, len(array), depth))
    result = np.stack(list(slabs))
    for axis, side in enumerate(plane, start=1):
        if side > 1:
            result = np.maximum.reduceat(result, np.arange(0, result.shape[axis], side), axis=axis)
    return result


def _boxes(labels: npt.NDArray[Any]) -> list[Box]:
    """Return the bounding boxes of the labels 1 to n."""
    return list(cc3d.statistics(labels)["bounding_boxes"][1:])


def _scaled(box: Box, shape: tuple[int, ...]) -> Box:
    """Return the voxels of a box of blocks."""
    z, y, x = (
        slice(s.start * _BLOCK, min(s.stop * _BLOCK, n)) for s, n in zip(box, shape, strict=True)
    )
    return z, y, x


def without_holes(mask: Bools) -> Bools:
    """Return a mask (z, y, x) joined by all that it encloses; faces of the array are open."""
    outside = connected(~mask, 6)
    open_ones = np.zeros(int(outside.max()) + 1, bool)
    for axis in range(3):
        for face in (0, -1):
            open_ones[outside.take(face, axis=axis)] = True
    open_ones[0] = False
    return ~open_ones[outside]


def renumbered(labels: npt.NDArray[Any], kept: IntArray, length: int) -> LabelArray:
    """Give ``kept[i]`` of labels below ``length`` the new label ``i + 1``, all others 0."""
    new = np.zeros(length, smallest_dtype(len(kept)))
    new[kept] = np.arange(1, len(kept) + 1)
    result = np.zeros_like(labels, dtype=new.dtype)
    inside = labels != 0  # few voxels, of a large scan
    result[inside] = new[labels[inside]]
    return result
