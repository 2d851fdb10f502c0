import numpy as np
import pytest

from napari_ctlns.normalising import HuStatistics, hu_statistics, scaling_of, standardised
from napari_ctlns.recipe import Preparation

SCAN = np.random.default_rng(1).integers(-1024, 1500, (7, 9, 11)).astype(np.int16)


def test_a_range_becomes_0_to_1() -> None:
    values = scaling_of(Preparation(), SCAN).applied(np.array([-2000, -1000, -300, 400, 3000]))
    assert values.dtype == np.float32
    assert values == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-6)


def test_hu_are_divided() -> None:
    recipe = Preparation(clip_hu=(-1024, 3071), normalisation="divide", divisor=3071)
    values = scaling_of(recipe, SCAN).applied(np.array([-1024, 0, 3071, 5000]))
    assert values == pytest.approx([-1024 / 3071, 0, 1, 1])


def test_a_scan_gets_mean_0_and_deviation_1_after_it_was_clipped() -> None:
    recipe = Preparation(normalisation="standardise")
    values = scaling_of(recipe, SCAN).applied(SCAN)
    clipped = np.clip(SCAN, -1000, 400).astype(float)
    np.testing.assert_allclose(values, (clipped - clipped.mean()) / clipped.std(), atol=1e-5)


def test_a_scan_of_one_value_stays_finite() -> None:
    recipe = Preparation(normalisation="standardise")
    flat = np.full((2, 3, 4), -700, np.int16)
    assert np.abs(scaling_of(recipe, flat).applied(flat)).max() < 1e-3


def test_statistics_are_those_of_numpy_and_survive_json() -> None:
    recipe = Preparation(normalisation="standardise", clip_hu=(-900.5, 399.5))
    statistics = hu_statistics(recipe, SCAN)
    clipped = np.clip(SCAN, -900, 399).astype(float)
    assert statistics.mean == pytest.approx(clipped.mean())
    assert statistics.deviation == pytest.approx(clipped.std())
    again = HuStatistics.model_validate_json(statistics.model_dump_json())
    assert standardised(again) == scaling_of(recipe, SCAN)
