"""Headers of NRRD files.

Format: https://teem.sourceforge.net/nrrd/format.html
"""

from pathlib import Path

import numpy as np

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.layout import Encoding, Layout

_NAMES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
TYPES = {name: code for code, names in _NAMES.items() for name in names}
_ENCODINGS: dict[str, Encoding] = {
    "raw": "raw",
    "gzip": "gzip",
    "gz": "gzip",
    "bzip2": "bzip2",
    "bz2": "bzip2",
}
_LONGEST_HEADER = 1 << 20


def nrrd_layout(path: Path) -> Layout:
    """Return where the voxels of a .nrrd lie.

    Raises
    ------
    ScanError
        If the header is damaged, or describes something other than one
        three-dimensional grid of single numbers in the same file.
    """
    fields, end = _fields(path)
    encoding = _ENCODINGS.get(fields["encoding"].lower())
    if encoding is None:
        message = f"voxels in encoding {fields['encoding']} in {path} cannot be read"
        raise ScanError(f"{message}; save it as raw or gzip")
    if "data file" in fields or "datafile" in fields:
        raise ScanError(f"the voxels lie outside {path}; save header and voxels as one .nrrd")
    if fields["type"].lower() not in TYPES:
        message = f"voxels of type {fields['type']} in {path} cannot be read; save as short"
        raise ScanError(message)
    big = fields.get("endian", "little").lower() == "big"
    layout = Layout(
        shape=_shape(path, fields),
        dtype=np.dtype(TYPES[fields["type"].lower()]).newbyteorder(">" if big else "<"),
        path=path,
        start=end,
        encoding=encoding,
        warnings=_warnings(fields),
    )
    return _with_skips(layout, fields)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return the header's fields and the byte after the empty line that ends it."""
    with path.open("rb") as file:
        if not file.readline(_LONGEST_HEADER).startswith(b"NRRD0"):
            raise ScanError(f"no NRRD header in {path}; save it again")
        fields: dict[str, str] = {}
        while file.tell() < _LONGEST_HEADER:
            line = file.readline(_LONGEST_HEADER).decode("utf-8", "replace")
            if not line.strip():
                break
            key, colon, value = line.partition(":")
            # "key:=value" pairs are free text, lines with # are comments
            if colon and not value.startswith("=") and not line.startswith("#"):
                fields[key.strip().lower()] = value.strip()
        end = file.tell()
    missing = [name for name in ("type", "dimension", "sizes", "encoding") if name not in fields]
    if missing:
        message = f"damaged NRRD header in {path}: {', '.join(missing)} is missing; save it again"
        raise ScanError(message)
    return fields, end


def _shape(path: Path, fields: dict[str, str]) -> tuple[int, int, int]:
    try:
        size = [int(n) for n in fields["sizes"].split()]
    except ValueError:
        size = []
    kinds = fields.get("kinds", "").lower().split()
    if len(size) > 3 and kinds and kinds[0] not in ("domain", "space", "time", "???", "none"):
        message = f"a colour or vector image, not a scan: {path}; give a CT with one value a voxel"
        raise ScanError(message)
    if len(size) != 3 or min(size) < 1:
        message = f"not a three-dimensional scan: {path} has sizes {fields['sizes']}"
        raise ScanError(f"{message}; give one volume of (x, y, z)")
    return (size[2], size[1], size[0])


def _with_skips(layout: Layout, fields: dict[str, str]) -> Layout:
    if int(fields.get("line skip", fields.get("lineskip", "0")) or 0):
        raise ScanError(f"lines precede the voxels in {layout.path}; save it again without them")
    skip = int(fields.get("byte skip", fields.get("byteskip", "0")) or 0)
    if skip == -1:
        held = layout.path.stat().st_size - layout.start
        skip = max(held - layout.nbytes, 0)
    return Layout(**{**vars(layout), "skip": skip})


def _warnings(fields: dict[str, str]) -> tuple[str, ...]:
    words = []
    if not {"space directions", "spacings"} & fields.keys():
        words.append("the header tells no voxel spacing: 1 mm is taken")
    if not {"space", "space dimension"} & fields.keys():
        words.append("the header tells no orientation: left and right may be swapped")
    return tuple(words)
