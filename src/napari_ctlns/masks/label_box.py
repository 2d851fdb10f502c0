"""Where in a scan a label lies; without a look at more than is needed."""

import numpy as np

from napari_ctlns.errors import MaskError
from napari_ctlns.masks.components import Box
from napari_ctlns.masks.replacing import Labels
from napari_ctlns.volume import Triple


def box_of(labels: Labels, label: int, within: Box | None = None) -> Box | None:
    """Return the box that fits a label closely, or None if it has no voxels.

    Parameters
    ----------
    labels
        The mask (z, y, x).
    label
        Whose voxels to look for.
    within
        Where all of them lie, if that is known.
    """
    z, y, x = (slice(0, n) for n in labels.shape) if within is None else within
    # slice by slice: what is compared stays in the processor's cache
    there = [k for k in range(z.start, z.stop) if (labels[k, y, x] == label).any()]
    if not there:
        return None
    inside = labels[there[0] : there[-1] + 1, y, x] == label
    rows = np.flatnonzero(inside.any(axis=(0, 2)))
    columns = np.flatnonzero(inside.any(axis=(0, 1)))
    return (
        slice(there[0], there[-1] + 1),
        slice(y.start + int(rows[0]), y.start + int(rows[-1]) + 1),
        slice(x.start + int(columns[0]), x.start + int(columns[-1]) + 1),
    )


def box_in(labels: Labels, label: int) -> Box:
    """Return the box that fits a label closely.

    Raises
    ------
    MaskError
        If the label has no voxels.
    """
    box = box_of(labels, label) if label > 0 else None
    if box is None:
        raise MaskError("it has no voxels; pick a nodule first")
    return box


def around(
    box: Box, shape: tuple[int, ...], spacing: Triple, margin_mm: float, voxels: int = 1
) -> Box:
    """Return a box that is wider on all sides by a margin and some voxels, within the scan."""
    widths = [int(np.ceil(margin_mm / s)) + voxels for s in spacing]
    z, y, x = (
        slice(max(s.start - width, 0), min(s.stop + width, n))
        for s, width, n in zip(box, widths, shape, strict=True)
    )
    return z, y, x
