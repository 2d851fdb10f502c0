"""What a path is to us: a scan, a mask, annotations, a project, or nothing."""

import itertools
from pathlib import Path
from typing import Literal

from napari_ctlns.plugin.project_file import PROJECT_SUFFIX

Kind = Literal["project", "scan", "mask", "annotations"]

_MOST_LOOKED_AT = 10_000


def kind_of(path: Path) -> Kind:
    """Tell what a path is: by its name, images and DICOM by their header."""
    from napari_ctlns.formats import is_mask_file

    suffix = path.suffix.lower()
    if suffix in (".csv", PROJECT_SUFFIX):
        return "annotations" if suffix == ".csv" else "project"
    return "mask" if is_mask_file(path) else "scan"


def is_ours(path: Path) -> bool:
    """Whether we can read a file or something in a folder; of a large one only a part is seen."""
    from napari_ctlns.formats.dicom import is_dicom, visible_files
    from napari_ctlns.formats.images import extension

    if path.is_dir():
        some = itertools.islice(visible_files(path), _MOST_LOOKED_AT)
        return any(extension(file) or is_dicom(file) for file in some)
    known = extension(path) or path.suffix.lower() in (".dcm", ".csv", PROJECT_SUFFIX)
    return bool(known) or is_dicom(path)
