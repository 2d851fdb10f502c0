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
import pydicom
from pydicom import Dataset
from pydicom.uid import UID, generate_uid
from pydicom.valuerep import format_number_as_ds

from napari_ctlns import __version__
from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import OutputError
from napari_ctlns.findings import Finding, Findings, Origin
from napari_ctlns.formats.regridding import mask_onto_slices
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
_CHOOSE = "choose .nii.gz, .mha, .mhd or .nrrd"


def series_plane(source: Source, path: Path) -> Geometry:
    """Return the grid of a slice of the DICOM series that a mask can be written for.

    Raises
    ------
    OutputError
        If ``source`` was not read from a DICOM series.
    """
    if not source.slices or source.plane is None:
        message = f"cannot write {path.name}: DICOM SEG needs a mask of a DICOM series"
        raise OutputError(f"{message}; {_CHOOSE}")
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
    if mask.kind != "mask":
        raise OutputError(f"cannot write {path.name}: a DICOM SEG is a mask; {_CHOOSE}")
    plane = series_plane(source, path)
    own = _on_slices(mask, source.slices, plane)
    labels = _labels(own)
    with _told(path):
        images = _source_images(source, plane)
        described = [_segment(n, k, findings, structure) for n, k in enumerate(labels, 1)]
        described = described or [_empty_segment(structure)]
        seg = _segmentation(_numbered(own, labels), images, described, structure)
        if source.slices[0].frame:
            _name_frames(seg, [one.frame for one in source.slices])
        with atomic_path(path) as temporary:
            seg.save_as(temporary, enforce_file_format=True)


def _on_slices(mask: Volume, slices: Sequence[SourceSlice], plane: Geometry) -> npt.NDArray[Any]:
    geometry = mask.geometry
    array = geometry.to_source(mask.array)
    array = array.astype(np.uint8) if array.dtype == np.bool_ else array
    try:
        return mask_onto_slices(array, geometry.source, slices, plane)
    except ValueError as error:
        message = f"the mask does not lie on its DICOM series: {error}"
        raise OutputError(f"{message}; carry it onto the scan first, or {_CHOOSE}") from error


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in words what pydicom and highdicom make of a header that bends the standard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except OutputError:
            raise
        except Exception as error:
            message = f"cannot write {path}: the headers of its scan do not allow DICOM SEG"
            raise OutputError(f"{message} ({error}); {_CHOOSE}") from error


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


# -- the series it refers to ------------------------------------------------------


def _source_images(source: Source, plane: Geometry) -> list[Dataset]:
    """Return what is to be known of each source image, or of all frames of the only one."""
    first = _first_header(source)
    slices = source.slices
    _complete(first, source)
    thickness = first.get("SliceThickness") or plane.spacing[0]
    frame_of_all = _placed(plane, float(thickness))
    if not slices[0].frame:
        return [_image(first, one, frame_of_all) for one in slices]
    if len({one.uid for one in slices}) > 1:
        raise OutputError(f"the series lies in several multi-frame files; {_CHOOSE}")
    first.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_only(frame_of_all, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_only(frame_of_all, "PixelSpacing", "SliceThickness")]
    first.SharedFunctionalGroupsSequence = [shared]
    first.PerFrameFunctionalGroupsSequence = [_frame(one) for one in slices]
    return [first]


def _first_header(source: Source) -> Dataset:
    one = source.slices[0]
    try:
        header = pydicom.dcmread(one.path, stop_before_pixels=True, force=True)
        same = str(header.get("SOPInstanceUID") or "") == one.uid
    except OSError as error:
        message = f"the DICOM series of this mask is gone: {one.path}"
        raise OutputError(f"{message}; put it back, or {_CHOOSE}") from error
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes lead it to
        same = False
    if not same:
        message = f"the DICOM series of this mask has changed: {one.path}"
        raise OutputError(f"{message}; open it again, or {_CHOOSE}")
    # names in any alphabet, and words of ours beside them
    header.decode()
    header.SpecificCharacterSet = "ISO_IR 192"
    return header


def _complete(header: Dataset, source: Source) -> None:
    """Give a header what every SEG has to tell, where it is missing or impossible."""
    for name in (
        *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"),
        *("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"),
    ):
        if name not in header or header[name].value is None:
            setattr(header, name, "")
    if header.PatientSex not in ("M", "F", "O"):
        header.PatientSex = ""
    for name, kind in (
        *(("PatientBirthDate", pydicom.valuerep.DA), ("StudyDate", pydicom.valuerep.DA)),
        ("StudyTime", pydicom.valuerep.TM),
    ):
        try:
            kind(header[name].value)
        except (ValueError, TypeError):
            setattr(header, name, "")
    # the same for every SEG of one series, so that they belong together
    header.SeriesInstanceUID = source.series_uid or header.SeriesInstanceUID
    for name in ("StudyInstanceUID", "FrameOfReferenceUID"):
        if not header.get(name):
            setattr(header, name, generate_uid(entropy_srcs=[name, header.SeriesInstanceUID]))
    if not header.get("Modality"):
        header.Modality = source.modality or "CT"


def _placed(plane: Geometry, thickness: float) -> Dataset:
    """Return what all slices share: how they are turned, and the size of their pixels."""
    x_axis, y_axis, _ = np.asarray(plane.direction, float).T
    common = Dataset()
    common.ImageOrientationPatient = _numbers((*x_axis, *y_axis))
    common.PixelSpacing = _numbers(plane.spacing[1:])
    common.SliceThickness = _numbers([thickness])[0]
    common.Rows, common.Columns = plane.shape[1:]
    return common


def _image(first: Dataset, one: SourceSlice, common: Dataset) -> Dataset:
    """Return the header of one slice; the first tells of patient and study for all."""
    image = Dataset()
    whole = one.uid == first.SOPInstanceUID
    names = ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    for element in first if whole else map(first.data_element, names):
        image.add(element)
    for element in common:
        image.add(element)
    if "SpacingBetweenSlices" in image:
        del image.SpacingBetweenSlices  # often wrong; the positions tell
    image.SOPInstanceUID = one.uid
    image.ImagePositionPatient = _numbers(one.position)
    return image


def _frame(one: SourceSlice) -> Dataset:
    position, frame = Dataset(), Dataset()
    position.ImagePositionPatient = _numbers(one.position)
    frame.PlanePositionSequence = [position]
    return frame


def _only(dataset: Dataset, *names: str) -> Dataset:
    part = Dataset()
    for name in names:
        part.add(dataset[name])
    return part


def _numbers(values: Sequence[float]) -> list[str]:
    # adding 0.0 turns -0.0 into 0.0
    return [format_number_as_ds(float(value) + 0.0) for value in values]


def _name_frames(seg: Dataset, frames: Sequence[int]) -> None:
    """Refer to frames by their numbers in the file, of which the scan may be a part."""
    for item in seg.PerFrameFunctionalGroupsSequence:
        image = item.DerivationImageSequence[0].SourceImageSequence[0]
        image.ReferencedFrameNumber = frames[int(image.ReferencedFrameNumber) - 1]


# -- what it holds ----------------------------------------------------------------


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
