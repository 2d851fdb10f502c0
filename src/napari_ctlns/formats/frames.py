"""Where in a DICOM file the stored pixels of each frame lie, and reading exactly those bytes.

Encapsulation as in DICOM PS3.5 A.4. pydicom has read the header by then; the bytes
are taken by its word, with every length checked against the file.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

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

_NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_PIXELS = Tag("PixelData")
_UNDEFINED = 0xFFFFFFFF
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
"""How a JPEG, a JPEG 2000 and a JP2 stream begin."""
_MOST_FRAGMENTS = 1 << 20

Span = tuple[int, int]
"""Start and length, in bytes."""


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
                if file.readinto(view[at : at + length]) != length:  # type: ignore[attr-defined]
                    raise _truncated(self.path)
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
    element = header.get_item(_PIXELS, keep_deferred=True)
    if element is None:
        raise ScanError(f"no pixel data in {path}; give the whole CT series")
    raw = isinstance(element, RawDataElement)
    start = (element.value_tell if raw else element.file_tell) or 0
    stored = stored_pixels(header, path)
    syntax, little_endian = _syntax(header)
    number = max(_whole(header, "NumberOfFrames", 1, path), 1)
    inflated = _inflated(path) if syntax == DeflatedExplicitVRLittleEndian else None
    if not little_endian and stored.allocated == 8 and element.VR == "OW":
        raise ScanError(f"8-bit pixels in big-endian words in {path}; export the scan again")
    undefined = element.length == _UNDEFINED if raw else bool(element.is_undefined_length)
    if undefined == (syntax in _NATIVE):
        raise ScanError(f"damaged pixels in {path}: not {syntax.name}; export the scan again")
    with _opened(path, inflated) as file:
        size = file.seek(0, 2)
        if undefined:
            spans = _encapsulated(file, start, size, number, path)
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


def _encapsulated(
    file: IO[bytes], start: int, size: int, number: int, path: Path
) -> tuple[tuple[Span, ...], ...]:
    """Return the fragments of each frame."""
    items = list(_items(file, start, size, path))
    if len(items) < number + 1:
        message = f"missing pixels in {path}: {number} frames, {max(len(items) - 1, 0)} pieces"
        raise ScanError(f"{message}; copy the file again")
    table, fragments = items[0], items[1:]
    if number == 1:
        return (tuple(fragments),)
    if len(fragments) == number:
        return tuple((fragment,) for fragment in fragments)
    firsts = _table(file, table, fragments) or _beginnings(file, fragments)
    if len(firsts) != number or firsts[0] != 0:
        message = f"unclear pixels in {path}: {len(fragments)} pieces of {number} frames"
        raise ScanError(f"{message}; export the scan as one file a slice")
    ends = [*firsts[1:], len(fragments)]
    return tuple(tuple(fragments[a:b]) for a, b in zip(firsts, ends, strict=True))


def _items(file: IO[bytes], start: int, size: int, path: Path) -> Iterator[Span]:
    """Yield where the items of an encapsulated element lie, the offset table first."""
    for _ in range(_MOST_FRAGMENTS):
        file.seek(start)
        head = file.read(8)
        if head[:4] == _END:
            return
        if len(head) < 8 or head[:4] != _ITEM:
            raise _truncated(path)
        length = int.from_bytes(head[4:], "little")
        if start + 8 + length > size:
            raise _truncated(path)
        yield start + 8, length
        start += 8 + length
    raise ScanError(f"damaged pixels in {path}: too many pieces; export the scan again")


def _table(file: IO[bytes], table: Span, fragments: list[Span]) -> list[int]:
    """Return the number of each frame's first fragment by the basic offset table, if it fits."""
    file.seek(table[0])
    data = file.read(table[1])
    offsets = struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4])
    zero = fragments[0][0]
    number = {start - zero: k for k, (start, _) in enumerate(fragments)}
    firsts = [number.get(offset, -1) for offset in offsets]
    rising = all(a < b for a, b in pairwise(firsts))
    return firsts if rising and -1 not in firsts else []


def _beginnings(file: IO[bytes], fragments: list[Span]) -> list[int]:
    """Return the numbers of the fragments that begin a compressed picture."""
    found = []
    for k, (start, _) in enumerate(fragments):
        file.seek(start)
        if file.read(8).startswith(_STARTS):
            found.append(k)
    return found


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


def _opened(path: Path, inflated: bytes | None) -> Any:
    if inflated is not None:
        return BytesIO(inflated)
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise ScanError(f"cannot read {path}: {error.strerror or error}") from error


def _truncated(path: Path) -> ScanError:
    return ScanError(f"truncated pixels in {path}; copy the file again")
