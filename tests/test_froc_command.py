"""``ctlns froc`` through its door."""

import json
from pathlib import Path

import pytest

from napari_ctlns.cli import main

KEYS = {
    *("sensitivity", "cpm", "true_positives", "false_positives", "missed", "candidates"),
    *("ignored_excluded", "double_marks"),
}
LUNA = Path(__file__).resolve().parents[2] / "shared/data/luna16/annotations.csv"


@pytest.fixture
def tables(tmp_path):
    """Two nodules and a finding left out in scan a, nothing in b and c."""
    texts = {
        "marks": "probability,SeriesUID,coordx,coordY,coordZ\n0.9,a,0,0,0\n0.8,a,1,0,0\n"
        "0.7,a,40,0,0\n0.6,a,80,0,0\n0.5,b,0,0,0\n",
        "annotations": "seriesuid,coordX,coordY,coordZ,diameter_mm\na,0,0,0,8\na,20,0,0,8\n",
        "excluded": "seriesuid,coordX,coordY,coordZ,diameter_mm\na,41,0,0,-1\n",
        "scans": "a\nb\nc\na\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text, "utf-8")
    return {name: tmp_path / f"{name}.csv" for name in texts}


@pytest.fixture
def froc(capsys, tables):
    def run(*words, annotations=None):
        status = main(
            [
                "froc",
                str(tables["marks"]),
                "--annotations",
                str(annotations or tables["annotations"]),
            ]
            + [str(word) for word in words]
        )
        return status, *capsys.readouterr()

    return run


def test_its_json_has_the_fixed_keys(froc, tables) -> None:
    status, out, err = froc(
        "--json", "--excluded", tables["excluded"], "--seriesuids", tables["scans"]
    )
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert set(told) >= KEYS
    assert list(told["sensitivity"]) == ["0.125", "0.25", "0.5", "1", "2", "4", "8"]
    assert list(told["sensitivity"].values()) == [0.5] * 7
    assert {name: told[name] for name in KEYS - {"sensitivity"}} == {
        "cpm": 0.5,
        "true_positives": 1,
        "false_positives": 2,
        "missed": 1,
        "candidates": 5,
        "ignored_excluded": 1,
        "double_marks": 1,
    }
    assert (told["scans"], told["nodules"]) == (3, 2)
    assert told["cpm_95"] == [None, None]  # nodules in one scan only


def test_without_a_list_all_scans_count_that_are_named(froc) -> None:
    _, out, _ = froc("--json")
    told = json.loads(out)
    assert (told["scans"], told["false_positives"]) == (2, 3)


def test_people_are_told_numbers_in_words(froc) -> None:
    status, out, _ = froc()
    assert status == 0
    assert "sensitivity at 0.125  0.500" in out
    assert "missed" in out


def test_the_list_of_scans_may_have_a_header(froc, tmp_path) -> None:
    (tmp_path / "list.csv").write_text("number;SeriesUID\n1;a\n2;z\n", "utf-8")
    _, out, _ = froc("--json", "--seriesuids", tmp_path / "list.csv")
    told = json.loads(out)
    assert (told["scans"], told["candidates"]) == (2, 4)


def test_the_plot_is_a_png(froc, tmp_path) -> None:
    status, _, _ = froc("--plot", tmp_path / "new" / "curve.png")
    assert status == 0
    assert (tmp_path / "new" / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("marks", "seriesuid,coordX,coordY,coordZ\na,1,2,3\n", "missing column probability"),
        ("marks", "seriesuid,coordX,coordY,coordZ,probability\na,1,2,x,0.5\n", "line 2"),
        ("marks", "seriesuid,coordX,coordY,coordZ,probability\na,1,2,3,\n", "probability is ''"),
        ("marks", "seriesuid,coordX,coordY,coordZ,probability\na,1,2,3,nan\n", "line 2"),
        ("annotations", "seriesuid,coordX\na,1\n", "missing columns coordY, coordZ, diameter_mm"),
        ("annotations", "", "empty table"),
        ("scans", "\n", "no scans named"),
        ("excluded", "a,b\n", "missing columns"),
    ],
)
def test_bad_tables_are_one_line_and_leave_nothing(
    froc, tables, tmp_path, name, text, words
) -> None:
    tables[name].write_text(text, "utf-8")
    before = set(tmp_path.iterdir())
    status, out, err = froc(
        *("--json", "--seriesuids", tables["scans"], "--excluded", tables["excluded"]),
        *("--plot", tmp_path / "curve.png"),
    )
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ")
    assert words in err
    assert set(tmp_path.iterdir()) == before


def test_a_plot_of_another_kind_is_refused(froc, tmp_path) -> None:
    status, _, err = froc("--plot", tmp_path / "curve.pdf")
    assert (status, "end its name in .png" in err) == (2, True)


def test_marks_of_other_scans_only_are_told(froc, tmp_path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\nz,0,0,0,8\n", "utf-8")
    status, out, err = froc("--json", annotations=other)
    assert status == 0
    assert err.startswith("warning: no candidate is of a scan in ")
    assert json.loads(out)["missed"] == 1


@pytest.mark.skipif(not LUNA.exists(), reason="LUNA16's annotations are not here")
def test_nodules_of_luna16_find_themselves(tmp_path, capsys) -> None:
    """The annotations as marks: all found but those that another, larger one has too."""
    marks = tmp_path / "marks.csv"
    header, *rows = LUNA.read_text("utf-8").splitlines()
    marks.write_text("\n".join([f"{header},probability", *(f"{r},0.5" for r in rows)]), "utf-8")
    assert main(["froc", str(marks), "--annotations", str(LUNA), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["true_positives"], told["missed"], told["false_positives"]) == (len(rows), 0, 0)
    assert told["cpm"] == 1.0
