"""Whose scan it is: told where a person asks for it, and kept out of everything else."""

import re

import pydicom

from napari_ctlns.formats.dicom.headers import quiet
from napari_ctlns.volume import Volume

_UID = re.compile(r"\b\d+(?:\.\d+){4,}\b")
_TAGS = {
    "Patient": "PatientName",
    "Patient ID": "PatientID",
    "Born": "PatientBirthDate",
    "Sex": "PatientSex",
    "Study": "StudyDescription",
    "Study date": "StudyDate",
    "Series": "SeriesDescription",
}


def identity_of(scan: Volume) -> dict[str, str]:
    """Return name, id, dates, series and path of a scan, as far as they are known."""
    told: dict[str, str] = {}
    if scan.source.slices:
        told.update(_in_header(scan))
    told["Scan"] = scan.scan_id
    if scan.patient_id != scan.scan_id and "Patient ID" not in told:
        told["Patient ID"] = scan.patient_id
    if scan.source.path is not None:
        told["Read from"] = str(scan.source.path)
    return {name: value for name, value in told.items() if value}


def without_identity(words: str, scan: Volume) -> str:
    """Return words on a scan without UIDs and the scan's path, which may stand in them."""
    hidden = "\N{HORIZONTAL ELLIPSIS}"
    if scan.source.path is not None:
        words = words.replace(str(scan.source.path), hidden)
    return _UID.sub(hidden, words)


def _in_header(scan: Volume) -> dict[str, str]:
    with quiet():
        try:
            header = pydicom.dcmread(scan.source.slices[0].path, stop_before_pixels=True)
            return {name: str(header.get(tag) or "") for name, tag in _TAGS.items()}
        except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes lead it to
            return {}
