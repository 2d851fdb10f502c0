import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import MaskError, ScanError
from napari_ctlns.formats import read_mask, read_mask_onto, read_scan, write_volume
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
