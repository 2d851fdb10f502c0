"""Parts of the lungs as dense as muscle, known by the shape of what is left of the lungs."""

import numpy as np
import numpy.typing as npt

from napari_ctlns.masks.coarse import Bools, distance, mirrored, upper_hull
from napari_ctlns.volume import Triple

DEEPEST_NOTCH_MM = 50
"""As deep as a mass on the pleura; a recess of the lung around the liver is deeper."""
LARGEST_STEP_MM = 60
"""One half of the diaphragm hardly ever stands so much higher than the other."""
LEAST_AIR = 0.1
"""A side with a smaller share of the other's lung may have had its own taken out."""

Half = tuple[slice, slice, slice]


def costal_notches(lungs: Bools, middle: float, spacing: float) -> Bools:
    """Return what is cut out of the lungs' outer sides: nodules and masses on the pleura.

    Along the ribs lungs are convex, from above and from the front; elsewhere, at heart
    and diaphragm, they are not. What lies within the convex outline of both views, and
    beyond lung, is therefore a notch. ``middle`` is a column, ``spacing`` that of columns.
    """
    notches = np.zeros_like(lungs)
    for half in _halves(middle):
        side = lungs[half]
        columns = np.arange(side.shape[2])
        reach = _reach(side)
        there = reach > 0
        from_above = np.array([upper_hull(*row) for row in zip(reach, there, strict=True)])
        from_front = np.array([upper_hull(*row) for row in zip(reach.T, there.T, strict=True)]).T
        outline = np.minimum(from_above, from_front)
        outline[~there | ((outline - reach) * spacing > DEEPEST_NOTCH_MM)] = 0
        notches[half] = (columns >= reach[..., None]) & (columns < outline[..., None])
    return notches


def airless_lobes(lungs: Bools, middle: float, spacing: Triple) -> Bools:
    """Return what is lung on the other side where a side's own lung does not reach the ribs.

    The heart lies between lung and lung, and a diaphragm stands at most some centimetres
    higher than the other: where lung is away from the ribs over more than that, in height
    and in depth, it is not a matter of anatomy. A side with next to no air stays empty; it
    may have no lung.
    """
    image = mirrored(lungs, middle)
    result = np.zeros_like(lungs)
    for half in _halves(middle):
        side, other = lungs[half], image[half]
        if np.count_nonzero(side) > LEAST_AIR * np.count_nonzero(other):
            short = (_reach(other) - _reach(side)) * spacing[2] > DEEPEST_NOTCH_MM
            result[half] = other & _wide_parts(short, LARGEST_STEP_MM, spacing[:2])[..., None]
    return result


def _halves(middle: float) -> tuple[Half, Half]:
    """Return what cuts the two halves of a body out of an array, columns from the middle on."""
    column = max(round(middle), 1)
    return np.s_[:, :, column:], np.s_[:, :, column - 1 :: -1]


def _reach(side: Bools) -> npt.NDArray[np.intp]:
    """Return for each row of a half of the body how many columns away its lung ends."""
    away = side.shape[2] - side[:, :, ::-1].argmax(axis=2)
    return np.where(side.any(axis=2), away, 0)


def _wide_parts(rows: Bools, width: float, spacing: tuple[float, float]) -> Bools:
    """Return what of a (z, y) map a disk of ``width`` mm can cover; it may lie across edges."""
    middles = distance(~rows, spacing) > width / 2
    return np.asarray(rows & (distance(middles, spacing) <= width / 2))
