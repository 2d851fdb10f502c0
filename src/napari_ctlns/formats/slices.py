"""From the slices of one DICOM series to a straight, even grid.

Positions and orientations as in DICOM PS3.3 C.7.6.2 (Image Plane Module).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom_slice import Slice
from napari_ctlns.formats.even_grid import EvenGrid, even_grid
from napari_ctlns.volume import FloatArray, Geometry, direction_rows

SAME_MM = 1e-3
"""Slices nearer to each other than this lie at one position."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order along their normal, and the grid that they are read onto.

    Attributes
    ----------
    slices
        In order along the normal.
    geometry
        The grid, in the source's own order of axes.
    plane
        The grid (1, rows, columns) of the first slice.
    straight
        Whether slice k is plane k of the grid; else slices lie between its
        planes, or aside, and must be resampled.
    warnings
        What is mended thereby, in words.
    """

    slices: tuple[Slice, ...]
    geometry: Geometry
    plane: Geometry
    straight: bool
    warnings: tuple[str, ...]


def stack(slices: Sequence[Slice]) -> Stack:
    """Sort slices along their normal and return the grid that they are read onto.

    Parameters
    ----------
    slices
        All of one size, orientation and pixel spacing.

    Raises
    ------
    ScanError
        If slices share a position, or lie too far aside of each other, or a single
        one has no thickness.
    """
    ordered = in_order(slices)
    first = ordered[0]
    frame = _frame(first)
    positions = np.array([one.position for one in ordered])
    places = (positions - positions[0]) @ frame
    if len(ordered) == 1:
        even = _single(first)
    else:
        _refuse_shared(places[:, 0])
        even = even_grid(positions, places, first.spacing, first.shape)
    x, y, z = (float(v) for v in positions[0])
    plane = Geometry(
        shape=(1, *first.shape),
        spacing=(even.step, *first.spacing),
        origin=(x, y, z),
        direction=direction_rows(frame[:, ::-1]),
    )
    geometry = plane.cropped(even.start, even.shape)
    return Stack(ordered, geometry, plane, even.straight, even.warnings)


def in_order(slices: Sequence[Slice]) -> tuple[Slice, ...]:
    """Return parallel slices sorted along their normal."""
    heights = np.array([one.position for one in slices]) @ _frame(slices[0])[:, 0]
    # each slice's own place decides, never its file name or instance number
    return tuple(slices[k] for k in np.argsort(heights, kind="stable"))


def _frame(one: Slice) -> FloatArray:
    """Return the directions of a slice's normal, rows and columns as columns, orthonormal."""
    x_axis, y_axis = np.array(one.x_axis), np.array(one.y_axis)
    lengths = np.linalg.norm(x_axis), np.linalg.norm(y_axis)
    if not 0.5 < min(lengths) <= max(lengths) < 2 or abs(x_axis @ y_axis) > 1e-2:
        raise ScanError("impossible slice orientation in the DICOM header; export the scan again")
    x_axis = x_axis / lengths[0]
    # headers round to six digits: take out what is not at a right angle
    y_axis = y_axis - (y_axis @ x_axis) * x_axis
    y_axis = y_axis / np.linalg.norm(y_axis)
    return np.stack([np.cross(x_axis, y_axis), y_axis, x_axis], axis=1)


def _single(one: Slice) -> EvenGrid:
    if one.thickness is None:
        raise ScanError("one slice of unknown thickness; give the whole series")
    words = "one slice only: its thickness is taken as spacing"
    return EvenGrid(one.thickness, (0, 0, 0), (1, *one.shape), True, (words,))


def _refuse_shared(heights: FloatArray) -> None:
    shared = np.diff(heights) < SAME_MM
    if shared.any():
        count = int(shared.sum()) + int((shared[1:] < shared[:-1]).sum() + shared[-1])
        message = f"slices at the same position: {count} of {len(heights)} share theirs"
        raise ScanError(f"{message}; give each time point as its own series")
