"""Which files are masks, and what they speak of; no voxel is read for that."""

import os
from pathlib import Path

from napari_ctlns.errors import MaskError, ScanError
from napari_ctlns.formats.dicom import visible_files
from napari_ctlns.formats.dicom_headers import is_dicom
from napari_ctlns.formats.images import extension, image_layout
from napari_ctlns.formats.rtstruct_file import is_rtstruct, read_rtstruct
from napari_ctlns.formats.seg import is_seg, seg_series

_MOST_NAMED = 6


def is_mask_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a mask: integers without sign, DICOM SEG or RTSTRUCT.

    A folder is one if all its DICOM is one SEG or RTSTRUCT file, and it holds no images.
    """
    path = Path(path)
    if path.is_dir():
        return _is_mask_folder(path)
    return is_mask_image(path) if extension(path) else _is_dicom_mask(path)


def is_mask_image(path: Path) -> bool:
    """Whether an image file holds unsigned integers: HU need a sign, so these are labels."""
    try:
        layout = image_layout(path)
    except ScanError:
        return False
    scaled = (layout.slope, layout.intercept) != (1, 0)
    return layout.dtype.kind == "u" and not scaled


def mask_file(path: Path) -> Path:
    """Return the file that is meant: of a folder the one SEG or RTSTRUCT in it, if there is one.

    Raises
    ------
    MaskError
        If a folder holds several.
    """
    if not path.is_dir():
        return path
    found = [file for file in visible_files(path) if _is_dicom_mask(file)]
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:_MOST_NAMED])
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise MaskError(f"{len(found)} masks in {path}: give one of its files ({names}{more})")
    return found[0] if found else path


def referenced_series(path: str | os.PathLike[str]) -> str:
    """Return the UID of the series that a SEG or RTSTRUCT was drawn on, else an empty string.

    Raises
    ------
    MaskError
        If such a file is damaged, or a folder holds several of them.
    """
    file = mask_file(Path(path))
    if is_rtstruct(file):
        return read_rtstruct(file).series_uid
    return seg_series(file) if is_seg(file) else ""


def _is_dicom_mask(path: Path) -> bool:
    return is_seg(path) or is_rtstruct(path)


def _is_mask_folder(path: Path) -> bool:
    try:
        files = (f for f in visible_files(path) if extension(f) or is_dicom(f))
        found = [next(files, None), next(files, None)]
    except ScanError:
        return False
    return found[0] is not None and found[1] is None and _is_dicom_mask(found[0])
