"""Scans: one door for every format, and finding them in folders."""

import os
import re
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.dicom import (
    choose_series,
    is_dicom,
    list_series,
    listing_place,
    series_of_file,
    visible_files,
)
from napari_ctlns.formats.dicom_scan import Partial, refuse_mended, series_parts
from napari_ctlns.formats.images import extension, file_stem, read_image, volume_id, volumes_in
from napari_ctlns.formats.mask_files import is_mask_image
from napari_ctlns.formats.plausible import value_warnings
from napari_ctlns.volume import Source, Volume

__all__ = ["Partial", "ScanFile", "find_scans", "read_scan", "scan_parts"]

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
        file that holds several volumes, the number of one, from "1".
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
    parts = scan_parts(path, series=series, strict=strict)
    while True:
        try:
            next(parts)
        except StopIteration as finished:
            volume: Volume = finished.value
            return volume


def scan_parts(
    path: str | os.PathLike[str], *, series: str | None = None, strict: bool = False
) -> Generator[Partial, None, Volume]:
    """Read a CT scan as `read_scan` does, and show it while it is read.

    Yields
    ------
    Partial
        After each slice of a DICOM series. The first one holds the middle slice of
        a straight, even series; a resampled one is not shown before its end.
        Image files come at once, and yield nothing.

    Returns
    -------
    Volume
        As `read_scan` returns it.

    Raises
    ------
    ScanError
        If it cannot be read, or not rightly.
    """
    path = Path(path)
    if not path.exists():
        raise ScanError(f"no such file or folder: {path}; check the name")
    if _is_image(path):
        volume = _read_file(path, series)
    else:
        volume = yield from _dicom_parts(path, series, strict)
    volume = _with_value_warnings(volume)
    if strict:
        refuse_mended(volume.source)
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
        files = [p for p in visible_files(path) if extension(p) and not is_mask_image(p)]
        images = [scan for file in files for scan in _scans_in(file)]
        found = [ScanFile(s.folder, s.uid, s.words) for s in list_series(path).series]
        return sorted([*images, *found], key=lambda scan: str(scan.path))
    if _is_image(path):
        return _scans_in(path)
    place = listing_place(path)
    contents = list_series(place)
    if place == path:  # a DICOMDIR: its folder may hold more than it lists
        return [ScanFile(path, s.uid, s.words) for s in contents.series]
    uid = series_of_file(path, contents)
    return [ScanFile(place, s.uid, s.words) for s in contents.series if s.uid == uid]


def _scans_in(path: Path) -> list[ScanFile]:
    """List the volumes of an image file, by their numbers where there are several."""
    n = volumes_in(path)
    if n == 1:
        return [ScanFile(path)]
    return [
        ScanFile(path, volume_id(path, k), f"{path.name}, volume {k} of {n}")
        for k in range(1, n + 1)
    ]


def _is_image(path: Path) -> bool:
    """Whether a path is for the image reader; its words are the best for unknown files."""
    return path.is_file() and (extension(path) != "" or not is_dicom(path))


def _read_file(path: Path, series: str | None) -> Volume:
    image = read_image(path, series)
    stem = file_stem(path)
    source = Source(
        path=path,
        format=image.format,
        # LUNA16 names its files by series
        series_uid=stem if _UID.fullmatch(stem) else "",
        warnings=image.warnings,
    )
    geometry = image.geometry.oriented()
    # contiguous, because every step after this runs along the axes
    array = np.ascontiguousarray(geometry.from_source(image.array))
    # the volumes of one file are of one patient
    return Volume(array, geometry, "ct", image.scan_id, stem, source)


def _dicom_parts(path: Path, series: str | None, strict: bool) -> Generator[Partial, None, Volume]:
    place = listing_place(path)
    contents = list_series(place)
    if series is None and place != path:
        series = series_of_file(path, contents)
    chosen = choose_series(place, contents, series)
    return (yield from series_parts(chosen, place, strict))


def _with_value_warnings(volume: Volume) -> Volume:
    words = (*volume.source.warnings, *value_warnings(volume.array))
    return replace(volume, source=replace(volume.source, warnings=words))
