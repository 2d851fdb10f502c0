import numpy as np
import pytest

from napari_ctlns.errors import AnnotationError
from napari_ctlns.formats import box_annotations, list_boxes, read_boxes, read_scan
from napari_ctlns.volume import Geometry, Volume


def voc(*boxes, size=(50, 40)):
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
        f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
        for name, a, b, c, d in boxes
    )
    width, height = size
    given = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation>{given}{objects}</annotation>"


@pytest.fixture(params=[(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, 1, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)])
def orientation(request):
    return request.param


@pytest.fixture
def scan(tmp_path, write_series, orientation):
    normal = np.cross(orientation[:3], orientation[3:])
    places = [np.array([-10.0, 20, -100]) + 2 * k * normal for k in range(8)]
    write_series(tmp_path / "scan", np.zeros((8, 40, 50), np.uint16), places, orientation)
    return read_scan(tmp_path / "scan")


@pytest.fixture
def boxes(tmp_path, scan):
    """Write boxes by the number of their slice."""

    def write(per_slice, **changes):
        folder = tmp_path / "boxes"
        folder.mkdir(exist_ok=True)
        for k, found in per_slice.items():
            (folder / f"{scan.source.slices[k].uid}.xml").write_text(voc(*found, **changes))
        return folder

    return write


def test_boxes_of_neighbouring_slices_are_one_finding(boxes, scan, orientation):
    folder = boxes({2: [("A", 11, 21, 20, 26)], 3: [("A", 13, 21, 24, 28)]})
    (box,) = read_boxes(folder, scan)
    assert (box.name, box.slices) == ("A", (2, 3))
    # columns 10 to 23 and rows 20 to 27, counted from 0, both ends included
    x_axis, y_axis = np.reshape(orientation, (2, 3))
    places = np.array([scan.source.slices[k].position for k in (2, 3)])
    truth = places.mean(axis=0) + 16.5 * 0.8 * x_axis + 23.5 * 0.7 * y_axis
    assert box.centre == pytest.approx(truth, abs=1e-6)
    assert box.size_mm == pytest.approx((4, 8 * 0.7, 14 * 0.8))
    # on the slice where it is largest: 12 columns by 8 rows
    assert box.diameter_mm == pytest.approx((12 * 0.8 + 8 * 0.7) / 2)
    (row,) = box_annotations((box,), scan)
    assert (row.scan_id, row.centre, row.diameter_mm) == (scan.scan_id, box.centre, box.diameter_mm)


def test_a_box_of_one_pixel_lies_on_it(boxes, scan):
    (box,) = read_boxes(boxes({4: [("B", 1, 1, 1, 1)]}), scan)
    assert box.centre == pytest.approx(scan.source.slices[4].position)
    assert box.size_mm == pytest.approx((2, 0.7, 0.8))


def test_what_stays_apart(boxes, scan):
    found = read_boxes(
        boxes(
            {
                1: [("A", 1, 1, 10, 10), ("A", 30, 1, 40, 10)],
                2: [("A", 1, 1, 10, 10), ("B", 30, 1, 40, 10)],
                4: [("A", 1, 1, 10, 10)],
                5: [("A", 11, 1, 20, 10)],
            }
        ),
        scan,
    )
    assert [(b.name, b.slices) for b in found] == [
        ("A", (1, 2)),
        ("A", (1,)),
        ("B", (2,)),
        ("A", (4,)),
        ("A", (5,)),
    ]


def test_parts_that_meet_later_are_one_finding(boxes, scan):
    two = [("A", 1, 1, 10, 10), ("A", 20, 1, 30, 10)]
    (box,) = read_boxes(boxes({1: two, 2: [("A", 1, 1, 30, 10)], 3: two}), scan)
    assert box.slices == (1, 2, 3)


def test_boxes_of_other_scans_beside(boxes, scan):
    folder = boxes({2: [("A", 11, 21, 20, 26)]})
    (folder / "1.2.3.xml").write_text("not even XML")
    found, words = list_boxes(folder, scan)
    assert len(found) == 1
    assert words == ("1 of 2 box files are of slices the scan does not have",)
    one = folder / f"{scan.source.slices[2].uid}.xml"
    assert list_boxes(one, scan) == (found, ())


def test_boxes_that_cannot_be_matched_are_refused(tmp_path, boxes, scan):
    (tmp_path / "other").mkdir()
    with pytest.raises(AnnotationError, match="no boxes in"):
        read_boxes(tmp_path / "other", scan)
    (tmp_path / "other" / "1.2.3.xml").write_text(voc())
    with pytest.raises(AnnotationError, match="boxes of other slices only: none of 1 files"):
        read_boxes(tmp_path / "other", scan)
    with pytest.raises(AnnotationError, match="no such file or folder"):
        read_boxes(tmp_path / "absent", scan)
    grid = Geometry((2, 3, 4))
    with pytest.raises(AnnotationError, match="boxes need a scan read from DICOM"):
        read_boxes(tmp_path / "other", Volume(np.zeros(grid.shape), grid))


@pytest.mark.parametrize(
    ("found", "changes", "words"),
    [
        (("A", 11, 21, 10, 26), {}, "impossible box"),
        (("A", 11, 21, 51, 26), {}, "impossible box"),
        (("A", -1, 21, 10, 26), {}, "impossible box"),
        (("A", "x", 21, 10, 26), {}, "impossible box"),
        (("A", "nan", 21, 10, 26), {}, "impossible box"),
        (("A", 1, 2, 3, 4), {"size": (512, 512)}, "boxes of another picture"),
    ],
)
def test_boxes_that_cannot_be_are_refused(boxes, scan, found, changes, words):
    with pytest.raises(AnnotationError, match=words):
        read_boxes(boxes({2: [found]}, **changes), scan)


def test_other_xml_is_refused(boxes, scan):
    folder = boxes({2: []})
    assert read_boxes(folder, scan) == ()
    (file,) = folder.iterdir()
    file.write_text("<LidcReadMessage/>")
    with pytest.raises(AnnotationError, match="not Pascal-VOC boxes"):
        read_boxes(folder, scan)


def test_the_tumour_of_lung_pet_ct_dx(data):
    folder = data / "lung-pet-ct-dx-a0001"
    scan = read_scan(folder / "dicom")
    (box,) = read_boxes(folder / "boxes", scan)
    assert box.name == "A"
    assert box.slices == tuple(range(box.slices[0], box.slices[0] + 11))
    assert box.size_mm[0] == pytest.approx(55)
    # a large left tumour, as DATA.md says: tissue in its middle, left of the spine
    index = np.rint(scan.geometry.world_to_index(box.centre)).astype(int)
    around = tuple(slice(i - 2, i + 3) for i in index)
    assert -100 < np.median(scan.array[around]) < 150
    assert index[2] > scan.geometry.shape[2] / 2
