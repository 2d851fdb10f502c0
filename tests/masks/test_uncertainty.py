"""How unsure a model is of a scan."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from napari_ctlns.masks.uncertainty import scan_uncertainty
from napari_ctlns.volume import Geometry, Volume

SHAPE = (3, 4, 5)


def of(values: np.ndarray) -> Volume:
    return Volume(values.astype(np.float32), Geometry(values.shape), "probability")


def test_it_is_the_mean_entropy_of_what_is_probable() -> None:
    values = np.random.default_rng(0).random(SHAPE)
    looked_at = values.astype(np.float32)[values.astype(np.float32) >= 0.1].astype(float)
    expected = entropy([looked_at, 1 - looked_at], base=2, axis=0).mean()
    assert scan_uncertainty(of(values)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0), (0.05, 0), (0.5, 1), (1.0, 0)])
def test_it_is_one_where_yes_is_as_probable_as_no(value: float, expected: float) -> None:
    values = np.zeros(SHAPE)
    values[1] = value
    assert scan_uncertainty(of(values)) == pytest.approx(expected, abs=1e-6)


def test_a_large_background_changes_nothing() -> None:
    values = np.random.default_rng(1).random(SHAPE)
    padded = np.pad(values, 3)
    assert scan_uncertainty(of(padded)) == pytest.approx(scan_uncertainty(of(values)))


def test_of_several_answers_it_is_how_far_they_disagree() -> None:
    agreed = np.full(SHAPE, 0.5)
    assert scan_uncertainty(of(agreed), of(np.zeros(SHAPE))) == 0
    assert scan_uncertainty(of(agreed), of(np.full(SHAPE, 0.5))) == pytest.approx(1)
    assert scan_uncertainty(of(agreed), of(np.full(SHAPE, 0.1))) == pytest.approx(0.2)


@given(st.lists(st.floats(0, 1, width=32), min_size=60, max_size=60))
def test_it_is_a_share(values: list[float]) -> None:
    assert 0 <= scan_uncertainty(of(np.reshape(values, SHAPE))) <= 1 + 1e-9
