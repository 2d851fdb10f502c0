import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.cli import main
from napari_ctlns.errors import AnnotationError, OutputError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import (
    BadRows,
    Candidate,
    annotations_of,
    read_annotations,
    read_candidates,
    read_mask,
    read_scan,
    readable_annotations,
    write_annotations,
)
from napari_ctlns.volume import Geometry, Source, Volume

HEADER = "seriesuid,coordX,coordY,coordZ,diameter_mm\n"
ONE = Annotation("1.2.3", -128.5, 20.0, -298.25, 5.5)


def table(tmp_path, text):
    path = tmp_path / "annotations.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "1.2.3,-128.5,20,-298.25,5.5\n",
        HEADER + "1.2.3,-128.5,20,-298.25,5.5",
        "\ufeff" + HEADER + "1.2.3,-128.5,20,-298.25,5.5\n",
        "diameter_mm,note,coordZ,coordX,coordY,seriesuid\r\n5.5,a,-298.25,-128.5,20,1.2.3\r\n",
        HEADER.replace(",", ";") + "1.2.3;-128,5;20,0;-298,25;5,5\n",
        HEADER.replace(",", "\t") + "1.2.3\t-128.5\t20\t-298.25\t5.5\n",
        HEADER.replace(",", "\t") + "1.2.3\t-128,5\t20\t-298,25\t5,5\n",
        HEADER.replace(",", ";") + "1.2.3;-128.5;20;-298.25;5.5\n",
        "sep=;\r\n" + HEADER.replace(",", ";") + "1.2.3;-128,5;20;-298,25;5,5\r\n",
        HEADER.replace("\n", "\r") + "1.2.3,-128.5,20,-298.25,5.5\r",
        ("\ufeff" + HEADER + "1.2.3,-128.5,20,-298.25,5.5\n").encode("utf-16-le"),
        (HEADER.replace(",", "\t") + "1.2.3\t-128,5\t20\t-298,25\t5,5\n").encode("utf-16"),
        ("name," + HEADER + "Jürgen,1.2.3,-128.5,20,-298.25,5.5\n").encode("cp1252"),
        "SeriesUID, CoordX, CoordY, CoordZ, Diameter_mm\n\n1.2.3, -128.5, 20, -298.25, 5.5\n\n",
        HEADER + '"1.2.3","-128.5","20","-2.9825e2","5.5"\n',
    ],
)
def test_the_same_row_in_many_dresses(tmp_path, text):
    assert read_annotations(table(tmp_path, text)) == (ONE,)


def test_a_table_without_rows_is_empty(tmp_path):
    assert read_annotations(table(tmp_path, HEADER)) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty table"),
        ("\n\n", "empty table"),
        ("seriesuid,coordX,coordY,coordZ\n", "missing column diameter_mm"),
        ("seriesuid,coordX,coordY,coordZ\n", "there are: seriesuid, coordX, coordY, coordZ"),
        ("a,b\n1,2\n", "missing columns seriesuid, coordX, coordY, coordZ, diameter_mm"),
        (HEADER + "1.2.3,1,2,3,0\n", "line 2: diameter_mm is 0, not above 0"),
        (HEADER + "1.2.3,1,2,3,4\n1.2.3,1,2,3,-4\n", "line 3: diameter_mm is -4"),
        (HEADER + "1.2.3,1,2,3,nan\n", "line 2: diameter_mm is nan, not a number"),
        (HEADER + "1.2.3,1,inf,3,4\n", "line 2: coordY is inf"),
        (HEADER + "1.2.3,1,2,x,4\n", "line 2: coordZ is 'x', not a number"),
        (HEADER + "1.2.3,1,2\n", "line 2: coordZ is ''"),
        (HEADER + ",1,2,3,4\n", "line 2: seriesuid is empty"),
        (
            HEADER + "\n1.2.3,1,2,3,0\n1.2.3,1,2,3,x\n",
            "line 3: diameter_mm is 0, not above 0; line",
        ),
        (HEADER + "1.2.3,1,2,3,0\n" * 9, "and 4 more lines"),
        (HEADER.replace(",", ";") + "1.2.3;1.234,5;2;3;4\n", "line 2: coordX is '1.234.5'"),
        (HEADER + '1.2.3,"1,234",2,3,4\n', "line 2: coordX is '1,234', not a number"),
        (HEADER + "1.2.3,1_0,2,3,4\n", "line 2: coordX is '1_0', not a number"),
        ("sep=,\n" + HEADER + "1.2.3,1,2,3,0\n", "line 3: diameter_mm is 0"),
        ("sep=;\n", "empty table"),
        (b"\xff\xfe\x00", "not a text table"),
        (HEADER.encode("utf-16-be"), "not a text table"),
        (bytes(range(256)), "not a text table"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    with pytest.raises(AnnotationError) as caught:
        read_annotations(table(tmp_path, text))
    assert words in str(caught.value)
    assert "annotations.csv" in str(caught.value)


def test_whoever_may_leave_bad_rows_out_gets_the_others(tmp_path):
    path = table(tmp_path, HEADER + "1.2.3,-128.5,20,-298.25,5.5\na,1,2,3,0\n,1,2,3,4\n")
    with pytest.raises(BadRows) as caught:
        read_annotations(path)
    problems = ("line 3: diameter_mm is 0, not above 0", "line 4: seriesuid is empty")
    assert caught.value.good == (ONE,)
    assert caught.value.problems == problems
    assert readable_annotations(path) == ((ONE,), problems)
    assert readable_annotations(table(tmp_path, HEADER)) == ((), ())
    with pytest.raises(AnnotationError, match="missing column"):
        readable_annotations(table(tmp_path, "seriesuid\n1\n"))


PLACES = "seriesuid,coordX,coordY,coordZ"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLACES + ",class\na,1,2,3,0\n", Candidate("a", 1, 2, 3, is_nodule=False)),
        (PLACES + ",class\na,1,2,3,1\n", Candidate("a", 1, 2, 3, is_nodule=True)),
        (PLACES + ",probability\na,1,2,3,0.75\n", Candidate("a", 1, 2, 3, probability=0.75)),
        (
            "diameter_mm;Probability;class;coordZ;coordY;coordX;seriesuid\r\n4,5;0,5;1;3;2;1;a\r\n",
            Candidate("a", 1, 2, 3, True, 0.5, 4.5),
        ),
    ],
)
def test_candidates(tmp_path, text, expected):
    assert read_candidates(table(tmp_path, text)) == (expected,)
    assert expected.centre == (1, 2, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER + "a,1,2,3,4\n", "missing column class or probability"),
        ("seriesuid,class\na,1\n", "missing columns coordX, coordY, coordZ"),
        (PLACES + ",class\na,1,2,3,2\n", "line 2: class is '2', not 0 or 1"),
        (PLACES + ",probability\na,1,2,3,nan\nb,1,2,3,1\n", "line 2: probability is nan"),
        (PLACES + ",class\na,1,x,3,1\n,1,2,3,1\n", "line 2: coordY is 'x', not a number"),
        (PLACES + ",class\nb,1,2,3,1\n,1,2,3,1\n", "line 3: seriesuid is empty"),
        (PLACES + ",class,diameter_mm\na,1,2,3,1,0\n", "line 2: diameter_mm is 0"),
    ],
)
def test_candidates_that_cannot_be(tmp_path, text, words):
    with pytest.raises(AnnotationError) as caught:
        read_candidates(table(tmp_path, text))
    assert words in str(caught.value)


def test_a_missing_table_or_a_folder_is_told(tmp_path):
    with pytest.raises(AnnotationError, match="no such table"):
        read_annotations(tmp_path / "absent.csv")
    with pytest.raises(AnnotationError, match="cannot read"):
        read_annotations(tmp_path)


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(
        st.builds(
            Annotation,
            st.text("0123456789.abcÄ ,;\"'-", min_size=1).filter(lambda s: s == s.strip()),
            *[numbers] * 3,
            st.floats(0, exclude_min=True, allow_infinity=False),
        )
    )
)
def test_written_tables_are_read_to_the_last_digit(tmp_path_factory, annotations):
    path = tmp_path_factory.mktemp("tables") / "a.csv"
    write_annotations(path, annotations)
    assert read_annotations(path) == tuple(annotations)


def test_a_table_in_an_impossible_place_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot write"):
        write_annotations(tmp_path / "file" / "a.csv", [ONE])


def test_the_table_of_luna16(data):
    annotations = read_annotations(data / "luna16" / "annotations.csv")
    assert len(annotations) == 1186
    assert len({a.scan_id for a in annotations}) == 601
    assert annotations[0].centre == (-128.6994211, -175.3192718, -298.3875064)


def scan(tmp_path, **changes):
    values = {"scan_id": "a", "source": Source(tmp_path / "b.c.mhd", "mhd", "1.2.3"), **changes}
    return Volume(np.zeros((1, 1, 1)), Geometry((1, 1, 1)), **values)


@pytest.mark.parametrize("name", ["a", "1.2.3", "b.c"])
def test_rows_of_a_scan_by_id_series_or_stem(tmp_path, name):
    mine = Annotation(name, 1.0, 2.0, 3.0, 4.0)
    other = Annotation("b", 1.0, 2.0, 3.0, 4.0)
    assert annotations_of([other, mine], scan(tmp_path)) == (mine,)


def test_annotations_of_other_series_only(tmp_path):
    with pytest.raises(AnnotationError, match=r"annotations of other series only.*1\.2\.3"):
        annotations_of([Annotation("b", 1.0, 2.0, 3.0, 4.0)], scan(tmp_path))
    assert annotations_of([], scan(tmp_path)) == ()
    with pytest.raises(AnnotationError, match="without id"):
        annotations_of([ONE], scan(tmp_path, scan_id="", source=Source()))


DIRECTIONS = {
    "prone": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "downwards": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "sagittal": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "oblique": ((0.96, -0.224, 0.168), (0.28, 0.768, -0.576), (0, 0.6, 0.8)),
}


@pytest.fixture(params=DIRECTIONS)
def turned(request, tmp_path):
    """A scan whose axes do not run along LPS, as ITK writes it, and ITK's own image of it."""
    image = sitk.GetImageFromArray(np.zeros((30, 36, 40), np.int16))
    image.SetSpacing((0.7, 0.8, 1.25))
    image.SetOrigin((-60.0, 35.0, -210.5))
    image.SetDirection(np.ravel(DIRECTIONS[request.param]).astype(float).tolist())
    sitk.WriteImage(image, str(tmp_path / "scan.mhd"))
    return tmp_path / "scan.mhd", image


def test_millimetres_become_voxels_as_itk_says(tmp_path, turned):
    path, image = turned
    world = image.TransformContinuousIndexToPhysicalPoint((21.3, 17.6, 12.2))
    rows = table(tmp_path, f"{HEADER}scan,{','.join(map(repr, world))},7\n")
    scan = read_scan(path)
    (row,) = annotations_of(read_annotations(rows), scan)
    index = scan.geometry.world_to_index(row.centre)
    voxel = np.zeros(scan.geometry.shape, np.uint8)
    voxel[tuple(np.rint(index).astype(int))] = 1
    own = np.argwhere(scan.geometry.to_source(voxel))[0]
    assert own[::-1].tolist() == list(image.TransformPhysicalPointToIndex(world))


def test_bad_rows_are_left_out_of_a_mask_only_when_asked(tmp_path, turned, capsys):
    path, image = turned
    world = image.TransformContinuousIndexToPhysicalPoint((20, 18, 15))
    text = f"{HEADER}scan,{','.join(map(repr, world))},7\nscan,1,2,3,none\n"
    rows, out = table(tmp_path, text), tmp_path / "mask.nii.gz"
    command = ["mask", str(path), "--annotations", str(rows), "--out", str(out)]
    assert main(command) != 0
    assert "line 3: diameter_mm is 'none', not a number" in capsys.readouterr().err
    assert not out.exists()
    assert main([*command, "--skip-bad-rows"]) == 0
    assert "warning: left out, line 3: diameter_mm" in capsys.readouterr().err
    mask = read_mask(out)
    centroid = mask.geometry.index_to_world(np.argwhere(mask.array).mean(axis=0))
    assert centroid == pytest.approx(world, abs=0.6)
