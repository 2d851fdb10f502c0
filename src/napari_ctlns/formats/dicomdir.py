"""The table of contents of a DICOM disc, as in DICOM PS3.3 Annex F."""

from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import pydicom
from pydicom import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom_headers import quiet


def is_dicomdir(path: Path) -> bool:
    """Whether a file is a table of contents."""
    try:
        meta = pydicom.filereader.read_file_meta_info(path)
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes lead it to
        return False
    return meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage


def listed_files(path: Path) -> list[Path]:
    """Return the image files that a DICOMDIR lists.

    Raises
    ------
    ScanError
        If the DICOMDIR is damaged, lists a file outside its own folder, or files
        that are not there.
    """
    try:
        with quiet():
            records = pydicom.dcmread(path, force=True).DirectoryRecordSequence
            _refuse_cut(records, path.stat().st_size)
            names = [_name(r) for r in records if r.DirectoryRecordType == "IMAGE"]
    except Exception as error:  # pydicom raises whatever the bytes lead it to
        message = f"damaged DICOMDIR {path}: {error}; open its folder instead"
        raise ScanError(message) from error
    files = [_file(path, name) for name in names]
    missing = [name for name, file in zip(names, files, strict=True) if not file.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        message = f"missing files of {path}: {'/'.join(missing[0])}{more}"
        raise ScanError(f"{message}; copy the whole disc, or open its folder instead")
    return files


def _refuse_cut(records: Sequence[Dataset], size: int) -> None:
    """Refuse a file that ends early: pydicom returns the records before the cut in silence."""
    links = ("OffsetOfTheNextDirectoryRecord", "OffsetOfReferencedLowerLevelDirectoryEntity")
    if any(record.get(link, 0) >= size for record in records for link in links):
        raise ValueError("it ends early")


def _name(record: Dataset) -> tuple[str, ...]:
    parts = record.ReferencedFileID
    return (parts,) if isinstance(parts, str) else tuple(str(part) for part in parts)


def _file(path: Path, name: tuple[str, ...]) -> Path:
    # a part of a Windows path is the strictest of all parts: no drive, no slash of either kind
    if any(part in (".", "..") or PureWindowsPath(part).name != part for part in name):
        message = f"{path} lists a file outside its folder: {'/'.join(name)}"
        raise ScanError(f"{message}; open its folder instead")
    file = path.parent.joinpath(*name)
    if file.is_file():
        return file
    # discs write their names in capitals, copies of them often do not
    return path.parent.joinpath(*(part.lower() for part in name))
