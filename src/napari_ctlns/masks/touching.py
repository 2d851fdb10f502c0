"""Telling objects apart that touch: two round ones are joined by a neck."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import watershed

from napari_ctlns.volume import Triple

Bools = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

NECK_SHARE = 0.7
"""Two objects are told apart where the neck has less than this share of the slimmer one's radius.

Equal spheres that overlap so have their centres 1.4 radii apart: more than a lobule of one
nodule, less than two that just touch.
"""
_NEIGHBOURS = np.ones((3, 3, 3), bool)


def split_touching(
    inside: Bools, spacing: Triple, min_diameter_mm: float
) -> list[tuple[Box, Bools]]:
    """Cut an object at its necks.

    The watershed of the depth inside the object has a basin for each place that lies
    deeper than its surroundings. Basins are joined again, the widest neck first, as long
    as the neck between them, the greatest depth on their border, is wide for the
    shallower of the two or one of them is too small to be an object.

    Parameters
    ----------
    inside
        (z, y, x), one connected object.
    spacing
        Millimetres (z, y, x).
    min_diameter_mm
        A piece with less volume than a sphere of this diameter is none.

    Returns
    -------
    list of tuple
        Where each piece lies in ``inside``, and its voxels there; together they are
        ``inside``.
    """
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    peaks = (depth == ndimage.maximum_filter(depth, footprint=_NEIGHBOURS)) & inside
    markers, count = ndimage.label(peaks, _NEIGHBOURS)
    if count > 1:
        basins = watershed(-depth, markers, connectivity=_NEIGHBOURS, mask=inside)
        smallest = np.pi / 6 * min_diameter_mm**3 / float(np.prod(spacing))
        labels = _joined(basins, depth, count, smallest)
    else:
        labels = inside.astype(np.int32)
    boxes = ndimage.find_objects(labels)
    return [(box, labels[box] == k) for k, box in enumerate(boxes, start=1) if box is not None]


def _joined(
    basins: npt.NDArray[Any], depth: npt.NDArray[Any], count: int, smallest: float
) -> npt.NDArray[Any]:
    """Join basins until every neck that is left is narrow and every piece large enough."""
    necks = _necks(basins, depth)
    deepest = np.zeros(count + 1)
    np.maximum.at(deepest, basins.ravel(), depth.ravel())  # ndimage.maximum would sort them all
    voxels = np.bincount(basins.ravel(), minlength=count + 1)
    piece = np.arange(count + 1)
    while necks:
        (a, b), neck = max(necks.items(), key=lambda item: _width(item, deepest, voxels, smallest))
        if _width(((a, b), neck), deepest, voxels, smallest) < NECK_SHARE:
            break
        piece[piece == b] = a
        deepest[a] = max(deepest[a], deepest[b])
        voxels[a] += voxels[b]
        necks = _after_joining(necks, a, b)
    return piece[basins]


def _width(
    neck: tuple[tuple[int, int], float],
    deepest: npt.NDArray[Any],
    voxels: npt.NDArray[Any],
    smallest: float,
) -> float:
    """Return a neck's share of the slimmer object's radius; one that is no object joins first."""
    (a, b), depth = neck
    if min(voxels[a], voxels[b]) < smallest:
        return 1 + depth
    return float(depth / min(deepest[a], deepest[b]))


def _necks(basins: npt.NDArray[Any], depth: npt.NDArray[Any]) -> dict[tuple[int, int], float]:
    """Return for each pair of basins that touch the greatest depth on their border."""
    necks: dict[tuple[int, int], float] = {}
    shape = basins.shape
    for step in _HALF_OF_THE_NEIGHBOURS:
        here = tuple(slice(max(-s, 0), n - max(s, 0)) for s, n in zip(step, shape, strict=True))
        there = tuple(slice(max(s, 0), n - max(-s, 0)) for s, n in zip(step, shape, strict=True))
        a, b = basins[here], basins[there]
        where = (a != b) & (a > 0) & (b > 0)
        depths = np.minimum(depth[here][where], depth[there][where])
        for one, other, d in zip(
            a[where].tolist(), b[where].tolist(), depths.tolist(), strict=True
        ):
            pair = (min(one, other), max(one, other))
            necks[pair] = max(necks.get(pair, 0.0), d)
    return necks


_HALF_OF_THE_NEIGHBOURS = [
    (z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)
]


def _after_joining(
    necks: dict[tuple[int, int], float], a: int, b: int
) -> dict[tuple[int, int], float]:
    """Return the necks once ``b`` is part of ``a``."""
    result: dict[tuple[int, int], float] = {}
    for pair, depth in necks.items():
        one, other = (a if k == b else k for k in pair)
        if one != other:
            joined = (min(one, other), max(one, other))
            result[joined] = max(result.get(joined, 0.0), depth)
    return result
