"""Headers of MetaImage files: .mhd with its data file, and .mha.

Format: https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

from pathlib import Path

import numpy as np

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.layout import Encoding, Layout

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_LONGEST_HEADER = 1 << 16
_PER_AXIS = (
    "DimSize",
    "Offset",
    "Position",
    "Origin",
    "CenterOfRotation",
    "ElementSpacing",
    "ElementSize",
)
_MATRICES = ("TransformMatrix", "Rotation", "Orientation")


def metaimage_layout(path: Path) -> Layout:
    """Return where the voxels of a .mhd or .mha lie.

    Raises
    ------
    ScanError
        If the header is damaged, or describes something other than one
        three-dimensional grid of single numbers in one file of its own folder.
    """
    fields, end = _fields(path)
    _refuse_what_is_no_scan(path, fields)
    _refuse_wrong_counts(path, fields)
    big = "true" in (
        fields.get("BinaryDataByteOrderMSB", "").lower(),
        fields.get("ElementByteOrderMSB", "").lower(),
    )
    dtype = np.dtype(TYPES[fields["ElementType"]]).newbyteorder(">" if big else "<")
    data = fields["ElementDataFile"]
    local = data.upper() == "LOCAL"
    packed = fields.get("CompressedData", "").lower() == "true"
    encoding: Encoding = "zlib" if packed else "raw"
    layout = Layout(
        shape=_shape(path, fields),
        dtype=dtype,
        path=path if local else _data_file(path, data),
        start=end if local else 0,
        encoding=encoding,
        warnings=_warnings(fields),
    )
    return _with_data_header(layout, fields)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return the header's fields and the byte where it ends."""
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields:
        line_end = head.find(b"\n", position)
        end = len(head) if line_end < 0 else line_end
        key, equals, value = head[position:end].decode("utf-8", "replace").partition("=")
        if not equals and key.strip():
            break
        fields[key.strip()] = value.strip()
        position = end + 1
        if line_end < 0:
            break
    needed = ("NDims", "DimSize", "ElementType", "ElementDataFile")
    missing = [name for name in needed if not fields.get(name)]
    if missing:
        message = f"no MetaImage header in {path}: {', '.join(missing)} is missing; save it again"
        raise ScanError(message)
    return fields, position


def _refuse_what_is_no_scan(path: Path, fields: dict[str, str]) -> None:
    if fields.get("ElementNumberOfChannels", "1") != "1":
        message = f"a colour or vector image, not a scan: {path}; give a CT with one value a voxel"
        raise ScanError(message)
    if fields["ElementType"] not in TYPES:
        message = f"voxels of type {fields['ElementType']} in {path} cannot be read; save as short"
        raise ScanError(message)
    if fields.get("BinaryData", "True").lower() == "false":
        raise ScanError(f"voxels are stored as text in {path}; save them as binary")
    data = fields["ElementDataFile"]
    if data.upper().startswith("LIST") or "%" in data:
        message = f"voxels are spread over several files in {path}; save as one .mha or .mhd"
        raise ScanError(message)


def _refuse_wrong_counts(path: Path, fields: dict[str, str]) -> None:
    """Count the numbers of each field: MetaIO ends the process where they do not fit."""
    n = len(fields["DimSize"].split())
    expected = {"NDims": 1} | dict.fromkeys(_PER_AXIS, n) | dict.fromkeys(_MATRICES, n * n)
    for name, count in expected.items():
        if name not in fields:
            continue
        numbers = _numbers(fields[name])
        if len(numbers) != count or (name == "NDims" and numbers != [n]):
            message = f"damaged header in {path}: {name} = {fields[name][:40]}"
            raise ScanError(f"{message} does not fit DimSize = {fields['DimSize'][:40]}; mend it")


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return []


def _shape(path: Path, fields: dict[str, str]) -> tuple[int, int, int]:
    try:
        size = [int(n) for n in fields["DimSize"].split()]
    except ValueError:
        size = []
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    if len(size) != 3 or min(size) < 1:
        message = f"not a three-dimensional scan: {path} has DimSize {fields['DimSize']}"
        raise ScanError(f"{message}; give one volume of (x, y, z)")
    return (size[2], size[1], size[0])


def _data_file(path: Path, name: str) -> Path:
    folder = path.parent.resolve()
    data = folder / name
    if not data.resolve().is_relative_to(folder):
        message = f"the data file {name} lies outside the folder of {path}; put both together"
        raise ScanError(message)
    return path.parent / name


def _with_data_header(layout: Layout, fields: dict[str, str]) -> Layout:
    """Step over a foreign header in the data file; -1 means the voxels come last."""
    size = int(fields.get("HeaderSize", "0") or 0)
    if size == -1 and layout.path.is_file():
        size = max(layout.path.stat().st_size - layout.start - layout.nbytes, 0)
    if size <= 0:
        return layout
    return Layout(**{**vars(layout), "start": layout.start + size})


def _warnings(fields: dict[str, str]) -> tuple[str, ...]:
    if "ElementSpacing" in fields or "ElementSize" in fields:
        return ()
    return ("the header tells no voxel spacing: 1 mm is taken",)
