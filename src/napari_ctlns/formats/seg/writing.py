"""Masks to DICOM SEG, on the slices that their scan was read from.

Segmentation IOD as in DICOM PS3.3 A.51 and C.8.20, BINARY: one segment a label, one
frame for each slice that it reaches.
"""

import contextlib
import hashlib
import os
import uuid
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.uid import UID, generate_uid

from napari_ctlns import __version__
from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import OutputError
from napari_ctlns.findings import Finding, Findings, Origin
from napari_ctlns.formats.dicom.regridding import mask_onto_slices
from napari_ctlns.formats.seg.source import CHOOSE, name_frames, source_images
from napari_ctlns.volume import Geometry, Source, SourceSlice, Volume

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

Structure = Literal["nodule", "lung"]

SEG_EXTENSION = ".dcm"
MAKER = "napari-ctlns"
"""Manufacturer's model name of the files written here."""

_ALGORITHMS: dict[Origin, str] = {
    "annotation": "SEMIAUTOMATIC",
    "click": "SEMIAUTOMATIC",
    "model": "AUTOMATIC",
    "hand": "MANUAL",
}
_SERIES_NUMBER = 1000


def series_plane(source: Source, path: Path) -> Geometry:
    """Return the grid of a slice of the DICOM series that a mask can be written for.

    Raises
    ------
    OutputError
        If ``source`` was not read from a DICOM series.
    """
    if not source.slices or source.plane is None:
        message = f"cannot write {path.name}: DICOM SEG needs a mask of a DICOM series"
        raise OutputError(f"{message}; {CHOOSE}")
    return source.plane


def write_seg(
    mask: Volume,
    path: str | os.PathLike[str],
    source: Source,
    findings: Findings | None = None,
    structure: Structure = "nodule",
) -> None:
    """Write a mask as DICOM SEG that refers to the images it was drawn on.

    Patient and study are those of the series; the SEG is a new series of that study.
    A mask of a tilted or uneven series goes onto its slices by nearest neighbour. An
    empty mask has one segment without a voxel, on every slice.

    Parameters
    ----------
    mask
        Labels, on the grid that ``source`` was read onto.
    path
        The file to write.
    source
        Of the scan: its files are asked again for patient and study.
    findings
        Give segments their tracking ids, and tell how they were drawn; a label without
        one is taken as drawn semiautomatically and gets a new id.
    structure
        What the labels are.

    Raises
    ------
    OutputError
        If the mask is not of a DICOM series, the files of the series are gone or
        changed, or the place cannot be written.
    """
    path = Path(path)
    seg = seg_of(mask, path, source, findings, structure)
    with atomic_path(path) as temporary:
        seg.save_as(temporary, enforce_file_format=True)


def seg_of(
    mask: Volume,
    path: Path,
    source: Source,
    findings: Findings | None = None,
    structure: Structure = "nodule",
) -> Dataset:
    """Return what `write_seg` writes; ``path`` is only spoken of.

    Raises
    ------
    OutputError
        If the mask is not of a DICOM series, or its files are gone or changed.
    """
    if mask.kind != "mask":
        raise OutputError(f"cannot write {path.name}: a DICOM SEG is a mask; {CHOOSE}")
    plane = series_plane(source, path)
    own = _on_slices(mask, source.slices, plane)
    labels = _labels(own)
    with told(path, "DICOM SEG"):
        images = source_images(source, plane)
        described = [_segment(n, k, findings, structure) for n, k in enumerate(labels, 1)]
        described = described or [_empty_segment(structure)]
        seg = _segmentation(_numbered(own, labels), images, described, structure)
        if source.slices[0].frame:
            name_frames(seg, [one.frame for one in source.slices])
        return seg


def _on_slices(mask: Volume, slices: Sequence[SourceSlice], plane: Geometry) -> npt.NDArray[Any]:
    geometry = mask.geometry
    array = geometry.to_source(mask.array)
    array = array.astype(np.uint8) if array.dtype == np.bool_ else array
    try:
        return mask_onto_slices(array, geometry.source, slices, plane)
    except ValueError as error:
        message = f"the mask does not lie on its DICOM series: {error}"
        raise OutputError(f"{message}; carry it onto the scan first, or {CHOOSE}") from error


@contextlib.contextmanager
def told(path: Path, kind: str, choose: str = CHOOSE) -> Iterator[None]:
    """Say in words what pydicom and highdicom make of a header that bends the standard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except OutputError:
            raise
        except Exception as error:
            message = f"cannot write {path}: the headers of its scan do not allow {kind}"
            raise OutputError(f"{message} ({error}); {choose}") from error


def _labels(mask: npt.NDArray[Any]) -> list[int]:
    present: set[int] = set()
    for plane in mask:
        if plane.any():
            present.update(np.unique(plane[plane != 0]).tolist())
    return sorted(int(label) for label in present)


def _numbered(mask: npt.NDArray[Any], labels: Sequence[int]) -> npt.NDArray[Any]:
    """Return the mask with its k-th label as k: segments are numbered without gaps."""
    small = np.uint8 if len(labels) <= 255 else np.uint16
    if not labels or labels[-1] == len(labels):
        return mask.astype(small, copy=False)
    number = np.zeros(labels[-1] + 1, small)
    number[labels] = np.arange(1, len(labels) + 1)
    return number[mask]


def _segmentation(
    mask: npt.NDArray[Any],
    images: list[Dataset],
    segments: "list[SegmentDescription]",
    structure: Structure,
) -> Dataset:
    from highdicom.seg import Segmentation, SegmentationTypeValues

    seg: Dataset = Segmentation(
        source_images=images,
        pixel_array=mask,
        omit_empty_frames=bool(mask.any()),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number="1",
        content_label=f"{structure.upper()}S",
        content_description=f"{structure.capitalize()}s, drawn with {MAKER}",
        series_description=f"{structure.capitalize()}s",
        specific_character_set="ISO_IR 192",
    )
    return seg


def _segment(
    number: int, label: int, findings: Findings | None, structure: Structure
) -> "SegmentDescription":
    from highdicom.seg import SegmentDescription

    finding, how = Finding(label=label), "SEMIAUTOMATIC"
    if findings is not None and label in findings.labels:
        finding = findings.of_label(label)
        how = _ALGORITHMS[finding.origin]
        if how == "AUTOMATIC" and finding.edited:
            how = "SEMIAUTOMATIC"
    segment = SegmentDescription(
        segment_number=number,
        segment_label=f"{structure.capitalize()} {label}",
        algorithm_type=how,
        algorithm_identification=_algorithm(how, finding),
        tracking_id=finding.uid,
        tracking_uid=_tracking_uid(finding.uid),
        **_codes(structure),
    )
    if words := _description(finding):
        segment.SegmentDescription = words
    return segment


def _empty_segment(structure: Structure) -> "SegmentDescription":
    from highdicom.seg import SegmentDescription

    return SegmentDescription(
        segment_number=1,
        segment_label=f"No {structure}s",
        algorithm_type="SEMIAUTOMATIC",
        algorithm_identification=_algorithm("SEMIAUTOMATIC", Finding()),
        **_codes(structure),
    )


def _codes(structure: Structure) -> dict[str, Any]:
    """Return what a segment is, in SNOMED CT: CID 7150, 7159 and 4031 of PS3.16."""
    from pydicom.sr.codedict import codes

    if structure == "lung":
        return {
            "segmented_property_category": codes.SCT.AnatomicalStructure,
            "segmented_property_type": codes.SCT.Lung,
        }
    return {
        "segmented_property_category": codes.SCT.MorphologicallyAbnormalStructure,
        "segmented_property_type": codes.SCT.Nodule,
        "anatomic_regions": [codes.SCT.Lung],
    }


def _algorithm(how: str, finding: Finding) -> Any:
    """Return name and version; what was drawn by hand has no algorithm."""
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    if how == "MANUAL":
        return None
    families = codes.cid7162
    learned = finding.origin == "model"
    family = families.ArtificialIntelligence if learned else families.MorphologicalOperations
    return AlgorithmIdentificationSequence(name=MAKER, family=family, version=__version__)


def _tracking_uid(uid: str) -> str:
    """Return a finding's identity as DICOM UID: PS3.5 B.2 where it is a UUID."""
    if "." in uid and UID(uid).is_valid:
        return uid
    try:
        number = uuid.UUID(uid).int
    except ValueError:
        number = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:16], "big")
    return f"2.25.{number}"


def _description(finding: Finding) -> str:
    known = "" if finding.type == "unknown" else finding.type
    return "; ".join(part for part in (known, finding.note.strip()) if part)[:1024]
