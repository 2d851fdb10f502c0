"""Headers of NIfTI-1 files.

Format: https://nifti.nimh.nih.gov/nifti-1 (nifti1.h).
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.layout import Encoding, Layout

TYPES = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_COLOURS = (128, 2304)
_HEADER_SIZE = 348


def nifti_layout(path: Path) -> Layout:
    """Return where the voxels of a .nii or .nii.gz lie.

    Raises
    ------
    ScanError
        If the header is damaged, or describes something other than one
        three-dimensional grid of single numbers.
    """
    with path.open("rb") as file:
        # some tools name a file .nii.gz and do not pack it, or the other way round
        packed = file.read(2) == b"\x1f\x8b"
    header = _header(path, packed)
    order = _byte_order(path, header)
    (code,) = struct.unpack_from(order + "h", header, 70)
    offset, slope, intercept = struct.unpack_from(order + "3f", header, 108)
    scaled = slope != 0 and math.isfinite(slope) and math.isfinite(intercept)
    encoding: Encoding = "gzip" if packed else "raw"
    if not (math.isfinite(offset) and offset >= _HEADER_SIZE):
        raise ScanError(f"damaged NIfTI header in {path}: voxels at byte {offset:g}; copy it again")
    return Layout(
        shape=_shape(path, struct.unpack_from(order + "8h", header, 40)),
        dtype=_dtype(path, code).newbyteorder(order),
        path=path,
        encoding=encoding,
        skip=int(offset),
        slope=slope if scaled else 1.0,
        intercept=intercept if scaled else 0.0,
        warnings=_warnings(struct.unpack_from(order + "2h", header, 252)),
    )


def _header(path: Path, packed: bool) -> bytes:
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            header = file.read(_HEADER_SIZE)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ScanError(f"damaged data in {path}: {error}; copy the file again") from error
    if len(header) < _HEADER_SIZE:
        message = f"truncated data in {path}: expected {_HEADER_SIZE} bytes of header"
        raise ScanError(f"{message}, found {len(header)}; copy the file again")
    return header


def _byte_order(path: Path, header: bytes) -> Literal["<", ">"]:
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    for order in orders:
        if struct.unpack_from(order + "i", header, 0)[0] == _HEADER_SIZE:
            if header[344:348] != b"n+1\0":
                message = f"a NIfTI header whose voxels lie in another file: {path}"
                raise ScanError(f"{message}; save it as one .nii.gz")
            return order
    raise ScanError(f"no NIfTI-1 header in {path}; save it again as .nii.gz or .mha")


def _shape(path: Path, dim: tuple[int, ...]) -> tuple[int, int, int]:
    size = list(dim[1 : 1 + dim[0]]) if 0 < dim[0] < len(dim) else []
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    if len(size) != 3 or min(size) < 1:
        message = f"not a three-dimensional scan: {path} has dimensions {size}"
        raise ScanError(f"{message}; give one volume of (x, y, z)")
    return (size[2], size[1], size[0])


def _dtype(path: Path, code: int) -> "np.dtype[np.generic]":
    if code in _COLOURS:
        message = f"a colour or vector image, not a scan: {path}; give a CT with one value a voxel"
        raise ScanError(message)
    if code not in TYPES:
        raise ScanError(f"voxels of NIfTI type {code} in {path} cannot be read; save as int16")
    return np.dtype(TYPES[code])


def _warnings(form_codes: tuple[int, ...]) -> tuple[str, ...]:
    if any(code > 0 for code in form_codes):
        return ()
    return ("the header tells no orientation: left and right may be swapped",)
