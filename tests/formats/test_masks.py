import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import MaskError, ScanError
from napari_ctlns.formats import (
    is_mask_file,
    read_mask,
    read_mask_onto,
    read_scan,
    referenced_series,
    write_volume,
)
from napari_ctlns.resampling import to_sitk
from napari_ctlns.volume import Geometry, Volume


def labels_of(scan, dtype=np.uint8):
    labels = np.zeros(scan.geometry.shape, dtype)
    labels[1:3, 2:4, 1:4] = 1
    labels[-1, -1, -1] = 7
    return labels


def save(path, array, geometry):
    sitk.WriteImage(to_sitk(array, geometry), str(path))
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_whole_numbers_are_labels(tmp_path, scan, dtype):
    labels = labels_of(scan, dtype)
    grid = scan.geometry.source
    path = save(tmp_path / "m.nrrd", scan.geometry.to_source(labels), grid)
    mask = read_mask(path)
    assert mask.kind == "mask"
    assert mask.array.dtype == np.uint8
    assert np.array_equal(mask.array, labels)
    assert mask.geometry.same_grid(scan.geometry)
    assert mask.source.warnings == ()


def test_many_labels_need_sixteen_bits(tmp_path):
    array = np.array([0, 256, 65535], np.int32).reshape(1, 1, 3)
    mask = read_mask(save(tmp_path / "m.mha", array, Geometry(array.shape)))
    assert mask.array.dtype == np.uint16
    assert np.array_equal(mask.array, array)


@pytest.mark.parametrize("values", [[0, 0.5], [0, -1], [0, 65536], [0, np.nan]])
def test_values_that_are_no_labels_are_refused(tmp_path, values):
    array = np.array(values, np.float64).reshape(1, 1, 2)
    with pytest.raises(MaskError, match="not a mask"):
        read_mask(save(tmp_path / "m.mha", array, Geometry(array.shape)))


def test_an_empty_mask_is_read(tmp_path, scan):
    write_volume(scan.mask(np.zeros(scan.array.shape, np.uint8)), tmp_path / "m.nii.gz")
    assert not read_mask(tmp_path / "m.nii.gz").array.any()
    assert not read_mask_onto(tmp_path / "m.nii.gz", scan).array.any()


def test_a_missing_mask_is_told(tmp_path):
    with pytest.raises(ScanError, match="no such file"):
        read_mask(tmp_path / "absent.nii.gz")


@pytest.mark.parametrize("name", ["m.nii.gz", "m.mhd"])
def test_a_mask_on_the_same_grid_takes_the_scans_geometry(tmp_path, scan, name):
    labels = labels_of(scan)
    write_volume(scan.mask(labels), tmp_path / name)
    mask = read_mask_onto(tmp_path / name, scan)
    assert mask.geometry is scan.geometry
    assert np.array_equal(mask.array, labels)
    assert (mask.scan_id, mask.patient_id) == (scan.scan_id, scan.patient_id)
    assert mask.source.warnings == ()


def test_the_order_of_the_masks_axes_does_not_matter(tmp_path, scan):
    labels = labels_of(scan)
    path = save(tmp_path / "m.mha", labels, scan.geometry)
    assert np.array_equal(read_mask_onto(path, scan).array, labels)


def test_another_grid_is_carried_over_with_a_warning(tmp_path):
    scan = Volume(np.zeros((8, 10, 12), np.int16), Geometry((8, 10, 12)), scan_id="s")
    labels = np.zeros((8, 10, 12), np.uint8)
    labels[2:6, 3:7, 4:8] = 3
    fine = scan.geometry.resampled((0.5, 0.5, 0.5))
    path = save(tmp_path / "m.mha", np.kron(labels, np.ones((2, 2, 2), np.uint8)), fine)
    mask = read_mask_onto(path, scan)
    assert np.array_equal(mask.array, labels)
    assert "nearest neighbour" in mask.source.warnings[-1]


def test_a_cropped_mask_does_not_grow_at_its_faces(tmp_path):
    scan = Volume(np.zeros((8, 8, 8), np.int16), Geometry((8, 8, 8)))
    crop = scan.geometry.cropped((2, 3, 4), (2, 2, 2))
    path = save(tmp_path / "m.mha", np.full((2, 2, 2), 5, np.uint8), crop)
    expected = np.zeros((8, 8, 8), np.uint8)
    expected[2:4, 3:5, 4:6] = 5
    assert np.array_equal(read_mask_onto(path, scan).array, expected)


def test_a_mask_of_another_place_is_refused(tmp_path):
    scan = Volume(np.zeros((4, 4, 4), np.int16), Geometry((4, 4, 4)), scan_id="s")
    away = Geometry((4, 4, 4), origin=(100.0, 0.0, 0.0))
    path = save(tmp_path / "m.mha", np.ones((4, 4, 4), np.uint8), away)
    with pytest.raises(MaskError, match="beside the scan"):
        read_mask_onto(path, scan)
    larger = Geometry((4, 4, 40), origin=(-30.0, 0.0, 0.0))
    array = np.zeros((4, 4, 40), np.uint8)
    array[:, :, 0] = 1
    path = save(tmp_path / "m.mha", array, larger)
    with pytest.raises(MaskError, match="no voxel of the mask"):
        read_mask_onto(path, scan)


def test_real_lung_masks_lie_on_their_scans(data):
    scan = read_scan(data / "chest-64" / "ct-64.nrrd")
    lobes = read_mask_onto(data / "chest-64" / "lm-64.nrrd", scan)
    assert lobes.array.dtype == np.uint16
    assert scan.array[lobes.array > 0].mean() < -600
    dicom = read_scan(data / "chest-64" / "dicom")
    carried = read_mask_onto(data / "chest-64" / "wholeLung-64.nrrd", dicom)
    assert dicom.array[carried.array > 0].mean() < -600


# -- DICOM RTSTRUCT through the same door -----------------------------------------


def values(**named):
    ds = pydicom.Dataset()
    for name, value in named.items():
        setattr(ds, name, value)
    return ds


@pytest.fixture
def structures(tmp_path, write_series, positions):
    """A series and, in a folder of its own, squares of two structures on its slices."""
    stored = np.zeros((5, 20, 20), np.uint16)
    uid = write_series(tmp_path / "ct", stored, positions(5))
    ds = values(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3", SOPInstanceUID="1.2.3")
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    study = values(RTReferencedSeriesSequence=[values(SeriesInstanceUID=uid)])
    frame = values(FrameOfReferenceUID="1.2.9", RTReferencedStudySequence=[study])
    ds.ReferencedFrameOfReferenceSequence = [frame]
    names = ("Lung_L", "Lung_R")
    ds.StructureSetROISequence = [values(ROINumber=k, ROIName=name) for k, name in enumerate(names)]
    ds.ROIContourSequence = []
    for k in range(2):
        contours = []
        for x, y, z in positions(5)[1:4]:
            # four columns of 0.8 mm by five rows of 0.7 mm, between the pixels' centres
            left, top = x + (2 + 8 * k - 0.5) * 0.8, y + (3 - 0.5) * 0.7
            right, bottom = left + 4 * 0.8, top + 5 * 0.7
            corners = [left, top, z, right, top, z, right, bottom, z, left, bottom, z]
            contours.append(
                values(
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=4,
                    ContourData=[f"{v:.3f}" for v in corners],
                )
            )
        ds.ROIContourSequence.append(values(ReferencedROINumber=k, ContourSequence=contours))
    (tmp_path / "rt").mkdir()
    ds.save_as(tmp_path / "rt" / "1-1.dcm", enforce_file_format=True)
    return read_scan(tmp_path / "ct"), tmp_path / "rt"


def test_contours_are_drawn_on_their_scan(structures):
    scan, folder = structures
    expected = np.zeros((5, 20, 20), np.uint8)
    expected[1:4, 3:8, 2:6] = 1
    expected[1:4, 3:8, 10:14] = 2
    assert is_mask_file(folder)
    assert is_mask_file(folder / "1-1.dcm")
    assert referenced_series(folder) == scan.source.series_uid
    for path in (folder, folder / "1-1.dcm"):
        mask = read_mask_onto(path, scan)
        assert np.array_equal(mask.array, expected)
        assert (mask.source.path, mask.source.format) == (folder / "1-1.dcm", "rtstruct")
    swapped = read_mask(folder, scan=scan, structures=["Lung_R", "Lung_L"])
    assert np.array_equal(swapped.array, np.array([0, 2, 1])[expected])
    write_volume(mask, folder / "seg.dcm")
    assert np.array_equal(read_mask(folder / "seg.dcm").array, expected)


def test_contours_without_a_scan_are_refused(structures):
    with pytest.raises(MaskError, match=r"no voxels of their own; open the scan"):
        read_mask(structures[1])
