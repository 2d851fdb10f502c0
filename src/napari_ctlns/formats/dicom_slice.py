"""One slice of a DICOM series, be it a file of its own or a frame of a larger one."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from napari_ctlns.volume import Triple


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
