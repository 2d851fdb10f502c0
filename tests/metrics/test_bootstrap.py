"""Intervals of means over patients against SciPy's, and where nothing can be said."""

import numpy as np
import pytest
from scipy import stats

from napari_ctlns.metrics import bootstrap_intervals


def test_a_value_a_patient_gives_the_interval_of_scipy():
    values = np.random.default_rng(3).beta(5, 2, (23, 2))
    ours = bootstrap_intervals(values, np.ones_like(values), seed=7, resamples=800)
    for column, interval in zip(values.T, ours, strict=True):
        expected = stats.bootstrap(
            (column,),
            np.mean,
            n_resamples=800,
            method="percentile",
            rng=np.random.default_rng(7),
        ).confidence_interval
        assert interval == pytest.approx(expected, abs=1e-12)


def test_a_patient_is_drawn_with_all_that_is_hers():
    random = np.random.default_rng(5)
    counts = random.integers(0, 6, 15).astype(float)
    values = [random.random(int(n)) for n in counts]
    sums = np.array([v.sum() for v in values])

    def mean_of_all(picked, axis=-1):
        return sums[picked].sum(axis=axis) / counts[picked].sum(axis=axis)

    expected = stats.bootstrap(
        (np.arange(15),),
        mean_of_all,
        n_resamples=600,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    (ours,) = bootstrap_intervals(sums[:, None], counts[:, None], seed=1, resamples=600)
    assert ours == pytest.approx(expected, abs=1e-12)


def test_values_that_are_all_alike_have_an_interval_of_no_width():
    (interval,) = bootstrap_intervals(np.full((6, 1), 1.5), np.full((6, 1), 3.0))
    assert interval.tolist() == [0.5, 0.5]


def test_draws_without_anything_to_count_are_left_out():
    sums, counts = np.zeros((9, 1)), np.zeros((9, 1))
    sums[[0, 4]], counts[[0, 4]] = 0.25, 1.0
    assert bootstrap_intervals(sums, counts)[0].tolist() == [0.25, 0.25]


def test_of_fewer_than_two_patients_nothing_is_said():
    sums, counts = np.ones((4, 3)), np.ones((4, 3))
    counts[1:, 1], counts[:, 2] = 0, 0
    intervals = bootstrap_intervals(sums, counts)
    assert np.isnan(intervals).tolist() == [[False, False], [True, True], [True, True]]
    assert np.isnan(bootstrap_intervals([[1.0]], [[1.0]])).all()


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random((12, 1))
    first, again = (bootstrap_intervals(values, np.ones((12, 1)), seed=4) for _ in range(2))
    other = bootstrap_intervals(values, np.ones((12, 1)), seed=5)
    assert (first == again).all()
    assert (first != other).any()
