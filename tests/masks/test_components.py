"""Components against scipy and SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from napari_ctlns.masks.components import (
    label_components,
    mask_from_probability,
    parts_of,
    remove_small,
)
from napari_ctlns.volume import Geometry, Volume


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


def test_small_ones_go_and_the_rest_is_renumbered():
    labels = np.zeros((10, 10, 10), np.uint16)
    labels[0, 0, :4] = 3
    labels[5:8, 5:8, 5:8] = 9
    labels[9, 9, :2] = 12
    # 4 voxels of 2 mm3 are a sphere of 2.48 mm, 27 one of 4.69 mm
    assert np.unique(remove_small(labels, 2.0, 2.4)).tolist() == [0, 1, 2]
    kept = remove_small(labels, 2.0, 2.5)
    np.testing.assert_array_equal(kept, labels == 9)
    assert not remove_small(labels, 2.0, 4.7).any()


def test_an_object_of_just_the_smallest_size_stays():
    labels = np.ones((3, 3, 3), np.uint8)
    assert remove_small(labels, 0.5, (6 * 27 * 0.5 / np.pi) ** (1 / 3)).all()


def test_nothing_stays_nothing():
    nothing = np.zeros((3, 4, 5), bool)
    assert not label_components(nothing).any()
    assert not remove_small(nothing.astype(np.uint8), 1.0, 3.0).any()
    assert parts_of(nothing).centroids.shape == (0, 3)


def test_mask_from_probability():
    geometry = Geometry((20, 20, 20), (2.0, 1.0, 1.0))
    array = np.zeros(geometry.shape, np.float16)
    array[2, 2, 2:5] = 0.9  # 6 mm3
    array[8:12, 8:12, 8:12] = 0.5
    array[15:18, 3:12, 3:12] = 0.4
    probability = Volume(array, geometry, kind="probability", scan_id="a")
    mask = mask_from_probability(probability, 0.5, 0.0)
    assert (mask.kind, mask.scan_id, mask.array.dtype) == ("mask", "a", np.uint8)
    assert (mask.array[9, 9, 9], mask.array[2, 2, 3], mask.array[16, 5, 5]) == (1, 2, 0)
    assert mask_from_probability(probability, 0.5, 3.0).array.max() == 1


def test_more_components_than_a_mask_can_number():
    array = np.zeros((84, 84, 84), np.float32)
    array[::2, ::2, ::2] = 1  # 74,088 voxels alone
    array[0, 0, :3] = 1
    probability = Volume(array, Geometry(array.shape), kind="probability")
    mask = mask_from_probability(probability, 0.5).array
    assert mask.dtype == np.uint16
    assert mask.max() == np.unique(mask).size - 1 == 65535
    assert (mask == 1).sum() == 3
