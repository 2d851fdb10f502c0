"""Which scans files, folders and patterns mean, and what their results are called."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.cohort.finding import find_all, names_for
from napari_ctlns.errors import ScanError
from napari_ctlns.formats import ScanFile


def found(*places, **others):
    files, _ = find_all([str(place) for place in places], **others)
    return [file.path.name for file in files]


def test_a_folder_a_file_and_a_pattern_give_each_scan_once(scans):
    folder = scans("a", "b", "c")
    assert found(folder) == ["a.mha", "b.mha", "c.mha"]
    assert found(folder / "b.mha", folder, folder / "[ab].mha") == ["b.mha", "a.mha", "c.mha"]
    assert found(folder.parent / "**" / "c.mha") == ["c.mha"]


def test_a_name_with_brackets_is_no_pattern(scans, tmp_path):
    odd = tmp_path / "scan [1].mha"
    shutil.copy(scans("a") / "a.mha", odd)
    assert found(odd) == ["scan [1].mha"]


def test_what_a_pattern_fits_that_is_no_scan_is_left_out_and_told(scans):
    folder = scans("a")
    (folder / "notes.csv").write_text("x")
    shutil.copy(folder / "masks" / "a.nii.gz", folder / "of_a.nii.gz")
    files, unused = find_all([str(folder / "*.*")])
    assert [file.path.name for file in files] == ["a.mha"]
    assert sorted(Path(item.what).name for item in unused) == ["notes.csv", "of_a.nii.gz"]


def write_series(folder, uid, slices=3):
    """Write slices of a CT series as DICOM files."""
    folder.mkdir(exist_ok=True)
    for place in range(slices):
        image = sitk.GetImageFromArray(np.full((1, 8, 8), -700, np.int16))
        tags = {
            "0008|0060": "CT",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
            "0008|0018": f"{uid}.{place + 1}",
            "0020|000d": "1.2.3.4.5.6",
            "0020|000e": uid,
            "0020|0032": f"0\\0\\{place}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0028|0030": "1\\1",
        }
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{uid}_{place}.dcm"))
        writer.Execute(image)


def test_a_folder_with_two_series_gives_two_scans_and_slices_give_theirs(tmp_path):
    one, two = "1.2.3.4.5.6.71", "1.2.3.4.5.6.72"
    folder = tmp_path / "patient"
    write_series(folder, one)
    write_series(folder, two)
    files, _ = find_all([str(folder)])
    assert {(file.path, file.series) for file in files} == {(folder, one), (folder, two)}
    assert sorted(names_for(files).values()) == [one, two]
    files, _ = find_all([str(folder / f"{two}_*.dcm")])
    assert [(file.path, file.series) for file in files] == [(folder, two)]


def test_results_of_the_cohort_are_no_scans(scans):
    folder = scans("a", "a_probability")
    assert found(folder, results={folder / "a_probability.mha"}) == ["a.mha"]
    with pytest.raises(ScanError, match="results of this cohort"):
        found(folder / "a.mha", results={folder / "a.mha"})


@pytest.mark.parametrize(
    ("place", "words"),
    [("missing.mha", "no such file"), ("*.mha", "nothing fits"), ("notes.csv", "not a scan")],
)
def test_where_nothing_is_words_say_so(tmp_path, place, words):
    (tmp_path / "notes.csv").write_text("x")
    with pytest.raises(ScanError, match=words):
        found(tmp_path / place)


def test_scans_of_one_name_are_told_apart_by_their_folders():
    files = [ScanFile(Path(f"/data/{p}/ct.nii.gz")) for p in ("patient1", "patient2")]
    names = names_for([*files, ScanFile(Path("/data/patient2/pet.nii.gz"))])
    assert list(names.values()) == ["patient1_ct", "patient2_ct", "pet"]


def test_a_scan_keeps_its_name_when_another_of_that_name_comes():
    old, new = (ScanFile(Path(f"/data/{p}/ct.nii.gz")) for p in ("patient1", "patient2"))
    assert names_for([old]) == {old: "ct"}
    assert names_for([new, old], {old: "ct"}) == {old: "ct", new: "patient2_ct"}


parts = st.sampled_from(["a", "A", "b", "a_b", "b_a"])
places = st.lists(st.tuples(parts, parts, parts), min_size=1, max_size=8, unique=True)


@given(places, places)
def test_no_two_results_share_a_name_on_any_file_system(before, after):
    old, new = (
        [ScanFile(Path("/", *folders, f"{name}.mha")) for *folders, name in some]
        for some in (before, after)
    )
    taken = names_for(old)
    names = {**taken, **names_for(new, taken)}
    assert set(names_for(new, taken)) == set(new)
    assert all(names[file] == taken[file] for file in old)
    assert len({name.casefold() for name in names.values()}) == len(names)
