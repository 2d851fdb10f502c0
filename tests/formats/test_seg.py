"""DICOM SEG out and back: highdicom and pydicom say whether others can read it."""

import itertools
import json
import warnings
from dataclasses import replace

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from scipy.spatial.transform import Rotation

from napari_ctlns.cli import main
from napari_ctlns.errors import MaskError, OutputError
from napari_ctlns.findings import Finding, Findings
from napari_ctlns.formats import (
    lidc_consensus,
    read_lidc,
    read_mask,
    read_mask_onto,
    read_scan,
    write_volume,
)
from napari_ctlns.formats.dicom.regridding import mask_onto_slices
from napari_ctlns.formats.seg import is_seg, seg_findings, seg_series, write_seg

LABELS = (1, 2, 7)


def drawn(volume, labels=LABELS):
    """Boxes, one a label, none like the other, one at the edge."""
    mask = np.zeros(volume.array.shape, np.uint16)
    z, _, x = mask.shape
    for k, label in enumerate(labels):
        low = k * z // (len(labels) + 1)
        mask[low : low + z // 3 + 1, 2 + 3 * k : 4 + 3 * k, x // 2 - k :] = label
    return volume.mask(mask)


def on_slices(mask):
    source, geometry = mask.source, mask.geometry
    array = geometry.to_source(mask.array)
    return mask_onto_slices(array, geometry.source, source.slices, source.plane)


def others_pixels(path, source):
    """What highdicom finds on each slice, with our labels for its segment numbers."""
    seg = highdicom.seg.segread(path)
    frames = [one.frame for one in source.slices]
    if any(frames):
        found = seg.get_pixels_by_source_frame(source.slices[0].uid, frames, combine_segments=True)
    else:
        uids = [one.uid for one in source.slices]
        found = seg.get_pixels_by_source_instance(uids, combine_segments=True)
    label = np.array([0, *(int(s.SegmentLabel.split()[-1]) for s in seg.SegmentSequence)])
    return label[found]


@pytest.fixture
def series(tmp_path, write_series, positions):
    """A straight series; ``make`` takes what `write_series` takes."""

    def make(n=9, at=None, orientation=(1, 0, 0, 0, 1, 0), name="ct", **tags):
        stored = np.random.default_rng(0).integers(0, 3000, (n, 14, 18)).astype(np.uint16)
        write_series(tmp_path / name, stored, at or positions(n), orientation, **tags)
        return read_scan(tmp_path / name)

    return make


def comes_back(mask, path):
    write_volume(mask, path)
    scan = replace(mask, kind="ct")
    again = read_mask_onto(path, scan)
    assert np.array_equal(again.array, mask.array)
    assert again.geometry is scan.geometry
    assert again.source.warnings == ()
    assert np.array_equal(others_pixels(path, mask.source), on_slices(mask))


def test_a_mask_of_a_series_comes_back_voxel_for_voxel(tmp_path, series):
    mask = drawn(series())
    comes_back(mask, tmp_path / "m.dcm")
    alone = read_mask(tmp_path / "m.dcm")
    assert np.array_equal(alone.array, mask.array)
    assert alone.geometry.same_grid(mask.geometry)
    assert alone.scan_id == mask.scan_id
    assert alone.patient_id == "P1"
    assert alone.source.series_uid == mask.source.series_uid
    assert (alone.source.format, alone.source.warnings) == ("seg", ())


@pytest.mark.parametrize(
    "turn", [*itertools.permutations((0, 1, 2)), "oblique", "upside down", "mirrored"], ids=str
)
def test_turned_series_come_back(tmp_path, series, turn):
    axes = {
        "oblique": Rotation.from_rotvec([0.2, -0.1, 0.3]).as_matrix(),
        "upside down": np.diag([1.0, -1.0, -1.0]),
        "mirrored": np.diag([-1.0, 1.0, -1.0]),
    }
    columns = axes[turn] if isinstance(turn, str) else np.eye(3)[:, list(turn)]
    normal = np.cross(columns[:, 0], columns[:, 1])
    at = [tuple(np.array([5.0, -7.0, 30.0]) + 2.5 * k * normal) for k in range(9)]
    volume = series(at=at, orientation=(*columns[:, 0], *columns[:, 1]))
    comes_back(drawn(volume), tmp_path / "m.dcm")
    alone = read_mask(tmp_path / "m.dcm")
    assert np.array_equal(alone.array, drawn(volume).array)
    assert alone.geometry.same_grid(volume.geometry, 0.01)


def test_another_reader_finds_the_same_volume(tmp_path, series):
    mask = drawn(series(), labels=(1, 2, 3))
    write_volume(mask, tmp_path / "m.dcm")
    seg = highdicom.seg.segread(tmp_path / "m.dcm")
    found = seg.get_volume(combine_segments=True, allow_missing_positions=True)
    own = mask.geometry.source
    # highdicom turns its slices so that its indices are right-handed: compare in the patient
    for index in np.argwhere(found.array):
        place = found.map_indices_to_reference(index[None])[0]
        z, y, x = np.rint(own.world_to_index(place)).astype(int)
        assert mask.geometry.to_source(mask.array)[z, y, x] == found.array[tuple(index)]
    assert (found.array > 0).sum() == (mask.array > 0).sum()


def test_each_frame_names_the_image_it_was_drawn_on(tmp_path, series):
    mask = drawn(series())
    write_volume(mask, tmp_path / "m.dcm")
    ds = pydicom.dcmread(tmp_path / "m.dcm")
    place = {}
    for file in mask.source.path.iterdir():
        image = pydicom.dcmread(file)
        place[image.SOPInstanceUID] = image.ImagePositionPatient
    for frame in ds.PerFrameFunctionalGroupsSequence:
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert source.SpatialLocationsPreserved == "YES"
        at = frame.PlanePositionSequence[0].ImagePositionPatient
        assert place[source.ReferencedSOPInstanceUID] == at
    (referenced,) = ds.ReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == mask.source.series_uid
    listed = [i.ReferencedSOPInstanceUID for i in referenced.ReferencedInstanceSequence]
    assert listed == [one.uid for one in mask.source.slices]


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_study_patient_and_maker_are_told(tmp_path, series):
    study, frame = generate_uid(), generate_uid()
    volume = series(
        StudyInstanceUID=study,
        FrameOfReferenceUID=frame,
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^Jörg",
        PatientSex="X",  # which no SEG may tell
        PatientBirthDate="unknown",
        StudyDate="20240229",
        SpacingBetweenSlices=9.9,  # which is wrong
    )
    write_volume(drawn(volume), tmp_path / "m.dcm")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = pydicom.dcmread(tmp_path / "m.dcm")
        assert str(ds.PatientName) == "Müller^Jörg"
    assert (ds.StudyInstanceUID, ds.FrameOfReferenceUID) == (study, frame)
    assert (ds.PatientID, ds.PatientSex, ds.PatientBirthDate) == ("P1", "", "")
    assert (ds.StudyDate, ds.Modality) == ("20240229", "SEG")
    assert ds.SeriesInstanceUID != volume.source.series_uid
    assert ds.SegmentationType == "BINARY"
    assert ds.Manufacturer == ds.ManufacturerModelName == "napari-ctlns"
    measures = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SpacingBetweenSlices == pytest.approx(2.0)
    assert measures.PixelSpacing == [0.7, 0.8]


def test_segments_say_what_they_are_and_whose(tmp_path, series):
    findings = Findings(
        items=(
            Finding(label=1, origin="model", type="part-solid", note="grows, see 2023; left"),
            Finding(label=2, origin="hand", note="spiculated"),
            Finding(label=5, origin="model", edited=True, uid="from elsewhere"),
            Finding(label=None, origin="model", note="rejected"),
        )
    )
    mask = drawn(series(), labels=(1, 2, 5, 9))
    write_seg(mask, tmp_path / "m.dcm", mask.source, findings)
    one, two, five, nine = highdicom.seg.segread(tmp_path / "m.dcm").SegmentSequence
    kinds = [s.SegmentAlgorithmType for s in (one, two, five, nine)]
    assert kinds == ["AUTOMATIC", "MANUAL", "SEMIAUTOMATIC", "SEMIAUTOMATIC"]
    assert one.SegmentAlgorithmName == "napari-ctlns"
    assert "SegmentAlgorithmName" not in two
    assert [s.SegmentLabel for s in (one, five)] == ["Nodule 1", "Nodule 5"]
    assert one.segmented_property_type == pydicom.sr.codedict.codes.SCT.Nodule
    assert one.AnatomicRegionSequence[0].CodeValue == "39607008"
    assert one.TrackingUID == f"2.25.{int(findings.items[0].uid, 16)}"
    assert pydicom.uid.UID(five.TrackingUID).is_valid

    again = seg_findings(tmp_path / "m.dcm")
    for old in findings.items[:3]:
        new = again.of_label(old.label)
        assert (new.uid, new.type, new.note) == (old.uid, old.type, old.note)
    assert again.labels == {1, 2, 5, 9}
    assert again.of_label(1).origin == "model"
    assert again.scan_id == mask.source.series_uid


def test_lungs_are_told_as_lungs(tmp_path, series):
    mask = drawn(series(), labels=(1, 2))
    write_volume(mask, tmp_path / "m.dcm", structure="lung")
    one, two = highdicom.seg.segread(tmp_path / "m.dcm").SegmentSequence
    assert (one.SegmentLabel, two.SegmentLabel) == ("Lung 1", "Lung 2")
    assert one.segmented_property_type == pydicom.sr.codedict.codes.SCT.Lung
    assert np.array_equal(read_mask(tmp_path / "m.dcm").array, mask.array)


def test_many_labels_come_back(tmp_path, series):
    volume = series()
    array = np.zeros(volume.array.shape, np.uint16)
    array[3:6].flat[:300] = np.arange(1, 301)
    array[0, 0, 0] = 65535
    comes_back(volume.mask(array), tmp_path / "m.dcm")


def test_boolean_masks_come_back(tmp_path, series):
    volume = series()
    write_volume(volume.mask(volume.array > 1000), tmp_path / "m.dcm")
    assert np.array_equal(read_mask(tmp_path / "m.dcm").array, volume.array > 1000)


def test_an_empty_mask_says_that_all_slices_were_looked_at(tmp_path, series, capfd):
    volume = series()
    write_volume(volume.mask(np.zeros(volume.array.shape, np.uint8)), tmp_path / "m.dcm")
    assert capfd.readouterr() == ("", "")
    mask = read_mask(tmp_path / "m.dcm")
    assert not mask.array.any()
    assert mask.geometry.same_grid(volume.geometry)
    assert seg_findings(tmp_path / "m.dcm").items == ()
    seg = highdicom.seg.segread(tmp_path / "m.dcm")
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ["No nodules"]


@pytest.mark.parametrize("plane", [0, 4, 8])
def test_one_plane_tells_the_grid_of_all(tmp_path, series, plane):
    volume = series()
    array = np.zeros(volume.array.shape, np.uint8)
    array[plane, 3:6, 4:9] = 1
    write_volume(volume.mask(array), tmp_path / "m.dcm")
    assert np.array_equal(read_mask(tmp_path / "m.dcm").array, array)


def tilted(n):
    return [(-10.0, 20.0 + 0.25 * 2.0 * k, -100.0 + 2.0 * k) for k in range(n)]


def gappy(n):
    return [(-10.0, 20.0, -100.0 + 2.0 * (k + (k > 3) + (k > 6))) for k in range(n)]


def uneven(n):
    return [(-10.0, 20.0, -100.0 + 2.0 * k + 0.7 * np.sin(k)) for k in range(n)]


@pytest.mark.parametrize("at", [tilted, gappy, uneven])
def test_a_mask_of_resampled_slices_is_written_on_the_slices(tmp_path, series, at):
    volume = series(at=at(9))
    assert volume.array.shape != (9, 14, 18) or at is uneven
    mask = drawn(volume, labels=(1, 2, 3))
    write_volume(mask, tmp_path / "m.dcm")
    slices = on_slices(mask)
    assert np.array_equal(others_pixels(tmp_path / "m.dcm", mask.source), slices)
    again = read_mask_onto(tmp_path / "m.dcm", volume)
    assert again.geometry is volume.geometry
    assert np.array_equal(on_slices(again), slices)
    # and once more: nothing wanders
    write_volume(again, tmp_path / "n.dcm")
    assert np.array_equal(read_mask_onto(tmp_path / "n.dcm", volume).array, again.array)


def test_tilted_planes_are_read_without_their_scan(tmp_path, series):
    volume = series(at=tilted(9))
    mask = drawn(volume, labels=(1, 2, 3))
    write_volume(mask, tmp_path / "m.dcm")
    alone = read_mask(tmp_path / "m.dcm")
    assert "tilted or uneven" in alone.source.warnings[0]
    # labels lie in the patient where they lay, to half a pixel
    for label in (1, 2, 3):
        slices = on_slices(mask) == label
        places = np.array([one.position for one in volume.source.slices])
        n, rows, columns = np.nonzero(slices)
        own = places[n] + np.stack([columns * 0.8, rows * 0.7, np.zeros(len(n))], axis=1)
        found = alone.geometry.index_to_world(np.argwhere(alone.array == label))
        assert len(found) == len(own)
        assert found.mean(axis=0) == pytest.approx(own.mean(axis=0), abs=0.36)


# -- a multi-frame source ---------------------------------------------------------


def write_enhanced(path, n=6, at=lambda k: (0.0, 0.0, 2.5 * k)):
    """Write an enhanced CT whose frames lie in reverse order."""
    ds = pydicom.Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SeriesInstanceUID, ds.StudyInstanceUID = generate_uid(), generate_uid()
    ds.FrameOfReferenceUID = generate_uid()
    ds.Modality, ds.PatientID, ds.ImageType = "CT", "P1", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.Rows, ds.Columns, ds.NumberOfFrames = 12, 16, n
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    shared = pydicom.Dataset()
    turn, measures, values = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    turn.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.7, 0.8], 2.5
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, -1024, "HU"
    shared.PlaneOrientationSequence = [turn]
    shared.PixelMeasuresSequence = [measures]
    shared.PixelValueTransformationSequence = [values]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in reversed(range(n)):
        place, content, frame = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = list(at(k))
        content.StackID, content.InStackPositionNumber = "1", k + 1
        frame.PlanePositionSequence, frame.FrameContentSequence = [place], [content]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    pixels = np.random.default_rng(1).integers(0, 3000, (n, 12, 16)).astype(np.uint16)
    ds.PixelData = pixels.tobytes()
    path.parent.mkdir(exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def test_a_mask_of_a_multi_frame_scan_names_its_frames(tmp_path):
    write_enhanced(tmp_path / "ct" / "one.dcm")
    volume = read_scan(tmp_path / "ct")
    assert [one.frame for one in volume.source.slices] == [6, 5, 4, 3, 2, 1]
    mask = drawn(volume, labels=(1, 4))
    comes_back(mask, tmp_path / "m.dcm")
    image = pydicom.dcmread(tmp_path / "ct" / "one.dcm")
    places = [f.PlanePositionSequence[0] for f in image.PerFrameFunctionalGroupsSequence]
    seg = pydicom.dcmread(tmp_path / "m.dcm")
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        at = places[source.ReferencedFrameNumber - 1].ImagePositionPatient
        assert frame.PlanePositionSequence[0].ImagePositionPatient == at


# -- what cannot be written -------------------------------------------------------


def test_what_is_no_mask_of_a_series_is_refused(tmp_path, scan, series):
    with pytest.raises(OutputError, match=r"needs a mask of a DICOM series; choose \.nii\.gz"):
        write_volume(scan.mask(np.ones(scan.array.shape, np.uint8)), tmp_path / "m.dcm")
    with pytest.raises(OutputError, match="a DICOM SEG is a mask"):
        write_volume(series(), tmp_path / "m.dcm")
    volume = series()
    coarse = volume.geometry.resampled((2.0, 1.4, 1.6))
    turned = replace(volume, array=np.ones(coarse.shape, np.uint8), geometry=coarse, kind="mask")
    with pytest.raises(OutputError, match="does not lie on its DICOM series"):
        write_volume(turned, tmp_path / "m.dcm")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct"]


def test_a_series_that_is_gone_or_another_by_now_is_told(tmp_path, series):
    mask = drawn(series())
    first = mask.source.slices[0].path
    other = first.read_bytes().replace(mask.source.slices[0].uid[-8:].encode(), b"00000000")
    first.write_bytes(other)
    with pytest.raises(OutputError, match=r"has changed.*open it again"):
        write_volume(mask, tmp_path / "m.dcm")
    first.write_bytes(b"nothing")
    with pytest.raises(OutputError, match="has changed"):
        write_volume(mask, tmp_path / "m.dcm")
    first.unlink()
    with pytest.raises(OutputError, match=r"is gone.*put it back"):
        write_volume(mask, tmp_path / "m.dcm")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct"]


def test_a_header_that_allows_no_seg_is_told(tmp_path, series):
    mask = drawn(series(SOPClassUID="1.2.3.4"))
    with pytest.raises(OutputError, match=r"do not allow DICOM SEG.*choose \.nii\.gz"):
        write_volume(mask, tmp_path / "m.dcm")


def test_an_older_file_stays_when_writing_fails(tmp_path, series, monkeypatch):
    mask = drawn(series())
    write_volume(mask, tmp_path / "m.dcm")
    before = (tmp_path / "m.dcm").read_bytes()

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OutputError, match="No space left"):
        write_volume(mask, tmp_path / "m.dcm")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct", "m.dcm"]
    assert (tmp_path / "m.dcm").read_bytes() == before


# -- real series ------------------------------------------------------------------


def test_the_consensus_of_a_real_scan_comes_back(tmp_path, data):
    volume = read_scan(data / "lidc-idri-0001" / "dicom")
    truth = lidc_consensus(read_lidc(data / "lidc-idri-0001" / "annotations.xml"), volume)
    assert (truth.mask.array > 0).sum() == pytest.approx(5428, rel=0.02)
    comes_back(truth.mask, tmp_path / "m.dcm")
    assert is_seg(tmp_path / "m.dcm")
    assert seg_series(tmp_path / "m.dcm") == volume.source.series_uid
    alone = read_mask(tmp_path / "m.dcm")
    assert np.array_equal(alone.array, truth.mask.array)
    assert alone.geometry.same_grid(volume.geometry)


@pytest.mark.parametrize(
    "name",
    [
        *("lung-pet-ct-dx-a0001/dicom", "chest-64/dicom"),
        *("awkward-dicom/gantry-tilt", "awkward-dicom/missing-slice"),
    ],
)
def test_masks_of_real_series_come_back(tmp_path, data, name):
    volume = read_scan(data / name)
    mask = drawn(volume)
    write_volume(mask, tmp_path / "m.dcm")
    again = read_mask_onto(tmp_path / "m.dcm", volume)
    assert np.array_equal(on_slices(again), on_slices(mask))
    assert again.source.warnings == ()
    assert np.array_equal(others_pixels(tmp_path / "m.dcm", mask.source), on_slices(mask))


def test_a_mask_from_another_file_is_written_for_the_series_it_was_carried_onto(tmp_path, series):
    volume = series()
    write_volume(drawn(volume), tmp_path / "m.nii.gz")
    mask = read_mask_onto(tmp_path / "m.nii.gz", volume)
    write_volume(mask, tmp_path / "m.dcm")
    assert np.array_equal(read_mask(tmp_path / "m.dcm").array, mask.array)
    with pytest.raises(MaskError, match=r"no structure Lung in .*labels of an image have no names"):
        read_mask(tmp_path / "m.nii.gz", structures=["Lung"])


# -- on the command line ----------------------------------------------------------


def test_commands_write_and_read_segs(tmp_path, series, capsys):
    volume = series(n=20)
    place = volume.geometry.index_to_world((9, 7, 9))
    (tmp_path / "a.csv").write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
        f"{volume.scan_id},{place[0]},{place[1]},{place[2]},6\n"
    )
    folder, seg, image = (str(tmp_path / name) for name in ("ct", "m.dcm", "m.nii.gz"))
    for out in (seg, image):
        command = ["mask", folder, "--annotations", str(tmp_path / "a.csv"), "--out", out]
        assert main(command) == 0
    for pair in ((seg, image), (image, seg)):
        capsys.readouterr()
        assert main(["compare", *pair, "--json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["dice"] == 1
        assert err == ""
    assert main(["measure", folder, seg, "--out", str(tmp_path / "t.json")]) == 0
    (row,) = json.loads((tmp_path / "t.json").read_text())
    assert row["centroid_z_mm"] == pytest.approx(place[2], abs=1)
    assert main(["convert", folder, str(tmp_path / "ct.dcm")]) == 2
    assert "a DICOM SEG is a mask" in capsys.readouterr().err


def test_the_lungs_command_writes_a_seg_of_lungs(tmp_path, series, monkeypatch):
    monkeypatch.setattr("napari_ctlns.masks.lungs.lung_mask", lambda v: drawn(v, labels=(1,)))
    volume = series()
    seg = tmp_path / "lungs.dcm"
    assert main(["lungs", str(tmp_path / "ct"), "--out", str(seg)]) == 0
    (segment,) = highdicom.seg.segread(seg).SegmentSequence
    assert segment.segmented_property_type == pydicom.sr.codedict.codes.SCT.Lung
    assert np.array_equal(read_mask(seg).array, drawn(volume, labels=(1,)).array)


def test_a_false_alarm_beside_the_segs_planes_counts(tmp_path, series, capsys):
    volume = series()
    true, found = (np.zeros(volume.array.shape, np.uint8) for _ in range(2))
    true[4, 3:6, 3:6] = found[4, 3:6, 3:6] = 1
    found[0, :3, :3] = 1
    write_volume(volume.mask(true), tmp_path / "true.dcm")
    write_volume(volume.mask(found), tmp_path / "found.nii.gz")
    assert (
        main(["compare", *(str(tmp_path / n) for n in ("found.nii.gz", "true.dcm")), "--json"]) == 0
    )
    assert json.loads(capsys.readouterr().out)["dice"] == pytest.approx(2 * 9 / 27)
