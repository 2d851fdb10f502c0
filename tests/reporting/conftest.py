"""A small DICOM series of a patient whose name, id and dates are like no other words."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from napari_ctlns.formats import read_scan
from napari_ctlns.reporting.measuring import all_measured

IDENTITY = {
    "PatientName": "Zzyzx^Quentin",
    "PatientID": "ZQX-471199",
    "PatientBirthDate": "19330607",
    "StudyDate": "20010203",
    "SeriesDate": "20010204",
    "AccessionNumber": "ACC-88213",
    "InstitutionName": "Hospital of Zz",
    "ReferringPhysicianName": "Yxilanti^Doris",
}
SHAPE, STEP_MM, PIXEL_MM = (12, 40, 48), 2.0, 0.8


def hu_and_labels():
    """Lung with a ball of 40 HU (label 2) and a haze of -600 HU (label 5)."""
    rng = np.random.default_rng(0)
    hu = rng.normal(-850, 20, SHAPE)
    labels = np.zeros(SHAPE, np.uint8)
    spacing = np.array((STEP_MM, PIXEL_MM, PIXEL_MM))
    place = np.moveaxis(np.indices(SHAPE), 0, -1) * spacing
    for label, share, density in ((2, 0.3, 40), (5, 0.7, -600)):
        middle = np.array(SHAPE) * spacing * (0.5, share, share)
        inside = ((place - middle) ** 2).sum(axis=-1) < 4.5**2
        labels[inside], hu[inside] = label, rng.normal(density, 20, inside.sum())
    return hu, labels


def write_slices(folder, hu):
    folder.mkdir(parents=True)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for number, pixels in enumerate(hu):
        ds = pydicom.Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.SeriesInstanceUID, ds.StudyInstanceUID, ds.FrameOfReferenceUID = series, study, frame
        ds.Modality, ds.StudyID, ds.StudyTime = "CT", "1", "101112"
        ds.PatientSex = "O"
        ds.InstanceNumber = number + 1
        ds.ImagePositionPatient = [-10.0, 20.0, -100.0 + STEP_MM * number]
        ds.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        ds.PixelSpacing, ds.SliceThickness = [PIXEL_MM, PIXEL_MM], STEP_MM
        ds.Rows, ds.Columns = pixels.shape
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 0
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        ds.PixelData = (np.rint(pixels) + 1024).astype(np.uint16).tobytes()
        for name, value in IDENTITY.items():
            setattr(ds, name, value)
        ds.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)


@pytest.fixture(scope="session")
def series(tmp_path_factory):
    """A scan, read from a DICOM folder with a telling name, and the mask of its two nodules."""
    folder = tmp_path_factory.mktemp("qqpath-of-zzyzx") / "ct"
    hu, labels = hu_and_labels()
    write_slices(folder, hu)
    volume = read_scan(folder)
    return volume, volume.mask(labels)


@pytest.fixture(scope="session")
def measured(series):
    """All that is measured of it, with one probability everywhere."""
    volume, mask = series
    return all_measured(mask, volume, volume.probability(np.full(mask.array.shape, 0.875)))


@pytest.fixture
def table(measured):
    return measured.copy()


@pytest.fixture(scope="session")
def identity(series):
    """Words by which the patient could be known."""
    volume, _ = series
    names = [part for value in IDENTITY.values() for part in value.split("^")]
    words = {*names, "1933-06-07", "2001-02-03", volume.source.series_uid, "qqpath-of-zzyzx"}
    return {word.encode() for word in words if len(word) > 4}
