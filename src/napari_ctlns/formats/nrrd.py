"""Headers of NRRD files: .nrrd, and .nhdr with its data file.

Format: https://teem.sourceforge.net/nrrd/format.html
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.grids import data_beside
from napari_ctlns.formats.inflating import Encoding
from napari_ctlns.formats.layout import Layout
from napari_ctlns.formats.nrrd_axes import nrrd_grid

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
_NEEDED = ("type", "dimension", "sizes", "encoding")
_LONGEST_HEADER = 1 << 20
_MOST_LINES = 10_000


def nrrd_layout(path: Path) -> Layout:
    """Return where the voxels of a .nrrd or .nhdr lie, and on which grid.

    Raises
    ------
    ScanError
        If the header is damaged, or describes something other than three-dimensional
        grids of single numbers in one file of its own folder.
    """
    fields, end = _fields(path)
    encoding = _ENCODINGS.get(fields["encoding"].lower())
    if encoding is None:
        message = f"voxels in encoding {fields['encoding']} in {path} cannot be read"
        raise ScanError(f"{message}; save it as raw or gzip")
    if fields["type"].lower() not in TYPES:
        message = f"voxels of type {fields['type']} in {path} cannot be read; save as short"
        raise ScanError(message)
    geometry, volumes, warnings = nrrd_grid(path, fields)
    big = fields.get("endian", "little").lower() == "big"
    data = _data_file(path, fields)
    layout = Layout(
        geometry=geometry,
        dtype=np.dtype(TYPES[fields["type"].lower()]).newbyteorder(">" if big else "<"),
        path=data or path,
        start=0 if data else end,
        encoding=encoding,
        volumes=volumes,
        warnings=warnings,
    )
    return _with_skips(layout, fields)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return the header's fields, names without spaces, and the byte where the voxels may begin."""
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
            if not colon or value.startswith("=") or line.startswith("#"):
                continue
            key, value = key.strip().lower().replace(" ", ""), value.strip()
            if fields.get(key, value) != value:
                message = f"damaged header in {path}: {key} stands twice, with different values"
                raise ScanError(f"{message}; mend it")
            fields[key] = value
            if key == "datafile" and value.upper().startswith("LIST"):
                break
        end = file.tell()
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        message = f"damaged NRRD header in {path}: {', '.join(missing)} is missing; save it again"
        raise ScanError(message)
    return fields, end


def _data_file(path: Path, fields: dict[str, str]) -> Path | None:
    name = fields.get("datafile")
    if name is None:
        return None
    if name.upper().startswith("LIST") or "%" in name:
        message = f"voxels are spread over several files in {path}"
        raise ScanError(f"{message}; save header and voxels as one .nrrd")
    return data_beside(path, name)


def _with_skips(layout: Layout, fields: dict[str, str]) -> Layout:
    """Step over what precedes the voxels: lines as stored, then bytes as unpacked."""
    lines, skip = (int(fields.get(name, "0") or 0) for name in ("lineskip", "byteskip"))
    if not (0 <= lines <= _MOST_LINES and skip >= -1):
        message = f"{lines} lines and {skip} bytes precede the voxels in {layout.path}"
        raise ScanError(f"{message}, by its header; mend it")
    if (lines or skip == -1) and layout.path.is_file():
        with layout.path.open("rb") as file:
            file.seek(layout.start)
            for _ in range(lines):
                file.readline()
            layout = replace(layout, start=file.tell())
        if skip == -1:
            held = layout.path.stat().st_size - layout.start
            skip = max(held - layout.volumes * layout.nbytes, 0)
    return replace(layout, skip=max(skip, 0))
