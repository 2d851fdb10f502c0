"""Surfaces and diameters against bodies of known size, and SimpleITK."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_ctlns.measurement.axes import axial_axes
from napari_ctlns.measurement.shape import mesh_shape

SPACING = (1.5, 0.7, 0.8)


def ellipsoid(semi_axes, rotation, spacing=SPACING, offset=(0.0, 0.0, 0.0)):
    """An ellipsoid of semi-axes (mm) turned by a rotation of (z, y, x), centre by index."""
    reach = np.ceil(max(semi_axes) / np.asarray(spacing)).astype(int) + 2
    grid = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
    place = (np.stack(grid, axis=-1) - offset) * spacing
    turned = place @ rotation.as_matrix()
    return (turned**2 / np.square(semi_axes)).sum(-1) <= 1


def ellipsoid_axes(semi_axes, rotation):
    """Long and short in-plane axis of its central slice, the largest of all parallel ones."""
    matrix = rotation.as_matrix()
    quadric = matrix @ np.diag(1 / np.square(semi_axes)) @ matrix.T
    return 2 / np.sqrt(np.linalg.eigvalsh(quadric[1:, 1:]))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.floats(3, 12), st.floats(3, 12), st.floats(3, 12)),
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.floats(-0.5, 0.5)] * 2),
)
def test_axes_of_ellipsoids_of_any_orientation(semi_axes, seed, offset):
    rotation = Rotation.random(random_state=seed)
    inside = ellipsoid(semi_axes, rotation, offset=(0.0, *offset))
    axes = axial_axes(inside, SPACING)
    long, short = ellipsoid_axes(semi_axes, rotation)
    diagonal = np.hypot(*SPACING[1:])
    assert abs(axes.long_mm - long) <= diagonal
    assert axes.short_mm <= axes.long_mm + 1e-9
    # how far the short axis may be off grows with how freely the long one can turn
    assert abs(axes.short_mm - short) <= 2 * diagonal + 0.1 * short


@settings(max_examples=20, deadline=None)
@given(st.floats(6, 15), st.integers(0, 2**32 - 1))
def test_volume_area_and_diameter_of_ellipsoids(longest, seed):
    semi_axes = (longest, 0.8 * longest, 0.6 * longest)
    inside = ellipsoid(semi_axes, Rotation.random(random_state=seed), (1.0, 0.7, 0.7))
    shape = mesh_shape(inside, (1.0, 0.7, 0.7))
    volume = 4 / 3 * np.pi * np.prod(semi_axes)
    assert shape.volume_mm3 == pytest.approx(volume, rel=0.05)
    assert shape.max_3d_diameter_mm == pytest.approx(2 * longest, abs=1.0)
    # Knud Thomsen's formula, within 1.1 %; a mesh of voxels is rougher than the body
    p = 1.6075
    a, b, c = np.power(semi_axes, p)
    area = 4 * np.pi * ((a * b + a * c + b * c) / 3) ** (1 / p)
    assert shape.surface_area_mm2 == pytest.approx(area, rel=0.13)
    sphericity = (36 * np.pi * volume**2) ** (1 / 3) / area
    assert shape.sphericity == pytest.approx(sphericity, rel=0.13)


def test_a_single_voxel():
    shape = mesh_shape(np.ones((1, 1, 1)), (3.0, 2.0, 1.0))
    # an octahedron whose half diagonals are half the voxel's sides
    assert shape.volume_mm3 == pytest.approx(4 / 3 * 1.5 * 1.0 * 0.5)
    assert shape.max_3d_diameter_mm == pytest.approx(3.0)
    assert axial_axes(np.ones((1, 1, 1)), (3.0, 2.0, 1.0))[:2] == pytest.approx((2.0, 1.0))


def test_a_row_of_pixels_is_as_long_as_its_pixels():
    inside = np.zeros((3, 9, 9))
    inside[1, 4, 2:8] = 1
    assert axial_axes(inside, (5.0, 0.7, 0.8))[:2] == pytest.approx((6 * 0.8, 0.7))


def test_the_long_axis_is_of_the_slice_where_it_is_longest_and_the_short_one_too():
    inside = np.zeros((3, 30, 30))
    inside[0, 5:20, 5:20] = 1  # wider, but shorter
    inside[1, 10:14, 2:28] = 1
    axes = axial_axes(inside, (1.0, 1.0, 1.0))
    assert axes.long_mm == pytest.approx(26, abs=0.5)
    assert axes.short_mm == pytest.approx(4, abs=0.6)


def test_the_short_axis_is_a_chord_not_the_width():
    # a slanting band: perpendicular to its diagonal no chord is as long as the shadow
    y, x = np.mgrid[:60, :60]
    band = (x + y > 20) & (x + y < 80) & (np.abs(x - y) < 12)
    bend = band & ~((x > 30) & (y < 30))
    axes = axial_axes(band[None], (1.0, 1.0, 1.0))
    assert axes.short_mm == pytest.approx(24 / np.sqrt(2), abs=3.5)
    assert axial_axes(bend[None], (1.0, 1.0, 1.0)).short_mm <= axes.short_mm


def test_diameter_agrees_with_simpleitk_up_to_half_voxels():
    random = np.random.default_rng(3)
    inside = ellipsoid((9, 7, 5), Rotation.random(random_state=1)) & (
        random.random(ellipsoid((9, 7, 5), Rotation.random(random_state=1)).shape) > 0.02
    )
    image = sitk.GetImageFromArray(inside.astype(np.uint8))
    image.SetSpacing(SPACING[::-1])
    filter_ = sitk.LabelShapeStatisticsImageFilter()
    filter_.ComputeFeretDiameterOn()
    filter_.Execute(image)
    feret = filter_.GetFeretDiameter(1)  # between voxel centres
    assert 0 < mesh_shape(inside, SPACING).max_3d_diameter_mm - feret <= np.linalg.norm(SPACING)
