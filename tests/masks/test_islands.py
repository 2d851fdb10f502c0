"""From probability to mask, against full-size pipelines of scipy and truth that is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_ctlns.masks.islands import islands_of, mask_from_probability, parts_of_mask
from napari_ctlns.recipe import Inference
from napari_ctlns.volume import Geometry, Volume

EVERYWHERE = np.ones((3, 3, 3))


def rules(threshold=0.5, **changes):
    values = {"min_diameter_mm": 0.0, "fill_holes": False, **changes}
    return Inference(threshold=threshold, **values)


def probability_of(array, spacing=(1.0, 1.0, 1.0)):
    return Volume(array, Geometry(array.shape, spacing), kind="probability", scan_id="a")


def cloud(seed, shape=(30, 40, 50), width=1.5):
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float16)


def test_sizes_smallest_and_order():
    array = np.zeros((20, 20, 20), np.float16)
    array[2, 2, 2:5] = 0.9  # 6 mm3
    array[8:12, 8:12, 8:12] = 0.5
    array[15:18, 3:12, 3:12] = 0.4
    probability = probability_of(array, (2.0, 1.0, 1.0))
    mask = mask_from_probability(probability, rules())
    assert (mask.kind, mask.scan_id, mask.array.dtype) == ("mask", "a", np.uint8)
    assert (mask.array[9, 9, 9], mask.array[2, 2, 3], mask.array[16, 5, 5]) == (1, 2, 0)
    assert mask_from_probability(probability, rules(min_diameter_mm=3.0)).array.max() == 1


@pytest.mark.parametrize(("diameter", "stays"), [(2.4, True), (2.5, False)])
def test_smallest_is_a_volume(diameter, stays):
    array = np.zeros((3, 4, 6), np.float16)
    array[1, 1, 1:5] = 1  # 4 voxels of 2 mm3 are a sphere of 2.48 mm
    mask = mask_from_probability(
        probability_of(array, (2.0, 1.0, 1.0)), rules(min_diameter_mm=diameter)
    )
    assert mask.array.any() == stays


def test_one_of_just_the_smallest_size_stays():
    array = np.zeros((5, 5, 5), np.float16)
    array[1:4, 1:4, 1:4] = 1
    just = (6 * 27 * 0.5 / np.pi) ** (1 / 3)
    probability = probability_of(array, (0.5, 1.0, 1.0))
    assert mask_from_probability(probability, rules(min_diameter_mm=just)).array.sum() == 27


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    low=st.floats(0.3, 0.7),
    more=st.floats(0, 0.2),
    floor=st.floats(0.05, 1),
)
def test_hysteresis_as_on_the_whole_scan(seed, low, more, floor):
    probability = probability_of(cloud(seed))
    wanted = rules(low, seed_threshold=low + more)
    labels, count = ndimage.label(probability.array >= low, EVERYWHERE)
    highest = ndimage.maximum(probability.array, labels, np.arange(count + 1))
    kept = np.flatnonzero(np.asarray(highest) >= low + more)
    oracle = np.isin(labels, kept[kept > 0])
    mask = mask_from_probability(probability, wanted)
    np.testing.assert_array_equal(mask.array > 0, oracle)
    # the same from islands that begin lower
    drawn = np.zeros_like(mask.array)
    for k, part in enumerate(parts_of_mask(islands_of(probability, low * floor), wanted), 1):
        drawn[part.box][part.inside] = k
    np.testing.assert_array_equal(drawn, mask.array)


def test_a_cavity_belongs_to_its_nodule():
    z, y, x = np.ogrid[:20, :20, :20]
    distance = np.sqrt((z - 9.5) ** 2 + (y - 9.5) ** 2 + (x - 9.5) ** 2)
    shell = ((distance < 8) & (distance > 4)).astype(np.float16)
    mask = mask_from_probability(probability_of(shell), rules(fill_holes=True, threshold=0.5))
    np.testing.assert_array_equal(mask.array, distance < 8)
    hollow = mask_from_probability(probability_of(shell), rules())
    np.testing.assert_array_equal(hollow.array, shell > 0)


def test_a_threshold_of_nothing_takes_all_that_was_looked_at():
    array = np.zeros((4, 5, 6), np.float16)
    array[1, 1, 1], array[3, 4, 5] = 0.01, 1e-6
    assert mask_from_probability(probability_of(array), rules(0.0)).array.max() == 2
    assert not mask_from_probability(probability_of(0 * array), rules(0.0)).array.any()


def test_below_the_floor_nothing_is_known():
    with pytest.raises(ValueError, match=r"begin at 0\.2"):
        parts_of_mask(islands_of(probability_of(cloud(0)), 0.2), rules(0.1))


def test_more_objects_than_a_mask_can_number():
    array = np.zeros((84, 84, 84), np.float32)
    array[::2, ::2, ::2] = 1  # 74,088 voxels alone
    array[0, 0, :3] = 1
    mask = mask_from_probability(probability_of(array), rules()).array
    assert mask.dtype == np.uint16
    assert mask.max() == np.unique(mask).size - 1 == 65535
    assert (mask == 1).sum() == 3
