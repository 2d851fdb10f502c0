"""Image files (.mhd .mha .nii .nii.gz .nrrd) as arrays on their own grid."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.layout import Layout, read_voxels
from napari_ctlns.formats.metaimage import metaimage_layout
from napari_ctlns.formats.nifti import nifti_layout
from napari_ctlns.formats.nrrd import nrrd_layout
from napari_ctlns.volume import Geometry, direction_rows

_READERS: dict[str, tuple[str, Callable[[Path], Layout]]] = {
    ".mhd": ("mhd", metaimage_layout),
    ".mha": ("mha", metaimage_layout),
    ".nii.gz": ("nifti", nifti_layout),
    ".nii": ("nifti", nifti_layout),
    ".nrrd": ("nrrd", nrrd_layout),
}
EXTENSIONS = tuple(_READERS)


@dataclass(frozen=True, eq=False)
class Image:
    """What a file holds: voxels (z, y, x) on the source's own grid."""

    array: npt.NDArray[Any]
    geometry: Geometry
    format: str
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

    Raises
    ------
    ScanError
        If the file is missing or its header cannot be understood.
    """
    known = extension(path)
    if not known:
        kinds = " ".join(EXTENSIONS)
        message = f"unknown kind of file: {path}; give one of {kinds} or a DICOM folder"
        raise ScanError(message)
    try:
        return _READERS[known][1](path)
    except FileNotFoundError:
        raise ScanError(f"no such file: {path}; check the name") from None
    except (OSError, ValueError) as error:
        raise ScanError(f"cannot read {path}: {error}; check the file") from error


def read_image(path: Path) -> Image:
    """Read one image file.

    Raises
    ------
    ScanError
        If the file is missing, damaged, or no three-dimensional scan.
    """
    layout = image_layout(path)
    # voxels first: they tell of damage in clearer words than ITK
    array = read_voxels(layout)
    known = _READERS[extension(path)][0]
    return Image(array, _geometry(path, layout), known, layout.warnings)


def _geometry(path: Path, layout: Layout) -> Geometry:
    """Return the grid by SimpleITK, which knows the conventions of each format."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("sitk::ERROR: ").strip()
        raise ScanError(f"cannot understand the header of {path}: {reason}") from error
    n = reader.GetDimension()
    size, spacing, origin = (
        values[:3] for values in (reader.GetSize(), reader.GetSpacing(), reader.GetOrigin())
    )
    possible = size[::-1] == layout.shape and min(spacing) > 0
    if not (possible and np.isfinite([*spacing, *origin]).all()):
        message = f"impossible size {size}, spacing {spacing} or origin {origin} in {path}"
        raise ScanError(f"{message}; mend its header")
    columns = np.asarray(reader.GetDirection()).reshape(n, n)[:3, :3]
    if np.abs(columns.T @ columns - np.eye(3)).max() > 1e-3:
        message = f"the axes are not at right angles in {path}; resample it onto a straight grid"
        raise ScanError(message)
    return Geometry(
        shape=layout.shape,
        spacing=spacing[::-1],
        origin=origin,
        direction=direction_rows(columns),
    )
