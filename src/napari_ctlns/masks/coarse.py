"""A scan on samples some 2.5 mm apart, and back: where large organs are found fast."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_ctlns.volume import AIR_HU, Geometry, Triple, Volume

SAMPLE_MM = 2.5
"""Finest sampling: thinner than a chest wall; a whole chest then has two million cells."""
AIR_OR_LUNG_HU = -400
"""Halfway between lung at rest, about -850 HU, and muscle, about 50 HU."""
PURE_AIR_HU = -975
"""Darker than lung: halfway from air to -950 HU, below which lung is emphysema."""
WHOLE_CHEST_MM = 250
"""A field narrower than this, in either direction, shows a part of a chest."""
NO_NUMBER = -32768.0
"""Stands for NaN, and for all that is lower."""

Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class CoarseGrid:
    """Cells that together cover the box of a scan.

    Attributes
    ----------
    shape
        Cells along (z, y, x).
    spacing
        Millimetres between the centres of cells (z, y, x); no less than the scan's own.
    full_shape
        Voxels of the scan along (z, y, x).
    """

    shape: tuple[int, int, int]
    spacing: Triple
    full_shape: tuple[int, int, int]

    @classmethod
    def over(cls, geometry: Geometry) -> "CoarseGrid":
        """Return the coarse grid of a scan."""
        size = np.asarray(geometry.size_mm)
        wanted = np.maximum(geometry.spacing, SAMPLE_MM)
        z, y, x = (int(n) for n in np.maximum(np.rint(size / wanted), 1))
        zs, ys, xs = (float(s) for s in size / (z, y, x))
        return cls((z, y, x), (zs, ys, xs), geometry.shape)

    def samples(self, axis: int, each: int = 1) -> Indices:
        """Return the indices, along one axis of the scan, of ``each`` samples a cell."""
        n = self.shape[axis] * each
        return ((np.arange(n) + 0.5) * self.full_shape[axis] / n).astype(np.intp)

    def cell_of(self, axis: int) -> Indices:
        """Return, for every index along one axis of the scan, the cell that it lies in."""
        n = self.full_shape[axis]
        return ((np.arange(n) + 0.5) * self.shape[axis] / n).astype(np.intp)

    def sampled(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the voxel in the middle of each cell."""
        middle: npt.NDArray[Any] = array[np.ix_(*(self.samples(axis) for axis in range(3)))]
        return middle

    def spread(self, cells: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return values of cells as an array on the scan's own grid."""
        full = cells
        for axis in (2, 1, 0):  # the last one copies whole slices and is the largest
            full = full.take(self.cell_of(axis), axis=axis)
        return full

    @property
    def is_part_of_a_chest(self) -> bool:
        """Whether the field is too narrow to show a chest from side to side."""
        return min(self.shape[k] * self.spacing[k] for k in (1, 2)) < WHOLE_CHEST_MM


def coarse_hu(volume: Volume, grid: CoarseGrid) -> tuple[npt.NDArray[np.float32], Bools]:
    """Return the HU of each cell, and in which cells nothing was measured.

    Parameters
    ----------
    volume
        A CT in HU.
    grid
        Over its geometry.

    Returns
    -------
    hu : numpy.ndarray
        float32, -1024 or more: the mean of four samples in one plane, against noise.
    padding
        Cells beyond a round field of view: all samples hold one value, as dark as air or
        darker, and so on to the edge of the plane. Measured neighbours differ by noise.
    """
    planes, rows, columns = grid.samples(0), grid.samples(1, each=2), grid.samples(2, each=2)
    hu = np.empty(grid.shape, np.float32)
    even = np.empty(grid.shape, np.bool_)
    for i, plane in enumerate(planes):
        samples = volume.array[plane][np.ix_(rows, columns)].astype(np.float32)
        np.fmax(samples, NO_NUMBER, out=samples)
        even[i] = _over_fours(np.maximum, samples) == _over_fours(np.minimum, samples)
        hu[i] = _over_fours(np.add, np.maximum(samples, AIR_HU)) / 4
    return hu, _reaching_edges(even & (hu < PURE_AIR_HU))


def _over_fours(combine: np.ufunc, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Combine two by two neighbours of a plane into one."""
    rows = combine(samples[::2], samples[1::2])
    return np.asarray(combine(rows[:, ::2], rows[:, 1::2]))


def _reaching_edges(mask: Bools) -> Bools:
    """Return the pieces of a mask that reach the edge of a plane."""
    if not mask.any():
        return mask
    pieces, count = cc3d.connected_components(mask, connectivity=6, return_N=True)
    kept = np.zeros(count + 1, np.bool_)
    for edge in (pieces[:, 0], pieces[:, -1], pieces[:, :, 0], pieces[:, :, -1]):
        kept[edge] = True
    kept[0] = False
    return np.asarray(kept[pieces])


def middle_column(tissue: Bools) -> float:
    """Return the column (a fractional x index) of the plane in which a body is its own mirror.

    There tissue, seen from the front, correlates best with its mirror image; the plane is
    known even where one lung is full of fluid. 0 where there is no tissue.
    """
    seen = tissue.sum(axis=1, dtype=np.float64)
    n = 2 * tissue.shape[2]
    with_mirror = np.fft.irfft((np.fft.rfft(seen, n, axis=1) ** 2).sum(axis=0), n)
    return float(with_mirror.argmax()) / 2


def mirrored(mask: Bools, middle: float) -> Bools:
    """Return a mask as its mirror image in the plane of a (fractional) column."""
    columns = np.rint(2 * middle - np.arange(mask.shape[2])).astype(np.intp)
    there = (columns >= 0) & (columns < mask.shape[2])
    image: Bools = mask[:, :, columns.clip(0, mask.shape[2] - 1)] & there
    return image


def distance(mask: Bools, spacing: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return how far, in mm, each cell is from the nearest one of a mask; inf if it has none.

    After Maurer et al. 2003 (doi:10.1109/TPAMI.2003.1177156), as ITK has it: half the work of
    SciPy's, and on all cores.
    """
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    image = sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))
    image.SetSpacing([float(mm) for mm in spacing][::-1])
    # how deep a cell lies inside is told too, below zero
    signed = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.maximum(sitk.GetArrayViewFromImage(signed), 0)


def eroded(mask: Bools, axes: tuple[int, ...] = (0, 1, 2)) -> Bools:
    """Return a mask without its outermost cells; faces of the array are no outside."""
    result = mask.copy()
    for axis in axes:
        before, after = np.moveaxis(mask, axis, 0), np.moveaxis(result, axis, 0)
        after[1:] &= before[:-1]
        after[:-1] &= before[1:]
    return result


def grown(mask: Bools) -> Bools:
    """Return a mask joined by the cells that share a face with it."""
    return ~eroded(~mask)


def thick_parts(mask: Bools) -> Bools:
    """Return what is at least two cells thick along every axis that has two."""
    core = mask
    for axis, n in enumerate(mask.shape):
        if n > 1:
            core = core.take(range(n - 1), axis) & core.take(range(1, n), axis)
    result = np.zeros_like(mask)
    for corner in np.ndindex(*(n - c + 1 for n, c in zip(mask.shape, core.shape, strict=True))):
        box = (slice(k, k + c) for k, c in zip(corner, core.shape, strict=True))
        result[tuple(box)] |= core
    return result


def upper_hull(values: npt.NDArray[np.integer], where: Bools) -> npt.NDArray[np.float64]:
    """Return the least concave function that is nowhere below ``values``.

    Parameters
    ----------
    values
        One for each index, shape (n,).
    where
        Which of them count.

    Returns
    -------
    numpy.ndarray
        Float, (n,): 0 before the first and after the last index that counts. By Andrew's
        monotone chain (1979).
    """
    result = np.zeros(len(values))
    at = np.flatnonzero(where)
    if not len(at):
        return result
    corners: list[tuple[float, float]] = []
    for x, y in zip(at.tolist(), values[at].tolist(), strict=True):
        while len(corners) > 1:
            (x0, y0), (x1, y1) = corners[-2:]
            if (y1 - y0) * (x - x0) > (y - y0) * (x1 - x0):
                break
            corners.pop()
        corners.append((x, y))
    span = np.arange(at[0], at[-1] + 1)
    xs, ys = zip(*corners, strict=True)
    result[span] = np.interp(span, xs, ys)
    return result
