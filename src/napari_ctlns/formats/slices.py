"""From the headers of one DICOM series to a straight stack of slices.

Positions and orientations as in DICOM PS3.3 C.7.6.2 (Image Plane Module).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom_slice import Slice
from napari_ctlns.volume import Geometry, direction_rows

_SAME_MM = 1e-3
"""Slices nearer to each other than this lie at one position."""
_EVEN_MM = 0.01
"""Deviations from an even stack below this are rounding in the header."""
_LARGEST_MM = 0.1
"""A stack that deviates more than this is not straight and even."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order along their normal, the grid that they make, and that of the first alone."""

    slices: tuple[Slice, ...]
    geometry: Geometry
    plane: Geometry
    warnings: tuple[str, ...]


def stack(slices: Sequence[Slice]) -> Stack:
    """Sort slices along their normal and return the grid that they make.

    Raises
    ------
    ScanError
        If the slices differ in size or orientation, share a position, are
        tilted against the stack, or are not evenly spaced.
    """
    first = slices[0]
    _refuse_unlike(slices)
    x_axis, y_axis = _axes(first)
    normal = np.cross(x_axis, y_axis)
    positions = np.array([one.position for one in slices])
    # each slice's own place decides, never its file name or instance number
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    step, warnings = _step(positions, normal, first)
    row_spacing, column_spacing = first.spacing
    rows = np.stack([x_axis, y_axis, normal], axis=1)
    x, y, z = (float(p) for p in positions[0])
    geometry = Geometry(
        shape=(len(slices), *first.shape),
        spacing=(step, row_spacing, column_spacing),
        origin=(x, y, z),
        direction=direction_rows(rows),
    )
    plane = replace(geometry, shape=(1, *first.shape))
    return Stack(tuple(slices[i] for i in order), geometry, plane, warnings)


def _refuse_unlike(slices: Sequence[Slice]) -> None:
    if slices[0].header.get("SamplesPerPixel", 1) != 1:
        raise ScanError("a colour series, not a scan; give a CT with one value a voxel")
    sizes = sorted({one.shape for one in slices})
    if len(sizes) > 1:
        words = ", ".join(f"{rows} x {columns}" for rows, columns in sizes)
        raise ScanError(f"slices of differing sizes ({words}); keep those of one size")
    spacings = np.array([one.spacing for one in slices])
    orientations = np.array([one.x_axis + one.y_axis for one in slices])
    for values, words, tolerance in (
        (spacings, "pixel spacings", 1e-4),
        (orientations, "orientations", 1e-3),
    ):
        if np.abs(values - values[0]).max() > tolerance:
            raise ScanError(f"slices of differing {words}; keep those of one kind")


def _axes(one: Slice) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the patient directions of a slice's columns (x) and rows (y), orthonormal."""
    x_axis, y_axis = np.array(one.x_axis), np.array(one.y_axis)
    lengths = np.linalg.norm(x_axis), np.linalg.norm(y_axis)
    if min(lengths) < 0.5 or abs(x_axis @ y_axis) > 1e-2:
        raise ScanError("impossible slice orientation in the DICOM header; export the scan again")
    x_axis = x_axis / lengths[0]
    # headers round to six digits: take out what is not at a right angle
    y_axis = y_axis - (y_axis @ x_axis) * x_axis
    return x_axis, y_axis / np.linalg.norm(y_axis)


def _step(
    positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], first: Slice
) -> tuple[float, tuple[str, ...]]:
    """Return the distance between slices; ``positions`` (n, 3) are sorted along ``normal``."""
    if len(positions) == 1:
        return _single_step(first)
    along = (positions - positions[0]) @ normal
    _refuse_shared(along)
    _refuse_tilt(positions, along, normal)
    step = float(along[-1]) / (len(along) - 1)
    deviation = float(np.abs(along - step * np.arange(len(along))).max())
    if deviation > min(_LARGEST_MM, step / 5):
        raise _uneven(positions, np.diff(along))
    if deviation > _EVEN_MM:
        return step, (f"slices lie up to {deviation:.2f} mm off an even spacing",)
    return step, ()


def _single_step(one: Slice) -> tuple[float, tuple[str, ...]]:
    if one.thickness is None:
        raise ScanError("one slice of unknown thickness; give the whole series")
    return one.thickness, ("one slice only: its thickness is taken as spacing",)


def _refuse_shared(along: npt.NDArray[np.float64]) -> None:
    shared = np.diff(along) < _SAME_MM
    if shared.any():
        count = int(shared.sum()) + int((shared[1:] < shared[:-1]).sum() + shared[-1])
        message = f"slices at the same position: {count} of {len(along)} share theirs"
        raise ScanError(f"{message}; give each time point as its own series")


def _refuse_tilt(
    positions: npt.NDArray[np.float64],
    along: npt.NDArray[np.float64],
    normal: npt.NDArray[np.float64],
) -> None:
    aside = positions - positions[0] - along[:, None] * normal
    largest = float(np.linalg.norm(aside, axis=1).max())
    if largest > _LARGEST_MM:
        angle = np.degrees(np.arctan2(np.linalg.norm(aside[-1]), along[-1]))
        raise ScanError(
            f"gantry tilt: slices are tilted by {angle:.1f} degrees against the stack; "
            "resample the series onto a straight grid"
        )


def _uneven(positions: npt.NDArray[np.float64], gaps: npt.NDArray[np.float64]) -> ScanError:
    usual = float(np.median(gaps))
    worst = int(gaps.argmax())
    after = ", ".join(f"{p:.2f}" for p in positions[worst])
    if gaps[worst] > 1.5 * usual:
        return ScanError(
            f"missing slice: a gap of {gaps[worst]:.2f} mm after the slice at ({after}), "
            f"elsewhere {usual:.2f} mm; export the whole series"
        )
    return ScanError(
        f"uneven slice spacing: gaps from {gaps.min():.2f} to {gaps.max():.2f} mm, "
        f"usually {usual:.2f} mm; resample the series onto an even grid"
    )
