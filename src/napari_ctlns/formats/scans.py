"""Scans: one door for every format, and finding them in folders."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom import (
    Contents,
    choose_series,
    is_dicom,
    list_series,
    read_series,
    visible_files,
)
from napari_ctlns.formats.images import (
    extension,
    file_stem,
    image_layout,
    read_image,
    volumes_in,
)
from napari_ctlns.formats.plausible import value_warnings
from napari_ctlns.volume import Geometry, Source, Volume

_UID = re.compile(r"[0-2](\.(0|[1-9]\d*)){5,}")


@dataclass(frozen=True)
class ScanFile:
    """Where a scan lies: a file, or a folder and a DICOM series in it.

    ``title`` tells a person what a series is, where folders were looked into.
    """

    path: Path
    series: str | None = None
    title: str = field(default="", compare=False)


def read_scan(
    path: str | os.PathLike[str], *, series: str | None = None, strict: bool = False
) -> Volume:
    """Read a CT scan.

    Parameters
    ----------
    path
        A .mhd, .mha, .nii, .nii.gz, .nrrd or .nhdr file, a folder with DICOM files at
        or below it, or one DICOM file of a series in that file's folder.
    series
        The DICOM series instance UID to choose where there are several; of an image
        file with several volumes, the number of one, from "1".
    strict
        Refuse what would otherwise be read with a warning.

    Returns
    -------
    Volume
        Kind "ct", (z, y, x), axes along LPS by flips and permutations. Values
        are as stored (DICOM: rescaled), padding below -1024 HU included.

    Raises
    ------
    ScanError
        If it cannot be read, or not rightly.
    """
    path = Path(path)
    if not path.exists():
        raise ScanError(f"no such file or folder: {path}; check the name")
    volume = _read_file(path, series) if _is_image(path) else _read_dicom(path, series)
    if strict and volume.source.warnings:
        raise ScanError(f"refused, being strict: {'; '.join(volume.source.warnings)} ({path})")
    return volume


def find_scans(folder_or_file: str | os.PathLike[str]) -> list[ScanFile]:
    """List every image file and DICOM series at or below a folder, sorted.

    Hidden and temporary files are left out, and so are image files of unsigned
    integers: HU need a sign, so these are masks. Damaged files are listed;
    reading them says what is wrong.

    Raises
    ------
    ScanError
        If there is no such file or folder, or the file is no scan.
    """
    path = Path(folder_or_file)
    if not path.exists():
        raise ScanError(f"no such file or folder: {path}; check the name")
    if path.is_dir():
        files = [p for p in visible_files(path) if extension(p) and not is_mask_file(p)]
        images = [scan for file in files for scan in _scans_in(file)]
        found = [ScanFile(s.folder, s.uid, s.words) for s in list_series(path).series]
        return sorted([*images, *found], key=lambda scan: str(scan.path))
    if _is_image(path):
        return _scans_in(path)
    return [ScanFile(path.parent, _series_of_file(path, list_series(path.parent)))]


def _scans_in(path: Path) -> list[ScanFile]:
    """List the volumes of an image file, by their numbers where there are several."""
    n = volumes_in(path)
    if n == 1:
        return [ScanFile(path)]
    return [ScanFile(path, str(k), f"{path.name}, volume {k} of {n}") for k in range(1, n + 1)]


def _is_image(path: Path) -> bool:
    """Whether a path is for the image reader; its words are the best for unknown files."""
    return path.is_file() and (extension(path) != "" or not is_dicom(path))


def is_mask_file(path: Path) -> bool:
    """Whether an image file holds unsigned integers: HU need a sign, so these are labels."""
    try:
        layout = image_layout(path)
    except ScanError:
        return False
    scaled = (layout.slope, layout.intercept) != (1, 0)
    return layout.dtype.kind == "u" and not scaled


def _read_file(path: Path, series: str | None) -> Volume:
    image = read_image(path, series)
    stem = file_stem(path)
    words = [*image.warnings, *value_warnings(image.array)]
    source = Source(
        path=path,
        format=image.format,
        # LUNA16 names its files by series
        series_uid=stem if _UID.fullmatch(stem) else "",
        warnings=tuple(words),
    )
    return _oriented(image.array, image.geometry, image.scan_id, stem, source)


def _read_dicom(path: Path, series: str | None) -> Volume:
    folder = path if path.is_dir() else path.parent
    contents = list_series(folder)
    if series is None and path.is_file():
        series = _series_of_file(path, contents)
    scan = read_series(choose_series(folder, contents, series))
    words = [*scan.warnings, *value_warnings(scan.array)]
    source = Source(
        path=folder,
        format="dicom",
        series_uid=scan.uid,
        modality=scan.modality,
        window_hu=scan.window_hu,
        warnings=tuple(words),
    )
    return _oriented(scan.array, scan.geometry, scan.uid, scan.patient_id or scan.uid, source)


def _series_of_file(path: Path, contents: Contents) -> str:
    for series in contents.series:
        if any(Path(str(h.filename)).name == path.name for h in series.headers):
            return series.uid
    raise ScanError(f"not a slice of a scan: {path}; give the folder of a CT series")


def _oriented(
    array: npt.NDArray[Any], own: Geometry, scan_id: str, patient_id: str, source: Source
) -> Volume:
    geometry = own.oriented()
    return Volume(
        # contiguous, because every step after this runs along the axes
        array=np.ascontiguousarray(geometry.from_source(array)),
        geometry=geometry,
        scan_id=scan_id,
        patient_id=patient_id,
        source=source,
    )
