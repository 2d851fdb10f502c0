import struct
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import read_scan

NAMES = ["a.mhd", "a.mha", "a.nii", "a.nii.gz", "a.nrrd", "a.nhdr"]
ROTATED = (0.8, -0.6, 0.0, 0.0, 0.0, -1.0, 0.6, 0.8, 0.0)


def picture(dtype=np.int16):
    array = np.random.default_rng(0).integers(-2000, 3000, (7, 9, 11))
    image = sitk.GetImageFromArray((array % 200 if dtype == np.uint8 else array).astype(dtype))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-12.0, 34.5, -300.25))
    image.SetDirection(ROTATED)
    return image


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.float32, np.float64])
def test_every_format_is_read_as_simpleitk_reads_it(
    tmp_path, same_as_simpleitk, name, packed, dtype
):
    sitk.WriteImage(picture(dtype), str(tmp_path / name), packed)
    volume = same_as_simpleitk(tmp_path / name)
    assert volume.array.dtype == dtype
    assert volume.array.flags.c_contiguous
    assert volume.scan_id == volume.patient_id == "a"
    assert volume.kind == "ct"


def test_real_images_are_read_as_simpleitk_reads_them(data, same_as_simpleitk):
    for name in (
        "chest-64/ct-64.nrrd",
        "chest-64/lm-64.nrrd",
        "lung-crop-mha/3DCT_lung.mha",
        "ibsi-digital-phantom/phantom.nii.gz",
    ):
        same_as_simpleitk(data / name)


def test_dots_belong_to_the_name_and_luna_names_are_series(tmp_path):
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.1002252872222"
    sitk.WriteImage(picture(), str(tmp_path / f"{uid}.mhd"))
    volume = read_scan(tmp_path / f"{uid}.mhd")
    assert volume.scan_id == volume.source.series_uid == uid
    sitk.WriteImage(picture(), str(tmp_path / "a.b.nii.gz"))
    assert read_scan(tmp_path / "a.b.nii.gz").scan_id == "a.b"


def test_big_endian_and_foreign_data_header(tmp_path):
    values = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    (tmp_path / "a.bin").write_bytes(b"vendor stuff" + values.tobytes())
    (tmp_path / "a.mhd").write_text(
        "NDims = 3\nDimSize = 4 3 2\nElementType = MET_SHORT\nElementSpacing = 1 1 2\n"
        "BinaryDataByteOrderMSB = True\nHeaderSize = -1\nElementDataFile = a.bin\n",
        "utf-8",
    )
    volume = read_scan(tmp_path / "a.mhd")
    assert np.array_equal(volume.array, values)
    assert volume.array.dtype.isnative


def nifti(tmp_path, change, name="a.nii"):
    sitk.WriteImage(picture(), str(tmp_path / name))
    raw = bytearray((tmp_path / name).read_bytes())
    change(raw)
    (tmp_path / name).write_bytes(raw)
    return tmp_path / name


def test_nifti_slope_and_intercept_keep_whole_hu_whole(tmp_path):
    stored = sitk.GetArrayFromImage(picture()).astype(int)
    path = nifti(tmp_path, lambda raw: struct.pack_into("<2f", raw, 112, 1, -1024))
    volume = read_scan(path)
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.geometry.to_source(volume.array), stored - 1024)
    path = nifti(tmp_path, lambda raw: struct.pack_into("<2f", raw, 112, 0.5, 3))
    volume = read_scan(path)
    assert volume.array.dtype == np.float32
    assert np.allclose(volume.geometry.to_source(volume.array), stored * 0.5 + 3)
    path = nifti(tmp_path, lambda raw: struct.pack_into("<2f", raw, 112, 100, 0))
    assert read_scan(path).array.dtype == np.int32


def test_a_fourth_dimension_of_one_is_no_dimension(tmp_path):
    path = nifti(tmp_path, lambda raw: struct.pack_into("<5h", raw, 40, 4, 11, 9, 7, 1))
    same = sitk.GetArrayFromImage(picture())
    volume = read_scan(path)
    assert np.array_equal(volume.geometry.to_source(volume.array), same)


def refused(path, *words):
    with pytest.raises(ScanError) as caught:
        read_scan(path)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packed", [False, True])
def test_truncated_files_are_refused_without_noise(tmp_path, name, packed, capfd):
    path = tmp_path / name
    sitk.WriteImage(picture(), str(path), packed)
    beside = {"a.mhd": ("a.raw", "a.zraw"), "a.nhdr": ("a.raw", "a.raw.gz")}
    data = tmp_path / beside[name][packed] if name in beside else path
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) - 400])
    # ITK itself fills truncated NIfTI files with zeros in silence
    refused(path, str(data), "copy the file again")
    assert capfd.readouterr() == ("", "")


def test_a_truncated_raw_tells_both_sizes(tmp_path):
    sitk.WriteImage(picture(), str(tmp_path / "a.mhd"))
    raw = tmp_path / "a.raw"
    raw.write_bytes(raw.read_bytes()[:1000])
    refused(tmp_path / "a.mhd", "truncated", "expected 1386 bytes, found 1000")
    raw.write_bytes(bytes(2000))
    refused(tmp_path / "a.mhd", "too much data", "expected 1386 bytes, found 2000")
    raw.unlink()
    refused(tmp_path / "a.mhd", "missing data file", "a.raw")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.nrrd"])
def test_a_flipped_bit_in_packed_voxels_is_noticed(tmp_path, name):
    path = tmp_path / name
    sitk.WriteImage(picture(), str(path), True)
    raw = bytearray(path.read_bytes())
    raw[-300] ^= 0x10
    path.write_bytes(raw)
    refused(path, "damaged data")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"", b"\x00\x01junk" * 200, b"\x1f\x8b\x08junk" * 50])
def test_junk_is_refused_without_noise(tmp_path, name, content, capfd):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, str(tmp_path / name))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", NAMES)
def test_colour_and_flat_images_are_refused(tmp_path, name, capfd):
    colour = sitk.Image([5, 6, 7], sitk.sitkVectorUInt8, 3)
    sitk.WriteImage(colour, str(tmp_path / name))
    with pytest.raises(ScanError, match=r"colour|three-dimensional"):
        read_scan(tmp_path / name)
    for size in ([5, 6], [5, 6, 7, 2, 2]):
        sitk.WriteImage(sitk.Image(size, sitk.sitkInt16), str(tmp_path / name))
        refused(tmp_path / name, "not a three-dimensional scan")
    assert capfd.readouterr() == ("", "")


HEADER = "NDims = 3\nDimSize = 4 3 2\nElementSpacing = 1 1 1\n"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("ElementType = MET_SHORT\nElementDataFile = ../a.raw\n", "outside the folder"),
        ("ElementType = MET_SHORT\nElementDataFile = /etc/passwd\n", "outside the folder"),
        ("ElementType = MET_SHORT\nElementDataFile = LIST\na.raw\n", "several files"),
        ("ElementType = MET_SHORT\nElementDataFile = s%03d.raw 1 2 1\n", "several files"),
        ("ElementType = MET_SHORT\nBinaryData = False\nElementDataFile = a.raw\n", "as text"),
        ("ElementType = MET_STRING\nElementDataFile = a.raw\n", "MET_STRING"),
        ("ElementDataFile = a.raw\n", "ElementType is missing"),
        ("ElementType = MET_SHORT\nHeaderSize = x\nElementDataFile = a.raw\n", "cannot read"),
    ],
)
def test_impossible_metaimage_headers(tmp_path, header, words):
    (tmp_path / "a.raw").write_bytes(bytes(48))
    (tmp_path / "a.mhd").write_text(HEADER + header, "utf-8")
    refused(tmp_path / "a.mhd", words)


def test_a_header_that_promises_more_than_a_file_can_hold(tmp_path):
    (tmp_path / "a.zraw").write_bytes(zlib.compress(bytes(48)))
    (tmp_path / "a.mhd").write_text(
        "NDims = 3\nDimSize = 40000 30000 20000\nElementType = MET_SHORT\nElementSpacing = 1 1 1\n"
        "CompressedData = True\nElementDataFile = a.zraw\n",
        "utf-8",
    )
    refused(tmp_path / "a.mhd", "expected 48000000000000 bytes")


def test_axes_that_are_not_at_right_angles_are_refused(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(48))
    (tmp_path / "a.mhd").write_text(
        HEADER + "TransformMatrix = 1 0 0 0.3 1 0 0 0 1\n"
        "ElementType = MET_SHORT\nElementDataFile = a.raw\n",
        "utf-8",
    )
    refused(tmp_path / "a.mhd", "a.mhd")


def test_unknown_spacing_and_orientation_are_told(tmp_path):
    (tmp_path / "a.raw").write_bytes(np.linspace(-1000, 40, 24).astype("<i2").tobytes())
    (tmp_path / "a.mhd").write_text(
        "NDims = 3\nDimSize = 4 3 2\nElementType = MET_SHORT\nElementDataFile = a.raw\n", "utf-8"
    )
    assert "1 mm" in read_scan(tmp_path / "a.mhd").source.warnings[0]
    (tmp_path / "a.nrrd").write_bytes(
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 4 3 2\nendian: little\nencoding: raw\n\n"
        + np.linspace(-1000, 40, 24).astype("<i2").tobytes()
    )
    words = read_scan(tmp_path / "a.nrrd").source.warnings
    assert len(words) == 2
    path = nifti(tmp_path, lambda raw: struct.pack_into("<2h", raw, 252, 0, 0))
    assert "left and right" in read_scan(path).source.warnings[0]


def test_other_files_are_refused(tmp_path):
    refused(tmp_path / "absent.mhd", "no such file", "absent.mhd")
    (tmp_path / "a.txt").write_text("hello", "utf-8")
    refused(tmp_path / "a.txt", "unknown kind of file", ".nii.gz")
    sitk.WriteImage(picture(), str(tmp_path / "a.mha"))
    with pytest.raises(ScanError, match="no series"):
        read_scan(tmp_path / "a.mha", series="1.2.3")
