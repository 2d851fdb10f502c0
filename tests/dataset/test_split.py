import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_ctlns.dataset.split import split_by_rule, split_by_share, split_from_file
from napari_ctlns.errors import DatasetError
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import PrepareSpec, SplitByCount, SplitByFolds, SplitByFraction

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


class TestRules:
    """Shares, numbers and folds that a person asks for."""

    @given(patients, seeds, st.integers(3, 8))
    def test_folds_part_the_patients(self, people: set[str], seed: int, folds: int) -> None:
        assume(len(people) >= folds)
        splits = [
            split_by_rule(people, SplitByFolds(folds=folds, fold=fold), seed)
            for fold in range(folds)
        ]
        tested = [{p for p, place in split.items() if place == "test"} for split in splits]
        # everybody is tested on in exactly one fold, validated on in the next one
        assert sum(map(len, tested)) == len(people)
        assert set.union(*tested) == people
        assert max(map(len, tested)) - min(map(len, tested)) <= 1
        for fold, split in enumerate(splits):
            assert split.keys() == people
            assert {p for p, place in split.items() if place == "val"} == tested[fold - 1]
            assert "train" in split.values()

    @given(patients, seeds, st.integers(0, 9), st.integers(0, 9))
    def test_numbers_are_kept_to(self, people: set[str], seed: int, val: int, test: int) -> None:
        rule = SplitByCount(val=val, test=test)
        if val + test >= len(people):
            with pytest.raises(DatasetError, match="none to train on"):
                split_by_rule(people, rule, seed)
            return
        places = list(split_by_rule(people, rule, seed).values())
        assert (places.count("val"), places.count("test")) == (val, test)
        assert len(places) == len(people)

    @given(patients, patients, seeds)
    def test_more_patients_move_nobody(self, first: set[str], more: set[str], seed: int) -> None:
        rule = SplitByFraction(train=0.5, val=0.3, test=0.2)
        before = split_by_rule(first, rule, seed)
        after = split_by_rule(first | more, rule, seed, before)
        assert {p: after[p] for p in first} == before
        assert "train" in after.values()

    def test_shares(self) -> None:
        people = {f"patient {i}" for i in range(50)}
        rule = SplitByFraction(train=0.8, val=0.2, test=0)
        places = list(split_by_rule(people, rule, 1).values())
        assert [places.count(name) for name in ("train", "val", "test")] == [40, 10, 0]
        assert split_by_rule(people, rule, 1) != split_by_rule(people, rule, 2)

    def test_too_few_patients_for_folds(self) -> None:
        with pytest.raises(DatasetError, match="2 patients are too few for 3 folds"):
            split_by_rule({"a", "b"}, SplitByFolds(folds=3, fold=0), 0)

    def test_a_rule_survives_json(self, tmp_path: Path) -> None:
        for rule in (
            SplitByFolds(folds=5, fold=2),
            SplitByCount(val=1, test=2),
            SplitByFraction(train=0.7, val=0.15, test=0.15),
        ):
            spec = PrepareSpec(
                source=tmp_path, out=tmp_path, recipe=load_recipe("ct-lns"), split_rule=rule
            )
            assert PrepareSpec.model_validate_json(spec.model_dump_json()).split_rule == rule
