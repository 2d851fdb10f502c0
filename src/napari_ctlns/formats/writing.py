"""Volumes to files, on the source's own grid, whole or not at all."""

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
from napari_ctlns.formats.metaimage import TYPES
from napari_ctlns.formats.seg import SEG_EXTENSION, write_seg
from napari_ctlns.resampling import to_sitk
from napari_ctlns.volume import Geometry, Kind, Volume

_Array = npt.NDArray[Any]
_METAIMAGE_NAMES = {code: name for name, code in reversed(TYPES.items())}


def write_volume(
    volume: Volume, path: str | os.PathLike[str], findings: Findings | None = None
) -> None:
    """Write a volume on the source's own grid; the format follows the extension.

    Masks are packed and take the smallest unsigned type that holds their labels;
    a CT keeps its type. A ``.mhd`` gets its voxels in a ``.raw`` (masks:
    ``.zraw``) file beside it. A mask of a DICOM series may be a ``.dcm``, a DICOM
    SEG, see `write_seg`; ``findings`` tell it more of its segments.

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
        write_seg(volume, path, volume.source, findings)
        return
    geometry = volume.geometry.source
    array = _storable(volume.geometry.to_source(volume.array), volume.kind)
    write = _write_pair if known == ".mhd" else _write_single
    write(np.ascontiguousarray(array), geometry, volume.kind == "mask", path)


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


def _write_pair(array: _Array, geometry: Geometry, packed: bool, path: Path) -> None:
    """Write a .mhd and its data file; ITK would name a temporary data file in the header."""
    data = path.with_name(file_stem(path) + (".zraw" if packed else ".raw"))
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    # the data file takes its place first: a header never stands without its voxels
    with atomic_path(path) as header, atomic_path(data) as voxels:
        if packed:
            voxels.write_bytes(zlib.compress(little.data, 1))
        else:
            little.tofile(voxels)
        size = voxels.stat().st_size
        header.write_text(_metaimage_header(array, geometry, data.name, size, packed), "utf-8")


def _metaimage_header(array: _Array, geometry: Geometry, data: str, size: int, packed: bool) -> str:
    number: Callable[[Any], str] = lambda v: repr(float(v))  # noqa: E731
    directions = [v for column in zip(*geometry.direction, strict=True) for v in column]
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(packed),
        **({"CompressedDataSize": str(size)} if packed else {}),
        "TransformMatrix": " ".join(map(number, directions)),
        "Offset": " ".join(map(number, geometry.origin)),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": " ".join(map(number, geometry.spacing[::-1])),
        "DimSize": " ".join(map(str, geometry.shape[::-1])),
        "ElementType": _METAIMAGE_NAMES[array.dtype.str[1:]],
        "ElementDataFile": data,
    }
    return "".join(f"{key} = {value}\n" for key, value in fields.items())
