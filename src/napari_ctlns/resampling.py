"""Carrying an array from one grid to another."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_ctlns.recipe import Preparation
from napari_ctlns.volume import Geometry, Triple, Volume, direction_rows

Interpolation = Literal["linear", "nearest"]
_INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}


def to_sitk(array: npt.NDArray[Any], geometry: Geometry) -> sitk.Image:
    """Return a SimpleITK image with the voxels (z, y, x) and geometry given."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection([v for row in geometry.direction for v in row])
    return image


def from_sitk_geometry(image: sitk.Image) -> Geometry:
    """Return the grid of a three-dimensional SimpleITK image."""
    x, y, z = image.GetSize()
    xs, ys, zs = image.GetSpacing()
    return Geometry(
        shape=(z, y, x),
        spacing=(zs, ys, xs),
        origin=image.GetOrigin(),
        direction=direction_rows(np.reshape(image.GetDirection(), (3, 3))),
    )


def resample_array(
    array: npt.NDArray[Any],
    geometry: Geometry,
    target: Geometry,
    interpolation: Interpolation = "linear",
    outside: float = 0.0,
) -> npt.NDArray[Any]:
    """Resample ``array`` from its ``geometry`` onto the grid ``target``.

    Parameters
    ----------
    array
        Voxels (z, y, x); the result has the same dtype.
    geometry, target
        Any two grids of the same patient.
    interpolation
        "linear" for CT and probabilities, "nearest" for masks.
    outside
        Value where ``target`` reaches more than one voxel beyond the outer faces
        of ``geometry``; up to there the nearest value counts.
    """
    if geometry.same_grid(target, 1e-6):
        return array
    # A grid made by Geometry.resampled may end up to half a voxel before the scan
    # does: one copied layer on each side lets its values reach the scan's last voxels.
    padded = np.pad(array, 1, mode="edge")
    # SimpleITK knows no booleans
    known = padded.astype(np.uint8) if array.dtype == np.bool_ else padded
    image = to_sitk(known, geometry.cropped((-1, -1, -1), padded.shape))
    resampled = sitk.Resample(
        image,
        target.shape[::-1],
        sitk.Transform(),
        _INTERPOLATORS[interpolation],
        target.origin,
        target.spacing[::-1],
        [v for row in target.direction for v in row],
        float(outside),
        image.GetPixelID(),
    )
    return sitk.GetArrayFromImage(resampled).astype(array.dtype, copy=False)


def placed(
    array: npt.NDArray[Any], start: npt.ArrayLike, shape: tuple[int, ...], outside: float = 0
) -> npt.NDArray[Any]:
    """Return ``shape`` voxels that hold an array from ``start`` on, cut off where they end."""
    whole = np.full(shape, outside, array.dtype)
    first = [int(s) for s in np.asarray(start)]
    sizes = zip(first, array.shape, shape, strict=True)
    to = [slice(max(s, 0), max(min(s + n, m), 0)) for s, n, m in sizes]
    of = [slice(t.start - s, t.stop - s) for t, s in zip(to, first, strict=True)]
    if all(t.stop > t.start for t in to):
        whole[tuple(to)] = array[tuple(of)]
    return whole


def prepared_geometry(geometry: Geometry, preparation: Preparation) -> Geometry:
    """Return the grid on which a recipe wants a scan."""
    wanted = preparation.spacing_mm
    if wanted == "native":
        return replace(geometry, source_axes=(0, 1, 2), source_flips=(False,) * 3)
    spacing: Triple = (wanted,) * 3 if isinstance(wanted, float) else wanted
    grid = geometry.resampled(spacing)
    return replace(grid, source_axes=(0, 1, 2), source_flips=(False, False, False))


def prepared_hu(volume: Volume, preparation: Preparation) -> tuple[npt.NDArray[np.int16], Geometry]:
    """Return a CT as a recipe wants it: HU, int16, on the recipe's grid.

    Values below -1024 (padding, out of field) count as -1024; nothing else is clipped.
    """
    target = prepared_geometry(volume.geometry, preparation)
    hu = volume.hu()
    if hu.dtype != np.int16:
        hu = np.rint(np.clip(hu, -1024, 32767)).astype(np.int16)
    return resample_array(hu, volume.geometry, target, outside=-1024), target
