"""Volumes to files, on the source's own grid, whole or not at all."""

import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import OutputError
from napari_ctlns.findings import Findings
from napari_ctlns.formats.images import EXTENSIONS, extension, file_stem
from napari_ctlns.formats.images.metaimage import TYPES as METAIMAGE_TYPES
from napari_ctlns.formats.images.nrrd import TYPES as NRRD_TYPES
from napari_ctlns.formats.seg import SEG_EXTENSION, Structure, write_seg
from napari_ctlns.resampling import to_sitk
from napari_ctlns.volume import Geometry, Kind, Volume

_Array = npt.NDArray[Any]
_METAIMAGE_NAMES = {code: name for name, code in reversed(METAIMAGE_TYPES.items())}
_NRRD_NAMES = {code: name for name, code in NRRD_TYPES.items()}
_QUICKLY = 1
"""The level at which zlib packs: higher ones take many times as long for a tenth less."""


def write_volume(
    volume: Volume,
    path: str | os.PathLike[str],
    findings: Findings | None = None,
    structure: Structure = "nodule",
) -> None:
    """Write a volume on the source's own grid; the format follows the extension.

    Masks are packed and take the smallest unsigned type that holds their labels;
    a CT keeps its type. A ``.mhd`` gets its voxels in a ``.raw`` (masks:
    ``.zraw``) file beside it, a ``.nhdr`` in a ``.raw.gz``. A mask of a DICOM
    series may be a ``.dcm``, a DICOM SEG, see `write_seg`; ``findings`` and
    ``structure`` tell it more of its segments.

    Raises
    ------
    OutputError
        If the extension is unknown or not for this volume, or the place cannot be written.
    """
    path = Path(path)
    known = extension(path)
    if not known and path.suffix.lower() != SEG_EXTENSION:
        message = f"cannot write {path.name}: unknown extension"
        raise OutputError(f"{message}; choose one of {' '.join(EXTENSIONS)}")
    if path.is_dir():
        raise OutputError(f"cannot write {path}: there is a folder of that name; choose another")
    if not known:
        write_seg(volume, path, volume.source, findings, structure)
        return
    geometry = volume.geometry.source
    array = _storable(volume.geometry.to_source(volume.array), volume.kind)
    array = np.ascontiguousarray(array)
    if known == ".mhd":
        _write_mhd(array, geometry, volume.kind == "mask", path)
    elif known == ".nhdr":
        _write_nhdr(array, geometry, path)
    else:
        _write_single(array, geometry, volume.kind == "mask", path)


def _storable(array: _Array, kind: Kind) -> _Array:
    if kind == "mask":
        highest = int(array.max(initial=0))
        return array.astype(np.min_scalar_type(highest), copy=False)
    if array.dtype == np.bool_:
        return array.astype(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return array


def _write_single(array: _Array, geometry: Geometry, packed: bool, path: Path) -> None:
    image = to_sitk(array, geometry)
    with atomic_path(path) as temporary:
        temporary.touch()  # says in words what ITK would say in C++
        try:
            sitk.WriteImage(image, str(temporary), packed)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].removeprefix("sitk::ERROR: ")
            raise OutputError(f"cannot write {path}: {reason}; choose another place") from error


def _write_mhd(array: _Array, geometry: Geometry, packed: bool, path: Path) -> None:
    data = path.with_name(file_stem(path) + (".zraw" if packed else ".raw"))
    voxels = zlib.compress(_little(array), _QUICKLY) if packed else _little(array)
    header = _metaimage_header(array, geometry, data.name, len(voxels) if packed else 0)
    _write_pair(path, header, data, voxels)


def _write_nhdr(array: _Array, geometry: Geometry, path: Path) -> None:
    # packed always: a .mhd of the same stem may have its voxels in the .raw
    data = path.with_name(f"{file_stem(path)}.raw.gz")
    header = _nrrd_header(array, geometry, data.name)
    _write_pair(path, header, data, gzip.compress(_little(array), _QUICKLY))


def _write_pair(path: Path, header: str, data: Path, voxels: bytes | memoryview) -> None:
    """Write a header and its data file; ITK would name a temporary data file in the header."""
    # the data file takes its place first: a header never stands without its voxels
    with atomic_path(path) as new_header, atomic_path(data) as new_data:
        new_data.write_bytes(voxels)
        new_header.write_text(header, "utf-8", newline="\n")


def _little(array: _Array) -> memoryview:
    """Return the bytes of the voxels, little-endian."""
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return little.reshape(-1).view(np.uint8).data


def _metaimage_header(array: _Array, geometry: Geometry, data: str, packed_size: int) -> str:
    """Return the header text; ``packed_size`` is 0 for voxels that are not packed."""
    directions = [v for column in zip(*geometry.direction, strict=True) for v in column]
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(packed_size > 0),
        **({"CompressedDataSize": str(packed_size)} if packed_size else {}),
        "TransformMatrix": " ".join(map(_number, directions)),
        "Offset": " ".join(map(_number, geometry.origin)),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": " ".join(map(_number, geometry.spacing[::-1])),
        "DimSize": " ".join(map(str, geometry.shape[::-1])),
        "ElementType": _METAIMAGE_NAMES[array.dtype.str[1:]],
        "ElementDataFile": data,
    }
    return "".join(f"{key} = {value}\n" for key, value in fields.items())


def _nrrd_header(array: _Array, geometry: Geometry, data: str) -> str:
    vector: Callable[[Any], str] = lambda v: f"({','.join(map(_number, v))})"  # noqa: E731
    # the matrix has a column for each axis (z, y, x), the header begins with x
    steps = geometry.matrix.T[::-1]
    fields = {
        "type": _NRRD_NAMES[array.dtype.str[1:]],
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, geometry.shape[::-1])),
        "space directions": " ".join(map(vector, steps)),
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "gzip",
        "space origin": vector(geometry.origin),
        "data file": data,
    }
    return "NRRD0004\n" + "".join(f"{key}: {value}\n" for key, value in fields.items())


def _number(value: float) -> str:
    return repr(float(value))
