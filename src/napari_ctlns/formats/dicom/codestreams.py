"""The headers of compressed pictures, checked before a native decoder sees them.

JPEG as in ISO/IEC 10918-1 Annex B, JPEG-LS as in ISO/IEC 14495-1 Annex C, JPEG 2000
as in ISO/IEC 15444-1 Annex A. What contradicts the DICOM header, ends early or asks
for more than a slice can need is refused with a ValueError that says why.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_ALONE = {0x01, *range(0xD0, 0xD8)}
"""Markers without a length: TEM and RST."""
_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
# in JPEG a stuffed zero follows an FF of the data, in JPEG-LS a byte below 80
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_MARKER_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")

_SIZ, _COD, _SOT, _SOD, _EOC = 0xFF51, 0xFF52, 0xFF90, b"\xff\x93", b"\xff\xd9"
_SMALLEST_TILE = 16
_MOST_LAYERS = 256


@dataclass(frozen=True)
class Picture:
    """What a compressed picture says of itself."""

    rows: int
    columns: int
    precision: int
    signed: bool
    length: int
    """Bytes up to its end marker; what follows is padding."""


def jpeg_picture(data: bytes | bytearray, kinds: tuple[int, ...]) -> Picture:
    """Check a JPEG or JPEG-LS picture of one grey component and one scan.

    Parameters
    ----------
    data
        From the start-of-image marker on.
    kinds
        The start-of-frame markers (second byte) that may be in it.

    Raises
    ------
    ValueError
        If it is damaged, truncated, or of another kind.
    """
    picture = None
    scan = len(data)
    for marker, start, end in _segments(data):
        if marker in _SOF:
            if picture is not None or marker not in kinds:
                raise ValueError(f"a picture of an unexpected kind ({marker:02X})")
            precision, rows, columns, components = struct.unpack_from(">BHHB", data, start)
            if components != 1:
                raise ValueError(f"{components} colours")
            picture = Picture(rows, columns, precision, signed=False, length=0)
        if marker == _SOS:
            scan = end
    if picture is None:
        raise ValueError("no picture in it")
    pattern = _MARKER_LS if 0xF7 in kinds else _MARKER
    found = pattern.search(data, scan)
    if found is None or data[found.start() + 1] != _EOI:
        raise ValueError("truncated" if found is None else "damaged in its middle")
    length = found.end()
    if data[length:].strip(b"\0\xff"):
        raise ValueError("damaged in its middle")
    return Picture(picture.rows, picture.columns, picture.precision, signed=False, length=length)


def _segments(data: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment, up to the first start of scan."""
    if data[:2] != b"\xff\xd8":
        raise ValueError("no start of a picture")
    at, marker = 2, _SOI
    while marker != _SOS:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if len(data) < at + 4 or data[at] != 0xFF:
            raise ValueError("truncated header")
        marker = data[at + 1]
        if marker in _ALONE or marker in (_SOI, _EOI):
            raise ValueError("damaged header")
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2 or at + 2 + length > len(data):
            raise ValueError("truncated header")
        yield marker, at + 4, at + 2 + length
        at += 2 + length


def jpeg2000_picture(data: bytes | bytearray) -> Picture:
    """Check a JPEG 2000 codestream of one grey component.

    Raises
    ------
    ValueError
        If it is damaged or truncated, or its tiles or layers are beyond reason.
    """
    if data[:4] != b"\xff\x4f\xff\x51":
        raise ValueError("no start of a picture")
    at, picture, tiles, coded = 2, None, 0, False
    while True:
        marker, length = _header(data, at)
        if marker == _SOT:
            break
        if marker == _SIZ:
            if picture is not None:
                raise ValueError("two sizes")
            picture, tiles = _size(data, at + 4, length - 2)
        if marker == _COD:
            _check_coding(data[at + 4 : at + 2 + length])
            coded = True
        at += 2 + length
    if picture is None or not coded:
        raise ValueError("incomplete header")
    length = _end_of_tiles(data, at, tiles)
    return Picture(picture.rows, picture.columns, picture.precision, picture.signed, length)


def codestream(data: bytes | bytearray) -> bytes | bytearray:
    """Return the JPEG 2000 codestream of a picture, be it wrapped as a JP2 file or not."""
    if data[:8] != b"\x00\x00\x00\x0cjP  ":
        return data
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"jp2c":
            return data[at + 8 : at + length if length else len(data)]
        if length < 8:
            break
        at += length
    raise ValueError("no picture in it")


def _header(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return marker and length of the segment at a place."""
    if len(data) < at + 4:
        raise ValueError("truncated header")
    marker, length = struct.unpack_from(">HH", data, at)
    if marker < 0xFF4F or length < 2 or at + 2 + length > len(data):
        raise ValueError("damaged header")
    return marker, length


def _size(data: bytes | bytearray, at: int, length: int) -> tuple[Picture, int]:
    """Return what a SIZ segment says of the picture, and how many tiles it has: A.5.1."""
    if length != 39:  # 36 and 3 for the one component
        raise ValueError("not one grey component")
    x, y, x0, y0, tile_x, tile_y, tile_x0, tile_y0, components, bits, dx, dy = struct.unpack_from(
        ">8IH3B", data, at + 2
    )
    if (components, dx, dy) != (1, 1, 1):
        raise ValueError("not one grey component")
    fits = tile_x0 <= x0 < x and tile_y0 <= y0 < y
    if not fits or x0 >= tile_x0 + tile_x or y0 >= tile_y0 + tile_y:
        raise ValueError("impossible tiles")
    for whole, tile in ((x - tile_x0, tile_x), (y - tile_y0, tile_y)):
        if tile < min(_SMALLEST_TILE, whole):
            raise ValueError("impossibly small tiles")
    tiles = -((tile_x0 - x) // tile_x) * -((tile_y0 - y) // tile_y)
    return Picture(y - y0, x - x0, (bits & 0x7F) + 1, bool(bits & 0x80), 0), tiles


def _check_coding(segment: bytes | bytearray) -> None:
    """Check a COD segment: A.6.1."""
    if len(segment) < 10:
        raise ValueError("damaged header")
    style, _, layers, _, levels, width, height = struct.unpack_from(">BBHBBBB", segment)
    if not 1 <= layers <= _MOST_LAYERS or levels > 32:
        raise ValueError(f"{layers} layers of {levels} levels")
    if max(width, height) > 8 or width + height > 8:
        raise ValueError("impossible blocks")
    precincts = segment[10:] if style & 1 else b""
    if style & 1 and len(precincts) != levels + 1:
        raise ValueError("damaged header")
    # precincts below 16 x 16 make more bookkeeping than there are pixels
    if any(min(p & 15, p >> 4) < 4 for p in precincts[-1:]):
        raise ValueError("impossibly small precincts")


def _end_of_tiles(data: bytes | bytearray, at: int, tiles: int) -> int:
    """Return where the last tile part ends; every one must lie wholly in the data: A.4.2."""
    parts: dict[int, int] = {}
    while data[at : at + 2] == b"\xff\x90":
        if len(data) < at + 12:
            raise ValueError("truncated")
        size, tile, length, part, count = struct.unpack_from(">HHIBB", data, at + 2)
        if size != 10 or tile >= tiles or part != parts.get(tile, 0) or 0 < count <= part:
            raise ValueError("damaged parts of tiles")
        parts[tile] = part + 1
        if length == 0:  # up to the end marker
            end = data.rfind(_EOC, at + 12)
            if end < 0:
                raise ValueError("truncated")
            _check_part(data, at + 12, end)
            return end + 2
        if length < 14 or at + length > len(data):
            raise ValueError("truncated")
        _check_part(data, at + 12, at + length)
        at += length
    if len(parts) != tiles:
        raise ValueError("tiles are missing")
    return at + 2 if data[at : at + 2] == _EOC else at


def _check_part(data: bytes | bytearray, at: int, end: int) -> None:
    """Check that the header of a tile part leads to where its data begins."""
    while data[at : at + 2] != _SOD:
        _, length = _header(data, at)
        at += 2 + length
        if at + 2 > end:
            raise ValueError("truncated")
