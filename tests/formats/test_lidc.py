from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ctlns.errors import AnnotationError, CtlnsError, MaskError
from napari_ctlns.formats import (
    find_lidc,
    lidc_annotations,
    lidc_consensus,
    list_lidc,
    read_lidc,
    read_scan,
    reader_mask,
    write_volume,
)
from napari_ctlns.formats.xml_tree import read_xml
from napari_ctlns.volume import Geometry, Source, SourceSlice, Volume

SERIES = "1.2.826.0.1.3680043.8.498.77"
RATED = {"subtlety": 4, "malignancy": 5}


def square(x, y, side):
    """The outline, pixel by pixel, of ``side`` x ``side`` pixels from (x, y) on."""
    low, high = -1, side
    top = [(x + k, y + low) for k in range(low, high)]
    right = [(x + high, y + k) for k in range(low, high)]
    bottom = [(x + k, y + high) for k in range(high, low, -1)]
    left = [(x + low, y + k) for k in range(high, low, -1)]
    return [*top, *right, *bottom, *left]


def roi(z, points, uid="", inclusion="TRUE"):
    edges = "".join(
        f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points
    )
    return (
        f"<roi><imageZposition>{z} </imageZposition><imageSOP_UID>{uid}</imageSOP_UID>"
        f"<inclusion>{inclusion}</inclusion>{edges}</roi>"
    )


def nodule(*rois, ratings=RATED, uid="N"):
    rated = "".join(f"<{k}>{v}</{k}>" for k, v in ratings.items())
    return (
        f"<unblindedReadNodule><noduleID>{uid}</noduleID><characteristics>{rated}"
        f"</characteristics>{''.join(rois)}</unblindedReadNodule>"
    )


def message(*readers, series=SERIES, root="LidcReadMessage"):
    sessions = "".join(
        f"<readingSession><servicingRadiologistID>{k}</servicingRadiologistID>{r}</readingSession>"
        for k, r in enumerate(readers)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{root} uid="1" xmlns="http://www.nih.gov"><ResponseHeader>'
        f"<SeriesInstanceUid>{series}</SeriesInstanceUid><StudyInstanceUID>1.2</StudyInstanceUID>"
        f"</ResponseHeader>{sessions}</{root}>"
    )


@pytest.fixture
def reading(tmp_path):
    def read(*readers, **changes):
        path = tmp_path / "reading.xml"
        path.write_text(message(*readers, **changes), encoding="utf-8")
        return read_lidc(path)

    return read


def volume(shape=(6, 512, 512), **changes):
    """A scan as LUNA16 has it: slices 2 mm apart from z = -100 on, and no DICOM."""
    geometry = Geometry(shape, (2.0, 0.7, 0.8), (-50.0, -60.0, -100.0), **changes).oriented()
    source = Source(format="mhd", series_uid=SERIES)
    return Volume(np.zeros(geometry.shape, np.uint8), geometry, "ct", SERIES, SERIES, source)


def z(k):
    return -100 + 2 * k


def where(mask, label=1):
    return np.argwhere(mask.array == label).tolist()


# -- the format ----------------------------------------------------------------------


def test_what_a_reading_holds(reading):
    marks = (
        nodule(roi(z(1), square(30, 40, 5), "1.1"), uid="big")
        + nodule(roi(z(2), [(7, 8)], "1.2"), ratings={}, uid="small")
        + "<nonNodule><nonNoduleID>other</nonNoduleID><imageZposition>-96</imageZposition>"
        "<imageSOP_UID>1.2</imageSOP_UID><locus><xCoord>3</xCoord><yCoord>4</yCoord></locus>"
        "</nonNodule>"
    )
    read = reading(marks, "")
    assert (read.series_uid, read.study_uid, len(read.readers)) == (SERIES, "1.2", 2)
    one, empty = read.readers
    assert (empty.nodules, empty.small_nodules, empty.non_nodules) == ((), (), ())
    assert [(n.uid, n.ratings) for n in one.nodules] == [("big", RATED)]
    contour = one.nodules[0].contours[0]
    assert (contour.sop_uid, contour.z_mm, contour.inclusion) == ("1.1", -98.0, True)
    assert contour.points.tolist() == [list(p) for p in square(30, 40, 5)]
    small, other = one.small_nodules[0], one.non_nodules[0]
    assert (small.uid, small.sop_uid, small.z_mm, small.x, small.y) == ("small", "1.2", -96, 7, 8)
    assert (other.uid, other.x, other.y) == ("other", 3, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "damaged XML"),
        ("<LidcReadMessage>", "damaged XML"),
        ("not XML", "damaged XML"),
        ("<annotation/>", "not a reading of the LIDC-IDRI"),
        (message(root="IdriReadMessage"), "a reading of a radiograph"),
        (message(series=""), "no series named"),
        (message(nodule(roi("x", [(1, 2)]))), "imageZposition is 'x', not a number"),
        (message(nodule(roi("nan", [(1, 2)]))), "imageZposition is 'nan', not a number"),
        (message(nodule(roi(0, [(1, "")]))), "yCoord is '', not a number"),
        (message(nodule(roi(0, [(-1, 2)]))), "xCoord is -1, not a pixel"),
        (message(nodule(roi(0, [(1.5, 2)]))), "xCoord is 1.5, not a pixel"),
        (message(nodule(roi(0, [(1e9, 2)]))), "xCoord is 1e+09, not a pixel"),
        (message(nodule(roi(0, [(1, 2)], inclusion="MAYBE"))), "inclusion is 'MAYBE'"),
        (message(nodule(roi(0, square(5, 5, 1)), ratings={"margin": "high"})), "margin is 'high'"),
        (message("<nonNodule/>"), "without locus"),
    ],
)
def test_readings_that_cannot_be_are_refused(tmp_path, text, words):
    path = tmp_path / "a.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AnnotationError) as caught:
        read_lidc(path)
    assert words in str(caught.value)
    assert "a.xml" in str(caught.value)


def test_xml_from_strangers(tmp_path):
    path = tmp_path / "a.xml"
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    for encoding in ("utf-8", "utf-16"):
        path.write_text(bomb, encoding=encoding)
        with pytest.raises(AnnotationError, match="document type"):
            read_xml(path)
    path.write_text("<a>" * 5000)
    with pytest.raises(AnnotationError, match="nested too deeply"):
        read_xml(path)
    path.write_text('<?xml version="1.0" encoding="klingon"?><a/>')
    with pytest.raises(AnnotationError, match="damaged XML"):
        read_xml(path)
    with path.open("wb") as file:
        file.truncate(40 * 2**20)  # sparse
    with pytest.raises(AnnotationError, match="too large"):
        read_xml(path)
    with pytest.raises(AnnotationError, match="no such file"):
        read_xml(tmp_path / "absent.xml")
    with pytest.raises(AnnotationError, match="cannot read"):
        read_xml(tmp_path)


def test_mutated_readings_are_read_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    whole = message(nodule(roi(z(1), square(30, 40, 5)), roi(z(2), square(30, 40, 5)))).encode()
    path = tmp_path / "a.xml"
    scan = volume((3, 512, 512))
    digits = np.flatnonzero([byte in b"0123456789" for byte in whole])
    refused = 0
    for turn in range(300):
        data = bytearray(whole)
        places = digits if turn % 2 else np.arange(len(data))
        for at in rng.choice(places, 2):
            data[at] = rng.choice(list(b"0123456789-.<>/TFxy\xff\x00"))
        path.write_bytes(data[: rng.integers(1, len(data))] if turn % 5 == 0 else data)
        try:
            lidc_consensus(read_lidc(path), scan)
        except CtlnsError:
            refused += 1
    assert 50 < refused < 280


def test_readings_found_in_a_download(tmp_path):
    ct, again, other = ("185/158.xml", "186/069.XML", "187/1.xml")
    texts = {
        ct: message(series="1.2.3"),
        again: message(series="1.2.3"),
        other: message(series="1.2.4").replace('encoding="UTF-8"', 'encoding="UTF-16"'),
        "max/200.xml": message(root="IdriReadMessage"),
        "boxes/a.xml": "<annotation/>",
        "b.xml": message(series=""),
        "notes.txt": message(series="1.2.5"),
        ".hidden/c.xml": message(series="1.2.6"),
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-16" if name == other else "utf-8")
    expected = {"1.2.3": tmp_path / ct, "1.2.4": tmp_path / other}
    assert find_lidc(tmp_path) == expected
    assert read_lidc(tmp_path / other).series_uid == "1.2.4"
    words = "\n".join(list_lidc(tmp_path)[1])
    for told in (
        f"second reading of 1.2.3 left out: {tmp_path / again}",
        "1 readings of radiographs left out",
        f"not a reading of the LIDC-IDRI: {tmp_path / 'boxes' / 'a.xml'}",
        f"no series named: {tmp_path / 'b.xml'}",
    ):
        assert told in words
    assert find_lidc(tmp_path / ct) == {"1.2.3": tmp_path / ct}
    with pytest.raises(AnnotationError, match="no such folder"):
        find_lidc(tmp_path / "absent")


# -- drawing ---------------------------------------------------------------------------


def test_the_contour_s_own_pixels_do_not_count(reading):
    read = reading(nodule(roi(z(2), square(30, 40, 3))))
    mask = reader_mask(read, 0, volume())
    assert where(mask) == [[2, y, x] for y in (40, 41, 42) for x in (30, 31, 32)]
    assert mask.kind == "mask"
    assert mask.source.warnings == ()


def test_a_contour_with_gaps_is_closed_by_straight_lines(reading):
    corners = [(29, 39), (33, 39), (33, 43), (29, 43), (29, 39)]
    mask = reader_mask(reading(nodule(roi(z(2), corners))), 0, volume())
    assert where(mask) == [[2, y, x] for y in (40, 41, 42) for x in (30, 31, 32)]


def test_excluded_parts_are_cut_out_with_their_contour(reading):
    rois = roi(z(2), square(30, 40, 9)), roi(z(2), square(33, 43, 1), inclusion="FALSE")
    mask = reader_mask(reading(nodule(*rois)), 0, volume())
    assert len(where(mask)) == 81 - 9
    assert not mask.array[2, 43:46, 33:36][:-1, :-1].any()
    assert mask.array[2, 41, 32] == 1


def test_several_contours_on_a_slice_are_one_nodule(reading):
    rois = roi(z(2), square(30, 40, 3)), roi(z(2), square(50, 40, 2)), roi(z(3), square(30, 40, 1))
    truth = lidc_consensus(reading(nodule(*rois)), volume())
    assert len(where(truth.mask)) == 9 + 4 + 1
    assert len(truth.nodules) == 1


def test_a_tail_without_inside_adds_nothing(reading):
    tail = [(x, 41) for x in range(33, 40)]
    points = square(30, 40, 3)
    at = points.index((33, 41))
    points = [*points[:at], *tail, *tail[::-1], *points[at:]]
    assert len(where(reader_mask(reading(nodule(roi(z(2), points))), 0, volume()))) == 9


# -- matching and consensus --------------------------------------------------------------


def test_the_consensus_at_several_shares(reading):
    """Four nested squares: k readers agree on the k-th largest."""
    readers = [nodule(roi(z(2), square(30, 40, side))) for side in (3, 5, 7, 9)]
    read = reading(*readers)
    for share, side in ((0.25, 9), (0.26, 7), (0.5, 7), (0.75, 5), (1.0, 3), (0.01, 9)):
        truth = lidc_consensus(read, volume(), share)
        assert len(where(truth.mask)) == side**2
        assert truth.nodules[0].readers == (0, 1, 2, 3)
    for k, side in enumerate((3, 5, 7, 9)):
        assert len(where(reader_mask(read, k, volume()))) == side**2


def test_a_share_is_of_the_readers_who_marked_it(reading):
    far = nodule(roi(z(2), square(200, 200, 2)))
    pair = nodule(roi(z(3), square(100, 100, 4)))
    read = reading(far, pair, pair, "")
    truth = lidc_consensus(read, volume())
    assert [n.readers for n in truth.nodules] == [(1, 2), (0,)]
    assert [len(where(truth.mask, n.label)) for n in truth.nodules] == [16, 4]


def test_ratings_stay_with_their_readers(reading):
    one = nodule(roi(z(2), square(30, 40, 5)), ratings={"malignancy": 2, "texture": 5})
    other = nodule(roi(z(2), square(31, 40, 5)), ratings={"malignancy": 4})
    (found,) = lidc_consensus(reading(one, "", other), volume()).nodules
    assert found.readers == (0, 2)
    assert found.ratings["malignancy"] == (2, 4)
    assert found.ratings["texture"] == (5, 0)


def test_neighbours_that_overlap_a_little_stay_two(reading):
    left, right = nodule(roi(z(2), square(30, 40, 6))), nodule(roi(z(2), square(37, 40, 6)))
    wide = nodule(roi(z(2), square(30, 40, 8)))
    truth = lidc_consensus(reading(left + right, wide + right), volume())
    assert [n.readers for n in truth.nodules] == [(0, 1), (0, 1)]
    labels = truth.mask.array[2, 42]
    assert labels[31] == 1
    assert labels[42] == 2


def test_what_one_reader_saw_in_parts_is_one_nodule(reading):
    whole = nodule(roi(z(2), square(30, 40, 10)))
    parts = nodule(roi(z(2), square(30, 40, 4))) + nodule(roi(z(2), square(36, 40, 4)))
    (found,) = lidc_consensus(reading(whole, parts), volume(), 1.0).nodules
    assert found.readers == (0, 1)
    assert len(where(lidc_consensus(reading(whole, parts), volume(), 1.0).mask)) == 32


def test_small_nodules_match_by_their_middles(reading):
    near = nodule(roi(z(2), square(30, 40, 1))), nodule(roi(z(3), square(32, 40, 1)))
    assert len(lidc_consensus(reading(*near), volume()).nodules) == 1
    apart = nodule(roi(z(2), square(30, 40, 1))), nodule(roi(z(2), square(36, 40, 1)))
    assert len(lidc_consensus(reading(*apart), volume()).nodules) == 2


def test_labels_do_not_depend_on_the_share(reading):
    large = nodule(roi(z(2), square(30, 40, 9))), nodule(roi(z(2), square(38, 48, 9)))
    small = nodule(roi(z(4), square(300, 40, 3)))
    read = reading(large[0] + small, large[1] + small)
    assert [n.label for n in lidc_consensus(read, volume()).nodules] == [1, 2]
    strict = lidc_consensus(read, volume(), 1.0)
    assert {n.label: len(where(strict.mask, n.label)) for n in strict.nodules} == {1: 1, 2: 9}
    apart = nodule(roi(z(2), square(30, 40, 5))), nodule(roi(z(3), square(30, 40, 5)))
    truth = lidc_consensus(reading(apart[0] + small, apart[1] + small), volume(), 1.0)
    assert [n.label for n in truth.nodules] == [2]
    assert "1 nodules have no voxel" in truth.mask.source.warnings[0]


@pytest.mark.parametrize("share", [0, -0.5, 1.1, float("nan")])
def test_impossible_shares_are_refused(reading, share):
    with pytest.raises(MaskError, match="impossible share"):
        lidc_consensus(reading(nodule(roi(z(2), square(3, 4, 2)))), volume(), share)


def test_a_reading_without_nodules_is_an_empty_mask(reading):
    truth = lidc_consensus(reading("", ""), volume())
    assert truth.nodules == ()
    assert not truth.mask.array.any()
    assert lidc_annotations(truth) == ()


def test_readers_are_counted_from_0(reading):
    with pytest.raises(MaskError, match=r"no reader 1 in .*; it has 1"):
        reader_mask(reading(""), 1, volume())


# -- onto which scan -----------------------------------------------------------------------


def test_the_slices_of_a_dicom_series_by_their_uids(reading, tmp_path, write_series, positions):
    stored = np.zeros((5, 40, 50), np.uint16)
    write_series(tmp_path / "scan", stored, positions(5), uid=SERIES)
    scan = read_scan(tmp_path / "scan")
    uid = scan.source.slices[3].uid
    read = reading(nodule(roi(12345, square(30, 20, 3), uid)))
    assert where(reader_mask(read, 0, scan)) == [
        [3, y, x] for y in range(20, 23) for x in range(30, 33)
    ]


@pytest.mark.parametrize(
    "orientation", [(-1, 0, 0, 0, -1, 0), (1, 0, 0, 0, -1, 0), (0, 1, 0, 0, 0, -1)]
)
def test_pixels_count_as_in_the_series_however_the_patient_lay(
    reading, tmp_path, write_series, orientation
):
    x_axis, y_axis = np.reshape(orientation, (2, 3))
    normal = np.cross(x_axis, y_axis)
    places = [np.array([5.0, 6, 7]) + 2 * k * normal for k in range(5)]
    write_series(tmp_path / "s", np.zeros((5, 40, 50), np.uint16), places, orientation, uid=SERIES)
    scan = read_scan(tmp_path / "s")
    uid = scan.source.slices[3].uid
    mask = reader_mask(reading(nodule(roi(0, square(30, 20, 3), uid))), 0, scan)
    centre = scan.geometry.index_to_world(np.mean(where(mask), axis=0))
    # the middle pixel of the square is column 31, row 21; columns are 0.8 mm wide, rows 0.7
    assert centre == pytest.approx(places[3] + 31 * 0.8 * x_axis + 21 * 0.7 * y_axis)
    assert len(where(mask)) == 9


def test_a_tilted_series_is_drawn_on_its_own_slices(reading):
    """A column drawn along z wanders over the tilted grid, and stays where it was drawn."""
    tilt = np.radians(20)
    y_axis, normal = np.array([[0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
    direction = tuple(map(tuple, np.stack([(1.0, 0, 0), y_axis, normal], axis=1).tolist()))
    places = [(0.0, 0.0, 3.0 * k) for k in range(8)]
    slices = tuple(SourceSlice(Path("s"), f"1.{k}", 0, p) for k, p in enumerate(places))
    plane = Geometry((1, 60, 50), (3.0, 0.7, 0.8), (0, 0, 0), direction)
    grid = replace(plane, shape=(8, 70, 50), spacing=(3 * np.cos(tilt), 0.7, 0.8))
    source = Source(Path("s"), "dicom", SERIES, slices=slices, plane=plane)
    scan = Volume(np.zeros((8, 70, 50), np.uint8), grid.oriented(), source=source)
    upright = [roi(0, square(28, 28, 5), one.uid) for one in slices]
    mask = reader_mask(reading(nodule(*upright)), 0, scan)
    assert mask.geometry.same_grid(scan.geometry)
    found = mask.geometry.index_to_world(np.argwhere(mask.array))
    assert len(found) == 8 * 25
    for k, position in enumerate(places):
        truth = np.array(position) + 30 * 0.8 * np.array([1, 0, 0]) + 30 * 0.7 * y_axis
        here = found[np.abs((found - truth) @ normal) < 0.1]
        assert here.mean(axis=0) == pytest.approx(truth, abs=0.36), k


@pytest.mark.parametrize("name", ["a.mhd", "a.nii.gz"])
def test_the_same_from_a_file_of_the_series(reading, tmp_path, name):
    write_volume(volume((6, 512, 512)), tmp_path / name)
    scan = read_scan(tmp_path / name)
    read = reading(nodule(roi(z(2) + 0.4, square(30, 40, 3)), roi(z(3), square(30, 40, 3))))
    assert where(reader_mask(read, 0, scan))[0] == [2, 40, 30]
    assert len(where(reader_mask(read, 0, scan))) == 18


def test_prone_scans_of_luna16_keep_their_pixels(reading):
    prone = volume(direction=((-1, 0, 0), (0, -1, 0), (0, 0, 1)))
    mask = reader_mask(reading(nodule(roi(z(2), square(30, 40, 3)))), 0, prone)
    own = prone.geometry.to_source(mask.array)
    assert np.argwhere(own)[0].tolist() == [2, 40, 30]


def test_a_turned_file_is_told(reading):
    turned = volume(direction=((1, 0, 0), (0, -1, 0), (0, 0, 1)))
    mask = reader_mask(reading(nodule(roi(z(2), square(30, 40, 3)))), 0, turned)
    assert "as of a patient on the back" in mask.source.warnings[0]
    assert where(mask)[0] == [2, 40, 30]
    small = reader_mask(reading(nodule(roi(z(2), square(30, 40, 3)))), 0, volume((6, 64, 64)))
    assert "512 x 512, the scan has 64 x 64" in small.source.warnings[0]


def test_scans_that_cannot_be_the_series_are_refused(reading):
    inside = nodule(*(roi(z(k), square(30, 40, 3)) for k in (1, 2, 3, 4)))
    scan = volume()
    other = replace(scan, source=replace(scan.source, series_uid="1.2.3.4"))
    with pytest.raises(MaskError, match=r"a reading of another series.*1\.2\.3\.4"):
        lidc_consensus(reading(inside), other)
    fine = replace(scan, geometry=replace(scan.geometry, spacing=(1.0, 0.7, 0.8)))
    with pytest.raises(MaskError, match="not resampled"):
        lidc_consensus(reading(inside), fine)
    coarse = replace(scan, geometry=replace(scan.geometry, spacing=(3.1, 0.7, 0.8)))
    with pytest.raises(MaskError, match="not resampled"):
        lidc_consensus(reading(inside), coarse)
    with pytest.raises(MaskError, match="contours of other slices"):
        lidc_consensus(reading(nodule(roi(500, square(30, 40, 3)))), scan)
    with pytest.raises(MaskError, match=r"reaches pixel \(33, 43\).*not cropped"):
        lidc_consensus(reading(inside), volume((6, 40, 40)))


def test_what_lies_beyond_the_scan_is_told(reading):
    far = nodule(roi(z(50), square(30, 40, 3)))
    cut = nodule(roi(z(5), square(90, 40, 3)), roi(z(6), square(90, 40, 3)))
    truth = lidc_consensus(reading(far + cut), volume())
    assert len(where(truth.mask)) == 9
    words = "; ".join(truth.mask.source.warnings)
    assert "1 outlined nodules lie on slices that the scan does not have" in words
    assert "1 outlined nodules reach beyond the scan" in words


def test_annotations_of_a_consensus(reading):
    (row,) = lidc_annotations(
        lidc_consensus(reading(nodule(roi(z(2), square(30, 40, 3)))), volume())
    )
    assert row.scan_id == SERIES
    assert row.centre == pytest.approx((-50 + 31 * 0.8, -60 + 41 * 0.7, z(2)))
    assert np.pi / 6 * row.diameter_mm**3 == pytest.approx(9 * 2 * 0.7 * 0.8)


# -- real data -------------------------------------------------------------------------------


def test_lidc_idri_0001(data):
    folder = data / "lidc-idri-0001"
    read = read_lidc(folder / "annotations.xml")
    scan = read_scan(folder / "dicom")
    assert len(read.readers) == 4
    # an independent rasterisation's counts, see DATA.md
    for share, voxels in ((0.25, 6547), (0.5, 5428), (0.75, 4812), (1.0, 4184)):
        truth = lidc_consensus(read, scan, share)
        assert np.count_nonzero(truth.mask.array) == pytest.approx(voxels, rel=0.02)
        (only,) = truth.nodules
        assert only.readers == (0, 1, 2, 3)
        assert only.ratings["malignancy"] == (5, 5, 5, 4)
    assert np.count_nonzero(lidc_consensus(read, scan).mask.array) * scan.geometry.voxel_volume == (
        pytest.approx(6709, rel=0.02)
    )
    assert [len(r.small_nodules) for r in read.readers] == [3, 0, 3, 3]
    assert scan.source.series_uid in find_lidc(folder)


def test_lidc_idri_0001_as_a_file(data, tmp_path):
    folder = data / "lidc-idri-0001"
    scan = read_scan(folder / "dicom")
    write_volume(scan, tmp_path / f"{scan.scan_id}.mhd")
    read = read_lidc(folder / "annotations.xml")
    from_file = lidc_consensus(read, read_scan(tmp_path / f"{scan.scan_id}.mhd")).mask
    assert np.array_equal(from_file.array, lidc_consensus(read, scan).mask.array)
