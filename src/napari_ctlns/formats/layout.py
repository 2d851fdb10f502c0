"""Where the voxels of an image file lie, and reading exactly those bytes.

ITK's readers fill a truncated or damaged file with zeros or noise in silence,
write to standard error, or end the process. So the header is read here and the
voxels are taken by its word, with every byte accounted for.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.inflating import DAMAGED, LARGEST_RATIO, Encoding, fill
from napari_ctlns.volume import Geometry


@dataclass(frozen=True)
class Layout:
    """What a header says of its voxels.

    Attributes
    ----------
    geometry
        The source's own grid of one volume.
    dtype
        Type and byte order as stored.
    path, start
        The file that holds the voxels, and the byte where its stream begins.
    encoding, skip
        How the stream is packed, and how many unpacked bytes precede the voxels.
    volumes, volume
        How many volumes follow each other there, and which one is meant, from 1.
    slope, intercept
        Stored value to meaning: ``value * slope + intercept``.
    warnings
        What the header leaves open, in words.
    """

    geometry: Geometry
    dtype: np.dtype[Any]
    path: Path
    start: int = 0
    encoding: Encoding = "raw"
    skip: int = 0
    volumes: int = 1
    volume: int = 1
    slope: float = 1.0
    intercept: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of one volume, unpacked."""
        z, y, x = self.geometry.shape
        return z * y * x * self.dtype.itemsize


def read_voxels(layout: Layout) -> npt.NDArray[Any]:
    """Return the voxels (z, y, x) in native byte order, slope and intercept applied.

    Raises
    ------
    ScanError
        If the file is missing, too short, too long, or damaged.
    """
    _check_size(layout)
    before = layout.skip + (layout.volume - 1) * layout.nbytes
    try:
        array = np.empty(layout.geometry.shape, layout.dtype)
        with layout.path.open("rb") as file:
            file.seek(layout.start)
            found = fill(array.reshape(-1).view(np.uint8).data, file, layout.encoding, before)
    except DAMAGED as error:
        reason = str(error).rstrip(".")
        message = f"damaged data in {layout.path}: {reason}; copy the file again"
        raise ScanError(message) from error
    except MemoryError as error:
        message = f"not enough memory for the {layout.nbytes >> 20} MB of {layout.path}"
        raise ScanError(f"{message}; crop it or close other programs") from error
    # what follows belongs to the next volume, unless this is the last
    if found < layout.nbytes or (found > layout.nbytes and layout.volume == layout.volumes):
        short = found + (layout.volume - 1) * layout.nbytes
        raise _wrong_size(layout, short if found < layout.nbytes else "more")
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
        return _as_floats(array, slope, intercept)
    ends = [int(v) * int(slope) + int(intercept) for v in (array.min(), array.max())]
    small = all(-32768 <= end <= 32767 for end in ends)
    if not small and max(map(abs, ends)) >= 1 << 31:
        return _as_floats(array, slope, intercept)
    # the intermediate product may be larger than the ends
    wide = array.astype(np.int64 if abs(slope) > 1 or array.dtype.itemsize > 2 else np.int32)
    wide = wide * int(slope) + int(intercept)
    return wide.astype(np.int16 if small else np.int32)


def _as_floats(array: npt.NDArray[Any], slope: float, intercept: float) -> npt.NDArray[Any]:
    """Rescale in double precision, slice by slice to save memory."""
    result = np.empty(array.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for target, source in zip(result, array, strict=True):
            target[...] = source * np.float64(slope) + np.float64(intercept)
    return result


def _check_size(layout: Layout) -> None:
    """Compare the file's size with the header before memory is taken for the voxels."""
    if not layout.path.is_file():
        message = f"missing data file {layout.path}, named by the header; put it beside it"
        raise ScanError(message)
    held = layout.path.stat().st_size - layout.start
    promised = layout.skip + layout.volumes * layout.nbytes
    if layout.encoding == "raw" and held != promised:
        raise _wrong_size(layout, max(held - layout.skip, 0))
    if promised > held * LARGEST_RATIO:
        raise _wrong_size(layout, f"{max(held, 0)} packed")


def _wrong_size(layout: Layout, found: int | str) -> ScanError:
    expected = layout.volumes * layout.nbytes
    too_much = found == "more" or (isinstance(found, int) and found > expected)
    return ScanError(
        f"{'too much' if too_much else 'truncated'} data in {layout.path}: "
        f"expected {expected} bytes, found {found}; copy the file again or mend its header"
    )
