"""DICOM series: which there are in a folder, and reading one."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.layout import rescaled
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
_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


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
        first = self.headers[0]
        words = str(first.get("SeriesDescription") or first.get("Modality") or "no description")
        return f"{self.uid} ({words}, {len(self.headers)} slices)"


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
    for path in visible_files(folder):
        if not is_dicom(path):
            continue
        header = _header(path)
        if header is None:
            damaged.append(path)
        elif int(header.get("NumberOfFrames") or 1) > 1:
            multiframe += 1
        elif _is_slice(header):
            grouped.setdefault(str(header.SeriesInstanceUID), []).append(header)
        else:
            unplaced += 1
    series = tuple(Series(uid, tuple(headers)) for uid, headers in sorted(grouped.items()))
    return Contents(series, tuple(damaged), unplaced, multiframe)


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files at or below a folder, sorted; hidden and temporary ones left out."""
    for path in sorted(folder.iterdir()):
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
        If there is none, or several and none is asked for.
    """
    if not contents.series:
        raise ScanError(_why_none(folder, contents))
    titles = "; ".join(series.title for series in contents.series)
    if uid is None:
        if len(contents.series) > 1:
            message = f"{len(contents.series)} series in {folder}: choose one with --series"
            raise ScanError(f"{message}: {titles}")
        return contents.series[0]
    for series in contents.series:
        if series.uid == uid:
            return series
    raise ScanError(f"no series {uid} in {folder}; there is {titles}")


def read_series(series: Series) -> Scan:
    """Read one series.

    Raises
    ------
    ScanError
        If its slices do not make a straight, even stack, or lack pixels.
    """
    headers, copies = _without_copies(series.headers)
    with warnings.catch_warnings():
        # pydicom warns of every value that bends the standard; scanners bend it daily
        warnings.simplefilter("ignore")
        try:
            ordered = stack(headers)
        except ScanError as error:
            raise ScanError(f"{error} (series {series.uid} in {series.folder})") from None
        array = _voxels(ordered.headers, ordered.geometry.shape)
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


def _header(path: Path) -> Dataset | None:
    """Read what is needed of a DICOM file, but not its pixels; None if it is damaged."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(path, defer_size=_LATER, specific_tags=list(_TAGS), force=True)
        except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes lead it to
            return None


def _is_slice(header: Dataset) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            placed = all(header.get(name) not in (None, "") for name in _PLACED)
            kinds = [str(kind).upper() for kind in header.get("ImageType") or []]
            return placed and "LOCALIZER" not in kinds
        except Exception:  # noqa: BLE001 - a value that cannot even be parsed
            return False


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


def _voxels(headers: tuple[Dataset, ...], shape: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Return the rescaled pixels of all slices; int16 where the values fit."""
    whole = all(all(v.is_integer() for v in _rescale(h)) for h in headers)
    array = np.empty(shape, np.int16 if whole else np.float32)
    for index, header in enumerate(headers):
        pixels = _pixels(header)
        if pixels.shape != shape[1:]:
            raise ScanError(f"pixels of {header.filename} do not fit its header; copy it again")
        if whole and not np.can_cast(pixels.dtype, array.dtype):
            # one slice out of range makes the whole scan wider, seldom and once
            array = array.astype(np.result_type(array.dtype, pixels.dtype))
        array[index] = pixels
    return array


def _rescale(header: Dataset) -> tuple[float, float]:
    slope, intercept = header.get("RescaleSlope"), header.get("RescaleIntercept")
    return (
        1.0 if slope in (None, "") else float(slope),
        0.0 if intercept in (None, "") else float(intercept),
    )


def _pixels(header: Dataset) -> npt.NDArray[Any]:
    """Return one slice (y, x), rescaled: int16 or int32 where slope and intercept are whole."""
    if "PixelData" not in header:
        raise ScanError(f"no pixel data in {header.filename}; give the whole CT series")
    syntax = header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    plain = syntax in _NATIVE and header.BitsAllocated == 16
    plain = plain and header.get("HighBit", header.BitsStored - 1) == header.BitsStored - 1
    stored = _plain_pixels(header) if plain else _decoded_pixels(header)
    if stored is None:
        return _gdcm_pixels(header)
    slope, intercept = _rescale(header)
    if stored.dtype == np.uint16 and (slope, intercept) == (1, 0):
        return stored.astype(np.int16 if stored.max() <= 32767 else np.int32)
    return rescaled(stored, slope, intercept)


def _plain_pixels(header: Dataset) -> npt.NDArray[Any]:
    """Return uncompressed pixels straight from the file's bytes."""
    shape = (int(header.Rows), int(header.Columns))
    data = header.PixelData
    expected = shape[0] * shape[1] * 2
    if len(data) < expected:
        message = f"truncated pixels in {header.filename}: expected {expected} bytes"
        raise ScanError(f"{message}, found {len(data)}; copy the file again")
    signed = header.PixelRepresentation == 1
    pixels = np.frombuffer(data, "<i2" if signed else "<u2", shape[0] * shape[1]).reshape(shape)
    unused = 16 - int(header.BitsStored)
    # old files keep overlays in the unused high bits
    return (pixels << unused) >> unused if unused else pixels


def _decoded_pixels(header: Dataset) -> npt.NDArray[Any] | None:
    """Return pixels through pydicom's decoders, or None where it has none."""
    try:
        return pydicom.dcmread(str(header.filename), force=True).pixel_array
    except (NotImplementedError, RuntimeError):
        return None
    except Exception as error:
        message = f"damaged pixels in {header.filename}: {error}; copy the file again"
        raise ScanError(message) from error


def _gdcm_pixels(header: Dataset) -> npt.NDArray[Any]:
    """Return rescaled pixels through GDCM, which knows older compressions."""
    try:
        image = sitk.ReadImage(str(header.filename))
    except RuntimeError as error:
        name = header.file_meta.TransferSyntaxUID.name
        message = f"cannot unpack {name} in {header.filename}; export the scan uncompressed"
        raise ScanError(message) from error
    pixels = sitk.GetArrayFromImage(image)[0]
    if not np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32)
    small = pixels.min() >= -32768 and pixels.max() <= 32767
    return pixels.astype(np.int16 if small else np.int32)
