"""The lungs of a CT, without learning: fast, and safe on slabs and crops.

The work is done on samples some 2.5 mm apart; there a whole chest is two million
voxels. Every constant is a length, a volume or a density that anatomy or physics
gives; none is fitted to scans.
"""

from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from skimage.draw import polygon

from napari_ctlns.volume import AIR_HU, Triple, Volume

SAMPLE_MM = 2.5
"""Finest sampling: thinner than a chest wall, coarse enough to be fast."""
AIR_OR_LUNG_HU = -400
"""Halfway between lung at rest, about -850 HU, and muscle, about 50 HU."""
PURE_AIR_HU = -975
"""Darker than lung: halfway from air to -950 HU, below which lung is emphysema."""
WHOLE_CHEST_MM = 250
"""A field narrower than this, in either direction, shows a part of a chest."""
SMALLEST_LUNG_MM3 = 10_000
"""Parts of the lungs smaller than this cannot be told from gas in the gut."""
SMALLEST_SHARE = 0.02
"""Likewise parts smaller than a fiftieth of the largest one."""
WIDEST_AIRWAY_MM2 = 700
"""The section of a trachea 30 mm wide; healthy ones are narrower."""
CLOSING_MM = 10
"""Bridges vessels, and nodules on the pleura, up to twice this thickness."""

Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[Any]


def lung_mask(volume: Volume) -> Volume:
    """Find the lungs of a chest CT.

    Air and lung are what is darker than halfway to muscle; of that, the air around
    the patient, gas in airways and gut and the insides of tables are dropped, vessels and
    nodules inside the lungs and on the pleura are filled. The lungs may be cut by any
    face of the array. Trachea and main bronchi are left out where their walls part
    them from the lungs on a slice.

    Parameters
    ----------
    volume
        A CT in HU, (z, y, x) with z along the patient, any spacing.

    Returns
    -------
    Volume
        A mask on the same grid, uint8: 1 in both lungs, 0 elsewhere; all 0 if there
        are no lungs.
    """
    hu, spacing, nearest = _sampled(volume)
    lungs = _filled(_parts_of_lungs(hu, spacing), spacing)
    full = lungs.view(np.uint8)
    for axis in (2, 1, 0):  # the last one copies whole slices and is the largest
        full = full.take(nearest[axis], axis=axis)
    return volume.mask(full)


def _sampled(
    volume: Volume,
) -> tuple[npt.NDArray[np.float32], Triple, list[npt.NDArray[np.intp]]]:
    """Return coarse HU, their spacing, and for every full index the coarse one it lies in.

    Each coarse voxel is the mean of four samples in its plane, against noise.
    """
    shape = np.asarray(volume.array.shape)
    wanted = np.maximum(volume.geometry.spacing, SAMPLE_MM)
    counts = np.maximum(np.rint(shape * volume.geometry.spacing / wanted), 1).astype(int)
    z, y, x = (int(c) for c in counts)
    planes, rows, columns = (
        ((np.arange(c) + 0.5) * n / c).astype(np.intp)
        for c, n in zip((z, 2 * y, 2 * x), shape, strict=True)
    )
    hu = np.empty((z, y, x), np.float32)
    for plane, coarse in zip(planes, hu, strict=True):
        samples = np.maximum(volume.array[plane][np.ix_(rows, columns)], AIR_HU)
        coarse[:] = samples.reshape(y, 2, x, 2).mean(axis=(1, 3), dtype=np.float32)
    coarse_of = [(np.arange(n) + 0.5) * c / n for c, n in zip(counts, shape, strict=True)]
    zs, ys, xs = (float(s) for s in shape * volume.geometry.spacing / counts)
    return hu, (zs, ys, xs), [c.astype(np.intp) for c in coarse_of]


def _parts_of_lungs(hu: npt.NDArray[np.float32], spacing: Triple) -> Bools:
    """Return the voxels of lung and airways, vessels left out."""
    air = hu < AIR_OR_LUNG_HU
    hull = _body_hull(~air)
    dark = hu < PURE_AIR_HU
    extent = np.asarray(hu.shape[1:]) * spacing[1:]
    cropped = bool((extent < WHOLE_CHEST_MM).any())

    # Slice by slice, so that air which reaches the lungs through the mouth stays apart,
    # and the trachea from the lungs. Edges, neither air nor wall, don't tell what it is.
    labels, count = ndimage.label(air, _IN_PLANE)
    core = np.where(_eroded(air, axes=(1, 2)), labels, 0)
    area = np.bincount(labels.ravel(), minlength=count + 1) * spacing[1] * spacing[2]
    airway = (area <= WIDEST_AIRWAY_MM2) & _mostly(core, count, dark)
    at_edge = np.zeros(count + 1, bool)
    for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        at_edge[face] = True
    around = at_edge & _outside(labels, count, hull, dark, cropped)
    inside = air & ~(around | airway)[labels]

    labels, count = cc3d.connected_components(inside, connectivity=6, return_N=True)
    voxels = np.bincount(labels.ravel(), minlength=count + 1)
    voxels[0] = 0
    lung = ~(_mostly(labels, count, dark) | _outside(labels, count, hull, dark, cropped))
    lung &= voxels * np.prod(spacing) >= SMALLEST_LUNG_MM3
    lung &= voxels >= SMALLEST_SHARE * np.max(voxels * lung)
    return np.asarray(lung[labels])


_IN_PLANE = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))])


def _outside(labels: Labels, count: int, hull: Bools, dark: Bools, cropped: bool) -> Bools:
    """Return which labels are air around the patient.

    Such air lies mostly outside the convex hull of the body. In a crop, lung may do so
    too; there air must also be as dark as air.
    """
    beyond = ~_mostly(labels, count, hull)
    return beyond & _mostly(labels, count, dark) if cropped else beyond


def _mostly(labels: Labels, count: int, where: Bools) -> Bools:
    """Return for labels 0 to ``count`` whether at least half their voxels are in ``where``."""
    voxels = np.bincount(labels.ravel(), minlength=count + 1)
    return np.bincount(labels[where], minlength=count + 1) * 2 >= np.maximum(voxels, 1)


def _body_hull(tissue: Bools) -> Bools:
    """Return the convex hull, slice by slice, of the largest piece of tissue."""
    body = cc3d.largest_k(_eroded(tissue), k=1, connectivity=6) != 0  # tables are thin
    hull = np.zeros_like(tissue)
    for body_slice, hull_slice in zip(body, hull, strict=True):
        rows = np.flatnonzero(body_slice.any(axis=1))
        if not len(rows):
            continue
        first = body_slice[rows].argmax(axis=1)
        last = body_slice.shape[1] - 1 - body_slice[rows, ::-1].argmax(axis=1)
        ends = np.concatenate([np.c_[rows, first], np.c_[rows, last]])
        try:
            corners = ends[ConvexHull(ends).vertices]
        except QhullError:  # a single line of tissue
            continue
        hull_slice[polygon(*corners.T, hull_slice.shape)] = True
    return hull


def _eroded(mask: Bools, axes: tuple[int, ...] = (0, 1, 2)) -> Bools:
    """Return a mask without its outermost voxels; faces of the array are no outside."""
    result = mask.copy()
    for axis in axes:
        before, after = np.moveaxis(mask, axis, 0), np.moveaxis(result, axis, 0)
        after[1:] &= before[:-1]
        after[:-1] &= before[1:]
    return result


def _filled(lungs: Bools, spacing: Triple) -> Bools:
    """Return the lungs closed by a ball, and with all holes filled.

    Done where the lungs are. Beyond a face of the array its outermost layer goes on, so
    that a lung cut by a face stays whole and tissue at a face stays tissue.
    """
    if not lungs.any():
        return lungs
    margin = np.ceil(CLOSING_MM / np.asarray(spacing)).astype(int) + 1
    around, inside = [], []
    for where, m, n in zip(np.nonzero(lungs), margin, lungs.shape, strict=True):
        reach = np.arange(where.min() - m, where.max() + m + 1)
        around.append(np.clip(reach, 0, n - 1))
        inside.append((reach >= 0) & (reach < n))
    grown = lungs[np.ix_(*around)]
    closed = grown
    near = ndimage.distance_transform_edt(~grown, sampling=spacing) <= CLOSING_MM
    if not near.all():
        closed = grown | (ndimage.distance_transform_edt(near, sampling=spacing) > CLOSING_MM)
    result = lungs.copy()
    here = np.ix_(*(np.unique(a) for a in around))
    result[here] = _without_holes(closed[np.ix_(*inside)])
    return result


def _without_holes(mask: Bools) -> Bools:
    """Return a mask joined by all that it encloses."""
    outside = cc3d.connected_components(~mask, connectivity=6)
    open_ones = np.zeros(int(outside.max()) + 1, bool)
    for axis in range(3):
        for face in (0, -1):
            open_ones[outside.take(face, axis=axis)] = True
    open_ones[0] = False
    return ~open_ones[outside]
