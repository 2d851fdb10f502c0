"""Multi-frame DICOM files: many slices in one file, placed by functional groups."""

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.uid import generate_uid

from napari_ctlns.errors import ScanError
from napari_ctlns.formats import read_scan

STORED = np.random.default_rng(3).integers(0, 3000, (5, 6, 7)).astype(np.uint16)
HU = STORED.astype(np.int16) - 1024
GROUPS = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
}


@pytest.fixture
def write_enhanced(write_series, tmp_path_factory):
    """Write one enhanced CT file; ``shared`` groups stand once, the others with each frame."""

    def write(path, stored, positions, shared=(), **tags):
        classic = tmp_path_factory.mktemp("classic")
        write_series(classic, stored, positions, **tags)
        slices = [pydicom.dcmread(p) for p in sorted(classic.iterdir(), reverse=True)]
        ds = slices[0]
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
        ds.NumberOfFrames = len(slices)
        ds.PixelData = stored.tobytes()
        ds.SharedFunctionalGroupsSequence = [groups_of(ds, shared)]
        own = set(GROUPS) - set(shared)
        ds.PerFrameFunctionalGroupsSequence = [groups_of(one, own) for one in slices]
        for name in {name for names in GROUPS.values() for name in names}:
            delattr(ds, name)
        path.parent.mkdir(exist_ok=True)
        ds.save_as(path)
        return str(ds.SeriesInstanceUID)

    return write


def groups_of(ds, names):
    item = Dataset()
    for name in names:
        group = Dataset()
        for tag in GROUPS[name]:
            setattr(group, tag, ds[tag].value)
        setattr(item, name, [group])
    return item


def edit(path, change):
    ds = pydicom.dcmread(path)
    change(ds)
    ds.save_as(path)


@pytest.mark.parametrize(
    "shared",
    [
        (),
        ("PlaneOrientationSequence", "PixelMeasuresSequence"),
        tuple(set(GROUPS) - {"PlanePositionSequence"}),
    ],
)
def test_frames_are_placed_wherever_their_groups_stand(tmp_path, write_enhanced, positions, shared):
    order = [3, 0, 4, 1, 2]
    places = positions(5)
    path = tmp_path / "a" / "enhanced"
    uid = write_enhanced(path, STORED[order], [places[k] for k in order], shared)
    volume = read_scan(path, strict=True)
    assert np.array_equal(volume.array, HU)
    assert volume.array.dtype == np.int16
    assert volume.geometry.spacing == pytest.approx((2.0, 0.7, 0.8))
    assert volume.geometry.origin == pytest.approx(places[0])
    assert volume.scan_id == uid
    assert [s.frame for s in volume.source.slices] == [2, 4, 5, 1, 3]
    assert {s.path for s in volume.source.slices} == {path}
    assert np.array_equal(read_scan(tmp_path).array, HU)


def test_simpleitk_agrees_on_an_enhanced_file(tmp_path, write_enhanced, positions):
    shared = tuple(set(GROUPS) - {"PlanePositionSequence"})
    write_enhanced(tmp_path / "enhanced", STORED, positions(5), shared)
    image = sitk.ReadImage(str(tmp_path / "enhanced"))
    volume = read_scan(tmp_path / "enhanced")
    assert np.array_equal(volume.array, sitk.GetArrayViewFromImage(image))
    assert volume.geometry.origin == pytest.approx(image.GetOrigin())
    assert volume.geometry.spacing[::-1] == pytest.approx(image.GetSpacing())


def test_each_frame_has_its_own_rescale(tmp_path, write_enhanced, positions):
    write_enhanced(tmp_path / "a", STORED, positions(5), RescaleSlope=lambda k: k + 1)
    expected = STORED.astype(int) * np.arange(1, 6)[:, None, None] - 1024
    assert np.array_equal(read_scan(tmp_path / "a").array, expected)


def test_a_series_may_lie_in_several_multi_frame_files(tmp_path, write_enhanced, positions):
    uid = generate_uid()
    for name, part in {"a": slice(0, 2), "b": slice(2, 5)}.items():
        write_enhanced(tmp_path / "ct" / name, STORED[part], positions(5)[part], uid=uid)
    volume = read_scan(tmp_path)
    assert np.array_equal(volume.array, HU)
    assert [(s.path.name, s.frame) for s in volume.source.slices] == [
        *(("a", 1), ("a", 2)),
        *(("b", 1), ("b", 2), ("b", 3)),
    ]


def test_a_legacy_converted_series_is_the_series_it_was_made_of(tmp_path, data):
    folder = data / "lidc-idri-0001" / "dicom"
    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    converted = highdicom.legacy.LegacyConvertedEnhancedCTImage(
        slices, generate_uid(), 1, generate_uid(), 1
    )
    converted.save_as(tmp_path / "converted")
    volume, classic = read_scan(tmp_path), read_scan(folder)
    assert np.array_equal(volume.array, classic.array)
    assert volume.geometry.same_grid(classic.geometry)
    assert volume.patient_id == classic.patient_id


def test_tilted_frames_and_gaps_are_mended_as_in_files(tmp_path, write_enhanced):
    write_enhanced(tmp_path / "a", STORED, [(0, 0, z) for z in (0, 2, 4, 8, 10)])
    volume = read_scan(tmp_path / "a")
    assert "missing slice" in volume.source.warnings[0]
    assert np.array_equal(volume.array[[0, 1, 2, 4, 5]], HU)


def test_localizer_frames_are_set_aside(tmp_path, write_enhanced, positions):
    write_enhanced(tmp_path / "a", STORED, positions(5))

    def mark(ds):
        kind = Dataset()
        kind.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
        ds.PerFrameFunctionalGroupsSequence[4].CTImageFrameTypeSequence = [kind]

    edit(tmp_path / "a", mark)
    assert np.array_equal(read_scan(tmp_path / "a").array, HU[:4])


def test_frames_without_a_place_are_refused_in_words(tmp_path, write_enhanced, positions):
    def nameless(ds):
        del ds.PerFrameFunctionalGroupsSequence

    def placeless(ds):
        for item in ds.PerFrameFunctionalGroupsSequence:
            del item.PlanePositionSequence

    for name, change in {"a": nameless, "b": placeless}.items():
        write_enhanced(tmp_path / name / "file", STORED, positions(5))
        edit(tmp_path / name / "file", change)
        for path in (tmp_path / name, tmp_path / name / "file"):
            with pytest.raises(ScanError, match="multi-frame DICOM without slice positions"):
                read_scan(path)


@pytest.mark.parametrize("count", [4, 6, 2**31 - 1])
def test_a_wrong_number_of_frames_is_damage(tmp_path, write_enhanced, positions, count):
    write_enhanced(tmp_path / "a", STORED, positions(5))
    edit(tmp_path / "a", lambda ds: setattr(ds, "NumberOfFrames", count))
    with pytest.raises(ScanError, match="damaged"):
        read_scan(tmp_path)


def test_a_truncated_file_is_never_filled_up(tmp_path, write_enhanced, positions):
    write_enhanced(tmp_path / "a", STORED, positions(5))
    whole = (tmp_path / "a").read_bytes()
    for kept in (len(whole) - 2, len(whole) - 300, 500):
        (tmp_path / "a").write_bytes(whole[:kept])
        with pytest.raises(ScanError):
            read_scan(tmp_path)
