"""Whose scan is whose."""

from pathlib import Path

import pytest

from napari_ctlns.dataset.patients import Patients
from napari_ctlns.errors import DatasetError
from napari_ctlns.formats import ScanFile

FILES = (
    ScanFile(Path("scans/chest.nii.gz")),
    ScanFile(Path("scans/1.2.3.mhd")),
    ScanFile(Path("scans/dicom"), "1.2.840.5"),
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "patients.csv"


@pytest.mark.parametrize(
    "text",
    [
        "scan_id,patient_id\nchest,ann\n1.2.3,bob\n1.2.840.5,eve\n",
        "\ufeffage; Patient_ID ;scan_id\r\n40;ann;chest\r\n50; bob;1.2.3\r\n60;eve;1.2.840.5\r\n",
    ],
)
def test_names_of_scans(table: Path, text: str) -> None:
    table.write_text(text, "utf-8", newline="")
    patients = Patients(table, FILES)
    assert [patients.of(file) for file in FILES] == ["ann", "bob", "eve"]
    assert patients.strangers == ()


def test_no_table() -> None:
    assert Patients(None, FILES).of(FILES[0]) == ""


def test_rows_of_scans_that_are_not_there(table: Path) -> None:
    table.write_text("scan_id,patient_id\nchest,ann\nelsewhere,bob\n", "utf-8")
    patients = Patients(table, FILES)
    assert patients.of(FILES[1]) == ""
    (left_out,) = patients.strangers
    assert (left_out.what, left_out.why) == ("patient bob of elsewhere", "no such scan")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lacks the column scan_id"),
        ("scan_id,name\nchest,ann\n", "lacks the column patient_id"),
        ("scan_id,patient_id\nchest,ann\nchest,bob\n", "line 3 .* gives chest to bob"),
        ("scan_id,patient_id\nchest\n", "line 2 .* has no patient_id"),
        ("scan_id,patient_id\n,ann\n", "line 2 .* has no scan_id"),
        ("scan_id,patient_id\nelsewhere,ann\n", "names none of these scans"),
    ],
)
def test_what_is_refused(table: Path, text: str, words: str) -> None:
    table.write_text(text, "utf-8")
    with pytest.raises(DatasetError, match=words):
        Patients(table, FILES)


def test_a_table_that_cannot_be_read(table: Path) -> None:
    table.write_bytes(b"\xff\xfe\x00scan_id")
    with pytest.raises(DatasetError, match="cannot read patients"):
        Patients(table, FILES)


def test_two_names_of_one_scan(table: Path) -> None:
    table.write_text("scan_id,patient_id\ndicom,ann\n1.2.840.5,bob\n", "utf-8")
    with pytest.raises(DatasetError, match="one scan to two patients"):
        Patients(table, FILES).of(FILES[2])
