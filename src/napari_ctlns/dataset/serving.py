"""Whether a dataset serves a recipe, how its scans are normalised, and whether it changed."""

import hashlib
import json
from collections.abc import Collection
from typing import Any

import numpy as np

from napari_ctlns.dataset.folder import Dataset, PreparedScan
from napari_ctlns.normalising import Scaling, fixed_scaling, standardised
from napari_ctlns.recipe import Preparation
from napari_ctlns.specs import Split

_GRID = ("spacing_mm", "drop_first_slices", "slice_size", "smoothing_mm")
_LOOKS = 3
"""Slices of each array that a fingerprint looks at, beside those with nodules."""


def same_preparation(one: Preparation, other: Preparation) -> str:
    """Say what keeps arrays that were prepared one way from serving another.

    Parameters
    ----------
    one
        How the arrays were prepared.
    other
        How they are wanted.

    Returns
    -------
    str
        An empty string if they serve; else for example ``"spacing_mm is 1.0, not 2.0"``.
        HU are clipped and normalised later and don't matter, unless they were smoothed:
        then they were clipped first.
    """
    keys = (*_GRID, "clip_hu") if one.smoothing_mm and other.smoothing_mm else _GRID
    differ = [key for key in keys if _compared(one, key) != _compared(other, key)]
    return "; ".join(
        f"{key} is {_in_words(getattr(one, key))}, not {_in_words(getattr(other, key))}"
        for key in differ
    )


def scan_scaling(scan: PreparedScan, preparation: Preparation) -> Scaling:
    """Return how a recipe normalises a scan of a dataset.

    "standardise" takes the mean and standard deviation that were kept when the scan was
    prepared. Where there are none, or of another range, the scan is read, once.

    Raises
    ------
    DatasetError
        If the scan has to be read, and is missing or damaged.
    """
    if preparation.normalisation != "standardise":
        return fixed_scaling(preparation)
    return standardised(scan.statistics(preparation))


def dataset_fingerprint(dataset: Dataset, splits: Collection[Split] = ("train", "val")) -> str:
    """Return a text that changes when what a training learns from does.

    It is the same for a copy of the dataset in another place. It covers which scans
    are in the splits, their current files, the sizes of these, and the values of some of
    their slices: those through nodules and a few others, for whole scans would take long.

    Raises
    ------
    DatasetError
        If a scan is missing or damaged.
    """
    seen = hashlib.sha256()
    for scan in dataset.scans():
        place = dataset.card.split.get(scan.patient_id)
        if place not in splits:
            continue
        card = scan.card
        nodules = [nodule.model_dump() for nodule in scan.nodules]
        facts = [card.scan_id, place, card.ct, card.mask, scan.geometry.shape, nodules]
        seen.update(json.dumps(facts).encode())
        middles = {nodule.centre[0] for nodule in scan.nodules}
        for array in (scan.hu(), scan.mask()):
            for z in sorted(middles | _spread(len(array))):
                seen.update(np.ascontiguousarray(array[z]).tobytes())
    return seen.hexdigest()


def _compared(preparation: Preparation, key: str) -> Any:
    value = getattr(preparation, key)
    return (value,) * 3 if key == "spacing_mm" and isinstance(value, float) else value


def _in_words(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(n if isinstance(n, str) else f"{n:g}" for n in value)
    return "left out" if value is None else f"{value}"


def _spread(count: int) -> set[int]:
    return {int(z) for z in np.linspace(0, count - 1, _LOOKS)}
