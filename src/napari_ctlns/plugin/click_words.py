"""What is said of a nodule that was clicked on."""

import numpy as np

from napari_ctlns.masks.islands import Part
from napari_ctlns.masks.label_box import around
from napari_ctlns.masks.solid_part import LOOK_MM, Solidity, solid_part
from napari_ctlns.volume import Volume


def kind_of(scan: Volume, part: Part) -> Solidity:
    """Judge by its HU whether a nodule is solid; a person has the last word."""
    spacing = scan.geometry.spacing
    wider = around(part.box, scan.geometry.shape, spacing, LOOK_MM)
    inside = np.pad(
        part.inside,
        [(b.start - w.start, w.stop - b.stop) for b, w in zip(part.box, wider, strict=True)],
    )
    return solid_part(scan.array[wider], inside, spacing).type


def size_in_words(
    label: int, volume_mm3: float, diameter_mm: float | None = None, kind: Solidity | None = None
) -> str:
    """Say how large a nodule is: Nodule 3: 9.4 mm, 430 mm³, solid."""
    volume = f"{volume_mm3:.0f}" if volume_mm3 >= 99.5 else f"{volume_mm3:.1f}"
    diameter = "" if diameter_mm is None else f"{diameter_mm:.1f} mm, "
    return f"Nodule {label}: {diameter}{volume} mm³{f', {kind}' if kind else ''}"
