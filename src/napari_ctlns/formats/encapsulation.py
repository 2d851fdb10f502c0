"""The pieces of compressed frames in a DICOM file: encapsulation, PS3.5 A.4."""

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO

from napari_ctlns.errors import ScanError

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")
"""How a JPEG, a JPEG 2000 and a JP2 stream begin."""
_MOST_FRAGMENTS = 1 << 20

Span = tuple[int, int]
"""Start and length, in bytes."""


def encapsulated(
    file: IO[bytes], start: int, size: int, number: int, path: Path
) -> tuple[tuple[Span, ...], ...]:
    """Return the fragments of each frame.

    Parameters
    ----------
    file, start, size
        What holds the element, where its value begins, and where the file ends.
    number
        How many frames there are.
    path
        To name the file by.

    Raises
    ------
    ScanError
        If a fragment reaches beyond the end, or it is unclear which are whose.
    """
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
            raise truncated(path)
        length = int.from_bytes(head[4:], "little")
        if start + 8 + length > size:
            raise truncated(path)
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


def truncated(path: Path) -> ScanError:
    """Return the error for a file that ends within its pixels."""
    return ScanError(f"truncated pixels in {path}; copy the file again")
