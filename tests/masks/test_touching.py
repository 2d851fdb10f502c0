"""Objects that touch are told apart, lobules of one are not."""

import numpy as np
import pytest
from scipy import ndimage

from napari_ctlns.masks.touching import split_touching

SHAPE = (40, 50, 80)


def ball(centre, radius, spacing=(1.0, 1.0, 1.0)):
    grid = np.indices(SHAPE) * np.reshape(spacing, (3, 1, 1, 1))
    return ((grid - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(axis=0) < radius**2


def drawn(pieces):
    labels = np.zeros(SHAPE, int)
    for k, (box, inside) in enumerate(pieces, start=1):
        assert not labels[box][inside].any()
        labels[box][inside] = k
    return labels


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.7, 0.7)])
@pytest.mark.parametrize(("r1", "r2"), [(8, 8), (9, 5), (4, 4)])
def test_two_that_just_touch_are_two(spacing, r1, r2):
    first = ball((16, 16, 15), r1, spacing)
    second = ball((16, 16, 15 + 0.95 * (r1 + r2)), r2, spacing)
    labels = drawn(split_touching(first | second, spacing, 3.0))
    assert labels.max() == 2
    np.testing.assert_array_equal(labels > 0, first | second)
    for true in (first, second):
        best = max((2 * np.count_nonzero(true & (labels == k)), k) for k in (1, 2))
        dice = best[0] / (true.sum() + (labels == best[1]).sum())
        assert dice > 0.95


@pytest.mark.parametrize("apart", [0, 3, 6, 9])
def test_lobules_of_one_are_one(apart):
    both = ball((20, 25, 30), 10) | ball((20, 25, 30 + apart), 9)
    assert drawn(split_touching(both, (1.0, 1.0, 1.0), 3.0)).max() == 1


def test_three_in_a_row():
    row = ball((20, 25, 15), 8) | ball((20, 25, 30), 8) | ball((20, 25, 45), 8)
    assert drawn(split_touching(row, (1.0, 1.0, 1.0), 3.0)).max() == 3


def test_a_rough_surface_is_not_cut_off():
    rng = np.random.default_rng(0)
    rough = ndimage.gaussian_filter(rng.normal(size=SHAPE), 1) * 6
    grid = np.indices(SHAPE) - np.reshape((20, 25, 40), (3, 1, 1, 1))
    one, _ = ndimage.label(np.sqrt((grid**2).sum(axis=0)) + rough < 12, np.ones((3, 3, 3)))
    one = one == one[20, 25, 40]
    assert drawn(split_touching(one, (1.0, 1.0, 1.0), 3.0)).max() == 1


def test_what_is_smaller_than_a_nodule_stays_with_its_neighbour():
    both = ball((20, 25, 20), 8) | ball((20, 25, 29), 2)
    assert drawn(split_touching(both, (1.0, 1.0, 1.0), 5.0)).max() == 1


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 30), (2, 3, 4)])
def test_whatever_fills_its_array_is_one(shape):
    ((_, inside),) = split_touching(np.ones(shape, bool), (1.0, 1.0, 1.0), 0.0)
    assert inside.shape == shape
    assert inside.all()
