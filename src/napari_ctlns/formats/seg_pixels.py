"""Pixels of DICOM SEG frames, one at a time.

Single bits as in DICOM PS3.5 8.1.1 and annex D: packed without gaps between frames,
the first pixel in the lowest bit.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.codecs import decoded
from napari_ctlns.formats.frames import locate

_LARGEST_RATIO = 1032
_LARGEST_EMPTY = 1 << 28
"""Bytes that frames may unpack to whatever they are packed in: empty ones pack beyond measure."""


@dataclass(frozen=True, eq=False)
class FramePixels:
    """The pixels of all frames, unpacked when they are asked for.

    Attributes
    ----------
    shape
        (rows, columns) of each frame.
    threshold
        The lowest value that counts as inside.
    frame
        Returns the pixels of the frame with this index, from 0.
    """

    shape: tuple[int, int]
    threshold: float
    frame: Callable[[int], npt.NDArray[Any]]


def frame_pixels(header: Dataset, frames: int) -> FramePixels:
    """Return the pixels of a SEG, after a look at whether the file can hold them.

    Raises
    ------
    MaskError
        If they are missing, too few, or of no kind that a SEG has.
    """
    rows, columns = int(header.Rows), int(header.Columns)
    bits = int(header.BitsAllocated)
    kind = str(header.get("SegmentationType") or "BINARY")
    possible = {"BINARY": (1, 8), "FRACTIONAL": (8,), "LABELMAP": (8, 16)}
    if bits not in possible.get(kind, ()) or int(header.get("SamplesPerPixel") or 1) != 1:
        message = f"a DICOM SEG of unknown kind, {kind[:16]} with {bits} bits"
        raise MaskError(f"{message}; export it anew as BINARY")
    if "PixelData" not in header or min(rows, columns) < 1:
        raise MaskError("no pixels in a DICOM SEG, or it is cut off; copy it again")
    threshold = 1.0
    if kind == "FRACTIONAL":
        threshold = max(int(header.get("MaximumFractionalValue") or 255) / 2, 1)
    syntax = UID(header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian))
    unpack = _packed if syntax.is_encapsulated else _plain
    return FramePixels((rows, columns), threshold, unpack(header, frames, rows, columns, bits))


def _plain(
    header: Dataset, frames: int, rows: int, columns: int, bits: int
) -> Callable[[int], npt.NDArray[Any]]:
    data, size = header.PixelData, rows * columns
    expected = (frames * size * bits + 7) // 8
    if len(data) < expected:
        message = f"truncated pixels in a DICOM SEG: expected {expected} bytes, found {len(data)}"
        raise MaskError(f"{message}; copy it again")
    if bits == 1:
        stored = np.frombuffer(data, np.uint8)

        def bit_frame(index: int) -> npt.NDArray[Any]:
            first, last = index * size, (index + 1) * size
            unpacked = np.unpackbits(stored[first // 8 : (last + 7) // 8], bitorder="little")
            return unpacked[first % 8 : first % 8 + size].reshape(rows, columns)

        return bit_frame
    order = ">" if header.file_meta.get("TransferSyntaxUID") == ExplicitVRBigEndian else "<"
    values = np.frombuffer(data, f"{order}u{bits // 8}", frames * size)
    return lambda index: values[index * size : (index + 1) * size].reshape(rows, columns)


def _packed(
    header: Dataset, frames: int, rows: int, columns: int, bits: int
) -> Callable[[int], npt.NDArray[Any]]:
    held = Path(str(header.filename)).stat().st_size
    size = frames * rows * columns * max(bits // 8, 1)
    if size > max(_LARGEST_RATIO * held, _LARGEST_EMPTY):
        message = f"truncated pixels in a DICOM SEG: {size} bytes do not fit into {held}"
        raise MaskError(f"{message}; copy it again")
    # every picture's own header is looked at before a decoder sees it
    found = locate(header)

    def frame(index: int) -> npt.NDArray[Any]:
        with tempfile.TemporaryDirectory(prefix="ctlns-", ignore_cleanup_errors=True) as folder:
            words, _ = decoded(found, index, Path(folder))
        return words

    return frame
