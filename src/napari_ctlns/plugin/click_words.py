"""What is said of a nodule that was clicked on."""

from typing import Literal

import numpy as np
from scipy import ndimage

from napari_ctlns.masks.islands import Part
from napari_ctlns.volume import Volume

SOLID_HU = -350.0
"""What is denser hides the vessels in it."""
_MOSTLY, _PARTLY = 0.7, 0.05
_RIM_MM = 1.2

Kind = Literal["solid", "part-solid", "ground-glass"]


def kind_of(scan: Volume, part: Part) -> Kind:
    """Judge by its HU whether a nodule is solid; a person has the last word.

    The rim, where a voxel is half lung, is not asked unless there is nothing else.
    """
    hu = np.pad(scan.array[part.box], 1, mode="edge")
    inside = np.pad(part.inside, 1)
    depth = ndimage.distance_transform_edt(inside, sampling=scan.geometry.spacing)
    core = hu[depth > min(_RIM_MM + min(scan.geometry.spacing) / 2, 0.7 * float(depth.max()))]
    dense = float((core > SOLID_HU).mean())
    if dense >= _MOSTLY:
        return "solid"
    return "part-solid" if dense >= _PARTLY else "ground-glass"


def size_in_words(
    label: int, volume_mm3: float, diameter_mm: float | None = None, kind: Kind | None = None
) -> str:
    """Say how large a nodule is: Nodule 3: 9.4 mm, 430 mm³, solid."""
    volume = f"{volume_mm3:.0f}" if volume_mm3 >= 99.5 else f"{volume_mm3:.1f}"
    diameter = "" if diameter_mm is None else f"{diameter_mm:.1f} mm, "
    return f"Nodule {label}: {diameter}{volume} mm³{f', {kind}' if kind else ''}"
