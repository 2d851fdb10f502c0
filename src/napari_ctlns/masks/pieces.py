"""The connected pieces of one nodule: which there are, and taking some away."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from napari_ctlns.errors import MaskError
from napari_ctlns.masks.components import Box, components_of, moved
from napari_ctlns.masks.correcting import Correction
from napari_ctlns.masks.islands import Part
from napari_ctlns.masks.label_box import box_in
from napari_ctlns.masks.replacing import Labels

Voxel = tuple[int, int, int]
_AROUND = np.ones((3, 3, 3), bool)


def pieces_of(labels: Labels, label: int) -> tuple[Part, ...]:
    """Return the connected pieces of a nodule, the largest first.

    Voxels that share a face, an edge or a corner are connected.

    Raises
    ------
    MaskError
        If the label has no voxels.
    """
    box = box_in(labels, label)
    found = (
        Part(moved(place, box), inside, int(np.count_nonzero(inside)))
        for place, inside in components_of(labels[box] == label)
    )
    return tuple(sorted(found, key=lambda part: -part.voxels))


def without_piece(labels: Labels, at: Voxel) -> Correction:
    """Take away the connected piece of a nodule that a voxel belongs to.

    Raises
    ------
    MaskError
        If no nodule has that voxel.
    """
    piece, _ = _piece_and_others(labels, at)
    return _without(labels, [piece])


def with_only_piece(labels: Labels, at: Voxel) -> Correction:
    """Take away all of a nodule but the connected piece that a voxel belongs to.

    Raises
    ------
    MaskError
        If no nodule has that voxel, or it has no other piece.
    """
    _, others = _piece_and_others(labels, at)
    if not others:
        raise MaskError("it is in one piece")
    return _without(labels, others)


def with_only_touched(labels: Labels, label: int, touched: Sequence[Part]) -> Correction:
    """Take away the connected pieces of a nodule that nothing of ``touched`` reaches.

    Parameters
    ----------
    labels
        The mask (z, y, x).
    label
        The nodule.
    touched
        Voxels that were touched, the nodule's or not; they reach the voxels beside them.

    Raises
    ------
    MaskError
        If the label has no voxels, or all or none of its pieces were touched.
    """
    pieces = pieces_of(labels, label)
    if len(pieces) == 1:
        raise MaskError("it is in one piece")
    gone = [piece for piece in pieces if not any(_reaches(part, piece) for part in touched)]
    if len(gone) == len(pieces):
        raise MaskError("none of its pieces was touched; dab on those to keep, then ask again")
    if not gone:
        raise MaskError(f"all its {len(pieces)} pieces were touched")
    return _without(labels, gone)


def _piece_and_others(labels: Labels, at: Voxel) -> tuple[Part, list[Part]]:
    label = int(labels[at])
    if label <= 0:
        raise MaskError("there is no nodule; click on one")
    pieces = pieces_of(labels, label)
    piece = next(part for part in pieces if _has(part, at))
    return piece, [part for part in pieces if part is not piece]


def _has(part: Part, at: Voxel) -> bool:
    within = [k - s.start for k, s in zip(at, part.box, strict=True)]
    there = all(0 <= k < n for k, n in zip(within, part.inside.shape, strict=True))
    return there and bool(part.inside[tuple(within)])


def _reaches(touched: Part, piece: Part) -> bool:
    """Whether a voxel of one is, or lies beside, a voxel of the other."""
    z, y, x = (slice(s.start - 1, s.stop + 1) for s in touched.box)
    near = ndimage.binary_dilation(np.pad(touched.inside, 1), _AROUND)
    starts = [max(a.start, b.start) for a, b in zip((z, y, x), piece.box, strict=True)]
    stops = [min(a.stop, b.stop) for a, b in zip((z, y, x), piece.box, strict=True)]
    if any(start >= stop for start, stop in zip(starts, stops, strict=True)):
        return False
    one, other = (
        array[_common(box, starts, stops)]
        for array, box in ((near, (z, y, x)), (piece.inside, piece.box))
    )
    return bool((one & other).any())


def _common(box: Box, starts: Sequence[int], stops: Sequence[int]) -> tuple[slice, ...]:
    """Return where in a box's own array a part of the scan lies."""
    return tuple(
        slice(start - s.start, stop - s.start)
        for s, start, stop in zip(box, starts, stops, strict=True)
    )


def _without(labels: Labels, gone: Sequence[Part]) -> Correction:
    starts = [min(part.box[k].start for part in gone) for k in range(3)]
    stops = [max(part.box[k].stop for part in gone) for k in range(3)]
    z, y, x = (slice(a, b) for a, b in zip(starts, stops, strict=True))
    result = labels[z, y, x].copy()
    for part in gone:
        place = tuple(slice(s.start - a, s.stop - a) for s, a in zip(part.box, starts, strict=True))
        result[place][part.inside] = 0
    return Correction((z, y, x), result)
