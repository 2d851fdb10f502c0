"""Two masks nodule by nodule: what is one nodule, how well it agrees, where they differ."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_ctlns.errors import MaskError
from napari_ctlns.metrics import dice, hausdorff95_mm
from napari_ctlns.metrics.pairs import BOTH, ONLY_A, ONLY_B, differences, pair_masks
from napari_ctlns.volume import Geometry, Volume

GRID = Geometry((4, 12, 20), (2.0, 0.5, 0.5), (10.0, -20.0, 5.0))


def mask(**boxes: tuple[slice, ...]) -> Volume:
    """A mask of boxes by label: `l3=np.s_[...]`."""
    array = np.zeros(GRID.shape, np.uint8)
    for name, box in boxes.items():
        array[box] = int(name[1:])
    return Volume(array, GRID, "mask")


def test_nodules_are_paired_whatever_their_labels() -> None:
    a = mask(l1=np.s_[1:3, 1:5, 1:5], l2=np.s_[0:1, 8:10, 10:12])
    b = mask(l7=np.s_[1:3, 1:5, 2:6], l3=np.s_[3:4, 8:11, 1:3])
    pairs = pair_masks(a, b)
    assert [(p.labels_a, p.labels_b) for p in pairs.nodules] == [
        ((1,), (7,)),
        ((), (3,)),
        ((2,), ()),
    ]
    both, only_b, only_a = pairs.nodules
    assert both.dice == pytest.approx(0.75)
    assert (both.volume_a_mm3, both.volume_b_mm3) == (16.0, 16.0)
    assert both.centre_distance_mm == pytest.approx(0.5)
    assert both.hausdorff95_mm == pytest.approx(0.5)
    assert both.box == np.s_[1:3, 1:5, 1:6]
    # z, y, x of 1.5, 2.5, 3.0
    assert both.centre == pytest.approx((10 + 1.5, -20 + 1.25, 5 + 3.0))
    assert (only_a.dice, only_a.volume_b_mm3, only_a.hausdorff95_mm) == (0.0, 0.0, None)
    assert (only_b.volume_a_mm3, only_b.centre_distance_mm) == (0.0, None)
    assert pairs.dice == pytest.approx(dice(a.array, b.array))


def test_what_one_splits_is_one_nodule() -> None:
    a = mask(l1=np.s_[1:3, 1:5, 1:9])
    b = mask(l1=np.s_[1:3, 1:5, 1:5], l2=np.s_[1:3, 1:5, 5:9])
    (pair,) = pair_masks(a, b).nodules
    assert (pair.labels_a, pair.labels_b, pair.dice) == ((1,), (1, 2), 1.0)
    assert pair.centre_distance_mm == pytest.approx(0.0)
    assert pair_masks(b, a).nodules[0].labels_a == (1, 2)


def test_nodules_that_only_touch_stay_two() -> None:
    a = mask(l1=np.s_[1:3, 1:5, 1:6], l2=np.s_[1:3, 1:5, 6:10])
    b = mask(l1=np.s_[1:3, 1:5, 1:5], l2=np.s_[1:3, 1:5, 5:10])
    found = {(p.labels_a, p.labels_b): p.dice for p in pair_masks(a, b).nodules}
    assert found == {
        ((1,), (1,)): pytest.approx(8 / 9),
        ((2,), (2,)): pytest.approx(8 / 9),
    }


def test_empty_masks_agree_and_other_grids_are_refused() -> None:
    empty = mask()
    pairs = pair_masks(empty, empty)
    assert (pairs.nodules, pairs.dice, pairs.iou) == ((), 1.0, 1.0)
    other = Volume(np.zeros((2, 2, 2), np.uint8), Geometry((2, 2, 2)), "mask")
    with pytest.raises(MaskError, match="different grids"):
        pair_masks(empty, other)


_masks = arrays(np.uint8, (2, 4, 4), elements=st.integers(0, 3))


@given(_masks, _masks)
def test_every_label_is_in_one_row_and_numbers_are_those_of_its_voxels(a, b) -> None:
    grid = Geometry((2, 4, 4), (2.0, 1.0, 0.5))
    pairs = pair_masks(Volume(a, grid, "mask"), Volume(b, grid, "mask"))
    for side, array in (("labels_a", a), ("labels_b", b)):
        named = [label for pair in pairs.nodules for label in getattr(pair, side)]
        assert sorted(named) == np.unique(array[array > 0]).tolist()
    for pair in pairs.nodules:
        own_a, own_b = np.isin(a, pair.labels_a), np.isin(b, pair.labels_b)
        assert pair.dice == pytest.approx(dice(own_a, own_b))
        assert pair.hausdorff95_mm == hausdorff95_mm(own_a, own_b, grid.spacing)
        assert pair.volume_b_mm3 == pytest.approx(own_b.sum())
        assert not (own_a | own_b)[pair.box].sum() < (own_a | own_b).sum()
    swapped = pair_masks(Volume(b, grid, "mask"), Volume(a, grid, "mask"))
    assert {(p.labels_b, p.labels_a) for p in swapped.nodules} == {
        (p.labels_a, p.labels_b) for p in pairs.nodules
    }


@given(_masks, _masks)
def test_differences_say_who_has_a_voxel(a, b) -> None:
    found = differences(a, b)
    assert np.array_equal(found == ONLY_A, (a > 0) & (b == 0))
    assert np.array_equal(found == ONLY_B, (b > 0) & (a == 0))
    assert np.array_equal(found == BOTH, (a > 0) & (b > 0))
