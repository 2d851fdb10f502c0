import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ctlns.events import ThreadControl
from napari_ctlns.inference.planning import window_starts
from napari_ctlns.inference.tiling import (
    SlabBlender,
    blending_weights,
    predict_array,
)
from napari_ctlns.normalising import scaling_of
from napari_ctlns.recipe import Inference, Network, Patches, Recipe


class Engine:
    """A stand-in for a network: any function of a batch."""

    name = "test"
    notes = ()

    def __init__(self, function, batch_size=1):
        self.function = function
        self.batch_size = batch_size
        self.windows = 0

    def run(self, batch):
        assert batch.dtype == np.float32
        assert batch.ndim == 5
        self.windows += len(batch)
        return self.function(batch)


def _recipe(window=(16, 16, 16), overlap=0.25, structure="nodule", **network):
    return Recipe(
        name="test",
        structure=structure,
        patches=Patches(size=window),
        network=Network(channels=(4, 8, 16), **network),
        inference=Inference(overlap=overlap),
    )


def _scan(shape, seed=0):
    return np.random.default_rng(seed).integers(-1024, 400, shape).astype(np.int16)


def _drain(generator):
    events = []
    while True:
        try:
            events.append(next(generator))
        except StopIteration as end:
            return events, end.value


def _predict(*arguments, **keywords):
    return _drain(predict_array(*arguments, **keywords))[1]


def test_weights_are_positive_symmetric_and_next_to_nothing_at_the_border():
    weights = blending_weights((16, 24, 32))
    assert weights.shape == (16, 24, 32)
    assert weights.dtype == np.float32
    assert weights.min() > 0
    for axis in range(3):
        np.testing.assert_allclose(weights, np.flip(weights, axis), rtol=1e-5)
    assert weights[0].max() < 0.002 * weights.max()


@settings(deadline=None, max_examples=20)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)),
    overlap=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_a_constant_answer_blends_to_that_constant(shape, overlap):
    engine = Engine(lambda batch: np.full_like(batch, 0.75))
    hu = np.zeros(shape, np.int16)
    probability = _predict(hu, engine, _recipe(overlap=overlap))
    assert probability.shape == shape
    np.testing.assert_allclose(probability, 0.75, rtol=1e-6)


def test_voxels_come_back_where_they_were():
    hu = _scan((21, 50, 33))
    recipe = _recipe()
    probability = _predict(hu, Engine(lambda batch: batch, batch_size=3), recipe)
    np.testing.assert_allclose(
        probability, scaling_of(recipe.preparation, hu).applied(hu), atol=6e-4
    )


def test_blending_in_slabs_equals_blending_all_at_once():
    rng = np.random.default_rng(1)
    shape, window = (45, 30, 38), (16, 16, 16)
    weights = blending_weights(window)
    axes = [window_starts(n, w, 6, 4) for n, w in zip(shape, window, strict=True)]
    blender = SlabBlender(shape, weights)
    total = np.zeros([n + 16 for n in shape])
    weight = np.zeros_like(total)
    for start in itertools.product(*axes):
        if sum(start) % 3 == 0:  # some windows are left out
            continue
        values = rng.random(window).astype(np.float32)
        blender.add(start, values)
        part = tuple(slice(s, s + w) for s, w in zip(start, window, strict=True))
        total[part] += values * weights
        weight[part] += weights
    expected = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    np.testing.assert_allclose(blender.result(), expected[:45, :30, :38], atol=6e-4)


def test_the_blender_holds_no_more_slices_than_a_window():
    blender = SlabBlender((1000, 8, 8), blending_weights((16, 8, 8)))
    held = sum(v.nbytes for v in vars(blender).values() if isinstance(v, np.ndarray))
    assert held < (3 * 16 + 1000) * 8 * 8 * 4


def test_windows_must_come_by_rising_z():
    blender = SlabBlender((40, 8, 8), blending_weights((8, 8, 8)))
    blender.add((16, 0, 0), np.ones((8, 8, 8), np.float32))
    with pytest.raises(ValueError, match="rising z"):
        blender.add((8, 0, 0), np.ones((8, 8, 8), np.float32))


def test_a_network_that_sees_little_gives_what_it_gives_for_the_whole_scan():
    torch.manual_seed(0)
    # reaches two voxels; its own zero padding only tells at the borders of windows
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(4, 1, 3, padding=1)
    )

    def run(batch):
        with torch.no_grad():
            return torch.sigmoid(network(torch.from_numpy(batch))).numpy()

    hu = _scan((40, 48, 56))
    recipe = _recipe(window=(32, 32, 32))
    whole = run(scaling_of(recipe.preparation, hu).applied(hu)[None, None])[0, 0]
    probability = _predict(hu, Engine(run), recipe, inside=None)
    np.testing.assert_allclose(probability, whole, atol=2e-3)


def test_only_windows_that_touch_the_inside_are_run():
    hu = _scan((64, 64, 64))
    inside = np.zeros(hu.shape, bool)
    inside[40, 41, 42] = True
    engine = Engine(np.ones_like)
    probability = _predict(hu, engine, _recipe(overlap=0.0), inside=inside)
    assert engine.windows == 1
    expected = np.zeros(hu.shape)
    expected[40:56, 40:56, 40:56] = 1
    np.testing.assert_array_equal(probability, expected)


def test_windows_of_mere_air_are_not_run():
    hu = np.full((16, 16, 64), -1000, np.int16)
    hu[:, :, 50] = 40
    engine = Engine(np.ones_like)
    probability = _predict(hu, engine, _recipe(overlap=0.0))
    assert engine.windows == 1
    np.testing.assert_array_equal(np.flatnonzero(probability.any((0, 1))), np.arange(48, 64))


def test_lungs_are_looked_for_in_air_too():
    hu = np.full((16, 16, 32), -1000, np.int16)
    assert _predict(hu, Engine(np.ones_like), _recipe(structure="lung")).min() == 1


@pytest.mark.parametrize("channels", [1, 3, 7])
@pytest.mark.parametrize("shape", [(9, 40, 21), (2, 16, 16), (1, 12, 30)])
def test_two_dimensions_answer_for_the_middle_slice_of_every_window(channels, shape):
    """An engine that passes on the middle slice gives the scan back, voxel for voxel."""
    middles = Engine(lambda batch: batch[:, :, channels // 2 : channels // 2 + 1], batch_size=4)
    hu, recipe = _scan(shape), _recipe((channels, 16, 16), dimensions=2)
    probability = _predict(hu, middles, recipe)
    expected = scaling_of(recipe.preparation, hu).applied(hu)
    np.testing.assert_allclose(probability, expected, atol=6e-4)


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_slices_beyond_the_scan_are_its_mirror_image(depth):
    seen = []

    def run(batch):
        seen.extend(batch[:, 0])
        return batch[:, :, 3:4]

    hu, recipe = _scan((depth, 16, 16)), _recipe((7, 16, 16), dimensions=2)
    _predict(hu, Engine(run, batch_size=3), recipe)
    scaled = scaling_of(recipe.preparation, hu).applied(hu)
    there_and_back = np.concatenate([scaled, scaled[::-1]] * 9)  # one mirror image on the other
    first = 4 * 2 * depth
    assert len(seen) == depth
    for z, window in enumerate(seen):
        np.testing.assert_array_equal(window, there_and_back[first + z - 3 : first + z + 4])


def test_a_scan_smaller_than_a_window_gets_a_smaller_one_if_that_changes_nothing():
    shapes = []

    def run(batch):
        shapes.append(batch.shape[2:])
        return batch[:, :, :1] if batch.shape[2] == 3 else batch

    hu = _scan((3, 21, 16))
    _predict(hu, Engine(run), _recipe((16, 32, 32)))
    _predict(hu, Engine(run), _recipe((16, 32, 32), norm="instance"))
    _predict(hu, Engine(run), _recipe((3, 32, 32), dimensions=2))
    assert shapes[:2] == [(4, 24, 16), (16, 32, 32)]
    assert set(shapes[2:]) == {(3, 24, 16)}


def test_beyond_a_small_scan_lies_its_mirror_image():
    seen = []

    def run(batch):
        seen.append(batch[0, 0].copy())
        return batch

    hu = _scan((3, 20, 16))
    recipe = _recipe(norm="instance")
    _predict(hu, Engine(run), recipe)
    assert seen[0].shape == (16, 16, 16)
    expected = np.concatenate([hu, hu[::-1], hu, hu[::-1], hu, hu[::-1]])[:16, :16]
    np.testing.assert_array_equal(
        seen[0], scaling_of(recipe.preparation, expected).applied(expected)
    )


def test_progress_counts_windows_to_the_end():
    events, _ = _drain(
        predict_array(
            _scan((32, 32, 32)), Engine(np.ones_like, batch_size=3), _recipe(), (16, 16, 16)
        )
    )
    assert [e.done for e in events] == [*range(3, 27, 3), 27]
    assert {(e.total, e.unit) for e in events} == {(27, "window")}


def test_a_stop_ends_within_one_window():
    control = ThreadControl()
    engine = Engine(np.ones_like)
    scan = _scan((64, 64, 64))
    generator = predict_array(scan, engine, _recipe(), (16, 16, 16), control=control)
    next(generator)
    control.stop()
    events, probability = _drain(generator)
    assert probability is None
    assert events == []
    assert engine.windows == 1
