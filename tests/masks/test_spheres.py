"""Sphere masks against analytic spheres and SimpleITK's coordinates."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_ctlns.errors import AnnotationError
from napari_ctlns.findings import Annotation
from napari_ctlns.masks.spheres import sphere_mask
from napari_ctlns.volume import Geometry


def annotation(centre, diameter):
    return Annotation("scan", *(float(c) for c in centre), float(diameter))


def oblique(shape, spacing, degrees=(0, 0, 0), origin=(-80.0, 30.0, -400.0)):
    rows = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    return Geometry(shape, spacing, origin, tuple(tuple(float(v) for v in r) for r in rows))


spacings = st.tuples(*[st.floats(0.4, 4.0)] * 3)
angles = st.tuples(*[st.floats(-180, 180)] * 3)
places = st.tuples(*[st.floats(11.5, 12.5)] * 3)


@settings(max_examples=60, deadline=None)
@given(spacings, angles, places, st.floats(0.3, 10.0))
def test_centroid_is_within_half_a_voxel_of_the_annotation(spacing, degrees, place, diameter):
    geometry = oblique((25, 25, 25), spacing, degrees)
    mask = sphere_mask(geometry, [annotation(geometry.index_to_world(place), diameter)])
    centroid = np.argwhere(mask == 1).mean(axis=0)
    assert np.abs(centroid - place).max() <= 0.5 + 1e-6


@settings(max_examples=30, deadline=None)
@given(spacings, angles, st.floats(2.0, 9.0))
def test_holds_exactly_the_voxels_whose_centres_lie_within_the_radius(spacing, degrees, diameter):
    geometry = oblique((23, 25, 27), spacing, degrees)
    centre = geometry.index_to_world((11.3, 12.2, 13.1))
    mask = sphere_mask(geometry, [annotation(centre, diameter)])
    # SimpleITK is asked for the place of every voxel
    image = sitk.Image(geometry.shape[::-1], sitk.sitkUInt8)
    image.SetSpacing(geometry.spacing[::-1])
    image.SetOrigin(geometry.origin)
    image.SetDirection(np.ravel(geometry.direction).tolist())
    source = sitk.PhysicalPointSource(
        sitk.sitkVectorFloat64,
        image.GetSize(),
        image.GetOrigin(),
        image.GetSpacing(),
        image.GetDirection(),
    )
    distance = np.linalg.norm(sitk.GetArrayFromImage(source) - centre, axis=-1)
    undecided = np.abs(distance - diameter / 2) < 1e-5
    inside = distance <= diameter / 2
    if not inside.any():
        inside = distance == distance.min()
    np.testing.assert_array_equal((mask == 1)[~undecided], inside[~undecided])


def test_volume_of_a_large_sphere_on_an_anisotropic_grid():
    geometry = Geometry((40, 80, 80), (2.5, 0.7, 0.8))
    mask = sphere_mask(geometry, [annotation(geometry.index_to_world((20, 40, 40)), 40)])
    assert mask.sum() * geometry.voxel_volume == pytest.approx(np.pi / 6 * 40**3, rel=0.01)


def test_labels_follow_the_order_given_and_hold_many():
    geometry = Geometry((4, 20, 20))
    rows = [annotation((i % 20, i // 20, 1), 0.5) for i in range(300)]
    mask = sphere_mask(geometry, rows)
    assert mask.dtype == np.uint16
    assert [mask[1, i // 20, i % 20] for i in range(300)] == list(range(1, 301))
    assert sphere_mask(geometry, rows[:3]).dtype == np.uint8


def test_overlapping_spheres_share_by_distance_in_radii():
    geometry = Geometry((21, 21, 41))
    large, small = annotation((14, 10, 10), 16), annotation((24, 10, 10), 8)
    for rows in ([large, small], [small, large]):
        mask = sphere_mask(geometry, rows)
        z, y, x = np.nonzero(mask)
        where = np.stack([x, y, z], -1)
        rank = [np.linalg.norm(where - r.centre, axis=1) / r.diameter_mm for r in rows]
        decided = np.abs(rank[0] - rank[1]) > 1e-6
        expected = np.argmin(rank, axis=0) + 1
        np.testing.assert_array_equal(mask[z, y, x][decided], expected[decided])


def test_a_nodule_smaller_than_a_voxel_keeps_its_voxel_inside_another():
    geometry = Geometry((15, 15, 15), (2.0, 2.0, 2.0))
    rows = [annotation((14, 14, 14), 16), annotation((18.8, 14.7, 14), 0.4)]
    for order in (rows, rows[::-1]):
        mask = sphere_mask(geometry, order)
        assert mask[7, 7, 9] == 1 + order.index(rows[1])
        assert (mask == mask[7, 7, 9]).sum() == 1


def test_a_sphere_reaching_over_the_edge_is_cut():
    geometry = Geometry((10, 10, 10))
    mask = sphere_mask(geometry, [annotation((0, 0, 0), 6)])
    z, y, x = np.indices(mask.shape)
    np.testing.assert_array_equal(mask, x**2 + y**2 + z**2 <= 9)


def test_no_annotations_give_an_empty_mask():
    assert not sphere_mask(Geometry((3, 4, 5)), []).any()


@pytest.mark.parametrize("centre", [(-0.6, 2, 2), (2, 9.6, 2), (2, 2, 100), (np.nan, 2, 2)])
def test_an_annotation_outside_is_named(centre):
    with pytest.raises(AnnotationError, match="outside the scan") as error:
        sphere_mask(Geometry((10, 10, 10)), [annotation(centre, 3)])
    assert f"({centre[0]:g}, {centre[1]:g}, {centre[2]:g})" in str(error.value)


@pytest.mark.parametrize("diameter", [0, -2, np.nan, np.inf])
def test_an_impossible_diameter_is_refused(diameter):
    with pytest.raises(AnnotationError, match="diameter"):
        sphere_mask(Geometry((10, 10, 10)), [annotation((2, 2, 2), diameter)])
