"""Carrying an array from one grid to another."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy import ndimage

from napari_ctlns.errors import ScanError
from napari_ctlns.recipe import Preparation
from napari_ctlns.volume import AIR_HU, FloatArray, Geometry, Triple, Volume, direction_rows

Interpolation = Literal["linear", "nearest"]
_INTERPOLATORS = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor}

MOVED_STEP_MM = 6.0
"""How finely a motion is sampled: how patients lie and breathe changes over centimetres."""
_VOXELS_AT_ONCE = 2**23
"""ITK takes copies of all that it is given and gives: a large scan goes through it in parts."""


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
    result = np.empty(target.shape, array.dtype)
    _, rows, columns = target.shape
    depth = max(_VOXELS_AT_ONCE // (rows * columns), 1)
    for first in range(0, len(result), depth):
        part = result[first : first + depth]
        here = target.cropped((first, 0, 0), (len(part), rows, columns))
        part[...] = _resampled(*_around(array, geometry, here), here, interpolation, outside)
    return result


def _around(
    array: npt.NDArray[Any], geometry: Geometry, target: Geometry
) -> tuple[npt.NDArray[Any], Geometry]:
    """Return the part of an array that is needed for a target, and its grid."""
    corners = [(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)]
    last = np.multiply(corners, np.asarray(target.shape) - 1)
    return _part(array, geometry, geometry.world_to_index(target.index_to_world(last)))


def _part(
    array: npt.NDArray[Any], geometry: Geometry, index: FloatArray
) -> tuple[npt.NDArray[Any], Geometry]:
    """Return the part of an array between the outermost of some indices (n, 3), and its grid."""
    shape = np.asarray(array.shape)
    # one voxel at least, and the face of the array that they lie beyond
    start = np.clip(np.floor(index.min(axis=0)).astype(int) - 1, 0, shape - 1)
    end = np.clip(np.ceil(index.max(axis=0)).astype(int) + 2, start + 1, shape)
    part = array[tuple(slice(a, b) for a, b in zip(start, end, strict=True))]
    return part, geometry.cropped(start, part.shape)


def _resampled(
    array: npt.NDArray[Any],
    geometry: Geometry,
    target: Geometry,
    interpolation: Interpolation,
    outside: float,
) -> npt.NDArray[Any]:
    """Return what `resample_array` does, at once; whole numbers may come as float32."""
    # A grid made by Geometry.resampled may end up to half a voxel before the scan
    # does: one copied layer on each side lets its values reach the scan's last voxels.
    padded = np.pad(array, 1, mode="edge")
    # SimpleITK knows no booleans
    known = padded.view(np.uint8) if array.dtype == np.bool_ else padded
    image = to_sitk(known, geometry.cropped((-1, -1, -1), padded.shape))
    # ITK cuts off what is between two whole numbers; they are rounded here instead
    between = interpolation == "linear" and np.issubdtype(known.dtype, np.integer)
    resampled = sitk.Resample(
        image,
        target.shape[::-1],
        sitk.Transform(),
        _INTERPOLATORS[interpolation],
        target.origin,
        target.spacing[::-1],
        [v for row in target.direction for v in row],
        float(outside),
        sitk.sitkFloat32 if between else image.GetPixelID(),
    )
    values = sitk.GetArrayFromImage(resampled)
    return np.rint(values, out=values) if between else values


def resample_moved(
    array: npt.NDArray[Any],
    geometry: Geometry,
    target: Geometry,
    place: Callable[[FloatArray], FloatArray],
    interpolation: Interpolation = "linear",
    outside: float = 0.0,
) -> npt.NDArray[Any]:
    """Resample ``array`` onto ``target`` where what is seen has moved, and bent, meanwhile.

    Parameters
    ----------
    array, geometry
        Voxels (z, y, x) and their grid; the result has the same dtype.
    target
        The grid to resample onto.
    place
        Where LPS points (n, 3) of the target lie in the array's frame. It is asked every
        `MOVED_STEP_MM` and is to change smoothly between.
    interpolation
        "linear" for CT, "nearest" for masks.
    outside
        Value where the array does not reach.
    """
    coarse = target.resampled((MOVED_STEP_MM,) * 3)
    # a sample more on each side: the steps end nowhere inside the target
    z, y, x = (n + 2 for n in coarse.shape)
    coarse = coarse.cropped((-1, -1, -1), (z, y, x))
    index = np.stack(np.meshgrid(*map(np.arange, coarse.shape), indexing="ij"), axis=-1)
    points = coarse.index_to_world(index.reshape(-1, 3))
    there = place(points)
    steps = sitk.GetImageFromArray((there - points).reshape(*coarse.shape, 3), True)
    steps.CopyInformation(to_sitk(np.zeros(coarse.shape, np.uint8), coarse))
    whole = np.issubdtype(array.dtype, np.integer) and interpolation == "linear"
    resampled = sitk.Resample(
        to_sitk(*_part(array, geometry, geometry.world_to_index(there))),
        target.shape[::-1],
        sitk.DisplacementFieldTransform(steps),
        _INTERPOLATORS[interpolation],
        target.origin,
        target.spacing[::-1],
        [v for row in target.direction for v in row],
        float(outside),
        sitk.sitkFloat32 if whole else sitk.sitkUnknown,
    )
    values = sitk.GetArrayFromImage(resampled)
    return (np.rint(values, out=values) if whole else values).astype(array.dtype, copy=False)


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
    """Return the grid on which a recipe wants a scan.

    Resized slices cover exactly what the scan's own do. Slices are left out at the
    feet's end: the first ones of a scan whose axes run along LPS.

    Raises
    ------
    ScanError
        If no slice is left.
    """
    grid = geometry.resampled(_wanted_spacing(geometry, preparation))
    grid = replace(grid, source_axes=(0, 1, 2), source_flips=(False, False, False))
    dropped, (z, y, x) = preparation.drop_first_slices, grid.shape
    if dropped >= z:
        raise ScanError(
            f"the scan has {z} slices of {grid.spacing[0]:g} mm and the recipe leaves out the "
            f"first {dropped}; lower preparation.drop_first_slices"
        )
    return grid.cropped((dropped, 0, 0), (z - dropped, y, x)) if dropped else grid


def prepared_hu(volume: Volume, preparation: Preparation) -> tuple[npt.NDArray[np.int16], Geometry]:
    """Return a CT as a recipe wants it: HU, int16, on the recipe's grid.

    Values below -1024 (padding, out of field) count as -1024. Nothing else is clipped,
    unless the recipe smooths: then HU are clipped to its range first, so that neither
    metal nor the air around the patient spreads. A scan that is as it shall be already is
    not copied.

    Raises
    ------
    ScanError
        As `prepared_geometry`.
    """
    target = prepared_geometry(volume.geometry, preparation)
    hu = _without_padding(volume)
    if hu.dtype != np.int16:
        hu = np.rint(np.clip(hu, AIR_HU, 32767)).astype(np.int16)
    prepared = resample_array(hu, volume.geometry, target, outside=AIR_HU)
    if preparation.smoothing_mm:
        prepared = _smoothed(prepared, target.spacing, preparation)
    return prepared, target


def _without_padding(volume: Volume) -> npt.NDArray[Any]:
    """Return HU of which none is below -1024."""
    array = volume.array
    whole = np.issubdtype(array.dtype, np.integer)
    return array if whole and array.min() >= AIR_HU else volume.hu()


def from_prepared(
    array: npt.NDArray[Any],
    geometry: Geometry,
    preparation: Preparation,
    interpolation: Interpolation = "linear",
) -> npt.NDArray[Any]:
    """Carry what was found on a prepared grid back onto the scan's own.

    Parameters
    ----------
    array
        Voxels (z, y, x) on ``prepared_geometry(geometry, preparation)``.
    geometry
        The scan's own grid.
    preparation
        How the scan was prepared. In slices that it left out nothing was found: 0.
    """
    dropped = preparation.drop_first_slices
    # back in their places first: else the nearest slice would count for what is beyond it
    whole = np.pad(array, ((dropped, 0), (0, 0), (0, 0))) if dropped else array
    grid = prepared_geometry(geometry, preparation.model_copy(update={"drop_first_slices": 0}))
    return resample_array(whole, grid, geometry, interpolation)


def _wanted_spacing(geometry: Geometry, preparation: Preparation) -> Triple:
    wanted = preparation.spacing_mm
    three = wanted if isinstance(wanted, tuple) else (wanted,) * 3
    own = zip(three, geometry.spacing, strict=True)
    z, y, x = (mm if mm_wanted == "native" else mm_wanted for mm_wanted, mm in own)
    if preparation.slice_size is not None:
        y, x = (mm / n for mm, n in zip(geometry.size_mm[1:], preparation.slice_size, strict=True))
    return z, y, x


def _smoothed(
    hu: npt.NDArray[np.int16], spacing: Triple, preparation: Preparation
) -> npt.NDArray[np.int16]:
    clipped = np.clip(hu, *preparation.clip_hu).astype(np.float32)
    sigma = [preparation.smoothing_mm / s for s in spacing]
    ndimage.gaussian_filter(clipped, sigma, output=clipped, mode="nearest")
    return np.rint(clipped, out=clipped).astype(np.int16)
