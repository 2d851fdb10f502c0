"""Where the voxels of an image file lie, and reading exactly those bytes.

ITK's readers fill a truncated or damaged file with zeros or noise in silence,
or write to standard error. So the header is read here and the voxels are taken
by its word, with every byte accounted for.
"""

import bz2
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError

Encoding = Literal["raw", "gzip", "zlib", "bzip2"]
_CHUNK = 1 << 20
_LARGEST_RATIO = 1100
"""Deflate packs at most 1032 to 1; bzip2's rare better cases are not voxels."""


@dataclass(frozen=True)
class Layout:
    """What a header says of its voxels.

    Attributes
    ----------
    shape
        Voxels along (z, y, x) of the source's own grid.
    dtype
        Type and byte order as stored.
    path, start
        The file that holds the voxels, and the byte where its stream begins.
    encoding, skip
        How the stream is packed, and how many unpacked bytes precede the voxels.
    slope, intercept
        Stored value to meaning: ``value * slope + intercept``.
    warnings
        What the header leaves open, in words.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    path: Path
    start: int = 0
    encoding: Encoding = "raw"
    skip: int = 0
    slope: float = 1.0
    intercept: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of the voxels, unpacked."""
        z, y, x = self.shape
        return z * y * x * self.dtype.itemsize


def read_voxels(layout: Layout) -> npt.NDArray[Any]:
    """Return the voxels (z, y, x) in native byte order, slope and intercept applied.

    Raises
    ------
    ScanError
        If the file is missing, too short, too long, or damaged.
    """
    _check_size(layout)
    array = np.empty(layout.shape, layout.dtype)
    try:
        found = _fill(array.reshape(-1).view(np.uint8).data, layout)
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        reason = str(error).rstrip(".")
        message = f"damaged data in {layout.path}: {reason}; copy the file again"
        raise ScanError(message) from error
    if found != layout.nbytes:
        raise _wrong_size(layout, layout.nbytes, found)
    if not array.dtype.isnative:
        array = array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))
    return rescaled(array, layout.slope, layout.intercept)


def rescaled(array: npt.NDArray[Any], slope: float, intercept: float) -> npt.NDArray[Any]:
    """Return ``array * slope + intercept``: integers stay integers where they can.

    The result is int16 where the values fit, else int32; float32 where they do
    not, or slope or intercept has a fraction. Nothing is copied for 1 and 0.
    """
    if slope == 1 and intercept == 0:
        return array
    whole = float(slope).is_integer() and float(intercept).is_integer()
    if not whole or array.dtype.kind not in "iu":
        return (array * np.float64(slope) + np.float64(intercept)).astype(np.float32)
    ends = [int(v) * int(slope) + int(intercept) for v in (array.min(), array.max())]
    small = all(-32768 <= end <= 32767 for end in ends)
    if not small and max(map(abs, ends)) >= 1 << 31:
        return (array * np.float64(slope) + np.float64(intercept)).astype(np.float32)
    # the intermediate product may be larger than the ends
    wide = array.astype(np.int64 if abs(slope) > 1 or array.dtype.itemsize > 2 else np.int32)
    wide = wide * int(slope) + int(intercept)
    return wide.astype(np.int16 if small else np.int32)


def _check_size(layout: Layout) -> None:
    """Compare the file's size with the header before memory is taken for the voxels."""
    if not layout.path.is_file():
        message = f"missing data file {layout.path}, named by the header; put it beside it"
        raise ScanError(message)
    held = layout.path.stat().st_size - layout.start
    promised = layout.nbytes + layout.skip
    if layout.encoding == "raw" and held < promised:
        raise _wrong_size(layout, layout.nbytes, max(held - layout.skip, 0))
    if promised > held * _LARGEST_RATIO:
        raise _wrong_size(layout, layout.nbytes, f"{held} packed")


def _wrong_size(layout: Layout, expected: int, found: int | str) -> ScanError:
    shorter = isinstance(found, str) or found < expected
    return ScanError(
        f"{'truncated' if shorter else 'too much'} data in {layout.path}: "
        f"expected {expected} bytes, found {found}; copy the file again or mend its header"
    )


def _fill(target: memoryview, layout: Layout) -> int:
    """Copy the unpacked bytes into ``target``; return how many there were after the skip."""
    position = -layout.skip
    for chunk in _chunks(layout):
        begin = min(max(-position, 0), len(chunk))
        at = max(position, 0)
        part = chunk[begin : begin + max(len(target) - at, 0)]
        target[at : at + len(part)] = part
        position += len(chunk)
    return max(position, 0)


def _chunks(layout: Layout) -> Iterator[bytes]:
    with layout.path.open("rb") as file:
        file.seek(layout.start)
        if layout.encoding == "zlib":
            yield from _inflated(file)
            return
        stream: IO[bytes] = file
        if layout.encoding == "gzip":
            stream = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
        elif layout.encoding == "bzip2":
            stream = bz2.BZ2File(file)
        while chunk := stream.read(_CHUNK):
            yield chunk


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    # MetaImage files hold zlib or gzip streams; 47 lets zlib find out which
    inflate = zlib.decompressobj(47)
    while not inflate.eof:
        packed = file.read(_CHUNK)
        if not packed:
            raise EOFError("the compressed stream ends early")
        yield inflate.decompress(packed)
