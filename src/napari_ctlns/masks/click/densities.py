"""How dense a nodule is, and the lung around it: levels in HU taken from the scan itself."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.masks.click.rules import GlassRules
from napari_ctlns.masks.click.star import Floats, Points, Star

LUNG_HU = -860.0
"""Taken where too little lung is seen to tell."""
DARKEST_LUNG_HU = -965
"""Even in emphysema most of the lung is denser; air around the patient or in an airway is not."""
SOFT_TISSUE_HU = -300.0
"""Denser than any ground glass, even through partial volume of some."""
_BRIGHTEST, _BIN = -620, 10
_STEP_MM = 0.2
_FAR_MM = 8.0


def ray_values(
    hu: Floats,
    spacing: npt.NDArray[np.float64],
    centre: npt.NDArray[np.float64],
    star: Star,
    distances: npt.NDArray[np.floating],
) -> Floats:
    """Return what rays from a centre meet.

    Parameters
    ----------
    hu
        (z, y, x).
    spacing
        Millimetres (z, y, x).
    centre
        Index (z, y, x).
    distances
        Millimetres along the rays: (k,) for all, or (directions, k).

    Returns
    -------
    numpy.ndarray
        (directions, k); beyond the picture its outermost voxels go on.
    """
    offsets = star.directions[:, None, :] * np.atleast_2d(distances)[..., None] / spacing
    index = (centre + offsets).astype(np.float32).reshape(-1, 3).T
    values = ndimage.map_coordinates(hu, index, order=1, mode="nearest", output=np.float32)
    return np.asarray(values.reshape(len(star.directions), -1))


def around(
    hu: Floats,
    spacing: npt.NDArray[np.float64],
    centre: npt.NDArray[np.float64],
    half_mm: float,
    step_mm: float,
) -> tuple[Points, Floats, npt.NDArray[np.bool_]]:
    """Return a coarse grid about a centre: offsets (mm), HU, and what is in the picture.

    Parameters
    ----------
    hu, spacing, centre
        As `ray_values` has them.
    half_mm
        How far it reaches at least, along each axis.
    step_mm
        Between its points.
    """
    n = int(np.ceil(half_mm / step_mm))
    axis = np.arange(-n, n + 1) * step_mm
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    index = centre + offsets / spacing
    there = ((index >= 0) & (index <= np.asarray(hu.shape) - 1)).all(axis=-1)
    seen = ndimage.map_coordinates(
        hu, index.reshape(-1, 3).T, order=1, mode="nearest", output=np.float32
    )
    return offsets, np.asarray(seen.reshape(offsets.shape[:-1])), np.asarray(there)


def lung_hu(hu: Floats) -> float | None:
    """Return the density that lung has most often in a picture, `LUNG_HU` where little is seen.

    None where all that is dark is air.
    """
    dark = hu[hu < _BRIGHTEST]
    lung = dark[dark > DARKEST_LUNG_HU]
    if lung.size < max(100, dark.size / 5):
        return None if dark.size > 100 else LUNG_HU
    counts, edges = np.histogram(lung, np.arange(DARKEST_LUNG_HU, _BRIGHTEST + _BIN, _BIN))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 1.5)
    return float(edges[smooth.argmax()] + _BIN / 2)


def density_with_glass(
    hu: Floats,
    spacing: npt.NDArray[np.float64],
    centre: npt.NDArray[np.float64],
    star: Star,
    radii: Floats,
    levels: tuple[float, float],
    rules: GlassRules,
) -> float:
    """Return the density of the outermost part of a nodule.

    From the border of its dense part outwards, HU fall to that of the lung within the
    blur of the picture, unless there is ground glass between. The wider the fall, the
    more the density of what lies in its middle counts.

    Parameters
    ----------
    hu, spacing, centre
        As `ray_values` has them.
    radii
        Millimetres to the border of the dense part.
    levels
        HU of the nodule as known so far, and of the lung.

    Returns
    -------
    float
        HU; that of ``levels`` if there is no glass.
    """
    own, lung = levels
    steps = np.arange(0, _FAR_MM, _STEP_MM)
    from_mm = np.maximum(radii - 1, 0)[:, None]
    seen = ray_values(hu, spacing, centre, star, from_mm + steps)
    begin = _first_below(seen, lung + 0.5 * (own - lung), 10 * len(steps))
    end = _first_below(seen, lung + 0.18 * (own - lung), len(steps))
    falls = begin < 2.5 * 2 / _STEP_MM
    if falls.sum() < len(falls) / 8:
        return own
    blur = rules.blur_share * np.abs(star.directions[:, 0]) * spacing[0]
    width = (end - begin) * _STEP_MM - blur
    typical = float(np.percentile(width[falls], 40))
    by_width = _rising((typical - rules.rim_mm) / rules.rim_more_mm)
    share = typical / max(float(np.median(radii)), 1.0)
    surely = min(by_width, _rising((share - rules.share) / rules.share_more))
    if surely == 0:
        return own
    rows = np.flatnonzero(falls & (width >= typical))
    middle = np.clip(begin + (end - begin) // 2, 0, len(steps) - 1)
    glass = float(np.median(seen[rows, middle[rows]]))
    if glass < lung + rules.contrast_hu or glass > own - 60:
        return own
    return own + surely * (glass - own)


def _first_below(seen: Floats, level: float, otherwise: int) -> npt.NDArray[np.intp]:
    below = seen < level
    return np.asarray(np.where(below.any(axis=1), below.argmax(axis=1), otherwise))


def _rising(value: float) -> float:
    """Go smoothly from 0 to 1 as ``value`` does."""
    x = min(max(value, 0.0), 1.0)
    return x * x * (3 - 2 * x)
