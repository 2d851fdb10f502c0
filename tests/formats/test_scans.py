import json

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import ScanFile, describe, find_scans, read_scan, write_volume
from napari_ctlns.volume import Geometry, Source, Volume


def test_every_scan_and_series_below_a_folder_is_found(tmp_path, scan, write_series, positions):
    stored = np.zeros((3, 4, 5), np.uint16)
    two = write_series(tmp_path / "p2", stored, positions(3))
    one = write_series(tmp_path / "p1" / "ct", stored, positions(3))
    write_volume(scan, tmp_path / "b.mhd")
    write_volume(scan, tmp_path / "deep" / "a.nii.gz")
    write_volume(scan.mask(np.ones(scan.array.shape, np.uint8)), tmp_path / "masks" / "b.nii.gz")
    (tmp_path / ".12345678.tmp.c.mha").write_bytes(b"half")
    (tmp_path / "notes.csv").write_bytes(b"")
    (tmp_path / "broken.nrrd").write_bytes(b"junk")
    assert find_scans(tmp_path) == [
        ScanFile(tmp_path / "b.mhd"),
        ScanFile(tmp_path / "broken.nrrd"),
        ScanFile(tmp_path / "deep" / "a.nii.gz"),
        ScanFile(tmp_path / "p1" / "ct", one),
        ScanFile(tmp_path / "p2", two),
    ]


def test_two_series_in_one_folder_are_two_scans(tmp_path, write_series, positions):
    stored = np.zeros((3, 4, 5), np.uint16)
    one = write_series(tmp_path, stored, positions(3))
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(f"a{path.name}"))
    two = write_series(tmp_path, stored[:2], positions(2))
    found = find_scans(tmp_path)
    assert found == [ScanFile(tmp_path, uid) for uid in sorted([one, two])]
    assert {f.series: f.title for f in found} == {
        one: "CT, 3 slices of 4 x 5",
        two: "CT, 2 slices of 4 x 5",
    }
    assert {read_scan(f.path, series=f.series).scan_id for f in found} == {one, two}


def test_a_file_finds_itself(tmp_path, scan, write_series, positions):
    write_volume(scan, tmp_path / "a.mha")
    assert find_scans(tmp_path / "a.mha") == [ScanFile(tmp_path / "a.mha")]
    uid = write_series(tmp_path / "d", np.zeros((3, 4, 5), np.uint16), positions(3))
    assert find_scans(tmp_path / "d" / "900") == [ScanFile(tmp_path / "d", uid)]
    assert find_scans(tmp_path / "d") == [ScanFile(tmp_path / "d", uid)]
    (tmp_path / "empty").mkdir()
    assert find_scans(tmp_path / "empty") == []
    with pytest.raises(ScanError, match="no such file or folder"):
        find_scans(tmp_path / "absent")


def test_a_description_is_of_the_sources_own_grid(scan):
    told = json.loads(json.dumps(describe(scan)))
    own = scan.geometry.source
    assert list(told) == [
        "shape",
        "spacing_mm",
        "origin_mm",
        "direction",
        "hu_range",
        "series_uid",
        "format",
        "warnings",
    ]
    assert told["shape"] == list(own.shape) == [4, 5, 6]
    assert told["spacing_mm"] == [0.8, 0.7, 2.5]
    assert told["origin_mm"] == pytest.approx([-12.5, 30.25, -400.125])
    assert told["direction"] == [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    inside = scan.array[scan.array >= -1024]
    assert told["hu_range"] == [inside.min(), inside.max()]
    assert all(isinstance(v, int) for v in told["hu_range"])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([-3000.0, -1000.5, 400.25], [-1000.5, 400.25]),
        ([np.nan, -5.0, np.inf], [-5.0, -5.0]),
        ([-3000.0, -2000.0, -1025.0], [-1024, -1024]),
    ],
)
def test_padding_is_left_out_of_the_range(values, expected):
    array = np.array(values).reshape(1, 1, 3)
    volume = Volume(array, Geometry((1, 1, 3)), source=Source(warnings=("mended",)))
    assert describe(volume)["hu_range"] == expected
    assert describe(volume)["warnings"] == ["mended"]


REAL = {
    "awkward-dicom/compressed-jpegls": "",
    "awkward-dicom/gantry-tilt": "",
    "awkward-dicom/missing-slice": "",
    "awkward-dicom/same-position": "same position",
    "awkward-dicom": "4 series",
    "chest-64/ct-64.nrrd": "",
    "chest-64/lm-64.nrrd": "",
    "chest-64/wholeLung-64.nrrd": "",
    "chest-64/dicom": "",
    "lidc-idri-0001/dicom": "",
    "lidc-idri-0001": "",
    "lung-crop-mha/3DCT_lung.mha": "",
    "lung-crop-mha/3DCT_lung_baseline_mask.mha": "",
    "lung-pet-ct-dx-a0001/dicom": "",
    "ibsi-digital-phantom/phantom.nii.gz": "",
    "ibsi-digital-phantom/mask.nii.gz": "",
    "lidc-idri-0001/annotations.xml": "unknown kind of file",
    "luna16": "no DICOM series",
}


@pytest.mark.parametrize(("name", "words"), REAL.items())
def test_every_real_scan_opens_or_is_refused_in_words(data, name, words, capfd):
    if words:
        with pytest.raises(ScanError, match=words):
            read_scan(data / name)
    else:
        volume = read_scan(data / name)
        assert np.diag(np.asarray(volume.geometry.direction)).min() > 0.97
        assert volume.array.size > 0
    assert capfd.readouterr() == ("", "")


def test_the_table_above_holds_every_real_scan(data):
    known = {data / name for name in REAL}
    assert {scan.path for scan in find_scans(data)} <= known


def test_stored_values_are_never_changed(tmp_path):
    array = np.array([-3024, -1024, 3071], np.int16).reshape(1, 1, 3)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / "a.nrrd"))
    assert np.array_equal(read_scan(tmp_path / "a.nrrd").array, array)
