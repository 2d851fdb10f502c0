"""Which patients are for training, validation and testing; a patient is never in two."""

import csv
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from itertools import chain, repeat
from pathlib import Path
from typing import Any, get_args

from napari_ctlns.errors import DatasetError
from napari_ctlns.specs import Split, SplitByCount, SplitByFolds, SplitRule

SHARE = 0.15
"""Of the patients, for validation and for testing each."""
_SPLITS: tuple[Split, ...] = get_args(Split)


def split_by_share(
    patients: Iterable[str], seed: int, known: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """Divide patients by fixed shares, in an order that only ``seed`` and their ids decide.

    Parameters
    ----------
    patients
        Ids; their order does not matter.
    seed
        Another seed gives another division.
    known
        Patients divided before: they stay where they are, so that adding
        patients never moves one from training to testing.

    Returns
    -------
    dict
        Every patient's split. Three and more new patients are in all three
        splits; two are for training and validation, one is for training.
    """
    everyone = set(patients)
    share = max(1, round(SHARE * len(everyone)))
    val, test = share if len(everyone) >= 2 else 0, share if len(everyone) >= 3 else 0
    return _filled_up(everyone, seed, val, test, known or {})


def split_by_rule(
    patients: Iterable[str],
    rule: SplitRule,
    seed: int,
    known: Mapping[str, Split] | None = None,
) -> dict[str, Split]:
    """Divide patients by a rule, in an order that only ``seed`` and their ids decide.

    Parameters
    ----------
    patients
        Ids; their order does not matter.
    rule
        Shares, numbers or folds.
    seed
        Another seed gives another division.
    known
        Patients divided by the same shares or numbers before: they stay where they are.
        Folds are made anew, for they must stay equal.

    Returns
    -------
    dict
        Every patient's split. Of shares above 0 each has a patient if there are enough.

    Raises
    ------
    DatasetError
        If there are too few patients.
    """
    everyone = set(patients)
    refuse_too_few(len(everyone), rule)
    if isinstance(rule, SplitByFolds):
        before = (rule.fold - 1) % rule.folds
        places: dict[int, Split] = {before: "val", rule.fold: "test"}
        ranked = enumerate(_in_order(everyone, seed))
        return {patient: places.get(rank % rule.folds, "train") for rank, patient in ranked}
    if isinstance(rule, SplitByCount):
        return _filled_up(everyone, seed, rule.val, rule.test, known or {})
    val, test = (
        max(1, round(share * len(everyone))) if share else 0 for share in (rule.val, rule.test)
    )
    val = min(val, len(everyone) - 1)
    test = min(test, len(everyone) - 1 - val)
    return _filled_up(everyone, seed, val, test, known or {})


def refuse_too_few(patients: int, rule: SplitRule) -> None:
    """Refuse a rule that leaves nobody to train on, or a fold empty.

    Raises
    ------
    DatasetError
        If ``patients``, or fewer, are too few.
    """
    many = f"{patients} patients are" if patients != 1 else "1 patient is"
    if isinstance(rule, SplitByCount) and rule.val + rule.test >= patients:
        raise DatasetError(
            f"{many} too few: {rule.val} for validation and {rule.test} for testing leave none "
            "to train on; lower the numbers of --splits count"
        )
    if isinstance(rule, SplitByFolds) and rule.folds > patients:
        raise DatasetError(f"{many} too few for {rule.folds} folds; lower --splits folds")


def _filled_up(
    everyone: set[str], seed: int, val: int, test: int, known: Mapping[str, Split]
) -> dict[str, Split]:
    """Put new patients where some are lacking, training first if nobody is there."""
    split = {p: s for p, s in known.items() if p in everyone}
    have = list(split.values())
    lacking: dict[Split, int] = {
        "train": 1 - have.count("train"),
        "val": val - have.count("val"),
        "test": test - have.count("test"),
    }
    places = chain(*(repeat(name, n) for name, n in lacking.items()), repeat("train"))
    fresh = _in_order(everyone - split.keys(), seed)
    rest: Iterable[Split] = places  # type: ignore[assignment]
    return split | dict(zip(fresh, rest, strict=False))


def split_from_file(path: Path, patients_of: Mapping[str, str]) -> dict[str, Split]:
    """Return the split that a file gives.

    Parameters
    ----------
    path
        JSON ``{"train": [...], "val": [...], "test": [...]}`` of patient or scan ids, or
        CSV with the columns ``patient_id,split``.
    patients_of
        The patient of each scan id there is. Ids that are neither are passed over.

    Returns
    -------
    dict
        The split of the patients that the file names; others are in none.

    Raises
    ------
    DatasetError
        If the file cannot be read, names another split, puts one patient into
        two, or names no patient there is.
    """
    known = set(patients_of.values())
    split: dict[str, Split] = {}
    for name, place in read_splits(path):
        patient = name if name in known else patients_of.get(name)
        if patient is None:
            continue
        if split.setdefault(patient, place) != place:
            raise DatasetError(f"patient {patient} is in {split[patient]} and {place} of {path}")
    if not split:
        raise DatasetError(f"{path} names no patient of these scans; give patient or scan ids")
    return split


def places_of_subsets(subsets: Collection[int], test: int) -> dict[int, Split]:
    """Return what each subset folder is for, for validation across folds.

    Parameters
    ----------
    subsets
        The numbers of those that there are.
    test
        The one for testing. The one before it, in a circle, is for validation, the
        others are for training.

    Raises
    ------
    DatasetError
        If there is no such subset, or no other.
    """
    if not subsets:
        raise DatasetError(
            "no scan lies in a folder subset0 ... subset9; leave out --splits subsets"
        )
    numbers = sorted(subsets)
    there = ", ".join(str(number) for number in numbers)
    if test not in numbers:
        raise DatasetError(
            f"no scan lies in a folder subset{test}, there are {there}; "
            f"name one of them, as in --splits subsets:{numbers[-1]}"
        )
    if len(numbers) == 1:
        raise DatasetError(f"subset {there} is the only one; leave out --splits subsets")
    places: dict[int, Split] = dict.fromkeys(numbers, "train")
    return {**places, numbers[numbers.index(test) - 1]: "val", test: "test"}


def split_by_subset(
    subset_of: Mapping[str, int | None],
    patients_of: Mapping[str, str],
    places: Mapping[int, Split],
) -> dict[str, Split]:
    """Divide patients by the subset folders of their scans.

    Parameters
    ----------
    subset_of
        The subset of each scan id there is; None: it is in none.
    patients_of
        The patient of each scan id there is.
    places
        What each subset is for.

    Returns
    -------
    dict
        The split of the patients who have a scan in a subset. A patient with scans in
        several is wholly where the first of test, val and train is.
    """
    split: dict[str, Split] = {}
    for scan, number in subset_of.items():
        if number is not None:
            known = split.setdefault(patients_of[scan], places[number])
            split[patients_of[scan]] = max(known, places[number], key=_SPLITS.index)
    return split


def read_splits(path: Path) -> list[tuple[str, Split]]:
    """Return the ids that a file gives, each with its split.

    Raises
    ------
    DatasetError
        If the file cannot be read, or names another split than train, val and test.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read splits {path}; give a JSON or CSV file") from error
    pairs = _from_json(text, path) if path.suffix.lower() == ".json" else _from_csv(text, path)
    for _, place in pairs:
        if place not in _SPLITS:
            raise DatasetError(f"{path}: split {place!r}; it must be train, val or test")
    return pairs


def _from_json(text: str, path: Path) -> list[tuple[str, Any]]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(v, list) for v in values.values()):
        raise DatasetError(f'{path}: write it as {{"train": [ids], "val": [ids], "test": [ids]}}')
    return [(str(name), place) for place, names in values.items() for name in names]


def _from_csv(text: str, path: Path) -> list[tuple[str, Any]]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    missing = {"patient_id", "split"} - set(reader.fieldnames or ())
    if missing:
        raise DatasetError(
            f"{path} lacks the column {sorted(missing)[0]}; it needs patient_id,split"
        )
    return [(row["patient_id"], (row["split"] or "").strip()) for row in reader]


def _in_order(patients: Iterable[str], seed: int) -> list[str]:
    """Return patients in an order that ``seed`` decides."""
    return sorted(patients, key=lambda p: hashlib.sha256(f"{seed}/{p}".encode()).hexdigest())
