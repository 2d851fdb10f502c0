"""Headers of MetaImage files: .mhd with its data file, and .mha.

Format: https://itk.org/Wiki/ITK/MetaIO/Documentation
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.grids import data_beside, shape_and_volumes, straight_grid
from napari_ctlns.formats.layout import Layout
from napari_ctlns.volume import Geometry

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
_NEEDED = ("NDims", "DimSize", "ElementType", "ElementDataFile")
# of each group the first that is there counts, as in ITK
_ORIGINS = ("Origin", "Offset", "Position")
_SPACINGS = ("ElementSpacing", "ElementSize")
_MATRICES = ("TransformMatrix", "Rotation", "Orientation")
_PER_AXIS = ("DimSize", "CenterOfRotation", *_ORIGINS, *_SPACINGS)
_BYTE_ORDERS = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")


def metaimage_layout(path: Path) -> Layout:
    """Return where the voxels of a .mhd or .mha lie, and on which grid.

    Raises
    ------
    ScanError
        If the header is damaged, or describes something other than three-dimensional
        grids of single numbers in one file of its own folder.
    """
    fields, end = _fields(path)
    _refuse_what_is_no_scan(path, fields)
    _refuse_wrong_counts(path, fields)
    shape, volumes = shape_and_volumes(path, [int(n) for n in _numbers(fields["DimSize"])])
    big = any(_true(fields.get(name, "")) for name in _BYTE_ORDERS)
    data = fields["ElementDataFile"]
    local = data.upper() == "LOCAL"
    layout = Layout(
        geometry=_geometry(path, fields, shape),
        dtype=np.dtype(TYPES[fields["ElementType"]]).newbyteorder(">" if big else "<"),
        path=path if local else data_beside(path, data),
        start=end if local else 0,
        encoding="zlib" if _true(fields.get("CompressedData", "")) else "raw",
        volumes=volumes,
        warnings=_warnings(fields),
    )
    return _with_data_header(layout, fields)


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """Return the header's fields and the byte where it ends."""
    with path.open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields and position < len(head):
        line_end = head.find(b"\n", position)
        end = len(head) if line_end < 0 else line_end
        line = head[position:end].decode("utf-8", "replace")
        key, separator, value = line.partition("=" if "=" in line else ":")
        if not separator and key.strip():
            break
        key, value = key.strip(), value.strip()
        if fields.get(key, value) != value:
            message = f"damaged header in {path}: {key} stands twice, with different values"
            raise ScanError(f"{message}; mend it")
        fields[key] = value
        position = end + 1
    missing = [name for name in _NEEDED if not fields.get(name)]
    if missing:
        message = f"no MetaImage header in {path}: {', '.join(missing)} is missing; save it again"
        raise ScanError(message)
    return fields, position


def _true(text: str) -> bool:
    return text[:1] in ("T", "t", "1")


def _refuse_what_is_no_scan(path: Path, fields: dict[str, str]) -> None:
    if fields.get("ElementNumberOfChannels", "1") != "1":
        message = f"a colour or vector image, not a scan: {path}; give a CT with one value a voxel"
        raise ScanError(message)
    if fields["ElementType"] not in TYPES:
        message = f"voxels of type {fields['ElementType']} in {path} cannot be read; save as short"
        raise ScanError(message)
    if not _true(fields.get("BinaryData", "True")):
        raise ScanError(f"voxels are stored as text in {path}; save them as binary")
    data = fields["ElementDataFile"]
    if data.upper().startswith("LIST") or "%" in data:
        message = f"voxels are spread over several files in {path}; save as one .mha or .mhd"
        raise ScanError(message)


def _refuse_wrong_counts(path: Path, fields: dict[str, str]) -> None:
    """Compare the numbers of each field with the number of axes."""
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


def _geometry(path: Path, fields: dict[str, str], shape: tuple[int, int, int]) -> Geometry:
    n = len(fields["DimSize"].split())

    def first(names: tuple[str, ...], otherwise: list[float]) -> "np.ndarray[Any, Any]":
        found = next((fields[name] for name in names if name in fields), None)
        return np.array(otherwise if found is None else _numbers(found))

    # a row of the matrix is the direction of an axis
    columns = first(_MATRICES, list(np.eye(n).ravel())).reshape(n, n).T
    spacing, origin = first(_SPACINGS, [1.0] * n), first(_ORIGINS, [0.0] * n)
    return straight_grid(path, shape, spacing[:3], origin[:3], columns[:3, :3])


def _with_data_header(layout: Layout, fields: dict[str, str]) -> Layout:
    """Step over a foreign header in the data file; -1 means the voxels come last.

    ITK counts it from the beginning of the file, of a .mha too.
    """
    size = int(fields.get("HeaderSize", "0") or 0)
    if size == -1 and layout.path.is_file():
        size = max(layout.path.stat().st_size - layout.volumes * layout.nbytes, 0)
    return replace(layout, start=size) if size > 0 else layout


def _warnings(fields: dict[str, str]) -> tuple[str, ...]:
    words = []
    if not any(name in fields for name in _SPACINGS):
        words.append("the header tells no voxel spacing: 1 mm is taken")
    slope = fields.get("ElementToIntensityFunctionSlope", "1")
    offset = fields.get("ElementToIntensityFunctionOffset", "0")
    if (_numbers(slope), _numbers(offset)) != ([1.0], [0.0]):
        words.append(
            f"the header's intensity function ({slope}, {offset}) is not applied, as in ITK"
        )
    units = fields.get("DistanceUnits", "mm")
    if units.lower() not in ("mm", "?"):
        words.append(f"the header's distances are in {units}: they are taken as mm, as in ITK")
    return tuple(words)
