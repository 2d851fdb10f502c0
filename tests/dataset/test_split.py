import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.dataset.split import split_by_share, split_from_file
from napari_ctlns.errors import DatasetError

patients = st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=60)
seeds = st.integers(0, 2**31)


@given(patients, seeds)
def test_every_patient_is_in_one_split_and_three_fill_all(people: set[str], seed: int) -> None:
    split = split_by_share(people, seed)
    assert split.keys() == people
    places = list(split.values())
    assert "train" in places
    if len(people) >= 3:
        assert {"train", "val", "test"} == set(places)
        # nobody has to learn from less than half of the patients for want of a test
        assert places.count("train") >= len(people) / 3
    if len(people) == 2:
        assert sorted(places) == ["train", "val"]


@given(patients, seeds)
def test_neither_order_nor_repetition_matters(people: set[str], seed: int) -> None:
    ordered = sorted(people)
    assert split_by_share(ordered, seed) == split_by_share(ordered[::-1] * 2, seed)


@given(patients, patients, seeds)
def test_more_patients_move_nobody(first: set[str], more: set[str], seed: int) -> None:
    before = split_by_share(first, seed)
    after = split_by_share(first | more, seed, before)
    assert after.keys() == first | more
    assert {p: after[p] for p in first} == before


def test_shares_and_seed() -> None:
    people = [f"patient {i}" for i in range(100)]
    split = split_by_share(people, seed=1)
    places = list(split.values())
    assert [places.count(name) for name in ("train", "val", "test")] == [70, 15, 15]
    assert split != split_by_share(people, seed=2)


@pytest.fixture
def patients_of() -> dict[str, str]:
    return {"scan 1": "ann", "scan 2": "ann", "scan 3": "bob", "scan 4": "eve"}


def test_json_of_scans_and_patients(tmp_path: Path, patients_of: dict[str, str]) -> None:
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"train": ["scan 1", "bob"], "test": ["eve", "unknown"]}), "utf-8")
    assert split_from_file(path, patients_of) == {"ann": "train", "bob": "train", "eve": "test"}


def test_csv_leaves_out_whom_it_does_not_name(tmp_path: Path, patients_of: dict[str, str]) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("patient_id,split\nann,val\nbob,train\n", "utf-8")
    assert split_from_file(path, patients_of) == {"ann": "val", "bob": "train"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("s.json", '{"train": ["scan 1"], "val": ["scan 2"]}', "patient ann is in train and val"),
        ("s.json", '{"train": ["nobody"]}', "names no patient"),
        ("s.json", '{"holdout": ["ann"]}', "train, val or test"),
        ("s.json", '["ann"]', "write it as"),
        ("s.json", "{", "is not JSON"),
        ("s.csv", "patient,split\nann,val\n", "lacks the column patient_id"),
        ("s.csv", "patient_id,split\nann\n", "train, val or test"),
    ],
)
def test_bad_files(
    tmp_path: Path, patients_of: dict[str, str], name: str, text: str, words: str
) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    with pytest.raises(DatasetError, match=words):
        split_from_file(path, patients_of)


def test_missing_file(tmp_path: Path, patients_of: dict[str, str]) -> None:
    with pytest.raises(DatasetError, match="cannot read"):
        split_from_file(tmp_path / "none.json", patients_of)
