"""Correcting one nodule of a mask: larger, smaller, smoother; in millimetres.

Every correction looks only at the box around the nodule, never changes a voxel of
another label, and returns what that box is to hold; nobody's array is written to.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_ctlns.errors import MaskError
from napari_ctlns.masks.components import Box, without_holes
from napari_ctlns.masks.label_box import around, box_in
from napari_ctlns.masks.replacing import Labels, Where
from napari_ctlns.volume import Triple

SMOOTH_MM = 1.0
"""Standard deviation of the Gaussian that smooths: what is narrower than it goes."""
_HAIR = 1e-6


@dataclass(frozen=True, eq=False)
class Correction:
    """What a box of a mask is to hold.

    Attributes
    ----------
    box
        Where in the scan.
    labels
        (z, y, x) of the box, in the type of the mask.
    """

    box: Box
    labels: Labels


def changed_by(labels: Labels, correction: Correction) -> tuple[Where, Labels]:
    """Return which voxels of a mask (z, y, x) a correction changes, and to which labels."""
    within = np.nonzero(labels[correction.box] != correction.labels)
    where = tuple(axis + s.start for axis, s in zip(within, correction.box, strict=True))
    return where, correction.labels[within]


def grown(labels: Labels, spacing: Triple, label: int, by_mm: float) -> Correction:
    """Add what lies within a distance of a nodule's surface and is free.

    The surface is taken to lie half a voxel, of the smallest spacing, beyond the centres
    of the outermost voxels. A voxel is added if its centre is no further than ``by_mm``
    from there, so between slices that lie further apart than that only the outlines grow.

    Parameters
    ----------
    labels
        The mask (z, y, x); voxels of other labels stay.
    spacing
        Millimetres (z, y, x).
    label
        The nodule.
    by_mm
        How far, above 0.

    Raises
    ------
    MaskError
        If the label has no voxels, or nothing can be added.
    """
    reach = _reach(spacing, by_mm)
    box = around(box_in(labels, label), labels.shape, spacing, reach)
    here = labels[box]
    near = ndimage.distance_transform_edt(here != label, sampling=spacing) <= reach
    result = np.where(near & (here == 0), here.dtype.type(label), here)
    if np.array_equal(result, here):
        raise MaskError(f"{_coarse(spacing, by_mm)}; paint with the brush")
    return Correction(box, result)


def shrunk(labels: Labels, spacing: Triple, label: int, by_mm: float) -> Correction:
    """Take away what lies within a distance below a nodule's surface.

    The surface is where `grown` has it; where the scan ends there is none.

    Raises
    ------
    MaskError
        If the label has no voxels, nothing goes, or nothing would be left.
    """
    reach = _reach(spacing, by_mm)
    box = around(box_in(labels, label), labels.shape, spacing, reach)
    here = labels[box]
    inside = here == label
    if inside.all():
        raise MaskError("it fills the scan and has no surface; nothing to shrink")
    outermost = ndimage.distance_transform_edt(inside, sampling=spacing) <= reach
    if outermost[inside].all():
        raise MaskError("nothing would be left of it; delete it, or take the eraser")
    if not (outermost & inside).any():
        raise MaskError(f"{_coarse(spacing, by_mm)}; take the eraser")
    return Correction(box, np.where(outermost & inside, here.dtype.type(0), here))


def smoothed(labels: Labels, spacing: Triple, label: int, by_mm: float = SMOOTH_MM) -> Correction:
    """Smooth a nodule's surface and keep its volume.

    Of the voxels that are free or the nodule's, those stay or come in which a Gaussian of
    the nodule, standard deviation ``by_mm``, is highest: as many as there were. Threads
    and specks go, pits and gaps close, and it neither grows nor shrinks.

    Raises
    ------
    MaskError
        If the label has no voxels, or is smooth already.
    """
    box = around(box_in(labels, label), labels.shape, spacing, 3 * by_mm)
    here = labels[box]
    inside = here == label
    sigma = [by_mm / s for s in spacing]
    blurred = ndimage.gaussian_filter(inside.astype(np.float32), sigma, mode="nearest", truncate=3)
    # of equal ones those inside come first, so that what is smooth stays as it is
    order = np.where(inside | (here == 0), blurred + _HAIR * inside, -1).ravel()
    highest = np.argsort(-order, kind="stable")[: np.count_nonzero(inside)]
    result = np.where(inside, here.dtype.type(0), here)
    result.ravel()[highest] = label
    if np.array_equal(result, here):
        raise MaskError("it is smooth already")
    return Correction(box, result)


def filled(labels: Labels, label: int) -> Correction:
    """Fill what a nodule encloses on all sides, in 3D; what lies in there of others stays.

    Raises
    ------
    MaskError
        If the label has no voxels, or encloses nothing.
    """
    box = box_in(labels, label)
    here = labels[box]
    hole = without_holes(here == label) & (here == 0)
    if not hole.any():
        raise MaskError("it has no hole that is closed on all sides; the bucket fills on a slice")
    return Correction(box, np.where(hole, here.dtype.type(label), here))


def merged(labels: Labels, kept: int, gone: int) -> Correction:
    """Give the voxels of one nodule to another.

    Raises
    ------
    MaskError
        If either has no voxels.
    """
    box_in(labels, kept)
    box = box_in(labels, gone)
    here = labels[box]
    return Correction(box, np.where(here == gone, here.dtype.type(kept), here))


def _reach(spacing: Triple, by_mm: float) -> float:
    return by_mm + min(spacing) / 2 + _HAIR


def _coarse(spacing: Triple, by_mm: float) -> str:
    if min(spacing) > 2 * by_mm:
        return f"the voxels are {min(spacing):g} mm wide, too wide for a step of {by_mm:g} mm"
    return "nothing around it is free, or nothing of it so near its surface"
