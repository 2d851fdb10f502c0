"""Pixels of DICOM slices, rescaled to what they mean.

Rescaling as in DICOM PS3.3 C.11.1 (Modality LUT Module).
"""

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.codecs import decoded
from napari_ctlns.formats.dicom_slice import Slice
from napari_ctlns.formats.frames import (
    Frames,
    Stored,
    frame_count,
    is_packed,
    locate,
    stored_pixels,
)

_LARGEST_RATIO = 1032
"""Deflate packs at most so many bytes into one; real slices never come near it."""
_MOST_THREADS = 4

_Array = npt.NDArray[Any]


def pixel_dtype(slices: Sequence[Slice]) -> np.dtype[Any]:
    """Return the dtype that the rescaled pixels of slices need: see `fill`.

    Returns
    -------
    numpy.dtype
        int16 where every slope and intercept is whole, else float32.

    Raises
    ------
    ScanError
        If the files are too small for what their headers promise, so that no
        memory is taken for it.
    """
    _refuse_small_files(slices)
    whole = all(float(v).is_integer() for one in slices for v in (one.slope, one.intercept))
    return np.dtype(np.int16 if whole else np.float32)


def fill(slices: Sequence[Slice], target: _Array) -> Iterator[int]:
    """Write the rescaled pixels of slices into an array, several side by side.

    Parameters
    ----------
    slices
        Of one size.
    target
        (n, rows, columns) of int16, int32 or float32, of any strides. Slice k
        goes to ``target[k]``.

    Yields
    ------
    int
        The number of a slice that is done: the middle one first, then the others.

    Raises
    ------
    ScanError
        If pixels are missing, truncated, damaged or of an unknown compression,
        or beyond 32 bits.
    OverflowError
        If a value does not fit an int16 target.
    """
    count = Counter(id(s.header) for s in slices)
    # where the frames of a file lie is found once for all of them
    shared = {id(s.header): s.header for s in slices if count[id(s.header)] > 1}
    located = {key: locate(header) for key, header in shared.items()}

    middle = len(slices) // 2
    order = [middle, *(k for k in range(len(slices)) if k != middle)]
    with (
        tempfile.TemporaryDirectory(prefix="ctlns-", ignore_cleanup_errors=True) as folder,
        _workers() as pool,
    ):

        def work(k: int) -> None:
            one = slices[k]
            frames = located.get(id(one.header)) or locate(one.header)
            _fill_one(one, frames, target[k], Path(folder))

        for k, done in [(k, pool.submit(work, k)) for k in order]:
            done.result()
            yield k


@contextlib.contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    """Yield threads; work that has not begun when they are left is dropped."""
    # once glibc has seen so large a block come and go, it keeps what is freed for the next
    # slice, in every thread; untouched memory costs nothing, and elsewhere this does nothing
    np.empty(31 << 20, np.uint8)
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _refuse_small_files(slices: Sequence[Slice]) -> None:
    """Compare the size of the files with the pixels that they are to hold."""
    files = {id(s.header): s for s in slices}
    promised, held = 0, 0
    for one in files.values():
        if is_packed(one.header):
            try:
                held += one.path.stat().st_size
            except OSError as error:
                raise ScanError(f"cannot read {one.path}: {error.strerror or error}") from error
            stored = stored_pixels(one.header, one.path)
            promised += stored.nbytes * frame_count(one.header, one.path)
        else:
            locate(one.header)
    # together, because one blank slice among others may be packed without end
    if promised > held * _LARGEST_RATIO:
        message = f"truncated pixels in {slices[0].path.parent}: {held} bytes cannot hold"
        raise ScanError(f"{message} {promised}; copy the files again or mend their headers")


def _fill_one(one: Slice, frames: Frames, target: _Array, folder: Path) -> None:
    number = max(one.frame - 1, 0)
    if number >= len(frames.spans):
        raise ScanError(f"no frame {one.frame} in {one.path}; export the scan again")
    if frames.native:
        words, stored = _native(frames, number), frames.stored
    else:
        words, stored = decoded(frames, number, folder)
    if words.shape != target.shape:
        raise ScanError(f"pixels of {one.path} do not fit its header; copy it again")
    _rescale(_values(words, stored), stored, one, target)


def _native(frames: Frames, number: int) -> _Array:
    """Return the words of an uncompressed frame, in this machine's byte order."""
    stored = frames.stored
    order = "<" if frames.little_endian else ">"
    words = np.frombuffer(frames.read(number), f"{order}u{stored.allocated // 8}")
    if not words.dtype.isnative:
        words = words.astype(words.dtype.newbyteorder("="))
    return words.reshape(stored.rows, stored.columns)


def _values(words: _Array, stored: Stored) -> _Array:
    """Return pixels without what lies beside them in their words, signed where they are."""
    left = stored.allocated - 1 - stored.high
    unused = stored.allocated - stored.bits
    if stored.signed:
        words = words.view(f"i{words.itemsize}")
    if unused:
        # old files keep overlays in the unused bits
        np.left_shift(words, left, out=words)
        np.right_shift(words, unused, out=words)
    return words


def _rescale(values: _Array, stored: Stored, one: Slice, target: _Array) -> None:
    """Write ``values * slope + intercept``; integers must fit the target."""
    if target.dtype.kind == "f":
        scaled = np.multiply(values, one.slope, dtype=np.float64)
        np.add(scaled, one.intercept, out=target, casting="same_kind")
        return
    slope, intercept = int(one.slope), int(one.intercept)
    if not _fits(_possible(stored), slope, intercept, target.dtype):
        ends = int(values.min()), int(values.max())
        if not _fits(ends, slope, intercept, target.dtype):
            _refuse_large(one, target.dtype)
    # the result fits, so what overflows on the way comes back: reckon modulo 2^n
    same = values.itemsize == target.itemsize
    wrapped = values.view(target.dtype) if same else values.astype(target.dtype)
    if slope != 1:
        np.multiply(wrapped, _modulo(slope, target.dtype), out=target)
        wrapped = target
    np.add(wrapped, _modulo(intercept, target.dtype), out=target)


def _possible(stored: Stored) -> tuple[int, int]:
    """Return the lowest and highest value that the bits can hold."""
    if stored.signed:
        return -(1 << (stored.bits - 1)), (1 << (stored.bits - 1)) - 1
    return 0, (1 << stored.bits) - 1


def _fits(ends: tuple[int, int], slope: int, intercept: int, dtype: np.dtype[Any]) -> bool:
    info = np.iinfo(dtype)
    return all(info.min <= end * slope + intercept <= info.max for end in ends)


def _refuse_large(one: Slice, dtype: np.dtype[Any]) -> None:
    if dtype.itemsize < 4:
        raise OverflowError(f"values of {one.path} do not fit {dtype}")
    raise ScanError(f"values beyond 32 bits in {one.path}; export the scan again")


def _modulo(number: int, dtype: np.dtype[Any]) -> _Array:
    unsigned = np.dtype(f"u{dtype.itemsize}")
    return np.array(number % (1 << 8 * dtype.itemsize), unsigned).view(dtype)
