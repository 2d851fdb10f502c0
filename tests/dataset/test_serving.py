"""Whether a dataset serves a recipe, how its scans are normalised, and whether it changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ctlns.dataset import (
    Dataset,
    dataset_fingerprint,
    open_dataset,
    same_preparation,
    scan_scaling,
)
from napari_ctlns.dataset.folder import PreparedScan
from napari_ctlns.dataset.revisions import add_mask
from napari_ctlns.normalising import scaling_of
from napari_ctlns.recipe import Preparation, Recipe
from napari_ctlns.specs import PrepareSpec


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ({}, {"clip_hu": (-900, 300), "normalisation": "standardise"}, ""),
        ({"spacing_mm": 2.0}, {"spacing_mm": (2.0, 2.0, 2.0)}, ""),
        ({}, {"spacing_mm": "native"}, "spacing_mm is 1.0, not native"),
        ({"spacing_mm": (1, 2, 2)}, {}, "spacing_mm is 1 x 2 x 2, not 1.0"),
        ({"drop_first_slices": 30}, {}, "drop_first_slices is 30, not 0"),
        ({}, {"slice_size": (256, 128)}, "slice_size is left out, not 256 x 128"),
        ({"smoothing_mm": 1}, {"clip_hu": (-900, 300)}, "smoothing_mm is 1.0, not 0.0"),
        (
            {"smoothing_mm": 1},
            {"smoothing_mm": 1, "clip_hu": (-900, 300)},
            "clip_hu is -1000 x 400, not -900 x 300",
        ),
    ],
)
def test_what_keeps_one_preparation_from_serving_another(
    one: dict[str, Any], other: dict[str, Any], words: str
) -> None:
    assert same_preparation(Preparation(**one), Preparation(**other)) == words


@pytest.fixture
def dataset(tiny_cohort: Any, recipe: Recipe, prepared: Any, tmp_path: Path) -> Dataset:
    """Three scans, prepared to be standardised; one to train, validate and test on each."""
    cohort = tiny_cohort()
    standardised = recipe.with_changes({"preparation.normalisation": "standardise"})
    out = tmp_path / "dataset"
    annotations = cohort.annotations
    prepared(
        PrepareSpec(source=cohort.scans, out=out, recipe=standardised, annotations=annotations)
    )
    return open_dataset(out)


class TestScaling:
    def test_statistics_are_kept_and_the_scan_is_not_read(self, dataset: Dataset) -> None:
        scan = dataset.scans()[0]
        expected = scaling_of(dataset.preparation, scan.hu())
        (scan.folder / scan.card.ct).unlink()
        assert scan_scaling(scan, dataset.preparation) == expected

    @pytest.mark.parametrize("clip", [(-1000, 400), (-700, 200)])
    def test_others_are_measured_once(self, dataset: Dataset, clip: tuple[int, int]) -> None:
        """Of datasets made before, and of another range."""
        old = dataset.scans()[0]
        scan = PreparedScan(old.folder, old.card.model_copy(update={"statistics": None}))
        wanted = Preparation(normalisation="standardise", clip_hu=clip)
        expected = scaling_of(wanted, scan.hu())
        assert scan_scaling(scan, wanted) == expected
        (scan.folder / scan.card.ct).unlink()
        assert scan_scaling(scan, wanted) == expected

    def test_a_fixed_range_needs_no_scan(self, dataset: Dataset) -> None:
        scan = dataset.scans()[0]
        expected = scaling_of(Preparation(), scan.hu())
        assert scan_scaling(scan, Preparation()) == expected


class TestFingerprint:
    def test_a_copy_elsewhere_has_the_same(self, dataset: Dataset, tmp_path: Path) -> None:
        shutil.copytree(dataset.path, tmp_path / "copy", copy_function=shutil.copyfile)
        assert dataset_fingerprint(open_dataset(tmp_path / "copy")) == dataset_fingerprint(dataset)

    def test_a_changed_mask_is_seen(self, dataset: Dataset) -> None:
        before = dataset_fingerprint(dataset)
        scan = dataset.scans("val")[0]
        mask = np.array(scan.mask())
        mask[3, 3, 3] = 1
        add_mask(scan, mask, "someone")
        assert dataset_fingerprint(open_dataset(dataset.path)) != before

    def test_a_file_written_over_is_seen(self, dataset: Dataset) -> None:
        before = dataset_fingerprint(dataset)
        scan = dataset.scans("train")[0]
        path = scan.folder / "masks" / f"{scan.card.mask}.npy"
        np.save(path, np.zeros_like(np.load(path)))
        assert dataset_fingerprint(dataset) != before
        np.save(scan.folder / "ct.npy", np.load(scan.folder / "ct.npy") + np.int16(1))
        assert dataset_fingerprint(dataset, ("train",)) != before

    def test_the_split_counts_but_not_the_test_scans(self, dataset: Dataset) -> None:
        before = dataset_fingerprint(dataset)
        test = dataset.scans("test")[0]
        add_mask(test, np.zeros(test.geometry.shape, np.uint8), "someone")
        assert dataset_fingerprint(open_dataset(dataset.path)) == before
        card = json.loads((dataset.path / "dataset.json").read_text("utf-8"))
        card["split"][test.patient_id] = "train"
        (dataset.path / "dataset.json").write_text(json.dumps(card), "utf-8")
        assert dataset_fingerprint(open_dataset(dataset.path)) != before
