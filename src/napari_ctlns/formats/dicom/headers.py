"""DICOM headers: whether a file is one, and the slices it holds.

Of each file only the header is read, once; its pixels stay where they are.
"""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import pydicom
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from napari_ctlns.formats.dicom.enhanced import frames, is_enhanced
from napari_ctlns.formats.dicom.slice import Slice, placed_slice

Role = Literal["slices", "capture", "unplaced", "multiframe", "beside", "damaged", "other"]
"""What a file is to a scan: its slices, a secondary capture that lies in the
patient, a picture that does not, many frames of unknown place, something else
about the patient, not to be understood, or no DICOM file at all."""

Known = dict[tuple[object, ...], DataElement]
"""Values by the bytes they were parsed from: the slices of a series share most of theirs."""

_PLACED = (
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)
_TAGS = [
    Tag(name)
    for name in (
        *_PLACED,
        "SOPClassUID",
        "SOPInstanceUID",
        "SeriesInstanceUID",
        "StudyInstanceUID",
        "Modality",
        "PatientID",
        "SeriesDescription",
        "ImageType",
        "NumberOfFrames",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "ModalityLUTSequence",
        "RescaleSlope",
        "RescaleIntercept",
        "WindowCenter",
        "WindowWidth",
        "SliceThickness",
        "SpacingBetweenSlices",
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "PixelData",
    )
]
_PIXELS = Tag("PixelData")
_TEXTS = (Tag("PatientID"), Tag("SeriesDescription"))
"""Read by the character set of their file, so that equal bytes may differ."""
_SHORT = 64
"""Bytes of a value that slices are likely to share."""
_LATER = 4096
"""Elements longer than this, the pixels, stay in the file until they are wanted."""

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_BESIDE = ("SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "RTIMAGE", "SR", "PR", "KO", "REG", "FID", "DOC")
"""Modalities of what accompanies a scan, some of which has pixels of its own."""


def is_dicom(path: Path) -> bool:
    """Whether a file begins like DICOM, with or without the preamble."""
    try:
        with path.open("rb") as file:
            return _begins_like_dicom(file.read(132))
    except OSError:
        return False


def _begins_like_dicom(head: bytes) -> bool:
    return head[128:] == b"DICM" or head[:4] in (b"\x08\x00\x05\x00", b"\x08\x00\x08\x00")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom from warning of every value that bends the standard: scanners do daily."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_slices(path: Path, known: Known) -> tuple[Role, tuple[Slice, ...]]:
    """Read the header of a file: what it is, and the slices in it.

    Values that ``known`` holds are taken from it, others are added.
    """
    try:
        with path.open("rb") as file, quiet():
            if not _begins_like_dicom(file.read(132)):
                return "other", ()
            file.seek(0)
            header = _header(file)
            _parse(header, known)
            return _slices(header)
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes lead it to
        return "damaged", ()


def _header(file: BinaryIO) -> Dataset:
    """Read what is needed of a DICOM file up to its pixels, and where these begin."""
    found: list[RawDataElement] = []

    def at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag != _PIXELS:
            return False
        found.append(RawDataElement(_PIXELS, vr, length, b"", file.tell(), vr is None, True))
        return True

    header = read_partial(file, at_pixels, defer_size=_LATER, force=True, specific_tags=list(_TAGS))
    if header.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        # positions count in what is unpacked, which only pydicom holds
        file.seek(0)
        header = pydicom.dcmread(file, defer_size=_LATER, force=True, specific_tags=list(_TAGS))
        pixels = header.get_item(_PIXELS, keep_deferred=True)
        found = [pixels] if isinstance(pixels, RawDataElement) else []
    if found:
        little = header.original_encoding[1] is not False
        # not None, which makes pydicom read the pixels whenever the element is looked at
        header[_PIXELS] = found[0]._replace(value=b"", is_little_endian=little)
    return header


def _parse(header: Dataset, known: Known) -> None:
    """Parse all values now: pydicom would do so, and fail, wherever they are first used."""
    for tag in header.keys() - {_PIXELS}:
        raw: object = header.get_item(tag)
        key = _bytes_of(raw) if tag not in _TEXTS else None
        if key is None:
            _ = header[tag].value
        elif key in known:
            header[tag] = known[key]
        else:
            known[key] = header[tag]
    _ = header.file_meta.get("TransferSyntaxUID")


def _bytes_of(raw: object) -> tuple[object, ...] | None:
    """Return what a value is parsed from, if it is short."""
    if isinstance(raw, RawDataElement) and 0 < len(raw.value or b"") <= _SHORT:
        return raw.tag, raw.VR, raw.value, raw.is_little_endian
    return None


def _slices(header: Dataset) -> tuple[Role, tuple[Slice, ...]]:
    """Tell what a file is to a scan; raises anything if a value cannot be parsed."""
    if "SeriesInstanceUID" not in header:
        # pydicom loses all of a file that ends early; only a DICOMDIR has no series
        kind = header.file_meta.get("MediaStorageSOPClassUID")
        return ("beside" if kind == MediaStorageDirectoryStorage else "damaged"), ()
    if str(header.get("Modality")) in _BESIDE:
        return "beside", ()
    if is_enhanced(header):
        found = frames(header)
        return ("slices" if found else "multiframe"), found
    if int(header.get("NumberOfFrames") or 1) > 1:
        return "multiframe", ()
    kinds = [str(kind).upper() for kind in header.get("ImageType") or []]
    if "LOCALIZER" in kinds or any(header.get(name) in (None, "") for name in _PLACED):
        return "unplaced", ()
    one = placed_slice(
        header, 0, position=header, orientation=header, measures=header, rescale=header
    )
    captured = str(header.get("SOPClassUID")).startswith(_SECONDARY_CAPTURE)
    return ("capture" if captured else "slices"), (one,)
