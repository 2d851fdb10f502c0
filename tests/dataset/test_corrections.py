"""Adding corrected scans to a dataset: what is written, what is not, and who is held out."""

import json
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.dataset import add_correction, held_out_scans, open_dataset
from napari_ctlns.dataset.corrections import Added, split_of_correction
from napari_ctlns.dataset.patches import training_sampler
from napari_ctlns.errors import CtlnsError, DatasetError, OutputError
from napari_ctlns.recipe import Preparation, Recipe, load_recipe
from napari_ctlns.volume import Geometry, Source, Volume

ONE_MM = Preparation()
SHAPE = (12, 14, 16)


def scan_called(name: str, seed: int = 0, patient: str = "", spacing: float = 1.0) -> Volume:
    hu = np.random.default_rng(seed).integers(-1000, 100, SHAPE).astype(np.int16)
    source = Source(path=Path("/scans") / f"{name}.mhd", format="metaimage")
    return Volume(hu, Geometry(SHAPE, (spacing,) * 3), "ct", name, patient, source)


def mask_of(scan: Volume, *boxes: tuple[slice, slice, slice]) -> Volume:
    array = np.zeros(SHAPE, np.uint8)
    for label, box in enumerate(boxes, 1):
        array[box] = label
    return scan.mask(array)


BOX = (slice(2, 5), slice(3, 6), slice(4, 8))
OTHER = (slice(7, 10), slice(8, 12), slice(9, 12))


def add(folder: Path, scan: Volume, *boxes: tuple[slice, slice, slice], who: str = "ann") -> Added:
    return add_correction(folder, scan, mask_of(scan, *boxes), who, ONE_MM)


def files_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_first_correction_makes_a_dataset(tmp_path: Path) -> None:
    scan = scan_called("a", patient="ada")
    added = add(tmp_path / "set", scan, BOX)
    assert (added.change, added.split) == ("new scan", "train")
    (there,) = open_dataset(tmp_path / "set").scans("train")
    assert (there.scan_id, there.patient_id, there.corrected) == ("a", "ada", True)
    assert there.revision.reader == "ann"
    assert there.card.source.path == scan.source.path
    assert np.array_equal(there.hu(), scan.array)
    assert np.array_equal(there.mask(), mask_of(scan, BOX).array)
    assert [n.voxels for n in there.nodules] == [3 * 3 * 4]


def test_the_same_mask_again_changes_nothing(tmp_path: Path) -> None:
    scan = scan_called("a")
    add(tmp_path / "set", scan, BOX)
    before = files_in(tmp_path / "set")
    assert add(tmp_path / "set", scan, BOX, who="bob").change == "nothing"
    assert files_in(tmp_path / "set") == before


def test_a_changed_mask_is_a_new_revision_beside_the_old(tmp_path: Path) -> None:
    scan = scan_called("a")
    first = add(tmp_path / "set", scan, BOX)
    before = files_in(tmp_path / "set" / "a" / "masks")
    second = add(tmp_path / "set", scan, BOX, OTHER, who="bob")
    assert second.change == "new mask"
    (there,) = open_dataset(tmp_path / "set").scans()
    assert there.revision.name == second.revision != first.revision
    assert (there.revision.parent, there.revision.reader) == (first.revision, "bob")
    assert np.array_equal(there.mask(first.revision), mask_of(scan, BOX).array)
    assert before.items() <= files_in(tmp_path / "set" / "a" / "masks").items()


def test_going_back_to_an_earlier_mask_is_a_change(tmp_path: Path) -> None:
    scan = scan_called("a")
    for boxes in ((BOX,), (OTHER,), (BOX,)):
        assert add(tmp_path / "set", scan, *boxes).change != "nothing"
    (there,) = open_dataset(tmp_path / "set").scans()
    assert len(there.card.masks) == 3
    assert np.array_equal(there.mask(), mask_of(scan, BOX).array)


def test_a_scan_without_nodules_can_be_taught(tmp_path: Path) -> None:
    add(tmp_path / "set", scan_called("a"))
    (there,) = open_dataset(tmp_path / "set").scans()
    assert there.corrected
    assert there.nodules == ()


def test_the_grid_is_the_datasets_own(tmp_path: Path) -> None:
    add(tmp_path / "set", scan_called("a"), BOX)
    coarse = scan_called("b", spacing=2.0)
    add_correction(
        tmp_path / "set", coarse, mask_of(coarse, BOX), "ann", Preparation(spacing_mm=3.0)
    )
    there = next(s for s in open_dataset(tmp_path / "set").scans() if s.scan_id == "b")
    assert there.geometry.spacing == (1.0, 1.0, 1.0)
    assert [n.voxels for n in there.nodules] == [8 * 3 * 3 * 4]


def test_another_scan_of_the_same_name_is_refused(tmp_path: Path) -> None:
    add(tmp_path / "set", scan_called("a"), BOX)
    before = files_in(tmp_path / "set")
    with pytest.raises(DatasetError, match="another scan called a"):
        add(tmp_path / "set", scan_called("a", seed=1), BOX)
    assert files_in(tmp_path / "set") == before


@pytest.mark.parametrize("where", ["file", "full"])
def test_a_place_that_is_no_dataset_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").write_text("mine")
    before = files_in(tmp_path)
    with pytest.raises(DatasetError, match="choose"):
        add(tmp_path / where, scan_called("a"), BOX)
    assert files_in(tmp_path) == before


def test_a_mask_that_cannot_be_used_leaves_nothing(tmp_path: Path) -> None:
    scan = scan_called("a")
    away = Geometry(SHAPE, (1.0, 1.0, 1.0), (900.0, 900.0, 900.0))
    far = Volume(np.ones(SHAPE, np.uint8), away, "mask")
    with pytest.raises(CtlnsError):
        add_correction(tmp_path / "set", scan, far, "ann", ONE_MM)
    assert not (tmp_path / "set").exists()


def test_a_full_disk_leaves_the_dataset_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tmp_path / "set", scan_called("a"), BOX)
    before = files_in(tmp_path / "set")
    monkeypatch.setattr(np, "save", no_space)
    for name in ("a", "b"):
        with pytest.raises(OutputError, match="No space"):
            add(tmp_path / "set", scan_called(name), OTHER)
    assert files_in(tmp_path / "set") == before


def no_space(*_args: object, **_kwargs: object) -> None:
    raise OSError(28, "No space left on device")


def test_what_a_killed_process_left_out_is_mended(tmp_path: Path) -> None:
    add(tmp_path / "set", scan_called("a"), BOX)
    add(tmp_path / "set", scan_called("b"), BOX)
    card = tmp_path / "set" / "dataset.json"
    said = json.loads(card.read_text())
    card.write_text(json.dumps({**said, "scans": ["a"], "split": {"a": "train"}}))
    assert add(tmp_path / "set", scan_called("b"), BOX).change == "nothing"
    assert {s.scan_id for s in open_dataset(tmp_path / "set").scans()} == {"a", "b"}


def test_many_can_add_at_once(tmp_path: Path) -> None:
    names = [f"scan-{n}" for n in range(8)]
    threads = [
        threading.Thread(target=add, args=(tmp_path / "set", scan_called(name, n), BOX))
        for n, name in enumerate(names)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dataset = open_dataset(tmp_path / "set")
    assert {s.scan_id for s in dataset.scans()} == set(names)
    assert dataset.card.split.keys() == set(names)


# -- who is held out ----------------------------------------------------------------


def split_after(patients: list[str]) -> dict[str, str]:
    split: dict[str, str] = {}
    for patient in patients:
        split[patient] = split_of_correction(patient, split, set(split) - {patient})
    return split


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, min_size=4, max_size=40))
def test_some_are_held_out_and_most_are_not(patients: list[str]) -> None:
    split = split_after(patients)
    assert split[patients[0]] == "train"
    counts = Counter(split.values())
    held_out = counts["val"] + counts["test"]
    assert 1 <= held_out <= len(patients) / 2
    assert 0 <= counts["val"] - counts["test"] <= 1


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=30), st.data())
def test_a_patient_never_moves(patients: list[str], data: st.DataObject) -> None:
    split = split_after(patients)
    again = data.draw(st.permutations(patients)) if patients else []
    assert all(split_of_correction(p, split, set(patients) - {p}) == split[p] for p in again)


def test_about_a_fifth_of_many_is_held_out() -> None:
    counts = Counter(split_after([f"patient {n}" for n in range(1000)]).values())
    assert 0.16 < 1 - counts["train"] / 1000 < 0.24


def test_all_scans_of_a_patient_are_on_one_side(tmp_path: Path) -> None:
    for n in range(6):
        add(tmp_path / "set", scan_called(f"s{n}", n, patient=f"p{n}"), BOX)
    dataset = open_dataset(tmp_path / "set")
    held_out = held_out_scans(dataset)
    assert held_out
    patient = held_out[0].patient_id
    later = add(tmp_path / "set", scan_called("later", 9, patient=patient), BOX)
    assert later.split == dataset.card.split[patient] != "train"
    assert [s.scan_id for s in held_out_scans(open_dataset(tmp_path / "set"))].count("later") == 1


# -- what is drawn of them ------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Three scans to learn from, of which the second is corrected."""
    for n in range(3):
        add(tmp_path / "set", scan_called(f"s{n}", n), BOX)
    for n in (0, 2):
        card = tmp_path / "set" / f"s{n}" / "scan.json"
        card.write_text(card.read_text().replace('"hand"', '"annotation"'))
    return tmp_path / "set"


def mixing(share: float) -> Recipe:
    changes = {"patches.size": (8, 8, 8), "patches.corrected_fraction": share}
    return load_recipe("ct-lns").with_changes(changes)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.8])
def test_a_share_of_the_patches_is_of_corrected_scans(mixed: Path, share: float) -> None:
    scans = open_dataset(mixed).scans("train")
    assert [s.corrected for s in scans] == [False, True, False]
    sampler = training_sampler(scans, mixing(share))
    drawn = [sampler.draw(0, index) for index in range(100)]
    of_scan = Counter(sample.scan for sample in drawn)
    assert of_scan[1] == 100 * share
    assert abs(of_scan[0] - of_scan[2]) <= 20
    assert any(s.nodule for s in drawn if s.scan == 1)
    assert sampler.draw(3, 17) == sampler.draw(3, 17)
    hu, mask = sampler.cut(next(s for s in drawn if s.scan == 1 and s.nodule))
    assert hu.shape == mask.shape == (8, 8, 8)
    assert mask.any()


def test_without_earlier_scans_all_patches_are_of_corrected_ones(mixed: Path) -> None:
    scans = [s for s in open_dataset(mixed).scans("train") if s.corrected]
    sampler = training_sampler(scans, mixing(0.5))
    assert {sampler.draw(0, index).scan for index in range(20)} == {0}
