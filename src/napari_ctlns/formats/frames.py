"""Where in a DICOM file the stored pixels of each frame lie, and reading exactly those bytes.

pydicom has read the header by then; the bytes
are taken by its word, with every length checked against the file.
"""

import contextlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.encapsulation import Span, encapsulated, truncated

_NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_PIXELS = Tag("PixelData")
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class Stored:
    """How one pixel is stored: PS3.5 8.1.1."""

    rows: int
    columns: int
    allocated: int
    bits: int
    high: int
    signed: bool

    @property
    def nbytes(self) -> int:
        """Bytes of an uncompressed frame."""
        return self.rows * self.columns * self.allocated // 8


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of one file, still in it.

    Attributes
    ----------
    path
        The file.
    syntax
        Its transfer syntax.
    stored
        How a pixel is stored.
    little_endian
        Byte order of uncompressed pixels.
    spans
        For each frame the pieces of the file that make it up.
    inflated
        What the file holds, where all of it is packed; the spans are in that.
    """

    path: Path
    syntax: UID
    stored: Stored
    little_endian: bool
    spans: tuple[tuple[Span, ...], ...]
    inflated: bytes | None

    @property
    def native(self) -> bool:
        """Whether the pixels are uncompressed."""
        return self.syntax in _NATIVE

    def read(self, number: int) -> bytearray:
        """Return the bytes of a frame; ``number`` counts from 0.

        Raises
        ------
        ScanError
            If the file cannot be read, or ends too early.
        """
        spans = self.spans[number]
        data = bytearray(sum(length for _, length in spans))
        view, at = memoryview(data), 0
        with _opened(self.path, self.inflated) as file:
            for start, length in spans:
                file.seek(start)
                if file.readinto(view[at : at + length]) != length:
                    raise truncated(self.path)
                at += length
        return data


def locate(header: Dataset) -> Frames:
    """Find the frames of a file by its header.

    Raises
    ------
    ScanError
        If there are no pixels, they do not lie wholly in the file, or the header
        contradicts itself.
    """
    path = Path(str(header.filename))
    if _PIXELS not in header:
        raise ScanError(f"no pixel data in {path}; give the whole CT series")
    element: Any = header.get_item(_PIXELS, keep_deferred=True)  # pydicom types it too narrowly
    if isinstance(element, RawDataElement):
        start, undefined = element.value_tell, element.length == _UNDEFINED
    else:
        start, undefined = element.file_tell or 0, bool(element.is_undefined_length)
    stored = stored_pixels(header, path)
    syntax, little_endian = _syntax(header)
    number = frame_count(header, path)
    inflated = _inflated(path) if syntax == DeflatedExplicitVRLittleEndian else None
    if not little_endian and stored.allocated == 8 and element.VR == "OW":
        raise ScanError(f"8-bit pixels in big-endian words in {path}; export the scan again")
    if undefined == (syntax in _NATIVE):
        raise ScanError(f"damaged pixels in {path}: not {syntax.name}; export the scan again")
    with _opened(path, inflated) as file:
        size = file.seek(0, 2)
        if undefined:
            spans = encapsulated(file, start, size, number, path)
        else:
            spans = _native(stored.nbytes, start, size, number, path)
    return Frames(
        path=path,
        syntax=syntax,
        stored=stored,
        little_endian=little_endian,
        spans=spans,
        inflated=inflated,
    )


def stored_pixels(header: Dataset, path: Path) -> Stored:
    """Return how a file stores a pixel.

    Raises
    ------
    ScanError
        If a value is missing or impossible, or the pixels are not grey integers.
    """
    photometric = str(header.get("PhotometricInterpretation") or "MONOCHROME2")
    if _whole(header, "SamplesPerPixel", 1, path) != 1 or not photometric.startswith("MONO"):
        raise ScanError(f"colour pixels in {path}; give a CT with one value a voxel")
    allocated = _whole(header, "BitsAllocated", 0, path)
    bits = _whole(header, "BitsStored", 0, path) or allocated
    stored = Stored(
        rows=_whole(header, "Rows", 0, path),
        columns=_whole(header, "Columns", 0, path),
        allocated=allocated,
        bits=bits,
        high=_whole(header, "HighBit", bits - 1, path),
        signed=_whole(header, "PixelRepresentation", 0, path) == 1,
    )
    if allocated not in (8, 16, 32):
        raise ScanError(f"pixels of {allocated} bits in {path}; export them with 16 bits")
    if min(stored.rows, stored.columns) < 1 or not bits - 1 <= stored.high < allocated:
        raise ScanError(f"impossible size or bits of pixels in {path}; export the scan again")
    return stored


def frame_count(header: Dataset, path: Path) -> int:
    """Return how many frames a file says it holds.

    Raises
    ------
    ScanError
        If it is no number.
    """
    return max(_whole(header, "NumberOfFrames", 1, path), 1)


def is_packed(header: Dataset) -> bool:
    """Whether the pixels of a file are compressed, or all of it is."""
    syntax, _ = _syntax(header)
    return syntax not in _NATIVE or syntax == DeflatedExplicitVRLittleEndian


def _whole(header: Dataset, name: str, default: int, path: Path) -> int:
    try:
        value = header.get(name)
        return default if value in (None, "") else int(value)
    except Exception as error:  # pydicom parses a value only when it is asked for
        message = f"impossible {name} in {path}: {error}"
        raise ScanError(f"{message}; export the scan again") from error


def _syntax(header: Dataset) -> tuple[UID, bool]:
    """Return the transfer syntax, and whether it is little endian; as pydicom took it if untold."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax:
        return UID(str(syntax)), syntax != ExplicitVRBigEndian
    little_endian = header.original_encoding[1] is not False
    return (ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian), little_endian


def _native(
    nbytes: int, start: int, size: int, number: int, path: Path
) -> tuple[tuple[Span, ...], ...]:
    expected, found = nbytes * number, size - start
    if found < expected:
        message = f"truncated pixels in {path}: expected {expected} bytes"
        raise ScanError(f"{message}, found {max(found, 0)}; copy the file again")
    return tuple(((start + k * nbytes, nbytes),) for k in range(number))


def _inflated(path: Path) -> bytes:
    """Return the data set of a deflated file (PS3.5 A.5), as pydicom counts its bytes."""
    try:
        whole = path.read_bytes()
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(whole[_end_of_meta(whole) :])
    except (OSError, zlib.error, struct.error) as error:
        raise ScanError(f"damaged data in {path}: {error}; copy the file again") from error


def _end_of_meta(data: bytes) -> int:
    """Return where the file meta information ends: elements of group 2, PS3.10 7.1."""
    at = 132
    while data[at : at + 2] == b"\x02\x00":
        long = data[at + 4 : at + 6] in (b"OB", b"UN", b"SQ", b"OW", b"UT")
        form, skip = ("<I", 8) if long else ("<H", 6)
        (length,) = struct.unpack_from(form, data, at + skip)
        at += skip + struct.calcsize(form) + length
    return at


@contextlib.contextmanager
def _opened(path: Path, inflated: bytes | None) -> Iterator[BufferedReader | BytesIO]:
    try:
        with path.open("rb") if inflated is None else BytesIO(inflated) as file:
            yield file
    except OSError as error:
        raise ScanError(f"cannot read {path}: {error.strerror or error}") from error
