"""Distances between the surfaces of two masks.

The surface of a mask is its voxels that have a face towards the outside (or towards
the edge of the array); distances run between voxel centres, in millimetres. These
are the conventions of MONAI and of most challenges, so that numbers compare. The
surface Dice counts such voxels, each as one, as MONAI's does unless it is told to
weigh them by area.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from napari_ctlns.volume import FloatArray, Triple


@dataclass(frozen=True)
class SurfaceAgreement:
    """How two surfaces agree: as `hausdorff95_mm` and `surface_dice` tell."""

    hausdorff95_mm: float | None
    surface_dice: float


def surface_agreement(
    a: npt.NDArray[Any], b: npt.NDArray[Any], spacing: Triple, tolerance_mm: float
) -> SurfaceAgreement:
    """Return both measures of two surfaces, for the distances of one.

    Parameters
    ----------
    a, b
        Masks (z, y, x) of one shape; every value but 0 counts as inside.
    spacing
        Millimetres between voxels along (z, y, x).
    tolerance_mm
        Distance up to which the surfaces agree.
    """
    distances = _surface_distances(a, b, spacing)
    if distances is None:
        return SurfaceAgreement(None, float(not np.any(a) and not np.any(b)))
    return SurfaceAgreement(
        hausdorff95_mm=float(max(np.percentile(directed, 95) for directed in distances)),
        surface_dice=float((np.concatenate(distances) <= tolerance_mm).mean()),
    )


def hausdorff95_mm(a: npt.NDArray[Any], b: npt.NDArray[Any], spacing: Triple) -> float | None:
    """Return the symmetric 95th percentile Hausdorff distance.

    Parameters
    ----------
    a, b
        Masks (z, y, x) of one shape; every value but 0 counts as inside.
    spacing
        Millimetres between voxels along (z, y, x).

    Returns
    -------
    float or None
        The greater of the two directed 95th percentiles, mm; None if a mask is empty.
    """
    return surface_agreement(a, b, spacing, 0.0).hausdorff95_mm


def average_surface_distance_mm(
    a: npt.NDArray[Any], b: npt.NDArray[Any], spacing: Triple
) -> float | None:
    """Return the mean distance of both surfaces' voxels to the other surface.

    Parameters
    ----------
    a, b
        Masks (z, y, x) of one shape; every value but 0 counts as inside.
    spacing
        Millimetres between voxels along (z, y, x).

    Returns
    -------
    float or None
        Millimetres; None if a mask is empty.
    """
    distances = _surface_distances(a, b, spacing)
    return None if distances is None else float(np.concatenate(distances).mean())


def surface_dice(
    a: npt.NDArray[Any], b: npt.NDArray[Any], spacing: Triple, tolerance_mm: float
) -> float:
    """Return the share of both surfaces that lies within a tolerance of the other.

    The surface Dice of Nikolov et al. (2021, doi:10.2196/26151), counted in surface
    voxels rather than in surface area.

    Parameters
    ----------
    a, b
        Masks (z, y, x) of one shape; every value but 0 counts as inside.
    spacing
        Millimetres between voxels along (z, y, x).
    tolerance_mm
        Distance up to which the surfaces agree.

    Returns
    -------
    float
        0 to 1; 1 if both masks are empty, 0 if only one is.
    """
    return surface_agreement(a, b, spacing, tolerance_mm).surface_dice


def _surface_distances(
    a: npt.NDArray[Any], b: npt.NDArray[Any], spacing: Triple
) -> tuple[FloatArray, FloatArray] | None:
    """Return the distances from a's surface to b's, and from b's to a's."""
    if np.shape(a) != np.shape(b):
        raise ValueError(f"masks of shapes {np.shape(a)} and {np.shape(b)} differ")
    of_a, of_b = _surface_points(a, spacing), _surface_points(b, spacing)
    if not len(of_a) or not len(of_b):
        return None
    # trees of the surface points: as exact as a distance transform, and their cost
    # follows the surfaces, not the box that holds two nodules far apart
    to_b, _ = cKDTree(of_b).query(of_a, workers=-1)
    to_a, _ = cKDTree(of_a).query(of_b, workers=-1)
    return to_b, to_a


def _surface_points(mask: npt.NDArray[Any], spacing: Triple) -> FloatArray:
    """Return millimetres (n, 3) of the voxels of a mask that have a face outside."""
    where = np.nonzero(np.asarray(mask))
    if not len(where[0]):
        return np.empty((0, 3))
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in where)
    inside = np.pad(np.asarray(mask)[box] != 0, 1)
    middle = (slice(1, -1),) * 3
    hidden = inside[middle].copy()
    for axis in range(3):
        for shifted in (slice(None, -2), slice(2, None)):
            neighbour = list(middle)
            neighbour[axis] = shifted
            hidden &= inside[tuple(neighbour)]
    surface = np.argwhere(inside[middle] & ~hidden)
    return (surface + [s.start for s in box]) * np.asarray(spacing, float)
