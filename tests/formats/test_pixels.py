import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import read_scan
from napari_ctlns.formats.dicom_slice import Slice
from napari_ctlns.formats.pixels import fill, pixel_dtype

packing = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("dicom_packing.py"))))

RNG = np.random.default_rng(3)
# neighbours alike, as in a picture: every predictor of every encoder has work to do
SMOOTH = np.cumsum(RNG.integers(-40, 41, (3, 23, 37)), axis=2) + 2000
LOSSLESS = [*packing.NATIVE, JPEGLosslessSV1, JPEG2000Lossless, JPEGLSLossless, RLELossless]


def slices_of(path, slope=1.0, intercept=0.0):
    """The slices of one file, as if the header had told all of this."""
    header = pydicom.dcmread(path, defer_size=1024, force=True)
    frames = int(header.get("NumberOfFrames") or 1)
    numbers = range(1, frames + 1) if frames > 1 else [0]
    placed = {"x_axis": (1, 0, 0), "y_axis": (0, 1, 0), "spacing": (1, 1)}
    return [
        Slice(header, k, (0, 0, k), slope=slope, intercept=intercept, **placed) for k in numbers
    ]


def pixels_of(path, dtype=None, **rescale):
    slices = slices_of(path, **rescale)
    target = np.empty((len(slices), *slices[0].shape), dtype or pixel_dtype(slices))
    assert sorted(fill(slices, target)) == list(range(len(slices)))
    return target


@pytest.fixture
def write_frames(tmp_path):
    """Write pixels (n, rows, columns) as one file, of more than one frame if there are."""

    def write(stored, syntax=ExplicitVRLittleEndian, frames=None, **tags):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.dcm"
        ds = pydicom.Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = "1.2.3"
        if len(stored) > 1:
            ds.NumberOfFrames = len(stored)
        ds.Rows, ds.Columns = stored.shape[1:]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 8 * stored.itemsize
        ds.HighBit = ds.BitsStored - 1
        ds.PixelRepresentation = int(stored.dtype.kind == "i")
        data = stored.tobytes()
        ds.PixelData = data + bytes(len(data) % 2)
        for name, value in tags.items():
            setattr(ds, name, value)
        ds.save_as(path, enforce_file_format=True)
        if syntax != ExplicitVRLittleEndian or frames is not None:
            packing.repack(path, syntax, frames)
        return path

    return write


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.name)
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint8], ids=lambda t: t.__name__)
def test_lossless_syntaxes_give_the_pixels_that_went_in(tmp_path, write_frames, syntax, dtype):
    if dtype == np.uint8 and syntax == ExplicitVRBigEndian:
        pytest.skip("refused, see below")
    low = -1500 if dtype == np.int16 else 0
    stored = ((SMOOTH + low) >> (5 if dtype == np.uint8 else 0)).astype(dtype)
    for number in (1, 3):
        path = write_frames(stored[:number], syntax)
        assert np.array_equal(pixels_of(path), stored[:number])
        assert np.array_equal(pixels_of(path, intercept=-1024.0), stored[:number] - 1024.0)


def test_lossy_syntaxes_stay_as_near_as_they_promise(write_frames):
    stored = SMOOTH.astype(np.uint16)
    near = pixels_of(write_frames(stored, JPEGLSNearLossless))
    assert 0 < np.abs(near - stored.astype(int)).max() <= 2
    eight = (SMOOTH >> 5).astype(np.uint8)
    lossy = pixels_of(write_frames(eight, JPEGBaseline8Bit))
    assert np.abs(lossy - eight.astype(int)).max() < 12
    name = write_frames(stored[:1], JPEG2000)
    assert np.array_equal(pixels_of(name), sitk.GetArrayFromImage(sitk.ReadImage(name)))


@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "JPEG2000.dcm",
        "JPEG-lossy.dcm",
        "JPGExtended.dcm",
        "JPEGLSNearLossless_08.dcm",
        "JPEGLSNearLossless_16.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_padded.dcm",
        "emri_small.dcm",
        "emri_small_RLE.dcm",
        "emri_small_jpeg_2k_lossless.dcm",
        "emri_small_jpeg_ls_lossless.dcm",
        "emri_small_big_endian.dcm",
        "image_dfl.dcm",
    ],
)
def test_real_files_are_read_as_gdcm_reads_them(name):
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip("not among pydicom's own files")
    image = sitk.GetArrayFromImage(sitk.ReadImage(path))
    header = pydicom.dcmread(path, stop_before_pixels=True)
    intercept = float(header.get("RescaleIntercept") or 0)
    pixels = pixels_of(Path(path), np.int32, intercept=intercept)
    assert np.array_equal(pixels, image.reshape(-1, *image.shape[-2:]))


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("precision", [8, 10, 12, 13, 16])
def test_jpeg_lossless_of_every_precision(write_frames, precision, syntax):
    stored = (SMOOTH % (1 << precision)).astype(np.uint16)
    frames = [packing.jpeg_lossless(plane, precision) for plane in stored]
    path = write_frames(stored, syntax, frames, BitsStored=precision, HighBit=precision - 1)
    assert np.array_equal(pixels_of(path), stored)
    # two's complement of so many bits, unsigned to JPEG
    signed = pydicom.dcmread(path)
    signed.PixelRepresentation = 1
    signed.save_as(path)
    half = 1 << (precision - 1)
    assert np.array_equal(pixels_of(path), (stored.astype(int) + half) % (2 * half) - half)


def test_overlays_in_the_high_bits_of_compressed_pixels_are_left_out(write_frames):
    stored = (SMOOTH % 4096).astype(np.uint16)
    for syntax in (JPEGLosslessSV1, JPEG2000Lossless, JPEGLSLossless, RLELossless):
        path = write_frames(stored | 0xA000, syntax, BitsStored=12, HighBit=11)
        assert np.array_equal(pixels_of(path), stored)


def test_jpegls_with_fewer_bits_than_its_words(write_frames):
    stored = (SMOOTH % 4096).astype(np.uint16)
    frames = [packing.by_jpegls(plane, bits=12) for plane in stored]
    path = write_frames(stored, JPEGLSLossless, frames, BitsStored=12, HighBit=11)
    assert np.array_equal(pixels_of(path), stored)


# -- pixels in their words --------------------------------------------------------------


@given(
    allocated=st.sampled_from([8, 16, 32]),
    signed=st.booleans(),
    big=st.booleans(),
    slope=st.sampled_from([1, 2, -3]),
    intercept=st.integers(-2000, 2000),
    data=st.data(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pixels_mean_what_the_standard_says(
    write_frames, allocated, signed, big, slope, intercept, data
):
    bits = data.draw(st.integers(2, allocated), "bits")
    high = data.draw(st.integers(bits - 1, allocated - 1), "high")
    words = data.draw(st.lists(st.integers(0, 2**allocated - 1), min_size=6, max_size=6), "words")
    if allocated == 8:
        big = False
    tags = {"BitsStored": bits, "HighBit": high, "PixelRepresentation": int(signed)}
    stored = np.array(words, f"u{allocated // 8}").reshape(1, 2, 3)
    path = write_frames(stored, ExplicitVRBigEndian if big else ImplicitVRLittleEndian, **tags)

    def meaning(word):
        value = (word >> (high - bits + 1)) % (1 << bits)
        if signed and value >> (bits - 1):
            value -= 1 << bits
        return value * slope + intercept

    expected = np.array([meaning(word) for word in words])
    rescale = {"slope": float(slope), "intercept": float(intercept)}
    for dtype in (np.int16, np.int32):
        info = np.iinfo(dtype)
        if expected.min() < info.min or expected.max() > info.max:
            with pytest.raises(OverflowError if dtype == np.int16 else ScanError):
                pixels_of(path, dtype, **rescale)
        else:
            assert np.array_equal(pixels_of(path, dtype, **rescale).ravel(), expected)
    assert pixels_of(path, np.float32, **rescale).ravel() == pytest.approx(expected, rel=1e-6)


def test_whole_rescaling_gives_integers_and_any_fraction_floats(write_frames):
    path = write_frames(SMOOTH.astype(np.uint16))
    assert pixel_dtype(slices_of(path, slope=2.0, intercept=-1024.0)) == np.int16
    assert pixel_dtype(slices_of(path, slope=2.5)) == np.float32
    assert pixel_dtype([*slices_of(path), *slices_of(path, intercept=0.5)]) == np.float32
    pixels = pixels_of(path, slope=0.25, intercept=-100.5)
    assert np.array_equal(pixels, (SMOOTH * 0.25 - 100.5).astype(np.float32))


def test_the_middle_slice_comes_first_and_a_target_may_run_backwards(write_frames):
    stored = SMOOTH.astype(np.uint16)
    slices = slices_of(write_frames(stored, JPEGLSLossless))
    array = np.zeros((37, 23, 3), np.int16)
    target = array.transpose(2, 1, 0)[::-1, ::-1]
    steps = fill(slices, target)
    assert next(steps) == 1
    assert np.array_equal(target[1], stored[1])
    assert sorted(steps) == [0, 2]
    assert np.array_equal(array[:, ::-1, ::-1].transpose(2, 1, 0), stored)


def test_nothing_is_written_once_the_reading_is_given_up(tmp_path, write_frames):
    stored = np.tile(SMOOTH.astype(np.uint16), (100, 1, 1))
    target = np.full(stored.shape, -1, np.int16)
    steps = fill(slices_of(write_frames(stored)), target)
    next(steps)
    steps.close()
    before = target.copy()
    read_again = pixels_of(write_frames(stored))
    assert np.array_equal(target, before)
    assert np.array_equal(read_again, stored)


# -- frames -------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [True, False], ids=["offset table", "no table"])
def test_frames_in_several_pieces_are_put_together(write_frames, table):
    stored = SMOOTH.astype(np.uint16)
    path = write_frames(stored, JPEG2000Lossless)
    ds = pydicom.dcmread(path)
    frames = [packing.by_gdcm(plane) for plane in stored]
    ds.PixelData = encapsulate(frames, fragments_per_frame=3, has_bot=table)
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    assert np.array_equal(pixels_of(path), stored)


def test_pieces_that_belong_to_no_frame_are_refused(write_frames):
    stored = SMOOTH.astype(np.uint16)
    path = write_frames(stored, RLELossless)
    ds = pydicom.dcmread(path)
    ds.PixelData = encapsulate(
        [packing.by_rle(plane) for plane in stored], fragments_per_frame=2, has_bot=False
    )
    ds["PixelData"].is_undefined_length = True
    ds.save_as(path)
    with pytest.raises(ScanError, match=r"unclear pixels .* 6 pieces of 3 frames"):
        pixels_of(path)


def test_one_frame_of_a_deflated_file_with_odd_frames(write_frames):
    stored = (SMOOTH >> 5).astype(np.uint8)
    slices = slices_of(write_frames(stored, DeflatedExplicitVRLittleEndian))
    target = np.empty((1, *stored.shape[1:]), np.int16)
    assert list(fill(slices[2:], target)) == [0]
    assert np.array_equal(target[0], stored[2])


# -- what is wrong is said in words ---------------------------------------------------------


def refused(path, **rescale):
    with pytest.raises(ScanError) as caught:
        pixels_of(path, **rescale)
    assert str(path) in str(caught.value) or str(path.parent) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        JPEGLosslessSV1,
        JPEG2000Lossless,
        JPEGLSLossless,
        JPEGLSNearLossless,
        RLELossless,
    ],
    ids=lambda uid: uid.name,
)
def test_files_that_end_within_their_pixels_are_refused(write_frames, syntax):
    path = write_frames(SMOOTH.astype(np.uint16), syntax)
    slices = slices_of(path)
    whole = path.read_bytes()
    for size in (len(whole) - 1500, len(whole) - 20):
        path.write_bytes(whole[:size])
        # the header was read while the file was whole, as pydicom loses what ends early
        with pytest.raises(ScanError, match=r"truncated pixels in .*copy the file"):
            list(fill(slices, np.empty((3, 23, 37), np.int16)))


@pytest.mark.parametrize(
    "syntax", [JPEGLosslessSV1, JPEG2000Lossless, JPEGLSLossless, RLELossless, JPEGBaseline8Bit]
)
def test_pictures_cut_short_within_a_whole_file_are_refused(write_frames, syntax):
    dtype = np.uint8 if syntax == JPEGBaseline8Bit else np.uint16
    stored = (SMOOTH[:1] >> (5 if dtype == np.uint8 else 0)).astype(dtype)
    frame = packing.PACKERS[syntax](stored[0])
    for part in (0.05, 0.5, 0.97):
        path = write_frames(stored, syntax, [frame[: int(len(frame) * part)]])
        assert "damaged pixels" in refused(path)


@pytest.mark.parametrize(
    "syntax", [JPEGLosslessSV1, JPEG2000Lossless, JPEGLSLossless, RLELossless, JPEGBaseline8Bit]
)
def test_pictures_that_contradict_the_header_are_refused(write_frames, syntax):
    stored = (SMOOTH[:1] >> 5).astype(np.uint8)
    frame = packing.PACKERS[syntax](np.ascontiguousarray(stored[0].T))
    # RLE knows no rows and columns: only too few pixels can be seen
    shape = (37, 37) if syntax == RLELossless else (23, 20)
    path = write_frames(np.zeros((1, *shape), np.uint8), syntax, [frame])
    assert "damaged pixels" in refused(path)
    if syntax != JPEGBaseline8Bit:
        deeper = packing.PACKERS[syntax](SMOOTH[0].astype(np.uint16))
        assert "damaged pixels" in refused(write_frames(stored, syntax, [deeper]))


def test_other_pictures_than_the_syntax_says_are_refused(write_frames):
    stored = SMOOTH[:1].astype(np.uint16)
    for syntax, other in [
        (JPEGLosslessSV1, JPEGLSLossless),
        (JPEGLSLossless, JPEGLosslessSV1),
        (JPEG2000Lossless, JPEGLSLossless),
        (RLELossless, JPEG2000Lossless),
    ]:
        path = write_frames(stored, syntax, [packing.PACKERS[other](stored[0])])
        assert "damaged pixels" in refused(path)
    assert "unknown compression" in refused(write_frames(stored, HTJ2KLossless, [bytes(100)]))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"SamplesPerPixel": 3}, "colour"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"BitsAllocated": 12}, "12 bits"),
        ({"BitsStored": 17}, "impossible size or bits"),
        ({"HighBit": 20}, "impossible size or bits"),
        ({"HighBit": 7}, "impossible size or bits"),
        ({"Rows": 0}, "impossible size or bits"),
        ({"Rows": 24}, "truncated pixels"),
        ({"NumberOfFrames": 2000000000}, "truncated pixels"),
    ],
)
def test_headers_that_do_not_fit_the_pixels_are_refused(write_frames, tags, words):
    path = write_frames(SMOOTH[:1].astype(np.uint16), **tags)
    header = pydicom.dcmread(path, defer_size=1024)
    one = Slice(header, 0, (0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))
    with pytest.raises(ScanError, match=words):
        pixel_dtype([one])
    with pytest.raises(ScanError, match=words):
        list(fill([one], np.empty((1, *one.shape), np.int16)))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, DeflatedExplicitVRLittleEndian, RLELossless])
def test_more_pixels_than_a_file_can_hold_are_refused_before_memory_is_taken(write_frames, syntax):
    path = write_frames(SMOOTH[:1].astype(np.uint16), syntax)
    slices = slices_of(path)
    slices[0].header.Rows = slices[0].header.Columns = 65535
    with pytest.raises(ScanError, match="truncated pixels"):
        pixel_dtype(slices)


def test_a_blank_slice_may_be_packed_without_end(write_frames):
    blank = np.zeros((1, 1024, 1024), np.uint16)
    noisy = RNG.integers(0, 4000, blank.shape).astype(np.uint16)
    paths = [write_frames(stored, JPEGLSLossless) for stored in (blank, noisy)]
    assert paths[0].stat().st_size * 1032 < blank.nbytes
    slices = [one for path in paths for one in slices_of(path)]
    target = np.empty((2, 1024, 1024), pixel_dtype(slices))
    list(fill(slices, target))
    assert np.array_equal(target, np.concatenate([blank, noisy]))


def test_missing_and_big_endian_8_bit_pixels_are_refused(write_frames):
    path = write_frames((SMOOTH[:1] >> 5).astype(np.uint8), ExplicitVRBigEndian)
    assert "8-bit pixels in big-endian words" in refused(path)
    path = write_frames(SMOOTH[:1].astype(np.uint16))
    ds = pydicom.dcmread(path)
    del ds.PixelData
    ds.save_as(path)
    assert "no pixel data" in refused(path)
    path.unlink()
    with pytest.raises(ScanError, match=r"cannot read|no pixel data"):
        pixel_dtype([Slice(ds, 0, (0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1))])


def test_a_compressed_series_is_read_as_a_scan(tmp_path, write_series, positions):
    stored = SMOOTH.astype(np.uint16)
    write_series(tmp_path, stored, positions(3))
    for path in tmp_path.iterdir():
        packing.repack(path, JPEGLSLossless)
    volume = read_scan(tmp_path)
    assert np.array_equal(volume.array, stored.astype(int) - 1024)
