"""Splitting a nodule by a line that is drawn across it on one slice."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from skimage.measure import points_in_poly

from napari_ctlns.errors import MaskError
from napari_ctlns.masks.components import Bools
from napari_ctlns.masks.correcting import Correction
from napari_ctlns.masks.label_box import box_in
from napari_ctlns.masks.replacing import Labels
from napari_ctlns.volume import FloatArray

_SHORT = 1e-3  # voxels


def split(labels: Labels, label: int, new_label: int, line: npt.ArrayLike, axis: int) -> Correction:
    """Cut a nodule in two along a line.

    The line goes on beyond its ends, straight, and through all slices: it cuts the whole
    nodule, as a knife does that is held upright on the slice. All that lies on the side
    with more voxels keeps the label, all on the other side gets the new one, in however
    many pieces each is.

    Parameters
    ----------
    labels
        The mask (z, y, x).
    label
        The nodule.
    new_label
        Of the smaller part; nothing has it yet.
    line
        Two or more points, (n, 3), as indices (z, y, x) that need not be whole; what they
        are along ``axis`` does not matter.
    axis
        Across the slice on which the line was drawn.

    Raises
    ------
    MaskError
        If the label has no voxels, the line is none, or all of the nodule lies on one side.
    """
    points = np.delete(np.asarray(line, float), axis, axis=1)
    if len(points) < 2 or np.linalg.norm(points[-1] - points[0]) < _SHORT:
        raise MaskError("the line has no length; drag it right across the nodule")
    box = box_in(labels, label)
    here = labels[box]
    inside = here == label
    plane = [s for k, s in enumerate(box) if k != axis]
    one_side = np.expand_dims(_side(points, plane), axis)
    parts = inside & one_side, inside & ~one_side
    smaller = min(parts, key=np.count_nonzero)
    if not smaller.any():
        raise MaskError("the line does not cross it; drag it right across the nodule")
    return Correction(box, np.where(smaller, here.dtype.type(new_label), here))


def _side(points: FloatArray, plane: Sequence[slice]) -> Bools:
    """Return which pixels of a plane lie on one side of a line that goes on beyond its ends."""
    rows, columns = (np.arange(s.start, s.stop, dtype=float) for s in plane)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    reach = 4 * float(np.abs(np.concatenate([grid, points]) - points[0]).max() + 1)
    before = points[0] - reach * _along(points[0], points[1])
    after = points[-1] + reach * _along(points[-2], points[-1])
    # the side is all that lies within a way around it, far from the nodule
    along = _along(before, after)
    aside = 2 * reach * np.array([-along[1], along[0]])
    outline = np.concatenate([[before], points, [after, after + aside, before + aside]])
    found = points_in_poly(grid, outline)
    return np.asarray(found, bool).reshape(len(rows), len(columns))


def _along(start: FloatArray, end: FloatArray) -> FloatArray:
    step = end - start
    length = float(np.linalg.norm(step))
    return step / length if length > 0 else step
