"""Clicks as a network is given them, and those that are made up for its training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ctlns.dataset.clicking import ClickDraw, click_channels, simulated_clicks

SPACING = (2.0, 1.0, 1.0)
SHAPE = (20, 40, 40)
CENTRE = np.array([10, 20, 18])
RADIUS = 7.0


def ball(radius: float = RADIUS) -> np.ndarray:
    offsets = (np.indices(SHAPE) - CENTRE.reshape(3, 1, 1, 1)) * np.reshape(SPACING, (3, 1, 1, 1))
    return (offsets**2).sum(axis=0) <= radius**2


def vessel() -> np.ndarray:
    """A bar through the ball and beyond it."""
    tissue = np.zeros(SHAPE, bool)
    tissue[9:12, 17:24, :] = True
    return tissue


def voxels(places: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(np.rint(places).astype(int).T)


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_the_first_click_lies_in_the_inner_half(seed: int) -> None:
    inside, outside = simulated_clicks(ball(), vessel(), ClickDraw((seed,), SPACING))
    assert len(inside) == 1
    assert len(outside) == 0
    away = np.linalg.norm((inside[0] - CENTRE) * SPACING)
    assert away <= RADIUS / 2 + np.linalg.norm(SPACING)  # the surface lies between voxels


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_each_further_click_says_what_is_true(seed: int) -> None:
    target = ball()
    inside, outside = simulated_clicks(target, vessel(), ClickDraw((seed,), SPACING, 3))
    assert target[voxels(inside)].all()
    assert not target[voxels(outside)].any()
    assert 1 <= len(inside) + len(outside) <= 4


def test_both_kinds_of_corrections_come_and_some_lie_in_what_is_merged() -> None:
    draws = [simulated_clicks(ball(), vessel(), ClickDraw((n,), SPACING, 3)) for n in range(40)]
    assert sum(len(inside) > 1 for inside, _ in draws) > 8
    outside = np.concatenate([places for _, places in draws])
    assert len(outside) > 8
    assert vessel()[voxels(outside)].mean() > 0.8


def test_clicks_depend_on_their_seed_alone() -> None:
    once, again, other = (
        simulated_clicks(ball(), vessel(), ClickDraw(seed, SPACING, 3))
        for seed in ((1, 2), (1, 2), (1, 3))
    )
    for one, same in zip(once, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert not np.array_equal(once[0][0], other[0][0])


def test_nothing_is_clicked_on_where_there_is_nothing() -> None:
    nothing = np.zeros(SHAPE, bool)
    inside, outside = simulated_clicks(nothing, vessel(), ClickDraw((0,), SPACING, 3))
    assert inside.shape == outside.shape == (0, 3)


def test_a_click_is_a_small_ball_in_millimetres() -> None:
    channels = click_channels(SHAPE, SPACING, np.array([[10, 20, 18.0]]), np.zeros((0, 3)))
    assert channels.dtype == np.float32
    assert channels[0, 10, 20, 18] == 1
    # 3 mm away along each axis: two standard deviations
    for place in ((10, 23, 18), (10, 20, 21)):
        assert channels[0][place] == pytest.approx(np.exp(-2))
    assert channels[0, 11, 20, 18] == pytest.approx(np.exp(-0.5 * (2 / 1.5) ** 2))
    assert not channels[1].any()


def test_several_clicks_do_not_add_up_and_may_lie_beyond_the_patch() -> None:
    close = np.array([[10, 20, 18.0], [10, 20, 18.5], [-30, 20, 18]])
    channels = click_channels(SHAPE, SPACING, np.zeros((0, 3)), close)
    assert channels[1].max() == 1
    assert not channels[0].any()
