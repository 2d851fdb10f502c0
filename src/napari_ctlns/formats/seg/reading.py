"""DICOM SEG files as labelled planes, where their own headers say that they lie.

Segments as in DICOM PS3.3 C.8.20. Frames may stand in any order, empty ones may be
missing, and segments may overlap.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag

from napari_ctlns.errors import CtlnsError, MaskError
from napari_ctlns.formats.dicom.headers import is_dicom, quiet
from napari_ctlns.formats.seg.frames import Frame, Reference, planes_of, read_frames
from napari_ctlns.formats.seg.pixels import frame_pixels
from napari_ctlns.formats.seg.writing import MAKER
from napari_ctlns.volume import FloatArray, Geometry, SourceSlice

_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_OUR_LABEL = re.compile(r"[A-Z][a-z]+ (\d{1,5})")


@dataclass(frozen=True)
class Segment:
    """What a SEG says of one segment; ``label`` is its value in the mask."""

    number: int
    label: int
    name: str
    algorithm: str
    description: str
    tracking_id: str
    tracking_uid: str


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a SEG file holds.

    Attributes
    ----------
    labels
        (n, rows, columns), the planes in order along their normal.
    planes, plane
        Where they lie, as `Source` has its slices.
    references
        The source images of each plane.
    series_uid, images
        The series it refers to, and the SOP instances it names of it, in its order.
    step, thickness
        Spacing between slices and slice thickness as the header has them, or None.
    """

    path: Path
    labels: npt.NDArray[Any]
    planes: tuple[SourceSlice, ...]
    plane: Geometry
    references: tuple[tuple[Reference, ...], ...]
    segments: tuple[Segment, ...]
    series_uid: str
    images: tuple[str, ...]
    patient_id: str
    step: float | None
    thickness: float | None
    ours: bool
    warnings: tuple[str, ...]


def is_seg(path: Path) -> bool:
    """Whether a file is a DICOM SEG; only its head is read."""

    def past_class(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        return tag > 0x00080016

    if not is_dicom(path):
        return False
    with quiet():
        try:
            with path.open("rb") as file:
                header = read_partial(file, past_class, force=True)
            return str(header.get("SOPClassUID") or "") in _CLASSES
        except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes lead it to
            return False


def read_segments(path: Path) -> tuple[tuple[Segment, ...], str, bool]:
    """Read what a SEG says of its segments, without its pixels.

    Returns
    -------
    tuple
        The segments, the UID of the series that was drawn on or an empty string, and
        whether it was written here.

    Raises
    ------
    MaskError
        If it cannot be understood.
    """
    header = _read(path, pixels=False)
    with _understood(path):
        ours = header.get("ManufacturerModelName") == MAKER
        return _segments(header, ours), _series_uid(header), ours


def read_header(path: Path) -> Dataset:
    """Read all of a SEG but its pixels.

    Raises
    ------
    MaskError
        If the file is missing or damaged.
    """
    return _read(path, pixels=False)


def segment_numbers(header: Dataset) -> dict[int, int]:
    """Return the number of the segment of each label that `read_segmentation` gives."""
    ours = header.get("ManufacturerModelName") == MAKER
    return {segment.label: segment.number for segment in _segments(header, ours)}


def read_segmentation(path: Path, names: Sequence[str] = ()) -> Segmentation:
    """Read a SEG file.

    Parameters
    ----------
    path
        The file.
    names
        Take only segments of these names; the k-th of them gets label k.

    Raises
    ------
    MaskError
        If it is damaged, does not lie in the patient, or lacks one of ``names``.
    """
    header = _read(path, pixels=True)
    with _understood(path):
        return _segmentation(path, header, names)


@contextlib.contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Say in words what cannot be understood: pydicom parses a value when it is asked for."""
    with quiet():
        try:
            yield
        except CtlnsError as error:
            raise MaskError(f"{_reason(error)} ({path})") from None
        except Exception as error:
            message = f"a DICOM SEG cannot be understood: {_reason(error)} ({path})"
            raise MaskError(f"{message}; copy it again, or export it anew") from error


def _reason(error: Exception) -> str:
    if isinstance(error, AttributeError):
        return f"it has no {error.name}"
    return " ".join(str(error).split()) or type(error).__name__


def _read(path: Path, *, pixels: bool) -> Dataset:
    with quiet():
        try:
            return pydicom.dcmread(path, force=True, stop_before_pixels=not pixels)
        except FileNotFoundError:
            raise MaskError(f"no such file: {path}; check the name") from None
        except Exception as error:
            message = f"damaged DICOM SEG {path}: {_reason(error)}"
            raise MaskError(f"{message}; copy it again") from error


def _segmentation(path: Path, header: Dataset, names: Sequence[str]) -> Segmentation:
    if str(header.get("SOPClassUID") or "") not in _CLASSES:
        raise MaskError("no DICOM SEG; give a segmentation")
    found = read_frames(header)
    frames, plane = found.frames, found.plane
    of_plane, positions = planes_of(frames, np.asarray(plane.direction)[:, 2])
    ours = header.get("ManufacturerModelName") == MAKER
    segments = _chosen(_segments(header, ours), names)
    labels, words = _labels(header, frames, of_plane, len(positions), segments, bool(names))
    references: list[tuple[Reference, ...]] = [()] * len(positions)
    for frame, k in zip(frames, of_plane, strict=True):
        references[k] = references[k] or frame.references
    planes = tuple(_slice(path, p, r) for p, r in zip(positions, references, strict=True))
    x, y, z = planes[0].position
    series = (header.get("ReferencedSeriesSequence") or [Dataset()])[0]
    instances = series.get("ReferencedInstanceSequence") or []
    return Segmentation(
        path=path,
        labels=labels,
        planes=planes,
        plane=Geometry((1, *plane.shape[1:]), plane.spacing, (x, y, z), plane.direction),
        references=tuple(references),
        segments=segments,
        series_uid=_series_uid(header),
        images=tuple(str(item.get("ReferencedSOPInstanceUID") or "") for item in instances),
        patient_id=str(header.get("PatientID") or ""),
        step=found.step,
        thickness=found.thickness,
        ours=ours,
        warnings=words,
    )


def _slice(path: Path, position: FloatArray, references: tuple[Reference, ...]) -> SourceSlice:
    x, y, z = (float(v) for v in position)
    first = references[0] if references else Reference("", 0, "")
    return SourceSlice(path, first.uid, first.frame, (x, y, z))


def _series_uid(header: Dataset) -> str:
    items = header.get("ReferencedSeriesSequence") or [Dataset()]
    return str(items[0].get("SeriesInstanceUID") or "")


# -- segments ---------------------------------------------------------------------


def _segments(header: Dataset, ours: bool) -> tuple[Segment, ...]:
    items = [item for item in header.get("SegmentSequence") or [] if int(item.SegmentNumber) > 0]
    ends = [_OUR_LABEL.fullmatch(str(item.get("SegmentLabel") or "")) for item in items]
    told = [int(end[1]) for end in ends if end]
    # our own names tell the labels, which numbers without gaps cannot
    by_name = ours and len(set(told)) == len(items) and all(0 < label < 65536 for label in told)
    return tuple(
        Segment(
            number=int(item.SegmentNumber),
            label=told[k] if by_name else int(item.SegmentNumber),
            name=str(item.get("SegmentLabel") or ""),
            algorithm=str(item.get("SegmentAlgorithmType") or ""),
            description=str(item.get("SegmentDescription") or ""),
            tracking_id=str(item.get("TrackingID") or ""),
            tracking_uid=str(item.get("TrackingUID") or ""),
        )
        for k, item in enumerate(items)
    )


def _chosen(segments: tuple[Segment, ...], names: Sequence[str]) -> tuple[Segment, ...]:
    """Return the segments of these names, the k-th of them labelled k; all without names."""
    if not names:
        return segments
    there = list(dict.fromkeys(segment.name for segment in segments))
    label: dict[str, int] = {}
    for k, name in enumerate(names, 1):
        alike = [other for other in there if other.casefold() == name.casefold()]
        if not alike:
            message = f"no structure {name!r} in a DICOM SEG"
            raise MaskError(f"{message}; there are: {', '.join(there)}")
        label[name if name in alike else alike[0]] = k
    chosen = [replace(s, label=label[s.name]) for s in segments if s.name in label]
    return tuple(sorted(chosen, key=lambda segment: segment.label))


def _labels(
    header: Dataset,
    frames: Sequence[Frame],
    of_plane: Sequence[int],
    planes: int,
    segments: Sequence[Segment],
    only_named: bool,
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Return labels (planes, rows, columns); where segments overlap the first one stays."""
    label_of = {segment.number: segment.label for segment in segments}
    pixels = frame_pixels(header, len(frames))
    kind = str(header.get("SegmentationType") or "BINARY")
    highest = max([*label_of.values(), *(f.segment for f in frames), 255])
    many = kind == "LABELMAP" or highest > 255
    labels = np.zeros((planes, *pixels.shape), np.uint16 if many else np.uint8)
    overlap = 0
    if kind == "LABELMAP":
        lut = np.zeros(65536, np.uint16) if only_named else np.arange(65536, dtype=np.uint16)
        for number, label in label_of.items():
            lut[number] = label
        for frame, k in zip(frames, of_plane, strict=True):
            labels[k] = lut[pixels.frame(frame.index)]
    else:
        turn = {segment.number: order for order, segment in enumerate(segments)}
        for frame, k in sorted(
            zip(frames, of_plane, strict=True),
            key=lambda f: turn.get(f[0].segment, len(turn)),
        ):
            label = label_of.get(frame.segment, 0 if only_named else frame.segment)
            if label:
                inside = pixels.frame(frame.index) >= pixels.threshold
                free = inside & (labels[k] == 0)
                overlap += int(np.count_nonzero(inside & (labels[k] != label) & ~free))
                labels[k][free] = label
    words = []
    if kind == "FRACTIONAL":
        words.append("a fractional segmentation: what reaches half counts as inside")
    if overlap:
        words.append(f"segments overlap in {overlap} voxels: there the earlier one counts")
    return (labels if labels.max(initial=0) > 255 else labels.astype(np.uint8)), tuple(words)
