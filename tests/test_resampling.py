import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_ctlns import resampling
from napari_ctlns.errors import ScanError
from napari_ctlns.recipe import Preparation
from napari_ctlns.resampling import (
    from_prepared,
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


@given(
    seed=st.integers(0, 1000),
    angles=st.tuples(*[st.floats(-180, 180)] * 3),
    away=st.tuples(*[st.floats(-8, 8)] * 3),
    interpolation=st.sampled_from(["linear", "nearest"]),
)
def test_in_parts_as_at_once(seed, angles, away, interpolation):
    rng = np.random.default_rng(seed)
    array = rng.integers(-1024, 1000, rng.integers(1, 9, 3)).astype(np.int16)
    source = Geometry(array.shape, (2.0, 0.7, 0.8))
    turn = tuple(map(tuple, Rotation.from_euler("xyz", angles, degrees=True).as_matrix()))
    target = Geometry((9, 5, 6), (1.1, 1.3, 0.9), away, turn)
    whole = resampling._resampled(array, source, target, interpolation, -2000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "_VOXELS_AT_ONCE", 60)  # two slices
        parts = resample_array(array, source, target, interpolation, outside=-2000)
    np.testing.assert_array_equal(parts, whole)


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


@pytest.mark.parametrize(("lowest", "copied"), [(-1024, False), (-1025, True)])
def test_only_a_scan_with_padding_is_copied(lowest, copied):
    array = np.full((3, 4, 5), lowest, np.int16)
    hu, _ = prepared_hu(Volume(array, Geometry(array.shape)), Preparation(spacing_mm=1.0))
    assert (hu.min(), array.max()) == (-1024, lowest)
    assert np.shares_memory(hu, array) != copied


def test_native_spacing_keeps_the_grid_and_forgets_the_source_order():
    flipped = Geometry((2, 3, 4), direction=((-1, 0, 0), (0, -1, 0), (0, 0, 1))).oriented()
    grid = prepared_geometry(flipped, Preparation(spacing_mm="native"))
    assert grid.same_grid(flipped)
    assert grid.source_flips == (False, False, False)


THICK = Geometry((9, 20, 24), (2.5, 0.7, 0.9), (-10.0, 5.0, 30.0))


@pytest.mark.parametrize("spacing", ["native", 1.25, (1.0, 3.0, 3.0)])
@pytest.mark.parametrize("size", [(10, 6), (31, 24)])
def test_resized_slices_cover_what_the_scan_does(spacing, size):
    grid = prepared_geometry(THICK, Preparation(spacing_mm=spacing, slice_size=size))
    assert grid.shape[1:] == size
    assert grid.size_mm[1:] == pytest.approx(THICK.size_mm[1:], abs=1e-9)
    first, last = ([-0.5] * 3, np.array(THICK.shape) - 0.5)
    corner = np.array(grid.shape) - 0.5
    assert grid.index_to_world(first) == pytest.approx(THICK.index_to_world(first), abs=1e-9)
    x, y, _ = THICK.index_to_world(last)
    assert grid.index_to_world(corner)[:2] == pytest.approx((x, y), abs=1e-9)


def test_halved_slices_are_means_of_four_pixels():
    array = np.random.default_rng(2).integers(-900, 300, (3, 8, 12)).astype(np.int16)
    scan = Volume(array, Geometry(array.shape, (2.0, 0.7, 0.7)))
    hu, grid = prepared_hu(scan, Preparation(spacing_mm="native", slice_size=(4, 6)))
    means = array.reshape(3, 4, 2, 6, 2).mean(axis=(2, 4))
    assert grid.spacing == pytest.approx((2.0, 1.4, 1.4))
    assert np.abs(hu - means).max() <= 0.5  # rounded


def test_first_slices_are_left_out_at_the_feet():
    array = np.random.default_rng(3).integers(-900, 300, (9, 6, 5)).astype(np.int16)
    heads_first = Geometry(array.shape, (2.5, 1, 1), direction=((1, 0, 0), (0, 1, 0), (0, 0, -1)))
    geometry = heads_first.oriented()
    scan = Volume(geometry.from_source(array), geometry)
    hu, grid = prepared_hu(scan, Preparation(spacing_mm="native", drop_first_slices=4))
    np.testing.assert_array_equal(hu, array[::-1][4:])
    # the lowest slice of the patient that is left: the fifth from below
    assert grid.origin[2] == pytest.approx(-8 * 2.5 + 4 * 2.5)


def test_slices_are_counted_on_the_prepared_grid():
    grid = prepared_geometry(THICK, Preparation(spacing_mm=1.0, drop_first_slices=5))
    assert grid.shape[0] == 22 - 5
    lowest = grid.index_to_world((-0.5, 0, 0))[2]
    assert lowest == pytest.approx(THICK.index_to_world((-0.5, 0, 0))[2] + 5)


def test_a_scan_with_no_slice_left_is_refused():
    with pytest.raises(ScanError, match=r"9 slices of 2\.5 mm .* first 9"):
        prepared_geometry(THICK, Preparation(spacing_mm="native", drop_first_slices=9))


def test_smoothing_clips_first_and_is_measured_in_millimetres():
    array = np.full((11, 21, 31), -800, np.int16)
    array[5, 10, 15] = 3000
    scan = Volume(array, Geometry(array.shape, (2.0, 1.0, 0.5)))
    preparation = Preparation(spacing_mm="native", clip_hu=(-1000, 400), smoothing_mm=1.0)
    hu, grid = prepared_hu(scan, preparation)
    assert hu.dtype == np.int16
    itk = sitk.SmoothingRecursiveGaussian(to_sitk(np.clip(array, -1000, 400) * 1.0, grid), 1.0)
    # ITK's is recursive and takes the kernel's continuous shape: alike, not the same
    assert np.abs(hu - sitk.GetArrayFromImage(itk)).max() < 0.03 * 1200
    expected = ndimage.gaussian_filter(np.clip(array, -1000, 400).astype(float), (0.5, 1, 2))
    assert np.abs(hu - expected).max() <= 0.51


@pytest.mark.parametrize(
    "preparation",
    [
        Preparation(spacing_mm="native", drop_first_slices=3),
        Preparation(spacing_mm="native", drop_first_slices=3, slice_size=(16, 12)),
        Preparation(spacing_mm=1.0, drop_first_slices=6),
        Preparation(spacing_mm=1.5),
    ],
)
def test_what_is_found_comes_back_to_its_place(preparation):
    grid = prepared_geometry(THICK, preparation)
    found = np.zeros(grid.shape, np.float32)
    found[:4, 4:8, 3:7] = 1
    back = from_prepared(found, THICK, preparation)
    assert back.shape == THICK.shape
    # ITK's own word on where each voxel lies; zeros around the prepared grid
    around = np.pad(found, 2)
    image = to_sitk(around, grid.cropped((-2, -2, -2), around.shape))
    reference = to_sitk(np.zeros(THICK.shape, np.float32), THICK)
    oracle = sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform()))
    inside = np.s_[:, 1:-1, 1:-1]  # at the outer faces the nearest value counts
    assert oracle.max() > 0.5
    top = None if preparation.drop_first_slices else 1  # nothing is left out: its face is outer
    np.testing.assert_allclose(back[inside][top:-1], oracle[inside][top:-1], atol=1e-5)
    labels = from_prepared((found > 0).astype(np.uint8), THICK, preparation, "nearest")
    centres = grid.world_to_index(THICK.index_to_world(np.argwhere(labels)))
    assert labels.any()
    assert (found[tuple(np.clip(np.rint(centres - 1e-6), 0, None).astype(int).T)] == 1).all()


@given(
    st.tuples(*[st.integers(3, 12)] * 3),
    st.tuples(*[st.floats(0.4, 3)] * 3),
    st.sampled_from(["native", 0.8, 2.0]),
    st.one_of(st.none(), st.tuples(st.integers(2, 20), st.integers(2, 20))),
    st.integers(0, 2),
)
def test_every_preparation_goes_there_and_back(shape, spacing, wanted, size, dropped):
    geometry = Geometry(shape, spacing, (3.0, -7.0, 11.0))
    preparation = Preparation(spacing_mm=wanted, slice_size=size, drop_first_slices=dropped)
    try:
        grid = prepared_geometry(geometry, preparation)
    except ScanError:
        return
    back = from_prepared(np.ones(grid.shape, np.float32), geometry, preparation)
    bottom = grid.index_to_world((-0.5, 0, 0))[2]
    kept = geometry.index_to_world(np.argwhere(np.ones(shape)))[:, 2].reshape(shape)
    # all of the scan but what was left out, and half a slice at its edge
    assert (back[kept > bottom + grid.spacing[0]] > 0.99).all()
    assert (back[kept < bottom - grid.spacing[0]] < 0.01).all()
