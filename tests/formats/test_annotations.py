import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.errors import AnnotationError, OutputError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import annotations_of, read_annotations, write_annotations
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
        (b"\xff\xfe\x00", "not a text table"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    with pytest.raises(AnnotationError) as caught:
        read_annotations(table(tmp_path, text))
    assert words in str(caught.value)
    assert "annotations.csv" in str(caught.value)


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
