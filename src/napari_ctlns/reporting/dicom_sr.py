"""Measurements as DICOM Structured Report: TID 1500, each nodule tied to its segment of a SEG.

Comprehensive 3D SR (PS3.3 A.35.13) whose groups are those of TID 1411, volumetric ROI
measurements: tracking id and uid are those of the segment, so that a nodule is known again.
"""

import math
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydicom import Dataset
from pydicom.uid import SegmentationStorage, generate_uid

from napari_ctlns import __version__
from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import OutputError
from napari_ctlns.findings import Findings
from napari_ctlns.formats.seg import findings_in, read_header, seg_of, segment_numbers, told
from napari_ctlns.formats.seg.source import source_images
from napari_ctlns.formats.seg.writing import MAKER
from napari_ctlns.reporting.method import ModelName, model_name
from napari_ctlns.reporting.quantities import (
    ABNORMAL,
    CT_CHEST,
    LUNG,
    NODULE,
    OWN_SCHEME,
    QUANTITIES,
    SIDES,
    TYPE,
    TYPES,
    Coded,
)
from napari_ctlns.volume import Geometry, Volume

if TYPE_CHECKING:
    from highdicom.sr import Measurement, VolumetricROIMeasurementsAndQualitativeEvaluations

SR_EXTENSION = ".dcm"

_SERIES_NUMBER = 1001
_CHOOSE = "choose .csv or .json"
# the same for every report, because it names the program
_DEVICE_UID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, MAKER).int}"


def write_sr(
    table: pd.DataFrame,
    mask: Volume,
    scan: Volume,
    path: str | os.PathLike[str],
    findings: Findings | None = None,
    model: ModelName | None = None,
) -> Path:
    """Write measurements as DICOM SR that refers to the segments of a DICOM SEG.

    Parameters
    ----------
    table
        Of the nodules of ``mask``: `measurement.COLUMNS`, and more of `QUANTITIES`, ``type``
        and ``side`` if it has them. What is NaN is left out.
    mask
        On the grid of ``scan``. The SEG file it was read from is referred to, if that was
        drawn on the series of the scan and is no label map; else a new SEG is written beside
        the report.
    scan
        Read from a DICOM series, whose patient and study the report takes over.
    path
        The file to write, ``.dcm``.
    findings
        Of the mask: their uids become those of the segments of a new SEG.
    model
        Where the probabilities came from.

    Returns
    -------
    Path
        The SEG that is referred to.

    Raises
    ------
    OutputError
        If the scan is not DICOM, its files are gone or changed, or the place cannot be written.
    """
    path = Path(path)
    plane = of_dicom_series(scan, path)
    if path.is_dir():
        raise OutputError(f"cannot write {path}: there is a folder of that name; choose another")
    read, beside = mask.source.path, path.with_name(f"{path.stem}_seg{path.suffix}")
    if read is not None and read.absolute() == path.absolute():
        raise OutputError(f"{path.name} is the mask itself; choose another name for the report")
    seg = _seg_of_series(mask, scan)
    is_new = seg is None
    if seg is None:
        seg = seg_of(mask, beside, scan.source, findings)
    with told(path, "DICOM SR", _CHOOSE):
        report = _report(table, seg, source_images(scan.source, plane), model)
    if is_new or read is None:
        read = beside
        with atomic_path(beside) as temporary:
            seg.save_as(temporary, enforce_file_format=True)
    with atomic_path(path) as temporary:
        report.save_as(temporary, enforce_file_format=True)
    return read


def report_sr(
    table: pd.DataFrame,
    mask: Volume,
    scan: Volume,
    path: str | os.PathLike[str],
    model: Path | None = None,
) -> Path:
    """Write a Structured Report of a mask as it was read from a file, see `write_sr`.

    Raises
    ------
    CtlnsError
        As `write_sr`; ModelError if ``model`` is none.
    """
    name = None if model is None else model_name(model)
    return write_sr(table, mask, scan, path, findings_in(mask.source), name)


def of_dicom_series(scan: Volume, path: Path) -> Geometry:
    """Return the grid of a slice of the series that a report can refer to.

    Raises
    ------
    OutputError
        If the scan was not read from a DICOM series.
    """
    if not scan.source.slices or scan.source.plane is None:
        message = f"cannot write {path.name}: DICOM SR needs a DICOM scan to refer to"
        raise OutputError(f"{message}; {_CHOOSE}, or give the DICOM series of this scan")
    return scan.source.plane


def _seg_of_series(mask: Volume, scan: Volume) -> Dataset | None:
    """Return the SEG that a mask was read from, if it was drawn on images of the scan alone."""
    if mask.source.format != "seg" or mask.source.path is None:
        return None
    header = read_header(mask.source.path)
    series = header.get("ReferencedSeriesSequence") or []
    named = {
        str(one.get("ReferencedSOPInstanceUID") or "")
        for item in series
        for one in item.get("ReferencedInstanceSequence") or []
    }
    there = named and named <= {one.uid for one in scan.source.slices}
    # few who read reports know label maps yet
    return header if there and header.SOPClassUID == SegmentationStorage else None


def _report(
    table: pd.DataFrame, seg: Dataset, images: list[Dataset], model: ModelName | None
) -> Dataset:
    from highdicom.sr import (
        Comprehensive3DSR,
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    device = DeviceObserverIdentifyingAttributes(
        uid=_DEVICE_UID,
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=MAKER,
        serial_number=__version__,
    )
    observer = ObserverContext(codes.DCM.Device, device)
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=observer),
        procedure_reported=_code(CT_CHEST),
        imaging_measurements=list(_groups(table, seg, model)),
        title=codes.DCM.ImagingMeasurementReport,
    )
    report: Dataset = Comprehensive3DSR(
        evidence=[*images, seg],
        content=content,
        series_instance_uid=generate_uid(),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number="1",
        series_description="Nodule measurements",
        is_complete=True,
        specific_character_set="ISO_IR 192",
    )
    scheme = Dataset()
    scheme.CodingSchemeDesignator = OWN_SCHEME
    scheme.CodingSchemeName = f"Codes of {MAKER}"
    scheme.CodingSchemeResponsibleOrganization = MAKER
    report.CodingSchemeIdentificationSequence = [scheme]
    return report


def _groups(
    table: pd.DataFrame, seg: Dataset, model: ModelName | None
) -> "Iterator[VolumetricROIMeasurementsAndQualitativeEvaluations]":
    number_of = segment_numbers(seg)
    segments = {int(item.SegmentNumber): item for item in seg.SegmentSequence}
    for row in table.to_dict("records"):
        label = int(row["label"])
        if label not in number_of:
            message = f"label {label} is no segment of the DICOM SEG"
            raise OutputError(f"{message}; save the mask again first")
        number = number_of[label]
        yield _group({str(k): v for k, v in row.items()}, seg, segments[number], model)


def _group(
    row: dict[str, Any], seg: Dataset, segment: Dataset, model: ModelName | None
) -> "VolumetricROIMeasurementsAndQualitativeEvaluations":
    from highdicom.sr import (
        AlgorithmIdentification,
        FindingSite,
        QualitativeEvaluation,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    series = seg.ReferencedSeriesSequence[0].SeriesInstanceUID
    side = SIDES.get(str(row.get("side", "")))
    kind = TYPES.get(str(row.get("type", "")))
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=segment.get("TrackingUID") or generate_uid(),
            identifier=segment.get("TrackingID") or f"Nodule {row['label']}",
        ),
        referenced_segment=ReferencedSegment(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            segment_number=int(segment.SegmentNumber),
            source_series=SourceSeriesForSegmentation(series),
        ),
        finding_type=_code(NODULE),
        finding_category=_code(ABNORMAL),
        finding_sites=[FindingSite(_code(LUNG), laterality=None if side is None else _code(side))],
        algorithm_id=AlgorithmIdentification(name=MAKER, version=__version__),
        measurements=list(_measurements(row, model)),
        qualitative_evaluations=[QualitativeEvaluation(_code(TYPE), _code(kind))] if kind else None,
    )


def _measurements(row: dict[str, Any], model: ModelName | None) -> "Iterator[Measurement]":
    from highdicom.sr import AlgorithmIdentification, Measurement

    for column, quantity in QUANTITIES.items():
        value = float(row.get(column, math.nan)) * quantity.factor
        if not math.isfinite(value):
            continue
        maker = None
        if quantity.of_model and model is not None:
            maker = AlgorithmIdentification(name=model.name, version=model.version)
        yield Measurement(
            name=_code(quantity.concept),
            value=value,
            unit=_code(quantity.unit),
            derivation=None if quantity.derivation is None else _code(quantity.derivation),
            algorithm_id=maker,
        )


def _code(coded: Coded) -> Any:
    from highdicom.sr import CodedConcept

    value, scheme, meaning = coded
    return CodedConcept(value, scheme, meaning)
