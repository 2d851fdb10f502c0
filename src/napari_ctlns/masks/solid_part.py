"""How solid a nodule is by its HU: solid, part-solid or ground glass, and where it is solid.

Dense is what is above -300 HU: of thresholds from -500 to -130 HU that and -250 HU came
nearest to what readers call solid in subsolid nodules, and thresholds from -400 to -160 HU are
in use (Lee et al. 2018, doi:10.1371/journal.pone.0205490). Two things that are dense are no
solid part: a vessel on its way through, and a sliver of chest wall at the mask's border. And
the border of a solid nodule is not dense, for its voxels are half lung.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_ctlns.masks.coarse import distance
from napari_ctlns.masks.components import Bools, connected
from napari_ctlns.volume import Triple

SOLID_HU = -300.0
"""Denser than ground glass."""
LOOK_MM = 4.0
"""How far around a nodule it is seen what is dense in it goes on outside."""
_OUTSIDE_MM = 1.0
"""Nearer is the blurred border."""
_MOSTLY = 0.8
"""A nodule with as large a dense share is solid."""
_RIM_MM, _RIM_SHARE = 1.5, 0.1
"""What lies this near to something dense is its border; a nodule is solid if next to nothing else
is left of it."""
_THICKEST_SLICE_MM = 1.2
"""One slice, or pixel, beyond the last dense one may be border, however thick."""
_WALL_MM, _SLIVER_MM = 3.0, 1.3
"""What goes on outside with a larger half width is no vessel; of that, and of tubes, what is
thinner than twice the second is no solid part."""
_DEEP_MM = 3.0
"""What reaches as far from the chest wall outside of the mask is no sliver of it."""
_THINNEST_MM, _THICKER = 0.9, 1.4
"""Half the width of a solid part on a vessel: at least this, and this factor of the vessel's."""
_TUBE = 3.0
"""What is longer than this many times its thickness is a tube, as a vessel is that is too blurred
to be seen outside of ground glass."""
_SMALLEST_MM3, _SMALLEST_VOXELS = 5.0, 8
"""A dense spot as small is noise; the volume is that of a ball of 2 mm."""
_NOTICEABLE = 0.2
"""A dense share that is no noise, of a nodule of few voxels."""
_PARTLY = 0.02
"""As large a share that is solid makes a nodule part-solid."""

Solidity = Literal["solid", "part-solid", "ground-glass"]


@dataclass(frozen=True, eq=False)
class SolidPart:
    """How solid a nodule is.

    Attributes
    ----------
    type
        What it is as a whole.
    inside
        The voxels (z, y, x) of its solid part: all of a solid nodule, none of ground glass.
    """

    type: Solidity
    inside: Bools


def solid_part(hu: npt.NDArray[np.number], inside: Bools, spacing: Triple) -> SolidPart:
    """Judge by its HU how solid a nodule is; a person has the last word.

    Parameters
    ----------
    hu
        (z, y, x), a box that holds the nodule and `LOOK_MM` around it, where there is a scan.
    inside
        The nodule's voxels in that box, not empty.
    spacing
        Millimetres between voxels along (z, y, x).
    """
    dense = hu > SOLID_HU
    within = dense & inside
    voxels, all_voxels = np.count_nonzero(within), np.count_nonzero(inside)
    if voxels >= _MOSTLY * all_voxels:
        return SolidPart("solid", inside)
    if voxels < min(_least_voxels(spacing), _NOTICEABLE * all_voxels):
        return SolidPart("ground-glass", np.zeros_like(inside))
    solid = _without_vessels(dense, inside, spacing)
    reference = solid if solid.any() else within
    steps = np.minimum(spacing, _THICKEST_SLICE_MM).tolist()
    glass = (distance(reference, steps) > _RIM_MM) & inside & ~within
    if np.count_nonzero(glass) <= _RIM_SHARE * all_voxels:
        return SolidPart("solid", inside)
    if np.count_nonzero(solid) >= _PARTLY * all_voxels:
        return SolidPart("part-solid", solid)
    return SolidPart("ground-glass", np.zeros_like(inside))


def _without_vessels(dense: Bools, inside: Bools, spacing: Triple) -> Bools:
    """Return what is dense within a nodule, without vessels and slivers of the chest wall."""
    away = distance(inside, spacing)
    pieces = connected(dense & (away <= LOOK_MM), 26)
    outside = np.where(away > _OUTSIDE_MM, pieces, 0)
    half_width = np.where(outside != 0, _half_width(dense, spacing), 0)
    widest = np.zeros(int(pieces.max(initial=0)) + 1)
    np.maximum.at(widest, outside.ravel(), half_width.ravel())
    solid = np.zeros_like(inside)
    for piece in np.flatnonzero(np.bincount(pieces[inside], minlength=len(widest)))[1:]:
        own = inside & (pieces == piece)
        if widest[piece] >= _WALL_MM:
            solid |= _thick(own, _SLIVER_MM, spacing) | _deep(own, outside == piece, spacing)
        elif widest[piece] > 0:
            solid |= _thick(own, max(_THINNEST_MM, _THICKER * widest[piece]), spacing)
        elif np.count_nonzero(own) >= _least_voxels(spacing):
            solid |= _thick(own, _SLIVER_MM, spacing) if _is_tube(own, spacing) else own
    return solid


def _is_tube(mask: Bools, spacing: Triple) -> bool:
    """Whether a mask is long and thin."""
    length = np.linalg.norm(np.ptp(np.argwhere(mask), axis=0) * spacing)
    thickness = 2 * _half_width(mask, spacing).max() + min(spacing)
    return bool(length > _TUBE * thickness)


def _least_voxels(spacing: Triple) -> float:
    return max(_SMALLEST_MM3 / float(np.prod(spacing)), _SMALLEST_VOXELS)


def _thick(mask: Bools, half_width: float, spacing: Triple) -> Bools:
    """Return what of a mask belongs to parts that are at least twice a half width thick."""
    middles = _half_width(mask, spacing) >= half_width
    # the outermost voxels of what a ball fills lie up to half a pixel outside of it
    return mask & (distance(middles, spacing) <= half_width + max(spacing[1:]) / 2)


def _deep(mask: Bools, wall: Bools, spacing: Triple) -> Bools:
    """Return what of a mask belongs to what reaches deep from a wall beside it, and is no tube."""
    middles = mask & (distance(wall, spacing) > _DEEP_MM)
    if not middles.any() or _is_tube(mask, spacing):
        return np.zeros_like(mask)
    # to the border of the nodule, but not along the wall
    return mask & (distance(middles, spacing) <= _DEEP_MM - _OUTSIDE_MM)


def _half_width(mask: Bools, spacing: Triple) -> npt.NDArray[np.float32]:
    """Return how far, in mm, voxels of a mask are from its surface; beyond the array is outside."""
    depth = distance(~np.pad(mask, 1), spacing)[1:-1, 1:-1, 1:-1]
    return depth - np.float32(min(spacing) / 2)
