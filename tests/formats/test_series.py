"""Which files of a folder or disc are slices of which series."""

import gc
import warnings

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid

from napari_ctlns.cli import main
from napari_ctlns.errors import ScanError
from napari_ctlns.formats import ScanFile, find_scans, read_scan

STORED = np.random.default_rng(5).integers(0, 3000, (4, 6, 7)).astype(np.uint16)
HU = STORED.astype(np.int16) - 1024
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
ON_DISC = {
    "PatientName": "A^B",
    "StudyInstanceUID": "1.2.3.4",
    "StudyID": "1",
    "StudyDate": "20200101",
    "StudyTime": "120000",
    "AccessionNumber": "",
    "SeriesNumber": 1,
}


@pytest.fixture
def disc(tmp_path, write_series, positions):
    """A disc with two series and a file that its DICOMDIR does not list."""
    uids = [
        write_series(tmp_path / name, STORED[:n], positions(n), **ON_DISC)
        for name, n in {"four": 4, "three": 3}.items()
    ]
    files = FileSet()
    for name in ("four", "three"):
        for path in sorted((tmp_path / name).iterdir()):
            files.add(path)
    files.write(tmp_path / "disc")
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        del files  # pydicom leaves its temporary folder to the garbage collector
        gc.collect()
    write_series(tmp_path / "disc" / "unlisted", STORED, positions(4))
    return tmp_path / "disc", uids


def test_a_dicomdir_holds_the_files_that_it_lists(disc):
    folder, uids = disc
    path = folder / "DICOMDIR"
    with pytest.raises(ScanError, match=r"2 series in .*DICOMDIR: choose one with --series"):
        read_scan(path)
    assert np.array_equal(read_scan(path, series=uids[0]).array, HU)
    assert np.array_equal(read_scan(path, series=uids[1]).array, HU[:3])
    assert sorted(scan.series for scan in find_scans(path)) == sorted(uids)
    for scan in find_scans(path):
        assert read_scan(scan.path, series=scan.series).scan_id == scan.series
    with pytest.raises(ScanError, match="3 series"):
        read_scan(folder)


def test_a_dicomdir_with_missing_files_names_them(disc):
    folder, uids = disc
    path = folder / "DICOMDIR"
    lost = sorted(file for file in folder.rglob("*") if file.is_file() and file != path)[0]
    lost.unlink()
    with pytest.raises(ScanError, match=f"missing files of .*{lost.name}; copy the whole disc"):
        read_scan(path, series=uids[0])


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize("outside", [["..", "a"], ["C:\\a"], ["/etc", "a"], ["a/../..", "b"]])
def test_a_dicomdir_never_leads_out_of_its_folder(disc, tmp_path, outside):
    folder, _ = disc
    ds = pydicom.dcmread(folder / "DICOMDIR")
    images = [r for r in ds.DirectoryRecordSequence if r.DirectoryRecordType == "IMAGE"]
    images[0].ReferencedFileID = outside
    ds.save_as(folder / "DICOMDIR")
    with pytest.raises(ScanError, match="outside its folder"):
        read_scan(folder / "DICOMDIR")


def test_a_disc_copied_in_small_letters_is_found(disc):
    folder, uids = disc
    for path in sorted(folder.rglob("*"), key=lambda p: -len(p.parts)):
        if path.name != "DICOMDIR":
            path.rename(path.with_name(path.name.lower()))
    assert np.array_equal(read_scan(folder / "DICOMDIR", series=uids[0]).array, HU)


def test_a_damaged_dicomdir_is_refused(disc):
    folder, _ = disc
    whole = (folder / "DICOMDIR").read_bytes()
    for kept in (len(whole) // 2, 400, 200):
        (folder / "DICOMDIR").write_bytes(whole[:kept])
        with pytest.raises(ScanError):
            read_scan(folder / "DICOMDIR")


def test_what_accompanies_a_scan_is_neither_slice_nor_damage(tmp_path, write_series, positions):
    uid = write_series(tmp_path, STORED, positions(4))
    for modality in ("RTSTRUCT", "SR", "PR", "KO"):
        ds = Dataset()
        ds.file_meta = pydicom.dataset.FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
        ds.SeriesInstanceUID, ds.Modality = generate_uid(), modality
        ds.save_as(tmp_path / modality, enforce_file_format=True)
    # these have pixels, and some even a place
    write_series(tmp_path / "seg", STORED, positions(4), Modality="SEG")
    write_series(tmp_path / "dose", STORED, positions(4), Modality="RTDOSE", NumberOfFrames=4)
    assert np.array_equal(read_scan(tmp_path, strict=True).array, HU)
    assert find_scans(tmp_path) == [ScanFile(tmp_path, uid)]
    with pytest.raises(ScanError, match="contours, masks or reports"):
        read_scan(tmp_path / "seg")


def test_secondary_captures_are_set_aside(tmp_path, write_series, positions):
    uid = write_series(tmp_path / "a", STORED, positions(4))
    write_series(tmp_path / "b", STORED[:1], [(0, 0, 50)], uid=uid, SOPClassUID=CAPTURE)
    write_series(tmp_path / "c", STORED[:1], [(0, 0, 50)], SOPClassUID=CAPTURE + ".4")
    assert np.array_equal(read_scan(tmp_path, strict=True).array, HU)
    assert len(find_scans(tmp_path)) == 1


def test_a_scan_saved_as_secondary_captures_is_a_scan(tmp_path, write_series, positions):
    write_series(tmp_path, STORED, positions(4), SOPClassUID=CAPTURE)
    assert np.array_equal(read_scan(tmp_path, strict=True).array, HU)


def test_other_modalities_open_with_a_warning(tmp_path, write_series, positions):
    write_series(tmp_path, STORED, positions(4), Modality="PT")
    volume = read_scan(tmp_path)
    assert "modality is PT" in volume.source.warnings[0]
    with pytest.raises(ScanError, match="modality is PT"):
        read_scan(tmp_path, strict=True)


def test_the_command_line_lists_the_series_to_choose_from(
    tmp_path, write_series, positions, capsys
):
    one = write_series(tmp_path / "a", STORED, positions(4), SeriesDescription="lung  kernel")
    two = write_series(tmp_path / "b", STORED[:2], positions(2), Modality="MR")
    assert main(["info", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows[one] == ["lung", "kernel", "CT", "4", "6", "x", "7"]
    assert rows[two] == ["none", "MR", "2", "6", "x", "7"]
    assert lines[-1] == f"error: 2 series in {tmp_path}: choose one with --series UID"
    assert main(["info", str(tmp_path), "--series", two]) == 0


def test_values_that_are_no_numbers_are_damage(tmp_path, write_series, positions):
    write_series(tmp_path / "a", STORED, positions(4))
    whole = (tmp_path / "a" / "899").read_bytes()
    for old, new in {b"1.0E-3": b"", b"-98.0": b"-9x.0", b"-1024": b"1e999"}.items():
        if old in whole:
            (tmp_path / "a" / "899").write_bytes(whole.replace(old, new))
            with pytest.raises(ScanError, match=r"damaged DICOM file .*899"):
                read_scan(tmp_path / "a")


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("ImagePositionPatient", [1e200, 0, 0]),
        ("PixelSpacing", [1e-200, 0.7]),
        ("PixelSpacing", [0.7, -0.7]),
        ("RescaleSlope", 0),
        ("Rows", 0),
    ],
)
def test_impossible_values_are_damage(tmp_path, write_series, positions, tag, value):
    write_series(tmp_path, STORED, positions(4), **{tag: lambda k: value if k == 2 else None})
    with pytest.raises(ScanError):
        read_scan(tmp_path)
