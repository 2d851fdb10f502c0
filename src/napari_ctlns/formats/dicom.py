"""DICOM series: which there are in a folder, and reading one."""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import Dataset
from pydicom.uid import MediaStorageDirectoryStorage

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.pixels import read_pixels
from napari_ctlns.formats.slices import stack
from napari_ctlns.volume import Geometry

_PLACED = (
    "SeriesInstanceUID",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)
_TAGS = [
    *_PLACED,
    "SOPInstanceUID",
    "Modality",
    "PatientID",
    "SeriesDescription",
    "ImageType",
    "NumberOfFrames",
    "SamplesPerPixel",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "WindowCenter",
    "WindowWidth",
    "SliceThickness",
    "SpacingBetweenSlices",
    "PixelData",
]
_LATER = 4096
"""Elements longer than this, the pixels, stay in the file until they are wanted."""


@dataclass(frozen=True, eq=False)
class Series:
    """The slices of one DICOM series, in no order; pixels are still in the files."""

    uid: str
    headers: tuple[Dataset, ...]

    @property
    def folder(self) -> Path:
        """The deepest folder that holds all its files."""
        parents = {Path(str(h.filename)).parent for h in self.headers}
        common = min(parents, key=lambda p: len(p.parts))
        while not all(p.is_relative_to(common) for p in parents):
            common = common.parent
        return common

    @property
    def title(self) -> str:
        """UID, description and number of slices, for a person to choose by."""
        return f"{self.uid} ({self.words})"

    @property
    def words(self) -> str:
        """Description and number of slices."""
        first = self.headers[0]
        said = str(first.get("SeriesDescription") or first.get("Modality") or "no description")
        return f"{said}, {len(self.headers)} slices"


@dataclass(frozen=True)
class Contents:
    """What a folder holds: its series, and how many other DICOM files of which kinds."""

    series: tuple[Series, ...]
    damaged: tuple[Path, ...]
    unplaced: int
    multiframe: int


@dataclass(frozen=True, eq=False)
class Scan:
    """One series as voxels (z, y, x) on the source's own grid, rescaled, and what it tells."""

    array: npt.NDArray[Any]
    geometry: Geometry
    uid: str
    patient_id: str
    modality: str
    window_hu: tuple[float, float] | None
    warnings: tuple[str, ...]


def is_dicom(path: Path) -> bool:
    """Whether a file begins like DICOM, with or without the preamble."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    return head[128:] == b"DICM" or head[:4] in (b"\x08\x00\x05\x00", b"\x08\x00\x08\x00")


def list_series(folder: Path) -> Contents:
    """Read the headers of all DICOM files at or below a folder, and group them by series.

    Localizers, and files that do not lie in the patient, are left out.
    """
    grouped: dict[str, list[Dataset]] = {}
    damaged: list[Path] = []
    unplaced = multiframe = 0
    for path in filter(is_dicom, visible_files(folder)):
        with _quiet():
            try:
                header = _header(path)
                role = _role(header)
            except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes lead it to
                role = "damaged"
        if role == "slice":
            grouped.setdefault(str(header.SeriesInstanceUID), []).append(header)
        elif role == "damaged":
            damaged.append(path)
        multiframe += role == "multiframe"
        unplaced += role == "unplaced"
    series = tuple(Series(uid, tuple(headers)) for uid, headers in sorted(grouped.items()))
    return Contents(series, tuple(damaged), unplaced, multiframe)


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files at or below a folder, sorted; hidden and temporary ones left out.

    Raises
    ------
    ScanError
        If a folder may not be looked into.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise ScanError(f"cannot look into {folder}: {error.strerror or error}") from error
    for path in paths:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from visible_files(path)
        elif path.is_file():
            yield path


def choose_series(folder: Path, contents: Contents, uid: str | None) -> Series:
    """Return the series asked for, or the only one.

    Raises
    ------
    ScanError
        If there is none, several and none is asked for, or a damaged file among them.
    """
    if not contents.series:
        raise ScanError(_why_none(folder, contents))
    titles = "; ".join(series.title for series in contents.series)
    if uid is None and len(contents.series) > 1:
        message = f"{len(contents.series)} series in {folder}: choose one with --series"
        raise ScanError(f"{message}: {titles}")
    for series in contents.series:
        if uid in (None, series.uid):
            _refuse_damaged(series, contents.damaged)
            return series
    raise ScanError(f"no series {uid} in {folder}; there is {titles}")


def _refuse_damaged(series: Series, damaged: tuple[Path, ...]) -> None:
    # it may be the first or last slice, which leaves no gap
    beside = [path for path in damaged if path.is_relative_to(series.folder)]
    if beside:
        message = f"damaged DICOM file {beside[0]} beside the slices"
        raise ScanError(f"{message}; copy it again, or remove it if it is not part of the scan")


def read_series(series: Series) -> Scan:
    """Read one series.

    Raises
    ------
    ScanError
        If its slices do not make a straight, even stack, or lack pixels.
    """
    place = f"(series {series.uid} in {series.folder})"
    with _quiet():
        try:
            return _read(series)
        except ScanError as error:
            raise ScanError(f"{error} {place}") from None
        except Exception as error:  # pydicom parses a value only when it is asked for
            message = f"a DICOM header cannot be understood: {error}; export the scan again"
            raise ScanError(f"{message} {place}") from error


def _read(series: Series) -> Scan:
    headers, copies = _without_copies(series.headers)
    ordered = stack(headers)
    array = read_pixels(ordered.headers, ordered.geometry.shape)
    first = ordered.headers[0]
    modality = str(first.get("Modality") or "")
    words = [*ordered.warnings, *copies]
    if modality != "CT":
        words.insert(0, f"not a CT: the modality is {modality or 'not told'}, no HU")
    return Scan(
        array=array,
        geometry=ordered.geometry,
        uid=series.uid,
        patient_id=str(first.get("PatientID") or ""),
        modality=modality,
        window_hu=_window(first),
        warnings=tuple(words),
    )


def _why_none(folder: Path, contents: Contents) -> str:
    if contents.multiframe:
        return f"multi-frame DICOM in {folder}; export it as one file a slice, or as .mha"
    if contents.unplaced:
        message = f"no slices in {folder}: its {contents.unplaced} DICOM files are localizers"
        return f"{message} or have no position in the patient; give the CT series"
    if contents.damaged:
        return f"damaged DICOM files in {folder}; copy them again"
    return f"no DICOM series in {folder}; give a folder of DICOM files or an image file"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from warning of every value that bends the standard: scanners do daily."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _header(path: Path) -> Dataset:
    """Read what is needed of a DICOM file, but not its pixels."""
    return pydicom.dcmread(path, defer_size=_LATER, specific_tags=list(_TAGS), force=True)


def _role(header: Dataset) -> Literal["slice", "multiframe", "unplaced", "damaged"]:
    """Tell what a file is to a scan; raises anything if a value cannot be parsed."""
    if "SeriesInstanceUID" not in header:
        # pydicom loses all of a file that ends early; only a DICOMDIR has no series
        kind = header.file_meta.get("MediaStorageSOPClassUID")
        return "unplaced" if kind == MediaStorageDirectoryStorage else "damaged"
    if int(header.get("NumberOfFrames") or 1) > 1:
        return "multiframe"
    kinds = [str(kind).upper() for kind in header.get("ImageType") or []]
    if "LOCALIZER" in kinds or any(header.get(name) in (None, "") for name in _PLACED):
        return "unplaced"
    sizes = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}
    for name, size in sizes.items():
        values = np.asarray(header[name].value, float)
        if values.shape != (size,) or not np.isfinite(values).all():
            return "damaged"
    possible = min(header.Rows, header.Columns, *header.PixelSpacing) > 0
    return "slice" if possible else "damaged"


def _without_copies(headers: tuple[Dataset, ...]) -> tuple[list[Dataset], list[str]]:
    """Leave out files that hold the same SOP instance as one before."""
    unique = {str(h.get("SOPInstanceUID") or h.filename): h for h in reversed(headers)}
    count = len(headers) - len(unique)
    words = [f"{count} files are copies of others and were left out"] if count else []
    return list(unique.values()), words


def _window(header: Dataset) -> tuple[float, float] | None:
    """Return (low, high) that the header proposes first, if it proposes any."""
    try:
        centre, width = (
            float(np.atleast_1d(np.asarray(header.get(name), dtype=object)).ravel()[0])
            for name in ("WindowCenter", "WindowWidth")
        )
    except (TypeError, ValueError, IndexError):
        return None
    return (centre - width / 2, centre + width / 2) if width > 0 else None
