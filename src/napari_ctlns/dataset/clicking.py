"""Clicks as a network is given them, and clicks such as people make.

After Xu et al. 2016, "Deep interactive object selection", and Sofiiuk et al. 2022, "Reviving
iterative training with mask guidance for interactive segmentation": clicks in the middle
of what is meant, then each in the largest of the errors that are left.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.volume import Triple

Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.float64]

SPREAD_MM = 1.5
"""Standard deviation of the Gaussian that a click is in its channel."""
INNER = 0.5
"""Of its greatest depth: where a nodule is clicked on first."""
DENSE_HU = -500
"""What is denser may be taken for a part of the nodule that it touches."""
_AROUND_MM = 10.0
_MERGED_MM = (2.0, 9.0)
_GROWN_MM = (1.0, 2.0)
_KEPT = (0.35, 0.75)


@dataclass(frozen=True)
class ClickDraw:
    """What decides the clicks of one patch.

    Attributes
    ----------
    seed
        Where their randomness is counted from.
    spacing
        Millimetres (z, y, x) between the voxels.
    corrections
        Clicks after the first one, at most.
    """

    seed: tuple[int, ...]
    spacing: Triple
    corrections: int = 0


def click_channels(
    shape: tuple[int, int, int], spacing: Triple, inside: Places, outside: Places
) -> npt.NDArray[np.float32]:
    """Return the two channels of clicks, float32 (2, z, y, x): those inside, those outside.

    Each click is a Gaussian of `SPREAD_MM` that is 1 in its middle; of several the largest
    counts.

    Parameters
    ----------
    shape, spacing
        Voxels (z, y, x) of the patch, and the millimetres between them.
    inside, outside
        Places (n, 3), voxels (z, y, x) from the first one; they may lie beyond the patch.
    """
    channels = np.zeros((2, *shape), np.float32)
    for channel, places in zip(channels, (inside, outside), strict=True):
        for place in places:
            z, y, x = (
                np.exp(-0.5 * ((np.arange(n) - at) * mm / SPREAD_MM) ** 2)
                for n, at, mm in zip(shape, place, spacing, strict=True)
            )
            np.maximum(channel, z[:, None, None] * y[:, None] * x, out=channel)
    return channels


def simulated_clicks(target: Bools, dense: Bools, draw: ClickDraw) -> tuple[Places, Places]:
    """Return clicks as a person may make them: places inside, and outside, each (n, 3).

    The first is in the inner half of the nodule. Each other corrects an answer that
    lacks a side of it, or has dense tissue beside it too: in the middle of the largest error.

    Parameters
    ----------
    target
        The nodule (z, y, x); without any voxel there are no clicks.
    dense
        What may be taken for a part of it.
    """
    inside, outside = [np.zeros((0, 3))], [np.zeros((0, 3))]
    if not target.any():
        return inside[0], outside[0]
    rng = np.random.default_rng(draw.seed)
    spacing = np.asarray(draw.spacing)
    start, box = _around(target, spacing)
    target, dense = target[box], dense[box]
    depth = _depth(target, spacing)
    first = _one_of(depth >= INNER * depth.max(), rng)
    inside.append(first[None])
    for _ in range(rng.integers(draw.corrections + 1)):
        answer = _answer(target, dense, first, spacing, rng)
        error = _largest(answer != target)
        if not error.any():
            continue
        depth = _depth(error, spacing)
        place = _one_of(depth >= 0.9 * depth.max(), rng)
        (outside if (error & answer).any() else inside).append(place[None])
    return np.concatenate(inside) + start, np.concatenate(outside) + start


def _answer(
    target: Bools, dense: Bools, first: Places, spacing: Places, rng: np.random.Generator
) -> Bools:
    """Return a wrong answer: without a side of the nodule, or with more than it."""
    if rng.random() < 0.5:
        way = rng.normal(size=3)
        along = _along(target.shape, way, spacing)
        kept = np.quantile(along[target], rng.uniform(*_KEPT))
        return target & (along <= max(kept, float(np.rint(first) * spacing @ way)))
    away = ndimage.distance_transform_edt(~target, sampling=spacing)
    merged: Bools = target | (dense & (away <= rng.uniform(*_MERGED_MM)))
    if np.count_nonzero(merged) < 1.05 * np.count_nonzero(target):
        merged = away <= rng.uniform(*_GROWN_MM)
    return merged


def _along(shape: tuple[int, ...], way: Places, spacing: Places) -> Places:
    """Return how far each voxel lies along a direction."""
    z, y, x = (np.arange(n) * mm * w for n, mm, w in zip(shape, spacing, way, strict=True))
    return np.asarray(z[:, None, None] + y[:, None] + x)


def _around(target: Bools, spacing: Places) -> tuple[Places, tuple[slice, ...]]:
    """Return where the surroundings of a nodule begin, and their box."""
    (own,) = ndimage.find_objects(target.view(np.uint8))
    margin = np.ceil(_AROUND_MM / spacing).astype(int)
    box = tuple(
        slice(max(s.start - m, 0), min(s.stop + m, n))
        for s, m, n in zip(own, margin, target.shape, strict=True)
    )
    return np.array([s.start for s in box], float), box


def _depth(inside: Bools, spacing: Places) -> Places:
    """Return how far below the surface voxels lie, millimetres; the patch's faces are one."""
    deep = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)
    return np.asarray(deep[1:-1, 1:-1, 1:-1])


def _largest(inside: Bools) -> Bools:
    labels, count = ndimage.label(inside)
    if count <= 1:
        return inside
    return np.asarray(labels == 1 + np.bincount(labels.ravel())[1:].argmax())


def _one_of(there: Bools, rng: np.random.Generator) -> Places:
    """Return a place anywhere in a voxel that is drawn."""
    voxels = np.argwhere(there)
    return np.asarray(voxels[rng.integers(len(voxels))] + rng.uniform(-0.5, 0.5, 3))
