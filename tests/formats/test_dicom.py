import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import JPEGLSLossless, generate_uid

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import describe, read_scan

STORED = np.random.default_rng(0).integers(0, 3000, (5, 6, 7)).astype(np.uint16)
HU = STORED.astype(np.int16) - 1024


def simpleitk_series(folder):
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    return sitk.ReadImage(names)


@pytest.mark.parametrize(
    "name", ["lung-pet-ct-dx-a0001/dicom", "lidc-idri-0001/dicom", "chest-64/dicom"]
)
def test_real_series_are_read_as_simpleitk_reads_them(data, name):
    image = simpleitk_series(data / name)
    volume = read_scan(data / name, strict=True)
    own = volume.geometry.source
    assert own.spacing[::-1] == pytest.approx(image.GetSpacing(), abs=1e-4)
    assert own.origin == pytest.approx(image.GetOrigin(), abs=1e-4)
    directions = [v for row in own.direction for v in row]
    assert directions == pytest.approx(image.GetDirection(), abs=1e-6)
    array = volume.geometry.to_source(volume.array)
    assert np.array_equal(array, sitk.GetArrayViewFromImage(image))
    assert volume.array.dtype == np.int16


def test_what_a_real_series_tells(data):
    volume = read_scan(data / "lidc-idri-0001" / "dicom")
    assert volume.patient_id == "LIDC-IDRI-0001"
    assert volume.scan_id == volume.source.series_uid
    assert volume.source.window_hu == (-1400, 200)
    assert volume.source.format == "dicom"
    assert volume.array.min() == -2048
    assert describe(volume)["hu_range"] == [-1024, 3071]


def test_slices_at_one_position_are_refused(data):
    with pytest.raises(ScanError, match="same position: 4 of 4"):
        read_scan(data / "awkward-dicom" / "same-position")


def test_a_compressed_sagittal_mr_is_read_with_a_warning(data):
    folder = data / "awkward-dicom" / "compressed-jpegls"
    volume = read_scan(folder)
    assert "modality is MR" in volume.source.warnings[0]
    image = sitk.DICOMOrient(simpleitk_series(folder), "LPS")
    assert np.array_equal(volume.array, sitk.GetArrayViewFromImage(image))
    assert volume.geometry.origin == pytest.approx(image.GetOrigin(), abs=1e-4)
    with pytest.raises(ScanError, match="MR"):
        read_scan(folder, strict=True)


def test_slices_are_sorted_by_position_alone(tmp_path, write_series, positions):
    places = positions(5)
    shuffled = [3, 0, 4, 1, 2]
    write_series(tmp_path, STORED[shuffled], [places[i] for i in shuffled])
    volume = read_scan(tmp_path)
    assert np.array_equal(volume.array, HU)
    assert volume.array.dtype == np.int16
    assert volume.geometry.spacing == pytest.approx((2.0, 0.7, 0.8))
    assert volume.geometry.origin == pytest.approx(places[0])
    assert volume.patient_id == "P1"
    assert volume.source.warnings == ()


def test_feet_first_slices_are_turned_and_remember_it(tmp_path, write_series):
    # rows run to the patient's right, columns to the back: the normal points to the feet
    places = [(10.0, 20.0, 100.0 - 2 * k) for k in range(5)]
    write_series(tmp_path, STORED, places, orientation=(-1, 0, 0, 0, 1, 0))
    volume = read_scan(tmp_path)
    assert np.array_equal(volume.array, HU[::-1, :, ::-1])
    assert np.array_equal(volume.geometry.to_source(volume.array), HU)
    assert volume.geometry.source.origin == pytest.approx(places[0])


def test_an_oblique_series_keeps_its_rotation(tmp_path, write_series):
    # a rotation about x, rounded to six digits as headers are
    turned = (1, 0, 0, 0, 0.984808, -0.173648)
    normal = np.cross(turned[:3], turned[3:])
    write_series(tmp_path, STORED, [2.0 * k * normal for k in range(5)], orientation=turned)
    volume = read_scan(tmp_path, strict=True)
    image = simpleitk_series(tmp_path)
    assert volume.geometry.is_oblique
    assert volume.geometry.spacing[0] == pytest.approx(2, abs=1e-4)
    last = image.TransformIndexToPhysicalPoint((6, 5, 4))
    assert volume.geometry.index_to_world((4, 5, 6)) == pytest.approx(last, abs=1e-4)
    assert np.asarray(volume.geometry.direction).T @ np.asarray(
        volume.geometry.direction
    ) == pytest.approx(np.eye(3), abs=1e-12)


def test_each_slice_has_its_own_rescale(tmp_path, write_series, positions):
    write_series(tmp_path, STORED, positions(5), RescaleSlope=lambda k: k + 1)
    volume = read_scan(tmp_path)
    expected = STORED.astype(int) * np.arange(1, 6)[:, None, None] - 1024
    assert np.array_equal(volume.array, expected)
    assert volume.array.dtype == np.int16
    write_series(tmp_path / "b", STORED, positions(5), RescaleSlope=lambda k: 0.5 + k)
    volume = read_scan(tmp_path / "b")
    expected = STORED * (0.5 + np.arange(5))[:, None, None] - 1024
    assert volume.array.dtype == np.float32
    assert np.allclose(volume.array, expected)


def test_values_beyond_int16_are_kept(tmp_path, write_series, positions):
    stored = STORED.copy()
    stored[3, 2, 1] = 65535
    write_series(tmp_path, stored, positions(5))
    volume = read_scan(tmp_path)
    assert volume.array.dtype == np.int32
    assert np.array_equal(volume.array, stored.astype(int) - 1024)
    write_series(tmp_path / "b", stored, positions(5), RescaleIntercept=0)
    assert read_scan(tmp_path / "b").array.max() == 65535


def test_overlays_in_unused_bits_are_left_out(tmp_path, write_series, positions):
    stored = STORED | 0xF000
    write_series(tmp_path, stored, positions(5), BitsStored=12, HighBit=11)
    assert np.array_equal(read_scan(tmp_path).array, (STORED & 0xFFF).astype(int) - 1024)
    signed = np.where(STORED > 1500, STORED | 0xF000, STORED).astype(np.uint16).view(np.int16)
    write_series(tmp_path / "b", signed, positions(5), BitsStored=12, HighBit=11)
    twelve = np.where(STORED & 0x800, (STORED & 0xFFF).astype(int) - 4096, STORED & 0xFFF)
    assert np.array_equal(read_scan(tmp_path / "b").array, twelve - 1024)


def test_rounded_positions_are_no_gap_and_larger_ones_are_told(tmp_path, write_series):
    rounded = [(0, 0, round(k * 0.625, 2)) for k in range(5)]
    write_series(tmp_path / "a", STORED, rounded)
    assert read_scan(tmp_path / "a", strict=True).geometry.spacing[0] == pytest.approx(0.625)
    places = [(0, 0, z) for z in (0, 2.05, 4, 6, 8)]
    write_series(tmp_path / "b", STORED, places)
    assert "0.05 mm off" in read_scan(tmp_path / "b").source.warnings[0]
    with pytest.raises(ScanError, match="strict"):
        read_scan(tmp_path / "b", strict=True)


@pytest.mark.parametrize(
    ("heights", "words"),
    [((0, 2, 2, 4, 6), "2 of 5 share theirs"), ((0, 0, 2, 2, 2), "5 of 5 share theirs")],
)
def test_different_slices_at_one_position_are_refused(tmp_path, write_series, heights, words):
    write_series(tmp_path, STORED, [(0, 0, z) for z in heights])
    with pytest.raises(ScanError, match=words):
        read_scan(tmp_path)


def test_slices_that_do_not_belong_together_are_refused(tmp_path, write_series, positions):
    uid = generate_uid()
    write_series(tmp_path / "a", STORED[:3], positions(3), uid=uid)
    write_series(tmp_path / "b", STORED[3:, :, :5], positions(5)[3:], uid=uid)
    with pytest.raises(ScanError, match="differing sizes"):
        read_scan(tmp_path)
    turn = lambda k: [1, 0, 0, 0, 1, 0] if k < 3 else [0, 1, 0, 0, 0, -1]  # noqa: E731
    write_series(tmp_path / "c", STORED, positions(5), ImageOrientationPatient=turn)
    with pytest.raises(ScanError, match="differing orientations"):
        read_scan(tmp_path / "c")
    pixel = lambda k: [0.7, 0.7 + 0.1 * k]  # noqa: E731
    write_series(tmp_path / "d", STORED, positions(5), PixelSpacing=pixel)
    with pytest.raises(ScanError, match="differing pixel spacings"):
        read_scan(tmp_path / "d")


def test_one_slice_needs_a_thickness(tmp_path, write_series, positions):
    write_series(tmp_path / "a", STORED[:1], positions(1))
    volume = read_scan(tmp_path / "a")
    assert volume.geometry.spacing[0] == 2.0
    assert "one slice" in volume.source.warnings[0]
    write_series(tmp_path / "b", STORED[:1], positions(1), SliceThickness=None)
    with pytest.raises(ScanError, match="unknown thickness"):
        read_scan(tmp_path / "b")


def test_several_series_must_be_chosen_from(tmp_path, write_series, positions):
    one = write_series(tmp_path / "a", STORED, positions(5), SeriesDescription="lung kernel")
    two = write_series(tmp_path / "b", STORED[:3], positions(3))
    with pytest.raises(ScanError) as caught:
        read_scan(tmp_path)
    for words in (
        f"{one} (lung kernel, CT, 5 slices of 6 x 7)",
        f"{two} (CT, 3 slices of 6 x 7)",
        "--series",
    ):
        assert words in str(caught.value)
    assert read_scan(tmp_path, series=two).array.shape == (3, 6, 7)
    with pytest.raises(ScanError, match="no series"):
        read_scan(tmp_path, series="1.2.3")
    # one file stands for its series
    assert read_scan(tmp_path / "a" / "900").scan_id == one


def test_other_files_in_the_folder_do_not_matter(tmp_path, write_series, positions):
    write_series(tmp_path, STORED, positions(5))
    write_series(tmp_path / "scout", STORED[:1], [(0, 0, 0)], ImageType=["ORIGINAL", "LOCALIZER"])
    write_series(tmp_path / "picture", STORED[:1], [(0, 0, 0)], ImageOrientationPatient=None)
    (tmp_path / "notes.txt").write_text("hello", "utf-8")
    (tmp_path / ".hidden").write_bytes((tmp_path / "900").read_bytes())
    assert read_scan(tmp_path, strict=True).array.shape == (5, 6, 7)
    with pytest.raises(ScanError, match="localizers"):
        read_scan(tmp_path / "scout")
    with pytest.raises(ScanError, match="not a slice of a scan"):
        read_scan(tmp_path / "picture" / "900")


def test_copies_of_a_file_are_left_out_with_a_warning(tmp_path, write_series, positions):
    write_series(tmp_path, STORED, positions(5))
    shutil.copy(tmp_path / "899", tmp_path / "copy")
    volume = read_scan(tmp_path)
    assert np.array_equal(volume.array, HU)
    assert "1 files are copies" in volume.source.warnings[0]


def test_colour_multiframe_and_missing_pixels_are_refused(tmp_path, write_series, positions):
    write_series(tmp_path / "a", STORED, positions(5), SamplesPerPixel=3)
    with pytest.raises(ScanError, match="colour"):
        read_scan(tmp_path / "a")
    write_series(tmp_path / "b", STORED, positions(5), NumberOfFrames=4)
    with pytest.raises(ScanError, match="multi-frame"):
        read_scan(tmp_path / "b")
    write_series(tmp_path / "c", STORED, positions(5))
    ds = pydicom.dcmread(tmp_path / "c" / "899")
    del ds.PixelData
    ds.save_as(tmp_path / "c" / "899")
    with pytest.raises(ScanError, match=r"no pixel data in .*899"):
        read_scan(tmp_path / "c")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScanError, match="no DICOM series"):
        read_scan(tmp_path / "empty")


@pytest.mark.parametrize("kept", [0.99, 0.6, 0.3])
def test_truncated_dicom_is_never_filled_up(tmp_path, write_series, positions, kept, capfd):
    stored = np.zeros((4, 60, 60), np.uint16)
    write_series(tmp_path, stored, positions(4))
    whole = (tmp_path / "899").read_bytes()
    (tmp_path / "899").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ScanError):
        read_scan(tmp_path)
    assert capfd.readouterr().err == ""


def test_damaged_compressed_pixels_are_refused(tmp_path, data):
    for path in sorted((data / "awkward-dicom" / "compressed-jpegls").iterdir()):
        shutil.copyfile(path, tmp_path / path.name)
    ds = pydicom.dcmread(path)
    assert ds.file_meta.TransferSyntaxUID == JPEGLSLossless
    (tmp_path / path.name).write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(ScanError, match=path.name):
        read_scan(tmp_path)


def test_jpeg_2000_goes_through_gdcm(tmp_path, write_series, positions):
    stored = np.random.default_rng(0).integers(0, 3000, (3, 64, 80)).astype(np.uint16)
    hu = stored.astype(np.int16) - 1024
    write_series(tmp_path / "plain", hu, positions(3), RescaleIntercept=0)
    (tmp_path / "packed").mkdir()
    for path in sorted((tmp_path / "plain").iterdir()):
        image = sitk.ReadImage(str(path))
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(tmp_path / "packed" / f"{path.name}.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor("JPEG2000")
        writer.Execute(image)
    packed = next((tmp_path / "packed").iterdir())
    assert "JPEG 2000" in pydicom.dcmread(packed).file_meta.TransferSyntaxUID.name
    volume = read_scan(tmp_path / "packed")
    assert np.array_equal(volume.array, hu)
    assert volume.array.dtype == np.int16
