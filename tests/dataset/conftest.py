"""Tiny synthetic scans with known nodules, as files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from napari_ctlns.dataset import prepare
from napari_ctlns.events import Event, Finished, Uncontrolled
from napari_ctlns.recipe import Recipe, load_recipe
from napari_ctlns.specs import PrepareSpec

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm"


@dataclass(frozen=True)
class TinyScan:
    """A box of lung in a body in air; nodules are (z, y, x) index and diameter in mm."""

    name: str
    nodules: tuple[tuple[tuple[int, int, int], float], ...] = (((16, 20, 24), 9.0),)
    shape: tuple[int, int, int] = (32, 40, 48)
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    seed: int = 0

    def labels(self) -> np.ndarray:
        grid = np.stack(np.meshgrid(*map(np.arange, self.shape), indexing="ij"), -1)
        labels = np.zeros(self.shape, np.uint8)
        for label, (centre, diameter) in enumerate(self.nodules, 1):
            distance = np.linalg.norm((grid - centre) * self.spacing, axis=-1)
            labels[distance <= diameter / 2] = label
        return labels

    def image(self) -> sitk.Image:
        hu = np.full(self.shape, -1000.0)
        hu[:, 3:-3, 3:-3] = 40
        hu[2:-2, 6:-6, 6:-6] = -850
        hu[self.labels() > 0] = 50
        hu += np.random.default_rng(self.seed).normal(0, 20, self.shape)
        return self.on_grid(np.clip(hu, -1024, 3071).astype(np.int16))

    def on_grid(self, array: np.ndarray) -> sitk.Image:
        image = sitk.GetImageFromArray(array)
        image.SetSpacing(self.spacing[::-1])
        image.SetOrigin((-50.0, -60.0, 100.0))
        return image


@dataclass(frozen=True)
class TinyCohort:
    """Scans as .mhd in ``scans``, their nodules in ``annotations`` and ``masks``."""

    folder: Path

    @property
    def scans(self) -> Path:
        return self.folder / "scans"

    @property
    def annotations(self) -> Path:
        return self.folder / "annotations.csv"

    @property
    def masks(self) -> Path:
        return self.folder / "true"


@pytest.fixture
def tiny_cohort(tmp_path: Path) -> Callable[..., TinyCohort]:
    """Write scans (by default: three) and return where they are."""

    def write(*scans: TinyScan) -> TinyCohort:
        scans = scans or tuple(
            TinyScan(name, nodules=(((14, 20, 16 + 4 * i), 8.0),), seed=i)
            for i, name in enumerate("abc")
        )
        cohort = TinyCohort(tmp_path / "cohort")
        cohort.scans.mkdir(parents=True)
        cohort.masks.mkdir()
        rows = [HEADER]
        for scan in scans:
            image = scan.image()
            sitk.WriteImage(image, str(cohort.scans / f"{scan.name}.mhd"))
            mask = scan.on_grid(scan.labels())
            sitk.WriteImage(mask, str(cohort.masks / f"{scan.name}.nii.gz"))
            for (z, y, x), diameter in scan.nodules:
                point = image.TransformIndexToPhysicalPoint((x, y, z))
                rows.append(",".join([scan.name, *(f"{p:g}" for p in point), str(diameter)]))
        cohort.annotations.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return cohort

    return write


@pytest.fixture
def tiny_scan() -> type[TinyScan]:
    """The class, because modules of tests cannot import one another."""
    return TinyScan


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("ct-lns").with_changes({"patches.size": (16, 16, 16)})


@pytest.fixture
def prepared() -> Callable[[PrepareSpec], list[Event]]:
    """Prepare to the end, and return all that was said."""

    def run(spec: PrepareSpec) -> list[Event]:
        events = list(prepare(spec, Uncontrolled()))
        assert isinstance(events[-1], Finished)
        return events

    return run


@dataclass(frozen=True)
class DicomScan:
    """A tiny scan as a DICOM series; its slices' UIDs from the lowest slice on."""

    folder: Path
    uid: str
    slices: tuple[str, ...]
    origin: tuple[float, float, float] = (-50.0, -60.0, 100.0)


@pytest.fixture
def dicom_scan() -> Callable[..., DicomScan]:
    """Write a `TinyScan` as a DICOM series."""

    def write(folder: Path, scan: TinyScan, patient: str = "") -> DicomScan:
        folder.mkdir(parents=True)
        array = sitk.GetArrayFromImage(scan.image())
        uid, study, frame = generate_uid(), generate_uid(), generate_uid()
        uids = []
        for number, pixels in enumerate(array):
            ds = _file(CTImageStorage, uid, study, patient)
            ds.Modality = "CT"
            ds.FrameOfReferenceUID = frame
            ds.ImagePositionPatient = [-50, -60, 100 + number * scan.spacing[0]]
            ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
            ds.PixelSpacing = list(scan.spacing[1:])
            ds.SliceThickness = scan.spacing[0]
            ds.InstanceNumber = number + 1
            ds.Rows, ds.Columns = pixels.shape
            ds.SamplesPerPixel = 1
            ds.PhotometricInterpretation = "MONOCHROME2"
            ds.BitsAllocated = ds.BitsStored = 16
            ds.HighBit = 15
            ds.PixelRepresentation = 1
            ds.RescaleSlope, ds.RescaleIntercept = 1, 0
            ds.PixelData = pixels.tobytes()
            uids.append(str(ds.SOPInstanceUID))
            ds.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)
        return DicomScan(folder, uid, tuple(uids))

    return write


@pytest.fixture
def write_rtstruct() -> Callable[..., None]:
    """Write boxes, (z, y, x) slices of voxels 1 mm wide, as structures of a series."""

    def write(path: Path, scan: DicomScan, boxes: dict[str, tuple[slice, slice, slice]]) -> None:
        ds = _file(RTStructureSetStorage, generate_uid(), generate_uid(), "")
        ds.Modality = "RTSTRUCT"
        ds.StructureSetLabel = "test"
        series = pydicom.Dataset()
        series.SeriesInstanceUID = scan.uid
        study = pydicom.Dataset()
        study.RTReferencedSeriesSequence = [series]
        frame = pydicom.Dataset()
        frame.RTReferencedStudySequence = [study]
        ds.ReferencedFrameOfReferenceSequence = [frame]
        ds.StructureSetROISequence = []
        ds.ROIContourSequence = []
        for number, (name, box) in enumerate(boxes.items(), 1):
            roi = pydicom.Dataset()
            roi.ROINumber, roi.ROIName = number, name
            ds.StructureSetROISequence.append(roi)
            drawn = pydicom.Dataset()
            drawn.ReferencedROINumber = number
            drawn.ContourSequence = [
                _contour(scan, box, z) for z in range(box[0].start, box[0].stop)
            ]
            ds.ROIContourSequence.append(drawn)
        path.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(path, enforce_file_format=True)

    return write


def _file(kind: str, series: str, study: str, patient: str) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = kind
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SeriesInstanceUID, ds.StudyInstanceUID = series, study
    ds.PatientID = patient
    return ds


def _contour(scan: DicomScan, box: tuple[slice, slice, slice], z: int) -> pydicom.Dataset:
    # the faces of the box lie half a voxel beyond its outer voxels' centres
    x0, y0, z0 = scan.origin
    top, bottom = box[1].start - 0.5, box[1].stop - 0.5
    left, right = box[2].start - 0.5, box[2].stop - 0.5
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    image = pydicom.Dataset()
    image.ReferencedSOPClassUID = CTImageStorage
    image.ReferencedSOPInstanceUID = scan.slices[z]
    contour = pydicom.Dataset()
    contour.ContourImageSequence = [image]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = 4
    contour.ContourData = [v for x, y in corners for v in (x0 + x, y0 + y, z0 + z)]
    return contour
