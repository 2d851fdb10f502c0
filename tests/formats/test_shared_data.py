"""Every file of the shared real data opens rightly, or is refused in the right words."""

import numpy as np
import pydicom
import pytest
from scipy import ndimage

from napari_ctlns.errors import CtlnsError
from napari_ctlns.formats import (
    annotations_of,
    find_scans,
    lidc_consensus,
    read_annotations,
    read_boxes,
    read_lidc,
    read_mask,
    read_scan,
)

SCANS = {
    "lidc-idri-0001/dicom": ((16, 512, 512), (2.5, 0.703125, 0.703125), ""),
    "lung-pet-ct-dx-a0001/dicom": ((64, 512, 512), (5.0, 0.841797, 0.841797), ""),
    "chest-64/dicom": ((79, 64, 64), (3.987342, 4.171872, 4.171872), ""),
    "chest-64/ct-64.nrrd": ((79, 64, 64), (3.987342, 4.171872, 4.171872), ""),
    "lung-crop-mha/3DCT_lung.mha": ((129, 157, 115), (2.5, 1.366, 1.366), ""),
    "ibsi-digital-phantom/phantom.nii.gz": ((4, 4, 5), (2.0, 2.0, 2.0), "not in HU"),
    "awkward-dicom/gantry-tilt": (None, None, "gantry tilt"),
    "awkward-dicom/missing-slice": (None, None, "10.00 mm"),
    "awkward-dicom/compressed-jpegls": (None, None, "not a CT"),
}
"""What opens: shape and spacing (z, y, x), and what the one warning says."""

REFUSED = {
    "awkward-dicom/same-position": "same position",
    "lidc-nodule-shapes/shapes.npz": "unknown kind of file",
    "awkward-dicom/LICENSE": "unknown kind of file",
}

MASKS = {
    "chest-64/wholeLung-64.nrrd": (79, 64, 64),
    "chest-64/lm-64.nrrd": (79, 64, 64),
    "lung-crop-mha/3DCT_lung_baseline_mask.mha": (129, 157, 115),
    "ibsi-digital-phantom/mask.nii.gz": (4, 4, 5),
}

TABLES = ("luna16/annotations.csv",)
OTHERS = ("lidc-idri-0001/annotations.xml", "lung-pet-ct-dx-a0001/boxes")
TEXTS = ("README.md", "LICENSE.md", "LICENSE", "DATA.md", "reference_values.csv")


def test_the_table_names_every_file(data):
    known = [data / name for name in (*SCANS, *REFUSED, *MASKS, *TABLES, *OTHERS)]
    files = [p for p in data.rglob("*") if p.is_file() and p.name not in TEXTS]
    assert files
    for path in files:
        assert any(path == name or name in path.parents for name in known), path


@pytest.mark.parametrize("name", SCANS)
def test_a_scan_opens(data, name):
    shape, spacing, words = SCANS[name]
    volume = read_scan(data / name)
    if shape is not None:
        assert volume.geometry.source.shape == shape
        np.testing.assert_allclose(volume.geometry.source.spacing, spacing, atol=1e-5)
    said = volume.source.warnings
    assert words in " ".join(said)
    assert bool(said) == bool(words)


@pytest.mark.parametrize("name", [name for name, (_, _, words) in SCANS.items() if words])
def test_what_is_mended_is_refused_strictly(data, name):
    with pytest.raises(CtlnsError, match="strict"):
        read_scan(data / name, strict=True)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_words(data, name):
    with pytest.raises(CtlnsError, match=REFUSED[name]):
        read_scan(data / name)


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_opens(data, name):
    mask = read_mask(data / name)
    assert mask.geometry.shape == MASKS[name]
    assert mask.array.any()


def test_the_folder_holds_these_series(data):
    found = {scan.path.relative_to(data).as_posix() for scan in find_scans(data)}
    assert {name for name in SCANS if name.endswith(("dicom", "tilt", "slice", "jpegls"))} <= found


def test_tilted_slices_lie_where_their_headers_say(data):
    volume = read_scan(data / "awkward-dicom/gantry-tilt")
    headers = [pydicom.dcmread(p) for p in (data / "awkward-dicom/gantry-tilt").iterdir()]
    grid, values = volume.geometry.source, volume.geometry.to_source(volume.array)
    for header in headers:
        x_axis, y_axis = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
        normal = np.cross(x_axis, y_axis)
        along = float(np.asarray(header.ImagePositionPatient, float) @ normal)
        planes = np.array([grid.index_to_world((k, 0, 0)) @ normal for k in range(grid.shape[0])])
        assert np.abs(planes - along).min() < 0.01
        place = grid.world_to_index(np.asarray(header.ImagePositionPatient, float))
        assert (place > -0.01).all()
        # its own values, moved in the plane by an interpolation of somebody else
        z, (y, x) = round(place[0]), np.floor(place[1:] + 1e-6).astype(int)
        stored = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
        moved = ndimage.shift(stored, place[1:] - (y, x), order=1, mode="nearest")
        there = values[z, y : y + header.Rows, x : x + header.Columns]
        rows, columns = there.shape
        assert np.abs(there - moved[:rows, :columns])[1:-1, 1:-1].max() < 0.51


def test_the_missing_slice_is_named_and_filled(data):
    folder = data / "awkward-dicom/missing-slice"
    volume = read_scan(folder)
    heights = sorted(float(pydicom.dcmread(p).ImagePositionPatient[2]) for p in folder.iterdir())
    gaps = np.diff(heights)
    assert volume.geometry.spacing[0] == pytest.approx(gaps.min(), abs=1e-3)
    assert volume.geometry.size_mm[0] == pytest.approx(heights[-1] - heights[0] + gaps.min())


def test_nrrd_and_dicom_of_one_chest_agree(data):
    one = read_scan(data / "chest-64/ct-64.nrrd")
    other = read_scan(data / "chest-64/dicom")
    assert np.array_equal(one.array, other.array)
    assert one.geometry.same_grid(other.geometry)


def test_four_readers_agree_on_the_nodule(data):
    scan = read_scan(data / "lidc-idri-0001/dicom")
    reading = read_lidc(data / "lidc-idri-0001/annotations.xml")
    assert len(reading.readers) == 4
    truth = lidc_consensus(reading, scan, 0.5)
    assert np.count_nonzero(truth.mask.array) == pytest.approx(5428, rel=0.02)


def test_boxes_of_the_tumour_lie_in_its_scan(data):
    scan = read_scan(data / "lung-pet-ct-dx-a0001/dicom")
    boxes = read_boxes(data / "lung-pet-ct-dx-a0001/boxes", scan)
    assert boxes


def test_luna16_has_the_nodule_of_this_scan(data):
    rows = read_annotations(data / "luna16/annotations.csv")
    assert len(rows) == 1186
    scan = read_scan(data / "lidc-idri-0001/dicom")
    assert annotations_of(rows, scan)
