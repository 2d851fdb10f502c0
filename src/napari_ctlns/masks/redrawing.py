"""A nodule that a method draws again and again: what a person did to it meanwhile stays."""

from dataclasses import dataclass

import numpy as np

from napari_ctlns.masks.components import Bools, Box
from napari_ctlns.masks.correcting import Correction
from napari_ctlns.masks.islands import Part
from napari_ctlns.masks.replacing import Labels


@dataclass(frozen=True, eq=False)
class Redrawing:
    """A nodule that was drawn anew.

    Attributes
    ----------
    correction
        What its box of the mask is to hold.
    drawn
        What the method drew; by it the next one tells strokes from drawing.
    by_hand
        How many voxels are as a person left them, and not as the method found them.
    """

    correction: Correction
    drawn: Part
    by_hand: int


def redrawn(labels: Labels, label: int, before: Part | None, found: Part) -> Redrawing:
    """Draw a nodule as a method found it now.

    Parameters
    ----------
    labels
        The mask (z, y, x); voxels of other labels stay.
    label
        The nodule.
    before
        What the method drew last; what the nodule has beside it a person painted, and what
        it lacks of it a person took away: both stay so. None: it is drawn for the first time.
    found
        Its voxels as they are found now.
    """
    box = found.box if before is None else _around(before.box, found.box)
    here = labels[box]
    own, wanted = here == label, _in_box(found, box)
    drawn = np.zeros_like(wanted) if before is None else _in_box(before, box)
    painted, erased = own & ~drawn, drawn & ~own
    kept = wanted & ~painted & ~erased & (own | (here == 0))
    result = np.where(own, here.dtype.type(0), here)
    result[kept | painted] = label
    by_hand = np.count_nonzero(painted & ~wanted) + np.count_nonzero(erased & wanted)
    remembered = kept | erased
    part = Part(box, remembered, int(np.count_nonzero(remembered)))
    return Redrawing(Correction(box, result), part, int(by_hand))


def _around(one: Box, other: Box) -> Box:
    z, y, x = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return z, y, x


def _in_box(part: Part, box: Box) -> Bools:
    """Return the voxels of a part in a box that holds it."""
    inside = np.zeros(tuple(s.stop - s.start for s in box), bool)
    place = tuple(
        slice(s.start - b.start, s.stop - b.start) for s, b in zip(part.box, box, strict=True)
    )
    inside[place] = part.inside
    return inside
