"""One slice of a DICOM series, be it a file of its own or a frame of a larger one."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset

from napari_ctlns.volume import Triple

_SMALLEST_MM = 1e-6
_LARGEST_MM = 1e6


@dataclass(frozen=True, eq=False)
class Slice:
    """What the header tells of a slice; its pixels are still in the file.

    Attributes
    ----------
    header
        Of its file, with the pixels left there; shared by all frames of that file.
    frame
        The number of the frame in its file, from 1; 0 in a file of one slice.
    position
        Centre of its first pixel, LPS millimetres (x, y, z).
    x_axis, y_axis
        LPS directions in which columns and rows are counted, as the header says.
    spacing
        Millimetres between rows and between columns.
    slope, intercept
        Stored value to HU: ``value * slope + intercept``.
    thickness
        Millimetres to the next slice, as far as the header tells.
    """

    header: Dataset
    frame: int
    position: Triple
    x_axis: Triple
    y_axis: Triple
    spacing: tuple[float, float]
    slope: float = 1.0
    intercept: float = 0.0
    thickness: float | None = None

    @property
    def path(self) -> Path:
        """Its file."""
        return Path(str(self.header.filename))

    @property
    def uid(self) -> str:
        """SOP instance UID."""
        return str(self.header.get("SOPInstanceUID") or "")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.header.Rows), int(self.header.Columns)


def placed_slice(
    header: Dataset,
    frame: int,
    *,
    position: Dataset,
    orientation: Dataset,
    measures: Dataset,
    rescale: Dataset,
) -> Slice:
    """Return a slice from the parts of a header that place and rescale it.

    In a classic file all parts are the header itself; in an enhanced one they
    are items of functional groups.

    Raises
    ------
    ValueError, TypeError, AttributeError
        If a value is missing, or impossible.
    """
    x, y, z = numbers(position.ImagePositionPatient, 3)
    xx, xy, xz, yx, yy, yz = numbers(orientation.ImageOrientationPatient, 6)
    between_rows, between_columns = numbers(measures.PixelSpacing, 2)
    if min(header.Rows, header.Columns) <= 0 or min(between_rows, between_columns) < _SMALLEST_MM:
        raise ValueError("a slice without extent")
    if max(map(abs, (x, y, z, between_rows, between_columns))) > _LARGEST_MM:
        raise ValueError("a slice far outside of any patient")
    # some scanners count the distance between slices backwards
    far = abs(number(measures.get("SpacingBetweenSlices"), 0.0))
    thick = abs(number(measures.get("SliceThickness"), 0.0))
    slope = number(rescale.get("RescaleSlope"), 1.0)
    if slope == 0:
        raise ValueError("a rescale slope of zero")
    return Slice(
        header=header,
        frame=frame,
        position=(x, y, z),
        x_axis=(xx, xy, xz),
        y_axis=(yx, yy, yz),
        spacing=(between_rows, between_columns),
        slope=slope,
        intercept=number(rescale.get("RescaleIntercept"), 0.0),
        thickness=far or thick or None,
    )


def number(value: Any, missing: float) -> float:
    """Return an optional value of a header as a number.

    Raises
    ------
    ValueError
        If it is there but no finite number.
    """
    return missing if value in (None, "") else numbers([value], 1)[0]


def numbers(values: Any, count: int) -> list[float]:
    """Return so many values of a header as numbers.

    Raises
    ------
    ValueError
        If there are more or fewer, or one is not finite.
    """
    found = [float(value) for value in values]
    if len(found) != count or not all(math.isfinite(value) for value in found):
        raise ValueError(f"{found} are not {count} numbers")
    return found
