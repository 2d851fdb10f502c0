"""DICOM SEG of others: whatever the standard allows, and what it does not."""

import functools
import io
import random
import shutil
from dataclasses import replace

import highdicom
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from napari_ctlns.errors import CtlnsError, MaskError
from napari_ctlns.formats import (
    is_mask_file,
    read_mask,
    read_mask_onto,
    read_scan,
    referenced_series,
    write_volume,
)
from napari_ctlns.formats.seg import is_seg, seg_findings

N, ROWS, COLUMNS = 9, 33, 35  # no whole number of bytes a frame, and large enough for JPEG 2000


@pytest.fixture
def volume(tmp_path, write_series, positions):
    stored = np.random.default_rng(0).integers(0, 3000, (N, ROWS, COLUMNS)).astype(np.uint16)
    study = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    write_series(tmp_path / "ct", stored, positions(N), **study)
    return read_scan(tmp_path / "ct")


@pytest.fixture
def images(volume):
    """The headers of the slices in order, as any other program has them."""
    found = [pydicom.dcmread(one.path, stop_before_pixels=True) for one in volume.source.slices]
    names = "PatientName PatientBirthDate PatientSex StudyID StudyDate StudyTime AccessionNumber"
    for image, name in ((i, n) for i in found for n in names.split()):
        setattr(image, name, "")
    return found


LABELS = np.zeros((N, ROWS, COLUMNS), np.uint8)
LABELS[2:5, 2:6, 3:9] = 1
LABELS[6:8, 4:8, 5:7] = 2


def other_seg(path, images, pixels, kind="BINARY", n=2, **changes):
    """Write a SEG as other programs do, with highdicom."""
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=k + 1,
            segment_label=f"Lesion {chr(65 + k)}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Nodule,
            algorithm_type="MANUAL",
            tracking_id=f"lesion {k}",
            tracking_uid=f"1.2.3.{k + 1}",
        )
        for k in range(n)
    ]
    seg = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="another",
        manufacturer_model_name="program",
        software_versions="1",
        device_serial_number="1",
        **changes,
    )
    seg.save_as(path)
    return path


def changed(path, change):
    """Let ``change`` alter a written file."""
    ds = pydicom.dcmread(path)
    change(ds)
    ds.save_as(path)
    return path


def placed(labels, grid, volume):
    """Where in the volume's array labels lie, by their places in the patient."""
    result = np.zeros(volume.array.shape, labels.dtype)
    index = np.argwhere(labels)
    z, y, x = np.rint(volume.geometry.world_to_index(grid.index_to_world(index))).astype(int).T
    result[z, y, x] = labels[tuple(index.T)]
    return result


# -- what others write ------------------------------------------------------------


@pytest.mark.parametrize("omit", [True, False])
@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_every_kind_is_read(tmp_path, volume, images, kind, turn, omit):
    pixels = LABELS[::turn].copy()
    path = other_seg(tmp_path / "s.dcm", images[::turn], pixels, kind, omit_empty_frames=omit)
    mask = read_mask_onto(path, volume)
    assert np.array_equal(mask.array, LABELS)
    assert mask.array.dtype == np.uint8
    alone = read_mask(path)
    assert np.array_equal(placed(alone.array, alone.geometry, volume), LABELS)
    words = [one.split(":")[0] for one in mask.source.warnings]
    assert words == (["a fractional segmentation"] if kind == "FRACTIONAL" else [])


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("kind", ["LABELMAP", "FRACTIONAL"])
def test_compressed_frames_are_unpacked(tmp_path, volume, images, kind, syntax):
    path = other_seg(tmp_path / "s.dcm", images, LABELS, kind, transfer_syntax_uid=syntax)
    assert np.array_equal(read_mask_onto(path, volume).array, LABELS)


def test_jpeg_2000_is_unpacked(tmp_path, volume, images):
    def pack(ds):
        streams = [io.BytesIO() for _ in ds.pixel_array]
        for pixels, stream in zip(ds.pixel_array, streams, strict=True):
            Image.fromarray(pixels).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
        ds.PixelData = encapsulate([stream.getvalue() for stream in streams])
        ds["PixelData"].VR = "OB"
        ds.file_meta.TransferSyntaxUID = JPEG2000Lossless

    path = changed(other_seg(tmp_path / "s.dcm", images, LABELS, "LABELMAP"), pack)
    assert np.array_equal(read_mask_onto(path, volume).array, LABELS)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_transfer_syntaxes_are_read(tmp_path, volume, images, syntax):
    def change(ds):
        ds.file_meta.TransferSyntaxUID = syntax

    path = changed(other_seg(tmp_path / "s.dcm", images, LABELS), change)
    assert is_seg(path)
    assert np.array_equal(read_mask_onto(path, volume).array, LABELS)


def test_frames_stand_in_any_order(tmp_path, volume, images):
    def shuffle(ds):
        bits = ds.pixel_array
        order = np.random.default_rng(3).permutation(len(bits))
        frames = list(ds.PerFrameFunctionalGroupsSequence)
        ds.PerFrameFunctionalGroupsSequence = [frames[k] for k in order]
        packed = np.packbits(bits[order].ravel(), bitorder="little").tobytes()
        ds.PixelData = packed + b"\0" * (len(packed) % 2)

    path = changed(other_seg(tmp_path / "s.dcm", images, LABELS), shuffle)
    assert np.array_equal(read_mask_onto(path, volume).array, LABELS)
    alone = read_mask(path)
    assert np.array_equal(placed(alone.array, alone.geometry, volume), LABELS)


def test_place_and_pixels_may_stand_in_either_group(tmp_path, volume, images):
    def move(ds):
        shared = ds.SharedFunctionalGroupsSequence[0]
        for frame in ds.PerFrameFunctionalGroupsSequence:
            frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
            frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
        del shared.PixelMeasuresSequence, shared.PlaneOrientationSequence
        one = ds.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence
        shared.SegmentIdentificationSequence = one
        for frame in ds.PerFrameFunctionalGroupsSequence:
            del frame.SegmentIdentificationSequence

    ones = (LABELS == 1).astype(np.uint8)
    path = other_seg(tmp_path / "s.dcm", images, np.stack([ones, 0 * ones], -1))
    assert np.array_equal(read_mask_onto(changed(path, move), volume).array, ones)


def test_a_fraction_of_half_counts(tmp_path, volume, images):
    fraction = np.zeros(LABELS.shape)
    fraction[3, 2:5, 3:6] = [[0.2, 0.49, 0.51], [0.6, 0.9, 1.0], [0.0, 0.3, 0.8]]
    path = other_seg(tmp_path / "s.dcm", images, fraction[..., None], "FRACTIONAL", 1)
    mask = read_mask_onto(path, volume)
    assert np.array_equal(mask.array, fraction >= 0.5)
    assert "half" in mask.source.warnings[0]


def test_where_segments_overlap_the_first_one_stays(tmp_path, volume, images):
    both = np.zeros((*LABELS.shape, 2), np.uint8)
    both[3, 2:6, 2:6, 0] = 1
    both[3, 4:8, 4:8, 1] = 1
    mask = read_mask_onto(other_seg(tmp_path / "s.dcm", images, both), volume)
    assert (mask.array == 1).sum() == 16
    assert (mask.array == 2).sum() == 12
    assert mask.source.warnings == ("segments overlap in 4 voxels: there the earlier one counts",)
    path, names = tmp_path / "s.dcm", ("lesion b", "Lesion A")
    swapped = read_mask_onto(path, volume, structures=names)
    assert (swapped.array == 1).sum() == 16
    assert (swapped.array == 2).sum() == 12


def test_segments_are_chosen_by_name(tmp_path, volume, images):
    path = other_seg(tmp_path / "s.dcm", images, LABELS)
    only = read_mask_onto(path, volume, structures=["Lesion B"])
    assert np.array_equal(only.array, LABELS == 2)
    labelmap = other_seg(tmp_path / "l.dcm", images, LABELS, "LABELMAP")
    swapped = read_mask(labelmap, scan=volume, structures=["Lesion B", "Lesion A"])
    assert np.array_equal(swapped.array, np.array([0, 2, 1])[LABELS])
    with pytest.raises(MaskError, match=r"no structure 'Lung'.*there are: Lesion A, Lesion B"):
        read_mask(path, structures=["Lung"])


def test_findings_of_others_keep_their_tracking_uids(tmp_path, images):
    one, two = seg_findings(other_seg(tmp_path / "s.dcm", images, LABELS)).items
    assert (one.uid, one.label, one.origin) == ("1.2.3.1", 1, "hand")
    assert two.uid == "1.2.3.2"


def test_a_seg_on_a_grid_of_its_own_is_carried_over(tmp_path, volume, images):
    """Twice as fine within the planes, as some programs segment."""
    fine = np.kron(LABELS, np.ones((1, 2, 2), np.uint8))
    positions = [
        highdicom.PlanePositionSequence("PATIENT", [-10.2, 19.825, one.position[2]])
        for one in volume.source.slices
    ]
    measures = highdicom.PixelMeasuresSequence([0.35, 0.4], 2.0)
    path = other_seg(
        tmp_path / "s.dcm", images, fine, plane_positions=positions, pixel_measures=measures
    )
    mask = read_mask_onto(path, volume)
    assert np.array_equal(mask.array, LABELS)
    assert "nearest neighbour" in mask.source.warnings[-1]


def test_a_seg_without_references_lies_by_its_own_header(tmp_path, volume, images):
    def forget(ds):
        del ds.ReferencedSeriesSequence
        for frame in ds.PerFrameFunctionalGroupsSequence:
            del frame.DerivationImageSequence

    path = changed(other_seg(tmp_path / "s.dcm", images, LABELS), forget)
    mask = read_mask_onto(path, volume)
    assert np.array_equal(mask.array, LABELS)
    assert referenced_series(path) == ""
    alone = read_mask(path)
    # from the first plane that is drawn on to the last
    assert alone.array.shape == (6, ROWS, COLUMNS)
    assert np.array_equal(placed(alone.array, alone.geometry, volume), LABELS)
    image = tmp_path / "ct.nii.gz"
    write_volume(volume, image)
    onto = read_mask_onto(path, read_scan(image))
    assert np.array_equal(onto.array, LABELS)
    assert onto.source.warnings == ()


# -- files and folders ------------------------------------------------------------


def test_a_folder_with_one_seg_counts_as_it(tmp_path, volume, images):
    path = other_seg(tmp_path / "s.dcm", images, LABELS)
    folder = tmp_path / "seg"
    folder.mkdir()
    shutil.copy(path, folder / "1-1")
    assert is_seg(folder / "1-1")
    assert is_mask_file(folder)
    assert is_mask_file(path)
    assert referenced_series(folder) == volume.source.series_uid
    assert np.array_equal(read_mask_onto(folder, volume).array, LABELS)
    beside = tmp_path / "ct" / "seg.dcm"
    shutil.copy(path, beside)
    assert not is_mask_file(tmp_path / "ct")
    assert np.array_equal(read_mask_onto(tmp_path / "ct", volume).array, LABELS)
    assert np.array_equal(read_scan(tmp_path / "ct").array, volume.array)
    shutil.copy(path, folder / "1-2")
    assert not is_mask_file(folder)
    with pytest.raises(MaskError, match=r"2 masks in .*give one of its files \(1-1, 1-2\)"):
        read_mask(folder)


def test_slices_and_other_files_are_no_seg(tmp_path, volume):
    assert not is_seg(volume.source.slices[0].path)
    assert not is_mask_file(volume.source.slices[0].path)
    assert not is_seg(tmp_path)
    assert not is_seg(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert not is_mask_file(tmp_path / "empty")


# -- what contradicts its source --------------------------------------------------


def move(ds, by, one=None):
    frames = ds.PerFrameFunctionalGroupsSequence
    for frame in frames if one is None else [frames[one]]:
        place = frame.PlanePositionSequence[0]
        place.ImagePositionPatient = list(np.add(place.ImagePositionPatient, by))


def pixel_size(ds):
    ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0.7, 0.9]


def turned(ds):
    turn = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    turn.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]


def fewer_rows(ds):
    ds.Rows -= 1


@pytest.mark.parametrize(
    "change",
    [
        functools.partial(move, by=(3.0, 0, 0)),
        functools.partial(move, by=(0, 0, 2.0)),
        functools.partial(move, by=(0, 0, 0.5), one=0),
        *(pixel_size, turned, fewer_rows),
    ],
)
def test_a_seg_that_contradicts_its_images_is_refused(tmp_path, volume, images, change):
    path = changed(other_seg(tmp_path / "s.dcm", images, LABELS), change)
    with pytest.raises(MaskError, match=r"contradicts its source: .*export .* anew"):
        read_mask_onto(path, volume)


@pytest.mark.parametrize("by", [(3.0, 0, 0), (0, -0.35, 0), (0, 1.4, 2.0)])
def test_shifted_pixels_without_references_are_refused(tmp_path, volume, images, by):
    def change(ds):
        move(ds, by)
        for frame in ds.PerFrameFunctionalGroupsSequence:
            del frame.DerivationImageSequence

    path = changed(other_seg(tmp_path / "s.dcm", images, LABELS), change)
    with pytest.raises(MaskError, match="it is shifted by"):
        read_mask_onto(path, volume)


def test_rounding_contradicts_nothing(tmp_path, volume, images):
    change = functools.partial(move, by=(0.02, -0.03, 0.04))
    path = changed(other_seg(tmp_path / "s.dcm", images, LABELS), change)
    assert np.array_equal(read_mask_onto(path, volume).array, LABELS)


def test_the_seg_of_another_series_warns_or_lies_beside(tmp_path, volume, images):
    path = other_seg(tmp_path / "s.dcm", images, LABELS)
    other = replace(volume, source=replace(volume.source, series_uid="1.2.3"))
    assert "drawn on another series" in read_mask_onto(path, other).source.warnings[0]
    away = replace(volume.geometry, origin=(500.0, 0.0, 0.0))
    with pytest.raises(MaskError, match="beside the scan"):
        read_mask_onto(
            path, replace(volume, geometry=away, source=replace(other.source, slices=()))
        )


# -- damage -----------------------------------------------------------------------


def without_place(ds):
    del ds.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence


def no_frames(ds):
    del ds.PerFrameFunctionalGroupsSequence


def more_frames(ds):
    ds.NumberOfFrames += 1


def more_pixels(ds):
    ds.Rows *= 2


def no_pixels(ds):
    del ds.PixelData


def far_apart(ds):
    move(ds, (0, 0, 1e5), one=0)


def no_spacing(ds):
    ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing = [0, 0.7]


def side_by_side(ds):
    move(ds, (20.0, 0, 0), one=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_place, "does not lie in the patient"),
        (no_frames, "tells where 0 lie"),
        (more_frames, "of 7 frames tells where 6 lie"),
        (more_pixels, "truncated pixels"),
        (no_pixels, "no pixels"),
        (far_apart, "impossibly far apart"),
        (no_spacing, "impossible orientation or pixel spacing"),
        (side_by_side, "side by side"),
    ],
)
def test_damage_is_told(tmp_path, images, change, words):
    pixels = LABELS.copy()
    pixels[3, 20:24, 20:24] = 2  # both segments on one plane
    path = other_seg(tmp_path / "s.dcm", images, pixels)
    with pytest.raises(MaskError, match=words):
        read_mask(changed(path, change))


def test_no_memory_is_taken_for_pixels_that_the_file_cannot_hold(tmp_path, images):
    def huge(ds):
        ds.Rows = ds.Columns = 60000

    path = other_seg(tmp_path / "s.dcm", images, LABELS)
    with pytest.raises(MaskError, match="truncated"):
        read_mask(changed(path, huge))
    packed = tmp_path / "p.dcm"
    other_seg(packed, images, LABELS, "LABELMAP", transfer_syntax_uid=RLELossless)
    with pytest.raises(MaskError, match="truncated"):
        read_mask(changed(packed, huge))


def mutated(data, rng):
    """Change some bytes, most of them in the header, or cut the file off."""
    data = bytearray(data)
    if rng.random() < 0.1:
        return bytes(data[: rng.randrange(len(data))])
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(128, len(data))
        data[at] = rng.choice((0, 1, 255, rng.randrange(256), data[at] ^ (1 << rng.randrange(8))))
    return bytes(data)


def fuzz(tmp_path, volume, images, count, seed):
    whole = []
    for kind, syntax in (
        ("BINARY", ExplicitVRLittleEndian),
        ("LABELMAP", RLELossless),
        ("FRACTIONAL", JPEGLSLossless),
    ):
        path = other_seg(tmp_path / "s.dcm", images, LABELS, kind, transfer_syntax_uid=syntax)
        whole.append(path.read_bytes())
    write_volume(volume.mask(LABELS), path)
    whole.append(path.read_bytes())
    rng = random.Random(seed)
    told = []
    for k in range(count):
        path.write_bytes(mutated(whole[k % len(whole)], rng))
        for read in (
            functools.partial(read_mask, path),
            functools.partial(read_mask_onto, path, volume),
            functools.partial(seg_findings, path),
        ):
            if not is_seg(path):
                break
            try:
                read()
            except CtlnsError as error:
                told.append(str(error))
    assert len(told) > count // 20
    assert not [words for words in told if "\n" in words]


def test_mutated_files_are_read_or_refused(tmp_path, volume, images):
    fuzz(tmp_path, volume, images, 200, seed=1)


@pytest.mark.slow
def test_thousands_of_mutated_files_are_read_or_refused(tmp_path, volume, images):
    fuzz(tmp_path, volume, images, 5000, seed=2)
