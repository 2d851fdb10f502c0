"""DICOM RT structure sets: contours in the patient, read as masks of a scan.

DICOM PS3.3 A.19, C.8.8.5 (structures) and C.8.8.6 (contours).
"""

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import RTStructureSetStorage

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.contours import Planes, planes_of, polygon_pixels
from napari_ctlns.volume import FloatArray, Volume

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "")
_MOST_STRUCTURES = 65535
_UNDEFINED = 0xFFFFFFFF
_SAME_HEIGHT = 0.1
"""Contours nearer than this share of a slice's step lie on one plane."""


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

    try:
        with Path(path).open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = read_partial(file, past_kind, force=False)
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
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


def structure_mask(structures: StructureSet, volume: Volume, names: tuple[str, ...] = ()) -> Volume:
    """Return structures as labels on the grid of a scan.

    A voxel belongs to a structure if its centre lies inside an odd number of that
    structure's contours on its slice, so that inner contours cut holes. A slice takes
    the contours nearest to it, if they are less than half a step away: a step of the
    slices or of the contours, whichever is larger. Where structures overlap, the one
    named first keeps the voxel, and a warning counts those it keeps from others.

    Parameters
    ----------
    structures
        As `read_rtstruct` returns it.
    volume
        The scan; its slices and the contours must be parallel.
    names
        Which structures, as the file writes them or but for capitals; without any, all.

    Returns
    -------
    Volume
        Kind "mask": label k for the k-th name of ``names``, or else of the file;
        warnings in ``source.warnings``.

    Raises
    ------
    MaskError
        If a name is unknown or has no contours, or the contours lie beside the scan or on
        planes oblique to its slices.
    """
    chosen = _chosen(structures, names)
    if not any(s.contours for s in chosen):
        message = f"no closed contours of {', '.join(s.name for s in chosen)}"
        raise MaskError(f"{message} in {structures.path}; name another structure")
    planes = planes_of(volume)
    labels = np.zeros(planes.shape, np.uint8 if len(chosen) < 256 else np.uint16)
    words: list[str] = []
    if structures.series_uid and volume.source.series_uid not in ("", structures.series_uid):
        words.append(f"the structures were drawn on another series, {structures.series_uid}")
    for label, structure in enumerate(chosen, start=1):
        words.extend(_draw(structure, label, labels, planes))
    if not labels.any():
        message = f"the contours of {structures.path} lie beside the scan, not on it"
        raise MaskError(f"{message}; give the structures of this scan ({volume.scan_id})")
    mask = volume.mask(planes.onto(volume, labels))
    return replace(mask, source=replace(volume.source, warnings=tuple(words)))


def _chosen(structures: StructureSet, names: tuple[str, ...]) -> list[Structure]:
    exact = {s.name: s for s in structures.structures}
    alike: dict[str, list[Structure]] = {}
    for structure in structures.structures:
        alike.setdefault(structure.name.casefold().strip(), []).append(structure)
    chosen = []
    for name in names or structures.names:
        known = [exact[name]] if name in exact else alike.get(name.casefold().strip(), [])
        if len(known) != 1:
            what = "no structure" if not known else "several structures"
            there = ", ".join(structures.names)
            raise MaskError(f"{what} {name!r} in {structures.path}; there are: {there}")
        if names and not known[0].contours:
            message = f"no closed contours of {name} in {structures.path}"
            raise MaskError(f"{message}; name another structure")
        chosen.append(known[0])
    if len(chosen) > _MOST_STRUCTURES:
        raise MaskError(f"{len(chosen)} structures in {structures.path}; name the ones to draw")
    return chosen


def _draw(structure: Structure, label: int, labels: np.ndarray, planes: Planes) -> list[str]:
    """Draw one structure where nothing is yet; return what a person should know."""
    if not structure.contours:
        return []
    heights, groups = _by_height(structure, planes)
    step = max(planes.step, float(np.median(np.diff(heights))) if len(heights) > 1 else 0.0)
    words = []
    covered = used = 0
    for number, height in enumerate(planes.heights):
        # halfway between two slices the lower one takes the contours, and only that one
        offsets = heights - height - 1e-6 * step
        nearest = int(np.abs(offsets).argmin())
        if abs(offsets[nearest]) >= step / 2:
            continue
        used += 1
        pixels = [planes.to_pixels(number, c)[:, :2] for c in groups[nearest]]
        drawn = polygon_pixels(pixels, planes.shape[1:])
        taken = drawn & (labels[number] != 0)
        covered += int(taken.sum())
        labels[number][drawn & ~taken] = label
    outside = (heights < planes.heights[0] - step) | (heights > planes.heights[-1] + step)
    if covered:
        words.append(f"{covered} voxels of {structure.name} belong to a structure named before")
    if step > 1.5 * planes.step and used:
        words.append(f"{structure.name} is drawn every {step:.3g} mm only: slices between copy it")
    if outside.any():
        words.append(f"{structure.name} reaches beyond the scan and is cut off")
    return words


def _by_height(structure: Structure, planes: Planes) -> tuple[FloatArray, list[list[FloatArray]]]:
    """Return the planes that contours lie on: heights, ascending, and each one's contours."""
    along = [contour @ planes.normal for contour in structure.contours]
    depth = max(float(np.ptp(a)) for a in along)
    if depth > planes.step / 2:
        message = f"contours of {structure.name} are not parallel to the slices"
        raise MaskError(f"{message} ({depth:.2f} mm deep); give the scan they were drawn on")
    means = np.array([a.mean() for a in along])
    heights: list[float] = []
    groups: list[list[FloatArray]] = []
    for k in np.argsort(means, kind="stable"):
        if not heights or means[k] - heights[-1] > _SAME_HEIGHT * planes.step:
            heights.append(float(means[k]))
            groups.append([])
        groups[-1].append(structure.contours[k])
    return np.array(heights), groups


def _refuse_cut_off(ds: Dataset) -> None:
    """Refuse a file that ends within a value, of which pydicom takes what there is."""
    for tag in ds.keys():  # noqa: SIM118 - iterating a Dataset parses its values
        element = ds.get_item(tag)
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
    element = contour.get_item("ContourData")
    if isinstance(element, RawDataElement):
        # pydicom takes minutes over the decimal strings of a large set
        text = (element.value or b"").rstrip(b" \0")
        values = np.array(text.split(b"\\") if text else [], "S").astype(float)
    else:
        values = np.array([] if element is None else element.value, float)
    count = contour.get("NumberOfContourPoints")
    if len(values) % 3 or (count is not None and int(count) * 3 != len(values)):
        raise ValueError(f"a contour of {len(values)} numbers for {count} points")
    if len(values) and not np.abs(values).max() < 1e6:
        raise ValueError("a contour reaches further than a kilometre")
    return values.reshape(-1, 3)


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
