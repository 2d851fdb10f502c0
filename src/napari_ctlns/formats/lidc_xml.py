"""Readings of the LIDC-IDRI: what each radiologist marked, as their XML tells it.

The format: https://wiki.cancerimagingarchive.net/display/Public/LIDC-IDRI
(``LidcReadMessage``); Armato et al., Med Phys 38(2), 915 (2011).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import AnnotationError
from napari_ctlns.formats.xml_tree import read_xml, text_of

RATINGS = (
    "subtlety",
    "internalStructure",
    "calcification",
    "sphericity",
    "margin",
    "lobulation",
    "spiculation",
    "texture",
    "malignancy",
)
"""The characteristics that readers rated, 1 to 5 or 6."""
_HEAD = 16384
_SERIES = re.compile(r"<(?:\w+:)?SeriesInstanceUid>\s*([0-9.]+)\s*<", re.IGNORECASE)
_LARGEST_PIXEL = 1 << 16


@dataclass(frozen=True, eq=False)
class LidcContour:
    """One outline on one slice.

    Attributes
    ----------
    sop_uid, z_mm
        The slice: SOP instance UID, and z of its position in the patient.
    inclusion
        Whether it encloses the nodule, or a part that does not belong to it.
    points
        Pixels (n, 2) as (column, row), counted from 0, just outside what they enclose.
    """

    sop_uid: str
    z_mm: float
    inclusion: bool
    points: npt.NDArray[np.int64]


@dataclass(frozen=True)
class LidcMark:
    """A place without outline: a nodule below 3 mm, or something that is no nodule."""

    uid: str
    sop_uid: str
    z_mm: float
    x: int
    y: int


@dataclass(frozen=True, eq=False)
class ReaderNodule:
    """A nodule of 3 mm or more as one reader saw it; ``ratings`` holds what was rated."""

    uid: str
    ratings: dict[str, int]
    contours: tuple[LidcContour, ...]


@dataclass(frozen=True, eq=False)
class LidcReader:
    """All that one radiologist marked in a scan."""

    uid: str
    nodules: tuple[ReaderNodule, ...]
    small_nodules: tuple[LidcMark, ...]
    non_nodules: tuple[LidcMark, ...]


@dataclass(frozen=True, eq=False)
class LidcReading:
    """One XML file: a CT series and its readers, in the order of the file."""

    path: Path
    series_uid: str
    study_uid: str
    readers: tuple[LidcReader, ...]


def read_lidc(path: str | os.PathLike[str]) -> LidcReading:
    """Read one XML file of the LIDC-IDRI.

    Raises
    ------
    AnnotationError
        If it cannot be read, speaks of a radiograph, or holds values that cannot be.
    """
    path = Path(path)
    root = read_xml(path)
    if root.tag != "LidcReadMessage":
        raise AnnotationError(_not_ct(path, root.tag))
    series = (root.findtext("ResponseHeader/SeriesInstanceUid") or "").strip()
    if not series:
        message = f"no series named: {path} lacks SeriesInstanceUid"
        raise AnnotationError(f"{message}; give the original file")
    try:
        readers = tuple(_reader(session) for session in root.findall("readingSession"))
    except (ValueError, OverflowError) as error:
        message = f"damaged reading: {error} in {path}"
        raise AnnotationError(f"{message}; copy it again") from error
    study = (root.findtext("ResponseHeader/StudyInstanceUID") or "").strip()
    return LidcReading(path, series, study, readers)


def find_lidc(folder_or_file: str | os.PathLike[str]) -> dict[str, Path]:
    """Return the XML files at or below a folder by the CT series they speak of.

    Readings of radiographs are left out, and so is what cannot be read; `list_lidc`
    also says which.

    Raises
    ------
    AnnotationError
        If there is no such folder.
    """
    return list_lidc(folder_or_file)[0]


def list_lidc(folder_or_file: str | os.PathLike[str]) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Return what `find_lidc` does, and what it left out, in words.

    Only the head of each file is read.

    Raises
    ------
    AnnotationError
        If there is no such folder.
    """
    place = Path(folder_or_file)
    if not place.exists():
        raise AnnotationError(f"no such folder: {place}; check the name")
    found: dict[str, Path] = {}
    problems: list[str] = []
    radiographs = 0
    for path in sorted(_xml_files(place)):
        try:
            head = _head(path)
        except OSError as error:
            problems.append(f"cannot read {path}: {error.strerror or error}")
            continue
        series = _SERIES.search(head)
        if "IdriReadMessage" in head:
            radiographs += 1
        elif "LidcReadMessage" not in head:
            problems.append(f"not a reading of the LIDC-IDRI: {path}")
        elif series is None:
            problems.append(f"no series named: {path} lacks SeriesInstanceUid")
        elif series[1] in found:
            problems.append(f"second reading of {series[1]} left out: {path}")
        else:
            found[series[1]] = path
    if radiographs:
        problems.append(f"{radiographs} readings of radiographs left out")
    return found, tuple(problems)


def _xml_files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
        return
    for folder, names, files in os.walk(place):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(".xml") and not name.startswith("."):
                yield Path(folder, name)


def _head(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(_HEAD)
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return head.decode("utf-16" if wide else "latin-1", errors="ignore")


def _not_ct(path: Path, root: str) -> str:
    if root == "IdriReadMessage":
        return f"a reading of a radiograph: {path}; give that of a CT (LidcReadMessage)"
    return f"not a reading of the LIDC-IDRI: {path} holds {root}; give a LidcReadMessage"


def _reader(session: Element) -> LidcReader:
    nodules: list[ReaderNodule] = []
    small: list[LidcMark] = []
    for element in session.findall("unblindedReadNodule"):
        uid = text_of(element, "noduleID")
        contours = tuple(_contour(roi) for roi in element.findall("roi"))
        contours = tuple(c for c in contours if len(c.points))
        # a single point is how readers marked nodules below 3 mm
        if any(len(np.unique(c.points, axis=0)) > 1 for c in contours):
            nodules.append(ReaderNodule(uid, _ratings(element), contours))
        elif contours:
            first = contours[0]
            x, y = (int(v) for v in first.points[0])
            small.append(LidcMark(uid, first.sop_uid, first.z_mm, x, y))
    others = tuple(_non_nodule(element) for element in session.findall("nonNodule"))
    reader = text_of(session, "servicingRadiologistID")
    return LidcReader(reader, tuple(nodules), tuple(small), others)


def _contour(roi: Element) -> LidcContour:
    inclusion = text_of(roi, "inclusion").upper()
    if inclusion not in ("TRUE", "FALSE"):
        raise ValueError(f"inclusion is {inclusion!r}, not TRUE or FALSE,")
    points = [(_pixel(p, "xCoord"), _pixel(p, "yCoord")) for p in roi.findall("edgeMap")]
    return LidcContour(
        sop_uid=text_of(roi, "imageSOP_UID"),
        z_mm=_number(roi, "imageZposition"),
        inclusion=inclusion == "TRUE",
        points=np.array(points, np.int64).reshape(-1, 2),
    )


def _non_nodule(element: Element) -> LidcMark:
    place = element.find("locus")
    if place is None:
        raise ValueError("a nonNodule without locus")
    return LidcMark(
        text_of(element, "nonNoduleID"),
        text_of(element, "imageSOP_UID"),
        _number(element, "imageZposition"),
        _pixel(place, "xCoord"),
        _pixel(place, "yCoord"),
    )


def _ratings(nodule: Element) -> dict[str, int]:
    given = {name: (nodule.findtext(f"characteristics/{name}") or "").strip() for name in RATINGS}
    for name, text in given.items():
        if text and not text.isdecimal():
            raise ValueError(f"{name} is {text!r}, not a number,")
    return {name: int(text) for name, text in given.items() if text}


def _pixel(element: Element, name: str) -> int:
    value = _number(element, name)
    if value != int(value) or not 0 <= value < _LARGEST_PIXEL:
        raise ValueError(f"{name} is {value:g}, not a pixel,")
    return int(value)


def _number(element: Element, name: str) -> float:
    text = text_of(element, name)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ValueError(f"{name} is {text!r}, not a number,")
    return value
