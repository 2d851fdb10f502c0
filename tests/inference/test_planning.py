"""Windows: all that is needed is seen, well inside a window, and little else is."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ctlns.inference.planning import (
    AIR_ONLY_HU,
    MOST_VOXELS,
    answered,
    plan_tiling,
    window_starts,
)
from napari_ctlns.recipe import Inference, Network, Patches, Recipe

TISSUE = 40


def recipe(side=16, overlap=0.25, structure="nodule", **network):
    """Patches of ``side`` and a network that halves twice."""
    size = (3, side, side) if network.get("dimensions") == 2 else (side, side, side)
    return Recipe(
        name="test",
        structure=structure,
        patches=Patches(size=size),
        network=Network(channels=(4, 8, 16), **network),
        inference=Inference(overlap=overlap),
    )


def sees(start, side, voxel, length, margin):
    """Whether a window sees a voxel with so many around it, as far as the line goes."""
    return start <= max(voxel - margin, 0) and min(voxel + margin, length - 1) < start + side


def voxels(tiling, model):
    return len(tiling.starts) * math.prod(answered(tiling.window, model))


scans = st.tuples(*[st.integers(1, 70)] * 3)


@given(
    length=st.integers(1, 400),
    window=st.integers(1, 12),
    step=st.sampled_from([1, 2, 8]),
    overlap=st.integers(0, 90),
)
def test_windows_cover_a_line_evenly(length, window, step, overlap):
    window *= step
    starts = window_starts(length, window, overlap, step)
    assert starts[0] == 0
    assert all(s % step == 0 for s in starts)
    assert length <= max(starts[-1] + window, window) < length + max(step, window)
    assert len(starts) == 1 or starts[-1] + window < length + step
    gaps = np.diff(starts)
    assert (gaps > 0).all()
    assert (gaps <= max(window - overlap, step)).all()
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= step


@settings(max_examples=150, deadline=None)
@given(
    shape=scans,
    seed=st.integers(0, 1000),
    network=st.sampled_from([{}, {"norm": "instance"}, {"dimensions": 2}]),
    fixed=st.booleans(),
    overlap=st.sampled_from([0.0, 0.25, 0.5]),
)
def test_what_is_needed_is_seen_well_inside_a_window(shape, seed, network, fixed, overlap):
    model = recipe(overlap=overlap, **network)
    rng = np.random.default_rng(seed)
    inside = rng.random(shape) < rng.choice([0.001, 0.01, 0.5])
    hu = np.where(rng.random(shape) < 0.5, TISSUE, -1000).astype(np.int16)
    window = model.patches.size if fixed else None
    tiling = plan_tiling(hu, model, window, inside)
    steps = model.network.steps
    answer = answered(tiling.window, model)
    assert list(tiling.starts) == sorted(set(tiling.starts))
    assert all(
        s % step == 0 for start in tiling.starts for s, step in zip(start, steps, strict=True)
    )
    assert not np.remainder(answer, steps).any()
    needed = np.argwhere(inside & (hu > AIR_ONLY_HU))
    own = answered(model.patches.size, model)
    margins = [0 if side == 1 else round(overlap * side) // 2 for side in own]
    for voxel in needed[:: max(len(needed) // 40, 1)]:
        assert any(all(map(sees, start, answer, voxel, shape, margins)) for start in tiling.starts)


@settings(max_examples=60, deadline=None)
@given(shape=scans, seed=st.integers(0, 1000))
def test_a_free_choice_never_looks_at_more_than_the_fixed_window(shape, seed):
    model = recipe()
    inside = np.zeros(shape, bool)
    a, b = np.sort(np.random.default_rng(seed).integers(0, shape, (2, 3)), axis=0)
    inside[a[0] : b[0] + 1, a[1] : b[1] + 1, a[2] : b[2] + 1] = True
    hu = np.full(shape, TISSUE, np.int16)
    free, own = plan_tiling(hu, model, None, inside), plan_tiling(hu, model, (16, 16, 16), inside)
    assert voxels(free, model) <= voxels(own, model)


def test_two_lungs_get_windows_of_their_own():
    """Between them nothing is looked at, and a large scan costs hardly more than its lungs."""
    model = recipe(32)
    hu = np.full((160, 160, 240), TISSUE, np.int16)
    inside = np.zeros(hu.shape, bool)
    inside[30:130, 40:120, 20:84] = inside[30:130, 40:120, 156:220] = True
    tiling = plan_tiling(hu, model, None, inside)
    assert voxels(tiling, model) < 2.4 * inside.sum()
    assert voxels(tiling, model) < 0.6 * voxels(plan_tiling(hu, model, (32, 32, 32), inside), model)
    assert math.prod(tiling.window) <= MOST_VOXELS


def test_a_network_that_depends_on_its_window_keeps_it():
    model = recipe(16, norm="instance")
    for shape in [(5, 5, 5), (40, 40, 40)]:
        assert plan_tiling(np.full(shape, TISSUE, np.int16), model).window == (16, 16, 16)


def test_nothing_needed_is_nothing_seen():
    air = np.full((20, 20, 20), -1000, np.int16)
    assert plan_tiling(air, recipe()).starts == ()
    assert plan_tiling(air, recipe(structure="lung")).starts != ()
    tissue = np.full((20, 20, 20), TISSUE, np.int16)
    assert plan_tiling(tissue, recipe(), inside=np.zeros((20, 20, 20), bool)).starts == ()


def test_a_chosen_window_is_used():
    hu = np.full((64, 64, 64), TISSUE, np.int16)
    assert plan_tiling(hu, recipe(), (32, 16, 24)).window == (32, 16, 24)
    assert plan_tiling(hu[:, :20], recipe(), (32, 32, 24)).window == (32, 20, 24)
