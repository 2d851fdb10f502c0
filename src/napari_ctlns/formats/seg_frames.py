"""Where the frames of a DICOM SEG lie, what they show, and what they were drawn on.

Functional groups as in DICOM PS3.3 C.7.6.16: of all frames or of each, as the file has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset

from napari_ctlns.errors import MaskError
from napari_ctlns.volume import FloatArray, Geometry, direction_rows

_SAME_MM = 0.01
"""Frames nearer to each other than this show the same plane."""


@dataclass(frozen=True)
class Reference:
    """A source image of a plane: its SOP instance, its frame or 0, and whether it lies there.

    ``preserved`` is "YES", "NO" or another word of PS3.3, or empty where nothing is said.
    """

    uid: str
    frame: int
    preserved: str


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame: its place among the pixels, the number of its segment, and where it lies."""

    index: int
    segment: int
    position: FloatArray
    references: tuple[Reference, ...]


@dataclass(frozen=True, eq=False)
class Frames:
    """All frames, and the grid (1, rows, columns) of a plane, at no place yet.

    ``step`` and ``thickness`` are spacing between slices and slice thickness as the
    header has them, or None.
    """

    frames: tuple[Frame, ...]
    plane: Geometry
    step: float | None
    thickness: float | None


def read_frames(header: Dataset) -> Frames:
    """Return the frames of a SEG in the order of its pixels.

    Raises
    ------
    MaskError
        If they do not lie in the patient, are not parallel and alike, or name no segment.
    """
    groups = _groups(header)
    frames = tuple(_frame(header, index, item) for index, item in enumerate(groups))
    return Frames(frames, *_plane(header, groups))


def planes_of(frames: Sequence[Frame], normal: FloatArray) -> tuple[list[int], list[FloatArray]]:
    """Return the plane of each frame, and the positions of the planes along their normal.

    Raises
    ------
    MaskError
        If frames share a plane and lie beside each other in it.
    """
    order = sorted(range(len(frames)), key=lambda k: float(frames[k].position @ normal))
    of_plane = [0] * len(frames)
    positions: list[FloatArray] = []
    for k in order:
        position = frames[k].position
        if not positions or (position - positions[-1]) @ normal > _SAME_MM:
            positions.append(position)
        elif np.abs(position - positions[-1]).max() > _SAME_MM:
            raise MaskError("frames of a DICOM SEG lie side by side (tiles); export it anew")
        of_plane[k] = len(positions) - 1
    return of_plane, positions


def _groups(header: Dataset) -> list[Dataset]:
    """Return the functional groups of each frame, those of all frames among them."""
    shared = (header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    own = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    declared = int(header.get("NumberOfFrames") or 1)
    if declared != len(own) or not own:
        message = f"a DICOM SEG of {declared} frames tells where {len(own)} lie"
        raise MaskError(f"{message}; export it anew")
    return [_merged(shared, one) for one in own]


def _merged(shared: Dataset, own: Dataset) -> Dataset:
    both = Dataset()
    both.update(shared)
    both.update(own)
    return both


def _macro(groups: Dataset, name: str) -> Dataset:
    """Return the one item of a functional group, empty where there is none."""
    return (groups.get(name) or [Dataset()])[0]


def _frame(header: Dataset, index: int, groups: Dataset) -> Frame:
    place = _macro(groups, "PlanePositionSequence").get("ImagePositionPatient")
    if place is None:
        message = f"frame {index + 1} of a DICOM SEG does not lie in the patient"
        raise MaskError(f"{message}; export it anew")
    number = 0
    if header.get("SegmentationType") != "LABELMAP":
        told = _macro(groups, "SegmentIdentificationSequence").get("ReferencedSegmentNumber")
        if told is None and len(header.SegmentSequence) == 1:
            told = header.SegmentSequence[0].SegmentNumber
        if told is None:
            raise MaskError(f"frame {index + 1} of a DICOM SEG names no segment; export it anew")
        number = int(told)
    images = _macro(groups, "DerivationImageSequence").get("SourceImageSequence") or []
    return Frame(index, number, _vector(place, 3), tuple(map(_reference, images)))


def _reference(image: Dataset) -> Reference:
    frame = image.get("ReferencedFrameNumber") or 0
    frame = frame if isinstance(frame, int) else frame[0]
    preserved = str(image.get("SpatialLocationsPreserved") or "")
    return Reference(str(image.get("ReferencedSOPInstanceUID") or ""), int(frame), preserved)


def _plane(
    header: Dataset, groups: Sequence[Dataset]
) -> tuple[Geometry, float | None, float | None]:
    """Return the grid of a plane at no place yet, the step and the thickness told."""
    turns = [
        _vector(_macro(g, "PlaneOrientationSequence").get("ImageOrientationPatient"), 6)
        for g in groups
    ]
    measures = [_macro(g, "PixelMeasuresSequence") for g in groups]
    sizes = [_vector(m.get("PixelSpacing"), 2) for m in measures]
    unlike = max(np.abs(np.diff(turns, axis=0)).max(initial=0), np.ptp(sizes, axis=0).max())
    if unlike > 1e-3:
        raise MaskError("a DICOM SEG of differing directions or pixels; export them apart")
    x_axis, y_axis = turns[0].reshape(2, 3)
    lengths = np.linalg.norm(x_axis), np.linalg.norm(y_axis)
    if min(lengths) < 0.5 or abs(x_axis @ y_axis) > 1e-2 or min(sizes[0]) <= 0:
        raise MaskError("impossible orientation or pixel spacing in a DICOM SEG; export it anew")
    x_axis = x_axis / lengths[0]
    # headers round: take out what is not at a right angle
    y_axis = y_axis - (y_axis @ x_axis) * x_axis
    y_axis = y_axis / np.linalg.norm(y_axis)
    rows = np.stack([x_axis, y_axis, np.cross(x_axis, y_axis)], axis=1)
    step, thickness = (
        _length(measures[0].get(name)) for name in ("SpacingBetweenSlices", "SliceThickness")
    )
    shape = (1, int(header.Rows), int(header.Columns))
    spacing = (step or thickness or 1.0, float(sizes[0][0]), float(sizes[0][1]))
    return Geometry(shape, spacing, direction=direction_rows(rows)), step, thickness


def _vector(values: Any, size: int) -> FloatArray:
    vector = np.asarray([] if values is None else values, float)
    if vector.shape != (size,) or not np.isfinite(vector).all() or np.abs(vector).max() > 1e6:
        raise MaskError("a DICOM SEG tells no possible place in the patient; export it anew")
    return vector


def _length(value: Any) -> float | None:
    length = abs(float(value)) if value not in (None, "") else 0.0
    return length if 1e-3 <= length <= 1e3 else None
