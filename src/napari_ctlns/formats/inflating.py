"""Packed voxels straight into memory that is there already, never more than fits."""

import bz2
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from isal import isal_zlib

Encoding = Literal["raw", "gzip", "zlib", "bzip2"]
_INFLATE_ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment] # its stub says instance
DAMAGED = (EOFError, OSError, _INFLATE_ERROR)
"""What reading a packed stream raises where the stream is damaged."""

LARGEST_RATIO = 1032
"""Deflate packs no better; what claims to be more is not in the file."""

# larger ones leave the processor's cache and cost twice the time
_PACKED_CHUNK = 1 << 18
_UNPACKED_CHUNK = 1 << 20
_EITHER_HEADER = 47
"""The window bits by which inflate finds out whether a stream is of zlib or of gzip."""


def fill(target: memoryview, file: IO[bytes], encoding: Encoding, skip: int) -> int:
    """Put the unpacked bytes from ``file`` into ``target``, the first ``skip`` left out.

    Returns
    -------
    int
        How many bytes there are for the target: fewer than it holds if the file ends
        early, more if it goes on.
    """
    position = -skip
    for chunk in _unpacked(file, encoding):
        begin = min(max(-position, 0), len(chunk))
        at = max(position, 0)
        part = memoryview(chunk)[begin : begin + max(len(target) - at, 0)]
        target[at : at + len(part)] = part
        position += len(chunk)
        if position > len(target):
            break
    return max(position, 0)


def first_bytes(path: Path, encoding: Encoding, count: int) -> bytes:
    """Return up to ``count`` bytes from the beginning of the unpacked file."""
    target = bytearray(count)
    with path.open("rb") as file:
        found = fill(memoryview(target), file, encoding, 0)
    return bytes(target[:found])


def _unpacked(file: IO[bytes], encoding: Encoding) -> Iterator[bytes]:
    if encoding in ("gzip", "zlib"):
        yield from _inflated(file, several=encoding == "gzip")
        return
    stream = bz2.BZ2File(file) if encoding == "bzip2" else file
    while chunk := stream.read(_PACKED_CHUNK):
        yield chunk


def _inflated(file: IO[bytes], several: bool) -> Iterator[bytes]:
    """Inflate one stream, or ``several`` one after the other as gzip allows."""
    packed = file.read(_PACKED_CHUNK)
    while True:
        inflate = isal_zlib.decompressobj(_EITHER_HEADER)
        while not inflate.eof:
            if not packed:
                raise EOFError("the compressed stream ends early")
            # a chunk may hold a thousand times its size: take it in portions
            yield inflate.decompress(packed, _UNPACKED_CHUNK)
            packed = inflate.unconsumed_tail or file.read(_PACKED_CHUNK)
        # tapes and some tools fill up with zeros
        packed = (inflate.unused_data + packed).lstrip(b"\0")
        if not several or not packed:
            return
        if not packed.startswith(b"\x1f"):
            raise gzip.BadGzipFile("something else follows the compressed stream")
