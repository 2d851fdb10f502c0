"""DICOM RT structure sets as they lie in their files.

DICOM PS3.3 A.19, C.8.8.5 (structures) and C.8.8.6 (contours).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import RTStructureSetStorage

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.dicom_headers import is_dicom, quiet
from napari_ctlns.volume import FloatArray

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "")
_UNDEFINED = 0xFFFFFFFF
_MOST_MM = 1e6
"""No contour lies a kilometre off."""


@dataclass(frozen=True, eq=False)
class Structure:
    """A named region: closed contours, each (n, 3) corners in LPS millimetres."""

    name: str
    contours: tuple[FloatArray, ...]


@dataclass(frozen=True, eq=False)
class StructureSet:
    """What one RTSTRUCT file holds.

    Attributes
    ----------
    path
        The file.
    series_uid
        The series it was drawn on, or an empty string.
    frame_of_reference
        UID of the frame its millimetres are counted in, or an empty string.
    structures
        In the order of the file; names are unique, a second "Lung" is "Lung (2)".
    """

    path: Path
    series_uid: str
    frame_of_reference: str
    structures: tuple[Structure, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the structures, in the order of the file."""
        return tuple(structure.name for structure in self.structures)


def is_rtstruct(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a DICOM RT structure set; only its head is read."""

    def past_kind(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return tag > 0x00080060

    path = Path(path)
    if not is_dicom(path):
        return False
    try:
        with path.open("rb") as file, quiet():
            head = read_partial(file, past_kind, force=True)
            kind = head.get("SOPClassUID") or head.file_meta.get("MediaStorageSOPClassUID")
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes lead it to
        return False
    return bool(kind == RTStructureSetStorage)


def read_rtstruct(path: str | os.PathLike[str]) -> StructureSet:
    """Read the structures of an RTSTRUCT file.

    Open contours and points enclose nothing and are left out.

    Raises
    ------
    MaskError
        If it cannot be read, or is no structure set.
    """
    path = Path(path)
    if not path.is_file():
        raise MaskError(f"no such file: {path}; check the name")
    if not is_rtstruct(path):
        raise MaskError(f"not an RTSTRUCT: {path}; give a DICOM RT structure set")
    with quiet():
        try:
            ds = pydicom.dcmread(path, force=True)
            _refuse_cut_off(ds)
            structures = _structures(ds)
            series, frame = _referenced(ds)
        except Exception as error:
            message = f"damaged RTSTRUCT: {path} ({error or type(error).__name__})"
            raise MaskError(f"{message}; export it again") from error
    if not structures:
        raise MaskError(f"no structures in {path}; export it again, contours included")
    return StructureSet(path, series, frame, structures)


def _refuse_cut_off(ds: Dataset) -> None:
    """Refuse a file that ends within a value, of which pydicom takes what there is."""
    for tag in ds.keys():  # noqa: SIM118 - iterating a Dataset parses its values
        element: DataElement | RawDataElement = ds.get_item(tag)
        if not isinstance(element, RawDataElement) or element.length == _UNDEFINED:
            continue
        if len(element.value or b"") != element.length:
            raise ValueError("it ends early")


def _structures(ds: Dataset) -> tuple[Structure, ...]:
    contours: dict[int, list[FloatArray]] = {}
    for item in ds.get("ROIContourSequence") or []:
        found = contours.setdefault(int(item.ReferencedROINumber), [])
        for contour in item.get("ContourSequence") or []:
            if str(contour.get("ContourGeometricType") or "").upper() in _CLOSED:
                found.append(_corners(contour))
    named: dict[str, Structure] = {}
    for item in ds.get("StructureSetROISequence") or []:
        name = str(item.get("ROIName") or "").strip() or f"ROI {item.ROINumber}"
        unique, number = name, 2
        while unique in named:
            unique, number = f"{name} ({number})", number + 1
        own = contours.pop(int(item.ROINumber), [])
        named[unique] = Structure(unique, tuple(c for c in own if len(c) >= 3))
    if contours:
        raise ValueError(f"contours of ROI {min(contours)}, which is not named")
    return tuple(named.values())


def _corners(contour: Dataset) -> FloatArray:
    """Return the corners (n, 3) of a contour."""
    values = _numbers(contour)
    count = contour.get("NumberOfContourPoints")
    if len(values) % 3 or (count is not None and int(count) * 3 != len(values)):
        raise ValueError(f"a contour of {len(values)} numbers for {count} points")
    if len(values) and not np.abs(values).max() < _MOST_MM:
        raise ValueError("a contour reaches further than a kilometre")
    return values.reshape(-1, 3)


def _numbers(contour: Dataset) -> FloatArray:
    if "ContourData" not in contour:
        return np.zeros(0)
    element: DataElement | RawDataElement = contour.get_item("ContourData")
    if not isinstance(element, RawDataElement):
        return np.array(element.value, float).reshape(-1)
    # pydicom is slow at decimal strings, and a large set has millions
    text = (element.value or b"").rstrip(b" \0")
    return np.array(text.split(b"\\") if text else [], "S").astype(float)


def _referenced(ds: Dataset) -> tuple[str, str]:
    """Return the UIDs of the series and the frame of reference; empty where not told."""
    frame = str(ds.get("FrameOfReferenceUID") or "")
    for item in ds.get("ReferencedFrameOfReferenceSequence") or []:
        frame = str(item.get("FrameOfReferenceUID") or "") or frame
        for study in item.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                uid = str(series.get("SeriesInstanceUID") or "")
                if uid:
                    return uid, frame
    return "", frame
