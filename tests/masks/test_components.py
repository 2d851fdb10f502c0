"""Components against scipy and SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_ctlns.masks.components import (
    components_of,
    highest_of_blocks,
    label_components,
    parts_of,
    without_holes,
)


@pytest.fixture
def noise():
    smooth = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(30, 40, 50)), 1.5)
    return smooth > 0.12


def test_same_components_as_simpleitk_by_size(noise):
    labels = label_components(noise)
    filtered = sitk.ConnectedComponent(sitk.GetImageFromArray(noise.astype(np.uint8)), True)
    oracle = sitk.GetArrayFromImage(sitk.RelabelComponent(filtered, sortByObjectSize=True))
    assert labels.max() > 5
    np.testing.assert_array_equal(np.bincount(labels.ravel()), np.bincount(oracle.ravel()))
    pairs = np.unique(np.stack([labels[noise], oracle[noise]]), axis=1)
    assert pairs.shape[1] == labels.max()  # one to one


def test_voxels_that_share_a_corner_are_one():
    binary = np.zeros((4, 4, 4), bool)
    binary[1, 1, 1] = binary[2, 2, 2] = True
    assert label_components(binary).max() == 1


def test_parts_agree_with_scipy(noise):
    labels = label_components(noise)
    labels[labels == 2] = 0
    parts = parts_of(labels)
    assert 2 not in parts.labels
    np.testing.assert_array_equal(parts.labels, np.unique(labels)[1:])
    np.testing.assert_array_equal(parts.voxels, ndimage.sum(noise, labels, parts.labels))
    oracle = ndimage.center_of_mass(noise, labels, parts.labels)
    np.testing.assert_allclose(parts.centroids, oracle)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    share=st.sampled_from([0.001, 0.01, 0.05, 0.3, 0.9]),
)
def test_one_by_one_components_are_those_of_scipy(seed, shape, share):
    mask = np.random.default_rng(seed).random(shape) < share
    oracle, count = ndimage.label(mask, np.ones((3, 3, 3)))
    boxes = ndimage.find_objects(oracle)
    seen = set()
    for box, inside in components_of(mask):
        label = oracle[box][inside].max()
        assert box == boxes[label - 1]
        np.testing.assert_array_equal(inside, oracle[box] == label)
        seen.add(int(label))
    assert seen == set(range(1, count + 1))


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(*[st.integers(1, 20)] * 3),
    sides=st.tuples(*[st.integers(1, 9)] * 3),
)
def test_blocks_have_the_highest_of_their_voxels(seed, shape, sides):
    array = np.random.default_rng(seed).integers(-9, 9, shape)
    found = highest_of_blocks(array, sides)
    assert found.shape == tuple(-(-n // side) for n, side in zip(shape, sides, strict=True))
    for index in np.ndindex(found.shape):
        block = tuple(slice(i * s, i * s + s) for i, s in zip(index, sides, strict=True))
        assert found[index] == array[block].max()


def test_nothing_stays_nothing():
    nothing = np.zeros((3, 4, 5), bool)
    assert list(components_of(nothing)) == []
    assert not label_components(nothing).any()
    assert parts_of(nothing).centroids.shape == (0, 3)


def test_holes_are_filled_as_scipy_fills_them(noise):
    pierced = noise & (np.random.default_rng(6).random(noise.shape) > 0.1)
    oracle = ndimage.binary_fill_holes(pierced)
    assert (oracle != pierced).any()
    np.testing.assert_array_equal(without_holes(pierced), oracle)
