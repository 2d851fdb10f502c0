"""The long and short axis of a nodule on its axial slices, and where they lie."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from skimage.measure import find_contours

from napari_ctlns.measurement.distances import longest
from napari_ctlns.volume import FloatArray, Triple

Point = tuple[float, float]


class Axes(NamedTuple):
    """The in-plane diameters of a nodule, and where they lie.

    Attributes
    ----------
    long_mm, short_mm
        Millimetres.
    slice_index
        The slice that both lie on, an index of the array that was given.
    long_ends, short_ends
        Their two ends each, (y, x) in voxels of that array; a pixel's edge is half a
        voxel from its centre.
    """

    long_mm: float
    short_mm: float
    slice_index: int
    long_ends: tuple[Point, Point]
    short_ends: tuple[Point, Point]


def axial_axes(inside: npt.NDArray[Any], spacing: Triple) -> Axes:
    """Measure the long and short axis on axial slices, as RECIST does.

    The outline of a slice runs through the midpoints of the edges between pixels
    inside and outside, joined by straight lines; so a row of n pixels is n pixels
    long, and a disc as wide as it was before it was made of pixels, one pixel at most
    apart. Long axis: the greatest distance between two points of the outline, on the
    slice where that is greatest. Short axis: on that slice, the longest chord
    perpendicular to it, from outline to outline (RECIST 1.1, Eisenhauer et al. 2009,
    doi:10.1016/j.ejca.2008.10.026). Pieces that lie apart on a slice count together.

    Parameters
    ----------
    inside
        (z, y, x), not empty; beyond the array is outside.
    spacing
        Millimetres between voxels along (z, y, x).
    """
    plane = np.asarray(spacing[1:])
    slices = np.asarray(inside) != 0
    best, where, ends = 0.0, 0, np.zeros((2, 2))
    for z in np.flatnonzero(slices.any(axis=(1, 2))):
        length, found = longest(_outermost(slices[z]) * plane)
        if length > best:
            best, where, ends = length, int(z), found
    direction = (ends[1] - ends[0]) / best
    short, across = _longest_chord(slices[where], plane, direction)
    return Axes(best, short, where, _points(ends / plane), _points(across / plane))


def _points(ends: FloatArray) -> tuple[Point, Point]:
    (y, x), (other_y, other_x) = ends.tolist()
    return (y, x), (other_y, other_x)


def _outermost(pixels: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the outline's points (n, 2) that end a row or a column."""
    points = []
    for turned in (pixels, pixels.T):
        lines = np.flatnonzero(turned.any(axis=1))
        first = turned[lines].argmax(axis=1) - 0.5
        last = turned.shape[1] - turned[lines, ::-1].argmax(axis=1) - 0.5
        points.append(np.concatenate([np.c_[lines, first], np.c_[lines, last]]))
    return np.concatenate([points[0], points[1][:, ::-1]])


def _longest_chord(
    pixels: npt.NDArray[np.bool_], plane: FloatArray, direction: FloatArray
) -> tuple[float, FloatArray]:
    """Return the longest chord perpendicular to ``direction``: its length, its ends in mm."""
    turn = np.stack([direction, [-direction[1], direction[0]]])
    contours = find_contours(np.pad(pixels, 1).astype(float), 0.5)
    starts, ends = [], []
    for contour in contours:
        turned = (contour - 1) * plane @ turn.T  # columns: along the long axis, across it
        starts.append(turned[:-1])
        ends.append(turned[1:])
    start, end = np.concatenate(starts), np.concatenate(ends)
    # between two vertices the chord's length changes evenly: the longest is at a vertex
    at = np.unique(start[:, 0])[:, None]
    step = end[:, 0] - start[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(step == 0, 0.0, (at - start[:, 0]) / step)
    crossed = np.where(step == 0, at == start[:, 0], (share >= 0) & (share <= 1))
    across = start[:, 1] + share * (end[:, 1] - start[:, 1])
    highest = np.where(crossed, across, -np.inf).max(axis=1)
    lowest = np.where(crossed, across, np.inf).min(axis=1)
    best = int((highest - lowest).argmax())
    chord = np.array([[at[best, 0], lowest[best]], [at[best, 0], highest[best]]])
    return float(highest[best] - lowest[best]), chord @ turn
