"""Between the slices a series really has and the straight, even grid it is read onto.

All slices are parallel and alike; they lie at their own positions, which a gantry
tilt shifts within their planes and a missing slice spaces unevenly. The grid is
parallel to them: its z axis runs along their normal, so each slice keeps its
plane and moves in it, and only between slices is anything made up.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.resampling import placed
from napari_ctlns.volume import FloatArray, Geometry, SourceSlice

ROUNDING_MM = 0.01
"""Headers round positions to about this: slices so near to a plane lie on it."""

_Array = npt.NDArray[Any]


def slices_onto_grid(
    pixels: _Array, slices: Sequence[SourceSlice], plane: Geometry, grid: Geometry, outside: float
) -> _Array:
    """Return values of slices, interpolated linearly, on an even grid.

    Parameters
    ----------
    pixels
        (n, rows, columns), in the order of ``slices``, which lie along the normal.
    slices, plane
        As in `Source`.
    grid
        Parallel to the slices, in the source's own order of axes.
    outside
        The value beyond the slices' edges; between two slices beyond either's.

    Returns
    -------
    numpy.ndarray
        On ``grid``, of the dtype of ``pixels``.
    """
    places = _places(slices, plane, grid)
    on_voxels = np.rint(places)
    near = np.abs(places - on_voxels) * grid.spacing < ROUNDING_MM
    places = np.where(near, on_voxels, places)
    heights = places[:, 0]
    result = np.empty(grid.shape, pixels.dtype)
    shifted: dict[int, _Array] = {}

    def on_grid(k: int) -> _Array:
        for old in [j for j in shifted if j < k - 1]:
            del shifted[old]
        if k not in shifted:
            shifted[k] = _moved(pixels[k], places[k, 1:], grid.shape[1:], outside, order=1)
        return shifted[k]

    def covered(k: int) -> _Array:
        there = np.ones(plane.shape[1:], bool)
        return placed(there, np.floor(places[k, 1:]).astype(int), grid.shape[1:], False)

    for z in range(grid.shape[0]):
        after = int(np.clip(np.searchsorted(heights, z), 1, max(len(heights) - 1, 1)))
        below, above = after - 1, min(after, len(heights) - 1)
        gap = heights[above] - heights[below]
        share = float(np.clip((z - heights[below]) / gap, 0, 1)) if gap > 0 else 0.0
        values = on_grid(above if share == 1 else below)
        if 0 < share < 1:
            values = values * (1 - share) + on_grid(above) * share
            values = np.where(covered(below) & covered(above), values, outside)
        result[z] = _stored(values, pixels.dtype)
    return result


def mask_onto_grid(
    pixels: _Array, slices: Sequence[SourceSlice], plane: Geometry, grid: Geometry
) -> _Array:
    """Return labels (n, rows, columns) of slices on an even grid, by nearest neighbour."""
    places = _places(slices, plane, grid)
    result = np.zeros(grid.shape, pixels.dtype)
    for z in range(grid.shape[0]):
        k = int(np.abs(places[:, 0] - z).argmin())
        result[z] = _moved(pixels[k], places[k, 1:], grid.shape[1:], 0, order=0)
    return result


def mask_onto_slices(
    mask: _Array, grid: Geometry, slices: Sequence[SourceSlice], plane: Geometry
) -> _Array:
    """Return labels on ``grid`` as (n, rows, columns) of slices, by nearest neighbour.

    A slice more than half a step beyond the grid is empty.
    """
    places = _places(slices, plane, grid)
    result = np.zeros((len(slices), *plane.shape[1:]), mask.dtype)
    for k, (height, row, column) in enumerate(places):
        z = round(float(height))
        if 0 <= z < grid.shape[0]:
            result[k] = _moved(mask[z], (-row, -column), plane.shape[1:], 0, order=0)
    return result


def _places(slices: Sequence[SourceSlice], plane: Geometry, grid: Geometry) -> FloatArray:
    """Return where on the grid (z, y, x) the first pixel of each slice lies; shape (n, 3)."""
    axes = np.asarray(plane.direction) - np.asarray(grid.direction)
    if np.abs(axes).max() > 1e-6 or plane.spacing[1:] != grid.spacing[1:]:
        raise ValueError("the grid is not parallel to the slices")
    return grid.world_to_index([one.position for one in slices])


def _moved(
    pixels: _Array, by: npt.ArrayLike, shape: tuple[int, ...], outside: float, order: int
) -> _Array:
    """Return a slice whose first pixel lies at ``by`` (y, x) of a plane of ``shape``."""
    shift = np.asarray(by, float)
    whole = np.rint(shift) if order == 0 else np.floor(shift)
    for axis, part in enumerate(shift - whole):
        if order and part:
            pixels = _between(pixels.astype(np.float32, copy=False), part, axis)
    return placed(pixels, whole.astype(int), shape, outside)


def _between(pixels: _Array, part: float, axis: int) -> _Array:
    """Return pixels moved on by part of a pixel; the first stays, for nothing lies before it."""
    pixels = np.moveaxis(pixels, axis, 0)
    moved = pixels.copy()
    moved[1:] = pixels[1:] * np.float32(1 - part) + pixels[:-1] * np.float32(part)
    return np.moveaxis(moved, 0, axis)


def _stored(values: _Array, dtype: np.dtype[Any]) -> _Array:
    return values if dtype.kind == "f" else np.rint(values).astype(dtype)
