import numpy as np
import pytest
from scipy import ndimage

from napari_ctlns.recipe import Preparation
from napari_ctlns.resampling import (
    from_sitk_geometry,
    prepared_geometry,
    prepared_hu,
    resample_array,
    to_sitk,
)
from napari_ctlns.volume import Geometry, Volume

TURNED = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))


def ramp(geometry):
    """Values linear in world coordinates, which linear resampling keeps exactly."""
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    return geometry.index_to_world(index) @ np.array([1.0, 2.0, -3.0])


def test_geometry_survives_simpleitk():
    geometry = Geometry((2, 3, 4), (2.5, 0.7, 0.8), (-1.0, 2.0, 3.5), TURNED)
    image = to_sitk(np.zeros(geometry.shape, np.int16), geometry)
    assert from_sitk_geometry(image) == geometry
    index = (1, 2, 3)
    expected = image.TransformIndexToPhysicalPoint(index[::-1])
    assert geometry.index_to_world(index) == pytest.approx(expected)


def test_a_ramp_in_the_patient_stays_a_ramp():
    source = Geometry((12, 20, 22), (2.5, 0.7, 0.8), (-10.0, 5.0, 30.0), TURNED)
    target = Geometry((8, 9, 7), (1.0, 1.1, 0.9), tuple(source.index_to_world((3, 12, 5))))
    values = resample_array(ramp(source), source, target)
    inside = source.contains(target.index_to_world(np.argwhere(np.ones(target.shape))))
    assert inside.sum() > 100
    assert values.ravel()[inside] == pytest.approx(ramp(target).ravel()[inside], abs=1e-9)


def test_linear_agrees_with_scipy():
    array = np.random.default_rng(0).normal(size=(6, 7, 8))
    source = Geometry(array.shape, (2.0, 1.0, 1.0))
    target = Geometry((5, 9, 9), (1.5, 0.6, 0.7), (0.3, 0.2, 0.1))
    index = source.world_to_index(target.index_to_world(np.argwhere(np.ones(target.shape))))
    expected = ndimage.map_coordinates(array, index.T, order=1, mode="nearest")
    assert resample_array(array, source, target).ravel() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_nearest_keeps_labels_and_dtype(dtype):
    array = np.zeros((4, 4, 4), dtype)
    array[1:3, 1:3, 1:3] = 1
    source = Geometry(array.shape)
    fine = resample_array(array, source, source.resampled((0.5, 0.5, 0.5)), "nearest")
    assert fine.dtype == dtype
    assert np.array_equal(fine, np.kron(array, np.ones((2, 2, 2), int)).astype(dtype))


def test_far_outside_counts_as_told():
    array = np.full((3, 3, 3), 7, np.int16)
    source = Geometry(array.shape)
    target = Geometry((1, 1, 6), origin=(-3.0, 1.0, 1.0))
    values = resample_array(array, source, target, outside=-1024).ravel()
    assert values.tolist() == [-1024, -1024, 7, 7, 7, 7]


def test_the_same_grid_is_not_resampled():
    array = np.zeros((2, 2, 2))
    geometry = Geometry(array.shape)
    assert resample_array(array, geometry, Geometry(array.shape)) is array


def test_prepared_hu_clamps_padding_before_it_interpolates():
    array = np.full((4, 8, 8), -3024, np.int32)
    array[:, 4:] = -24
    scan = Volume(array, Geometry(array.shape, (2.5, 0.8, 0.8)))
    hu, grid = prepared_hu(scan, Preparation(spacing_mm=1.0))
    assert hu.dtype == np.int16
    assert hu.shape == grid.shape == (10, 6, 6)
    assert grid.spacing == (1.0, 1.0, 1.0)
    assert hu.min() == -1024
    assert hu.max() == -24


def test_native_spacing_keeps_the_grid_and_forgets_the_source_order():
    flipped = Geometry((2, 3, 4), direction=((-1, 0, 0), (0, -1, 0), (0, 0, 1))).oriented()
    grid = prepared_geometry(flipped, Preparation(spacing_mm="native"))
    assert grid.same_grid(flipped)
    assert grid.source_flips == (False, False, False)
