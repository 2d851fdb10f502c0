"""What surrounds a click, and what a person wishes of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.errors import ClickError
from napari_ctlns.masks.click.densities import lung_hu
from napari_ctlns.masks.click.rules import ClickRules
from napari_ctlns.masks.click.star import Floats, Points

Index = npt.NDArray[np.float64]
THICK_MM = 2.0
"""Slices this far apart are not smoothed across."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What surrounds a click.

    Attributes
    ----------
    hu, smooth
        (z, y, x): as in the scan, and smoothed.
    spacing
        Millimetres (z, y, x).
    lung
        HU of the lung here.
    """

    hu: Floats
    smooth: Floats
    spacing: Index
    lung: float


@dataclass(frozen=True, eq=False)
class Wishes:
    """What a person said besides the click; places are indices (z, y, x) of the scene.

    Attributes
    ----------
    outside
        Places that are not the nodule's, (n, 3).
    diameter_mm
        About how large it is.
    tightness
        -1 to 1.
    """

    outside: Points
    diameter_mm: float | None
    tightness: float


def scene_of(hu: Floats, spacing: Index, rules: ClickRules) -> Scene:
    """Return a picture (z, y, x) in HU with what all clicks in it need.

    Raises
    ------
    ClickError
        If it shows no lung.
    """
    smooth = smoothed(hu, spacing, rules.sigma_mm)
    lung = lung_hu(smooth)
    if lung is None:
        raise ClickError("air, not lung, at the click; click on a nodule in the lung")
    return Scene(hu, smooth, spacing, lung)


def smoothed(hu: Floats, spacing: Index, sigma_mm: float) -> Floats:
    """Return a picture smoothed along the axes that are finely sampled."""
    sigma = np.where(spacing < THICK_MM, sigma_mm / spacing, 0)
    return np.asarray(ndimage.gaussian_filter(hu, sigma, truncate=2.5), np.float32)
