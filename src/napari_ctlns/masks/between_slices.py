"""Drawing a nodule between the slices on which it was painted."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage

from napari_ctlns.errors import MaskError
from napari_ctlns.masks.components import Bools
from napari_ctlns.masks.correcting import Correction
from napari_ctlns.masks.label_box import box_in
from napari_ctlns.masks.replacing import Labels
from napari_ctlns.volume import FloatArray, Triple


def filled_between(labels: Labels, spacing: Triple, label: int, axis: int) -> Correction:
    """Draw a nodule on the slices between those on which it was painted.

    Shape-based interpolation (Raya and Udupa 1990, doi:10.1109/42.52980): on each painted
    slice the distance to the outline, in mm, above 0 inside; between two painted slices
    these are mixed linearly, and what is above 0 is inside. Outlines may divide, join and
    end. Two that lie beside one another have nothing in common to mix; they are first
    moved onto one another, and what comes out lies on the line between their centroids.

    Parameters
    ----------
    labels
        The mask (z, y, x); voxels of other labels stay.
    spacing
        Millimetres (z, y, x).
    label
        The nodule.
    axis
        Across the slices: 0 for axial ones, 1 for coronal, 2 for sagittal.

    Raises
    ------
    MaskError
        If the label has no voxels, or no slice lies between painted ones.
    """
    box = box_in(labels, label)
    here = labels[box]
    # slices first
    slices = np.moveaxis(here == label, axis, 0)
    plane = [s for k, s in enumerate(spacing) if k != axis]
    painted = np.flatnonzero(slices.any(axis=(1, 2))).tolist()
    gaps = [(a, b) for a, b in pairwise(painted) if b > a + 1]
    if not gaps:
        name = ("axial", "coronal", "sagittal")[axis]
        raise MaskError(f"no {name} slice lies between painted ones; leave some out between two")
    drawn = slices.copy()
    for first, last in gaps:
        drawn[first + 1 : last] = _between(slices[first], slices[last], last - first - 1, plane)
    new = np.moveaxis(drawn, 0, axis) & (here == 0)
    if not new.any():
        raise MaskError("all between its painted slices belongs to other nodules")
    return Correction(box, np.where(new, here.dtype.type(label), here))


def _between(first: Bools, last: Bools, count: int, plane: Sequence[float]) -> Bools:
    """Return ``count`` slices, evenly spaced between two."""
    shares = np.arange(1, count + 1) / (count + 1)
    one, other = _outward(first, plane), _outward(last, plane)
    if (first & last).any():
        return np.stack([(1 - t) * one + t * other > 0 for t in shares])
    start, end = (np.array(ndimage.center_of_mass(shape)) for shape in (first, last))
    return np.stack(
        [
            (1 - t) * _moved(one, t * (end - start)) + t * _moved(other, (1 - t) * (start - end))
            > 0
            for t in shares
        ]
    )


def _outward(outline: Bools, plane: Sequence[float]) -> FloatArray:
    """Return how far each pixel lies inside an outline, mm; below 0 outside."""
    framed = np.pad(outline, 1)  # beyond the box is outside
    within = ndimage.distance_transform_edt(framed, sampling=plane)
    beyond = ndimage.distance_transform_edt(~framed, sampling=plane)
    return np.asarray((within - beyond)[1:-1, 1:-1], float)


def _moved(distance: FloatArray, by: FloatArray) -> FloatArray:
    """Return a distance moved by some pixels; what comes in from beyond is outside."""
    return np.asarray(ndimage.shift(distance, by, order=1, mode="constant", cval=distance.min()))
