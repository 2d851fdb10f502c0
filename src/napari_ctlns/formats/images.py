"""Image files (.mhd .mha .nii .nii.gz .nrrd .nhdr) as arrays on their own grid."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.layout import Layout, read_voxels
from napari_ctlns.formats.metaimage import metaimage_layout
from napari_ctlns.formats.nifti import nifti_layout
from napari_ctlns.formats.nrrd import nrrd_layout
from napari_ctlns.volume import Geometry

_READERS: dict[str, tuple[str, Callable[[Path], Layout]]] = {
    ".mhd": ("mhd", metaimage_layout),
    ".mha": ("mha", metaimage_layout),
    ".nii.gz": ("nifti", nifti_layout),
    ".nii": ("nifti", nifti_layout),
    ".nrrd": ("nrrd", nrrd_layout),
    ".nhdr": ("nrrd", nrrd_layout),
}
EXTENSIONS = tuple(_READERS)
_PAIRS = (".hdr", ".img", ".hdr.gz", ".img.gz")


@dataclass(frozen=True, eq=False)
class Image:
    """What a file holds: voxels (z, y, x) on the source's own grid.

    ``scan_id`` is the file's stem, with the number of the volume where there are several.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    format: str
    scan_id: str
    warnings: tuple[str, ...]


def extension(path: Path) -> str:
    """Return which of `EXTENSIONS` the name ends with, or an empty string."""
    name = path.name.lower()
    return next((known for known in EXTENSIONS if name.endswith(known)), "")


def file_stem(path: Path) -> str:
    """Return the name without its image extension; other dots belong to the name."""
    known = extension(path)
    return path.name[: -len(known)] if known else path.stem


def image_layout(path: Path) -> Layout:
    """Return where the voxels of an image file lie, from its header alone.

    Of several volumes it is the first.

    Raises
    ------
    ScanError
        If the file is missing or its header cannot be understood.
    """
    known = extension(path)
    if not known:
        raise ScanError(_why_unknown(path))
    try:
        # absurd numbers become inf and nan on the way; what comes of them is checked
        with np.errstate(all="ignore"):
            return _READERS[known][1](path)
    except FileNotFoundError:
        raise ScanError(f"no such file: {path}; check the name") from None
    except (OSError, ValueError, OverflowError) as error:
        raise ScanError(f"cannot read {path}: {error}; check the file") from error


def read_image(path: Path, series: str | None = None) -> Image:
    """Read one image file, or one volume of a file that holds several.

    Parameters
    ----------
    path
        The file.
    series
        Which volume, counted from "1", or its ``scan_id``.

    Raises
    ------
    ScanError
        If the file is missing, damaged, no three-dimensional scan, or holds
        several volumes and none of them is chosen.
    """
    layout = image_layout(path)
    scan_id = file_stem(path)
    if layout.volumes > 1:
        layout = replace(layout, volume=_chosen(path, layout.volumes, series))
        scan_id = volume_id(path, layout.volume)
    elif series not in (None, scan_id):
        raise ScanError(f"no series {series} in {path}; it holds {scan_id}")
    kind = _READERS[extension(path)][0]
    return Image(read_voxels(layout), layout.geometry, kind, scan_id, layout.warnings)


def volumes_in(path: Path) -> int:
    """Return how many volumes a file holds; 1 where its header cannot be understood."""
    try:
        return image_layout(path).volumes
    except ScanError:
        return 1


def volume_id(path: Path, volume: int) -> str:
    """Return what one volume of a file that holds several is known by."""
    return f"{file_stem(path)}_volume{volume}"


def _chosen(path: Path, volumes: int, series: str | None) -> int:
    if series is None:
        message = f"{volumes} volumes in {path}; choose one with --series 1 to {volumes}"
        raise ScanError(message)
    number = series.removeprefix(f"{file_stem(path)}_volume")
    if number.isdecimal() and 1 <= int(number) <= volumes:
        return int(number)
    raise ScanError(f"no volume {series} in {path}; choose one of 1 to {volumes}")


def _why_unknown(path: Path) -> str:
    if path.name.lower().endswith(_PAIRS):
        return f"header and voxels in two files (.hdr, .img): {path}; save them as one .nii.gz"
    kinds = " ".join(EXTENSIONS)
    return f"unknown kind of file: {path}; give one of {kinds} or a DICOM folder"
