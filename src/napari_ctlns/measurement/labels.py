"""Where the labels of a mask lie, from one pass over it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import MaskError
from napari_ctlns.masks.components import Box
from napari_ctlns.volume import AIR_HU, FloatArray, Volume

_SLICES = 8
"""Gone through at once: what they hold stays in the processor's cache."""

Array = npt.NDArray[Any]


def check_grids(mask: Volume, **others: Volume | None) -> None:
    """Raise `MaskError` if a mask and other volumes, by what they are called, differ in grid."""
    for name, other in others.items():
        if other is not None and not mask.geometry.same_grid(other.geometry):
            message = f"mask and {name} lie on different grids; bring the mask onto its grid first"
            raise MaskError(message)


def boxes_of(mask: Volume) -> dict[int, Box]:
    """Return the box that fits each label of a mask closely, ascending."""
    rows = label_rows(mask.array, mask.array)
    lows, highs = rows[:, 6:9].astype(int).tolist(), rows[:, 10:13].astype(int).tolist()
    return {
        int(label): (slice(z, z1 + 1), slice(y, y1 + 1), slice(x, x1 + 1))
        for label, (z, y, x), (z1, y1, x1) in zip(rows[:, 0], lows, highs, strict=True)
    }


def label_rows(labels: Array, values: Array) -> FloatArray:
    """Return of each label above 0, ascending, what one pass over a mask tells.

    Parameters
    ----------
    labels, values
        A mask and the HU of its voxels, (z, y, x).

    Returns
    -------
    numpy.ndarray
        (n, 14): label, voxels, the sums of z, y, x and HU, the least of z, y, x and HU, and
        the greatest of these.
    """
    parts = list(_parts(labels, values))
    return _merged(np.concatenate(parts)) if parts else np.zeros((0, 14))


def _parts(labels: Array, hu: Array) -> Iterator[FloatArray]:
    """Yield of some slices at a time the rows of the labels there."""
    for first in range(0, len(labels), _SLICES):
        slab = np.ascontiguousarray(labels[first : first + _SLICES])
        flat = slab.reshape(-1)
        at = _nonzero(flat)
        if len(at):
            of = flat[at]
            order = np.argsort(of, kind="stable")
            at, of = at[order], of[order]
            index = np.unravel_index(at, slab.shape)
            values = np.fmax(hu[first : first + _SLICES][index].astype(float), AIR_HU)
            each = np.stack([index[0] + first, index[1], index[2], values], axis=1)
            starts = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
            yield np.column_stack(
                [
                    of[starts].astype(float),
                    np.diff(np.r_[starts, len(of)]),
                    np.add.reduceat(each, starts),
                    np.minimum.reduceat(each, starts),
                    np.maximum.reduceat(each, starts),
                ]
            )


def _nonzero(flat: Array) -> npt.NDArray[np.intp]:
    """Return where values are not 0: eight bytes at a time, for next to none are."""
    each = 8 // flat.itemsize
    whole = len(flat) // each * each
    words = np.flatnonzero(flat[:whole].view(np.uint64))
    at = (words[:, None] * each + np.arange(each)).ravel()
    at = np.concatenate([at, np.arange(whole, len(flat))])
    return at[flat[at] > 0]


def _merged(rows: FloatArray) -> FloatArray:
    """Return the rows of several slabs as one row a label."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    starts = np.flatnonzero(np.r_[True, rows[1:, 0] != rows[:-1, 0]])
    return np.column_stack(
        [
            rows[starts, 0],
            np.add.reduceat(rows[:, 1:6], starts),
            np.minimum.reduceat(rows[:, 6:10], starts),
            np.maximum.reduceat(rows[:, 10:], starts),
        ]
    )
