from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from napari_ctlns.formats import read_scan
from napari_ctlns.volume import Geometry, Source, Volume

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def data():
    if not DATA.is_dir():
        pytest.skip(f"no real data in {DATA}")
    return DATA


@pytest.fixture
def scan():
    """A small anisotropic CT whose source ran along other axes, backwards."""
    rng = np.random.default_rng(1)
    direction = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
    own = Geometry((4, 5, 6), (0.8, 0.7, 2.5), (-12.5, 30.25, -400.125), direction)
    array = rng.integers(-3024, 2000, own.shape).astype(np.int16)
    geometry = own.oriented()
    array = np.ascontiguousarray(geometry.from_source(array))
    return Volume(array, geometry, "ct", "scan", "patient", Source())


@pytest.fixture
def write_series():
    """Write a DICOM series: ``stored`` (n, y, x) 16-bit, one slice at each of ``positions``."""

    def write(folder, stored, positions, orientation=(1, 0, 0, 0, 1, 0), uid=None, **tags):
        folder.mkdir(parents=True, exist_ok=True)
        uid = uid or generate_uid()
        for number, (pixels, position) in enumerate(zip(stored, positions, strict=True)):
            ds = pydicom.Dataset()
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            ds.SeriesInstanceUID = uid
            ds.Modality = "CT"
            ds.PatientID = "P1"
            ds.InstanceNumber = number + 1
            ds.ImagePositionPatient = [float(v) for v in position]
            ds.ImageOrientationPatient = [float(v) for v in orientation]
            ds.PixelSpacing = [0.7, 0.8]  # rows are 0.7 apart, columns 0.8
            ds.SliceThickness = 2.0
            ds.Rows, ds.Columns = pixels.shape
            ds.SamplesPerPixel = 1
            ds.PhotometricInterpretation = "MONOCHROME2"
            ds.BitsAllocated = ds.BitsStored = 16
            ds.HighBit = 15
            ds.PixelRepresentation = int(pixels.dtype.kind == "i")
            ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
            ds.PixelData = pixels.tobytes()
            for name, value in tags.items():
                setattr(ds, name, value(number) if callable(value) else value)
            # names run against positions: they must not matter
            ds.save_as(folder / f"{900 - number}", enforce_file_format=True)
        return uid

    return write


def straight(n, step=2.0):
    return [(-10.0, 20.0, -100.0 + step * k) for k in range(n)]


@pytest.fixture
def positions():
    return straight


@pytest.fixture
def same_as_simpleitk():
    """Compare an image file voxel by voxel at the same places of the patient; return ours."""

    def compare(path):
        image = sitk.ReadImage(str(path))
        volume = read_scan(path)
        own = volume.geometry.source
        assert own.shape == image.GetSize()[::-1]
        assert own.spacing[::-1] == pytest.approx(image.GetSpacing(), abs=1e-6)
        assert own.origin == pytest.approx(image.GetOrigin(), abs=1e-6)
        assert np.ravel(own.direction) == pytest.approx(image.GetDirection(), abs=1e-6)
        array = volume.geometry.to_source(volume.array)
        assert np.array_equal(array, sitk.GetArrayViewFromImage(image))
        return volume

    return compare
