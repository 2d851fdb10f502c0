"""Frames of enhanced multi-frame DICOM files.

Functional groups as in DICOM PS3.3 C.7.6.16: what all frames share stands once,
what differs stands with each frame, and any group may be in either place.
"""

from pydicom import Dataset

from napari_ctlns.formats.dicom_slice import Slice, placed_slice

_NOTHING = Dataset()


def is_enhanced(header: Dataset) -> bool:
    """Whether a file tells of its frames in functional groups."""
    return bool(header.get("PerFrameFunctionalGroupsSequence"))


def frames(header: Dataset) -> tuple[Slice, ...]:
    """Return the frames of an enhanced file that lie in the patient; localizers are left out.

    Raises
    ------
    ValueError, TypeError, AttributeError
        If the groups contradict the number of frames, or hold impossible values.
    """
    shared = next(iter(header.get("SharedFunctionalGroupsSequence") or []), _NOTHING)
    items = header.PerFrameFunctionalGroupsSequence
    count = int(header.get("NumberOfFrames") or 1)
    if len(items) != count:
        raise ValueError(f"{count} frames, but groups of {len(items)}")
    found = (_frame(header, k, own, shared) for k, own in enumerate(items, start=1))
    return tuple(one for one in found if one is not None)


def _frame(header: Dataset, k: int, own: Dataset, shared: Dataset) -> Slice | None:
    position = _group(own, shared, "PlanePositionSequence")
    orientation = _group(own, shared, "PlaneOrientationSequence")
    measures = _group(own, shared, "PixelMeasuresSequence")
    placed = (
        position.get("ImagePositionPatient")
        and orientation.get("ImageOrientationPatient")
        and measures.get("PixelSpacing")
    )
    if not placed or "LOCALIZER" in _frame_type(header, own, shared):
        return None
    return placed_slice(
        header,
        k,
        position=position,
        orientation=orientation,
        measures=measures,
        rescale=_group(own, shared, "PixelValueTransformationSequence"),
    )


def _frame_type(header: Dataset, own: Dataset, shared: Dataset) -> list[str]:
    kind = _group(own, shared, "CTImageFrameTypeSequence")
    words = kind.get("FrameType") or header.get("ImageType") or []
    return [str(word).upper() for word in words]


def _group(own: Dataset, shared: Dataset, name: str) -> Dataset:
    """Return the one item of a functional group, an empty one where there is none."""
    for groups in (own, shared):
        items = groups.get(name)
        if items:
            item: Dataset = items[0]
            return item
    return _NOTHING
