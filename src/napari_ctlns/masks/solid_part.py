"""How solid a nodule is by its HU: solid, part-solid or ground glass, and where it is solid."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.masks.components import Bools
from napari_ctlns.volume import Triple

SOLID_HU = -350.0
"""What is denser hides the vessels in it."""
_MOSTLY, _PARTLY = 0.7, 0.05
_RIM_MM = 1.2

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

    The rim, where a voxel is half lung, is not asked unless there is nothing else.

    Parameters
    ----------
    hu
        (z, y, x), a box that holds the nodule.
    inside
        Its voxels, not empty.
    spacing
        Millimetres between voxels along (z, y, x).
    """
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    core = depth > min(_RIM_MM + min(spacing) / 2, 0.7 * float(depth.max()))
    dense = core & (hu > SOLID_HU)
    share = np.count_nonzero(dense) / np.count_nonzero(core)
    if share >= _MOSTLY:
        return SolidPart("solid", inside)
    if share >= _PARTLY:
        return SolidPart("part-solid", dense)
    return SolidPart("ground-glass", np.zeros_like(inside))
