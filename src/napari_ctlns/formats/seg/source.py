"""The images that a mask was drawn on, as a DICOM SEG refers to them.

Patient and study come from the first file; where the slices lie is known already.
"""

from collections.abc import Sequence

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.uid import generate_uid
from pydicom.valuerep import format_number_as_ds, validate_value

from napari_ctlns.errors import OutputError
from napari_ctlns.volume import Geometry, Source, SourceSlice

CHOOSE = "choose .nii.gz, .mha, .mhd or .nrrd"


def source_images(source: Source, plane: Geometry) -> list[Dataset]:
    """Return the headers of the images that a scan was read from, as highdicom wants them.

    Of a multi-frame file there is one header, whose frames are those of the scan and
    count from 1.

    Raises
    ------
    OutputError
        If the first file is gone or another by now, or the scan lies in several
        multi-frame files.
    """
    first = _first_header(source)
    slices = source.slices
    _complete(first, source)
    thickness = first.get("SliceThickness") or plane.spacing[0]
    frame_of_all = _placed(plane, float(thickness))
    if not slices[0].frame:
        return [_image(first, one, frame_of_all) for one in slices]
    if len({one.uid for one in slices}) > 1:
        raise OutputError(f"the series lies in several multi-frame files; {CHOOSE}")
    first.NumberOfFrames = len(slices)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_only(frame_of_all, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_only(frame_of_all, "PixelSpacing", "SliceThickness")]
    first.SharedFunctionalGroupsSequence = [shared]
    first.PerFrameFunctionalGroupsSequence = [_frame(one) for one in slices]
    return [first]


def name_frames(seg: Dataset, frames: Sequence[int]) -> None:
    """Let a SEG refer to frames by their numbers in the file, of which the scan may be a part."""
    items = [one.DerivationImageSequence[0] for one in seg.PerFrameFunctionalGroupsSequence]
    # segments on one slice share what they say of it
    images = {id(image): image for image in (item.SourceImageSequence[0] for item in items)}
    for image in images.values():
        image.ReferencedFrameNumber = frames[int(image.ReferencedFrameNumber) - 1]


def _first_header(source: Source) -> Dataset:
    one = source.slices[0]
    try:
        header = pydicom.dcmread(one.path, stop_before_pixels=True, force=True)
        same = str(header.get("SOPInstanceUID") or "") == one.uid
    except OSError as error:
        message = f"the DICOM series of this mask is gone: {one.path}"
        raise OutputError(f"{message}; put it back, or {CHOOSE}") from error
    except Exception:  # noqa: BLE001 - pydicom raises whatever the bytes lead it to
        same = False
    if not same:
        message = f"the DICOM series of this mask has changed: {one.path}"
        raise OutputError(f"{message}; open it again, or {CHOOSE}")
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
    _drop_impossible(header)
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


def _drop_impossible(header: Dataset) -> None:
    """Leave out what DICOM does not know of patients, like age 0Y, and references to nothing."""
    for element in header.group_dataset(0x0010):
        if element.VR in ("AS", "CS") and element.VM == 1:
            try:
                validate_value(element.VR, str(element.value), pydicom.config.RAISE)
            except ValueError:
                element.value = ""
    for name in ("ReferencedPatientSequence", "ReferencedStudySequence"):
        items = header.get(name) or []
        if not all(one.get("ReferencedSOPClassUID") for one in items):
            del header[name]


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
    names = ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    known = first if one.uid == first.SOPInstanceUID else _only(first, *names)
    image.update(known)
    image.update(common)
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
