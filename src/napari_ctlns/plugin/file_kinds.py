"""What a path is to us: a scan, what lies on one, a project, or nothing."""

import itertools
from pathlib import Path
from typing import Literal

from napari_ctlns.plugin.project_file import PROJECT_SUFFIX

Kind = Literal["project", "scan", "mask", "annotations", "lidc", "boxes"]

_MOST_LOOKED_AT = 10_000
_HEAD_BYTES = 4096


def kind_of(path: Path) -> Kind:
    """Tell what a path is: tables and projects by their names, all else by its head."""
    from napari_ctlns.formats import is_mask_file

    suffix = path.suffix.lower()
    if suffix in (".csv", PROJECT_SUFFIX):
        return "annotations" if suffix == ".csv" else "project"
    if is_mask_file(path):
        return "mask"
    return _kind_of_xml(_some_xml(path)) or "scan"


def is_ours(path: Path) -> bool:
    """Whether we can read a file or something in a folder; of a large one only a part is seen."""
    from napari_ctlns.formats.dicom.series import is_dicom, visible_files
    from napari_ctlns.formats.images import extension

    if path.is_dir():
        some = itertools.islice(visible_files(path), _MOST_LOOKED_AT)
        return any(extension(f) or is_dicom(f) or _kind_of_xml(f) for f in some)
    known = extension(path) or path.suffix.lower() in (".dcm", ".csv", PROJECT_SUFFIX)
    return bool(known) or is_dicom(path) or _kind_of_xml(path) is not None


def _some_xml(path: Path) -> Path | None:
    """Return an XML file: the path itself, or one of a folder that holds neither images nor DICOM.

    Scans often have a file of XML among their slices.
    """
    from napari_ctlns.formats.dicom.series import is_dicom, visible_files
    from napari_ctlns.formats.images import extension

    if not path.is_dir():
        return path
    first = None
    for file in itertools.islice(visible_files(path), _MOST_LOOKED_AT):
        if extension(file) or is_dicom(file):
            return None
        if first is None and file.suffix.lower() == ".xml":
            first = file
    return first


def _kind_of_xml(path: Path | None) -> Kind | None:
    """Tell readings of LIDC and Pascal-VOC boxes by their root elements."""
    if path is None or path.suffix.lower() != ".xml":
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    if b"LidcReadMessage" in head or b"IdriReadMessage" in head:
        return "lidc"
    return "boxes" if b"<annotation" in head else None
