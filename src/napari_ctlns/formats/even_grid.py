"""The straight, even grid that slices are read onto, wherever they lie.

Of slices that make such a grid themselves nothing has to be resampled. Those that
a gantry tilt has shifted within their planes, or that are unevenly spaced, get a
grid parallel to them which holds each of them wholly.
"""

import math
from dataclasses import dataclass

import numpy as np

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.regridding import ROUNDING_MM
from napari_ctlns.volume import FloatArray

_LARGEST_MM = 0.1
"""Slices that deviate more than this are not taken for straight and even."""
_MOST_PLANES = 4
"""A grid has at most so many times the planes that there are slices."""
_MOST_VOXELS = 8
"""And so many times the voxels; a steep tilt needs less."""
_FINEST = 0.1
"""So large a share of the gaps may be finer than a grid that would be too large otherwise."""


@dataclass(frozen=True)
class EvenGrid:
    """A grid beside the first slice.

    Attributes
    ----------
    step
        Millimetres between its planes.
    start
        Index (z, y, x) of its first voxel, counted on the grid of the first slice.
    shape
        Voxels (z, y, x).
    straight
        Whether slice k is plane k of it.
    warnings
        What is mended by it, in words.
    """

    step: float
    start: tuple[int, int, int]
    shape: tuple[int, int, int]
    straight: bool
    warnings: tuple[str, ...]


def even_grid(
    positions: FloatArray, places: FloatArray, spacing: tuple[float, float], shape: tuple[int, int]
) -> EvenGrid:
    """Return the grid for slices at given places.

    Parameters
    ----------
    positions
        Of the first pixels in the patient, LPS millimetres; shape (n, 3), n > 1.
    places
        The same along the normal, the rows' and the columns' direction, counted from
        the first slice, which lies lowest; in order of height.
    spacing
        Millimetres between rows and between columns.
    shape
        Rows and columns.

    Raises
    ------
    ScanError
        If slices lie beside each other rather than on each other.
    """
    heights, aside = places[:, 0], places[:, 1:]
    usual = float(heights[-1]) / (len(heights) - 1)
    off = float(np.abs(heights - usual * np.arange(len(heights))).max())
    beside = float(np.linalg.norm(aside, axis=1).max())
    even = off <= min(_LARGEST_MM, usual / 5)
    if even and beside <= _LARGEST_MM:
        words = []
        if off > ROUNDING_MM:
            words.append(f"slices lie up to {off:.2f} mm off an even spacing")
        if beside > ROUNDING_MM:
            words.append(f"slices lie up to {beside:.2f} mm beside a straight stack")
        return EvenGrid(usual, (0, 0, 0), (len(heights), *shape), True, tuple(words))
    words = []
    planes = len(heights)
    if not even:
        planes = _planes(heights)
        words.append(_gap_words(positions, heights, planes))
    start, rows_and_columns = (0, 0), shape
    if beside > _LARGEST_MM:
        start, rows_and_columns = _widened(aside / spacing, shape)
        words.append(_tilt_words(heights, aside))
    voxels = planes * rows_and_columns[0] * rows_and_columns[1]
    if voxels > _MOST_VOXELS * len(heights) * shape[0] * shape[1]:
        message = "slices lie beside each other rather than on each other"
        raise ScanError(f"{message}; give those of one stack")
    return EvenGrid(
        step=float(heights[-1]) / (planes - 1),
        start=(0, *start),
        shape=(planes, *rows_and_columns),
        straight=False,
        warnings=tuple(words),
    )


def _planes(heights: FloatArray) -> int:
    """Return how many planes an even grid needs; the first and last slice lie on its ends.

    Best is a grid with a plane at each slice, as where slices are missing: nothing
    that was measured is then made up. Where there is none, the step is the smallest
    gap, so that no two slices fall between the same planes. One gap much smaller
    than the others would make too many planes for what it tells: then a tenth of the
    gaps may be finer than the step.
    """
    total, most = float(heights[-1]), _MOST_PLANES * len(heights)
    for tolerance in (ROUNDING_MM, _LARGEST_MM):
        for planes in range(len(heights), most + 1):
            step = total / (planes - 1)
            at = heights / step
            off = float(np.abs(at - np.rint(at)).max()) * step
            if off <= min(tolerance, step / 5):
                return planes
    gaps = np.diff(heights)
    for gap in (gaps.min(), np.quantile(gaps, _FINEST, method="lower")):
        planes = math.ceil(total / float(gap)) + 1
        if planes <= most:
            return planes
    return most


def _widened(shifts: FloatArray, shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the first row and column, and how many, that hold slices at ``shifts`` wholly.

    ``shifts`` (n, 2) are counted in rows and columns from the first slice, which
    therefore keeps its pixels.
    """
    # a thousandth of a pixel is rounding, and no reason for another row
    low = np.floor(shifts.min(axis=0) + 1e-3).astype(int)
    high = np.ceil(shifts.max(axis=0) - 1e-3).astype(int)
    rows, columns = (int(n) for n in np.asarray(shape) + high - low)
    return (int(low[0]), int(low[1])), (rows, columns)


def _gap_words(positions: FloatArray, heights: FloatArray, planes: int) -> str:
    gaps = np.diff(heights)
    worst, usual = int(gaps.argmax()), float(np.median(gaps))
    kind = "missing slice" if gaps[worst] > 1.5 * usual else "uneven slice spacing"
    after = ", ".join(f"{v:.2f}" for v in positions[worst])
    return (
        f"{kind}: the largest gap is {gaps[worst]:.2f} mm, after the slice at ({after}), "
        f"usually {usual:.2f} mm; {len(heights)} slices were resampled to {planes}, "
        f"{heights[-1] / (planes - 1):.2f} mm apart"
    )


def _tilt_words(heights: FloatArray, aside: FloatArray) -> str:
    slope = aside.T @ heights / float(heights @ heights)
    left = float(np.linalg.norm(aside - np.outer(heights, slope), axis=1).max())
    if left > _LARGEST_MM:
        largest = float(np.linalg.norm(aside, axis=1).max())
        return f"slices shifted by up to {largest:.2f} mm within their planes: moved into place"
    angle = math.degrees(math.atan(float(np.linalg.norm(slope))))
    return (
        f"gantry tilt of {angle:.1f} degrees: {len(heights)} slices were moved onto a straight grid"
    )
