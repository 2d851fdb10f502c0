"""Meshes against bodies of known size and place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ctlns.errors import MaskError
from napari_ctlns.measurement.shape import mesh_shape
from napari_ctlns.measurement.surfaces import Mesh, lung_mesh, nodule_mesh, smoothed
from napari_ctlns.volume import Geometry

TURNED = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0))
MIRRORED = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def ball(radius_mm, spacing):
    """A ball in the middle of its array; and the grid of that array, far from 0."""
    reach = np.ceil(radius_mm / np.asarray(spacing)).astype(int) + 1
    grid = np.meshgrid(
        *(np.arange(-r, r + 1) * s for r, s in zip(reach, spacing, strict=True)), indexing="ij"
    )
    inside = sum(axis**2 for axis in grid) <= radius_mm**2
    return inside, Geometry(inside.shape, spacing, (-130.0, 45.0, 1200.0))


def edges_are_shared(mesh: Mesh):
    """Whether every edge is run through once each way: closed, and turned alike all over."""
    ways = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    forth = {tuple(way) for way in ways.tolist()}
    return len(forth) == len(ways) and forth == {(b, a) for a, b in forth}


@settings(max_examples=20, deadline=None)
@given(
    st.floats(1.0, 9.0),
    st.tuples(*[st.floats(0.5, 3.0)] * 3),
    st.sampled_from([((1, 0, 0), (0, 1, 0), (0, 0, 1)), TURNED, MIRRORED]),
)
def test_a_mesh_encloses_its_voxels_and_smoothing_keeps_that(radius, spacing, direction):
    inside, geometry = ball(radius, spacing)
    geometry = Geometry(inside.shape, spacing, geometry.origin, direction)
    mesh = nodule_mesh(inside, geometry)
    assert mesh.volume_mm3 == pytest.approx(mesh_shape(inside, spacing).volume_mm3, rel=1e-4)
    # half a voxel beyond the outermost voxel centres along each axis of the array
    places = np.argwhere(inside)
    index = geometry.world_to_index(mesh.vertices)
    np.testing.assert_allclose(index.min(axis=0), places.min(axis=0) - 0.5, atol=1e-4)
    np.testing.assert_allclose(index.max(axis=0), places.max(axis=0) + 0.5, atol=1e-4)
    soft = smoothed(mesh)
    assert soft.volume_mm3 == pytest.approx(mesh.volume_mm3, rel=1e-6)
    np.testing.assert_allclose(soft.vertices.mean(axis=0), mesh.vertices.mean(axis=0), atol=1e-6)
    assert edges_are_shared(mesh)


def test_a_smoothed_ball_is_rounder_and_stays_within_half_a_voxel():
    inside, geometry = ball(6.0, (1.0, 1.0, 1.0))
    mesh = nodule_mesh(inside, geometry)
    soft = smoothed(mesh)
    middle = mesh.vertices.mean(axis=0)
    rough, even = (np.linalg.norm(m.vertices - middle, axis=1).std() for m in (mesh, soft))
    assert even < 0.65 * rough
    assert np.linalg.norm(soft.vertices - mesh.vertices, axis=1).max() < 0.5


def test_pieces_apart_are_each_kept():
    inside = np.zeros((5, 9, 20))
    inside[2, 4, 3] = 1
    inside[1:4, 3:7, 12:17] = 1
    geometry = Geometry(inside.shape, (2.0, 1.0, 1.0))
    soft = smoothed(nodule_mesh(inside, geometry))
    small = soft.vertices[soft.vertices[:, 0] < 8]
    np.testing.assert_allclose(small.mean(axis=0), (3, 4, 4), atol=1e-6)
    # an octahedron as wide as its voxel
    np.testing.assert_allclose(np.ptp(small, axis=0), (1, 1, 2), atol=1e-6)


def test_lungs_lie_where_they_were_with_few_triangles():
    geometry = Geometry((60, 90, 120), (2.5, 1.0, 0.9), (10.0, -20.0, 300.0), TURNED)
    lungs = np.zeros(geometry.shape, np.uint8)
    lungs[10:50, 20:70, 25:95] = 1
    mesh = lung_mesh(lungs, geometry)
    index = geometry.world_to_index(mesh.vertices)
    cells = np.ceil(4.0 / np.asarray(geometry.spacing))
    assert (np.abs(index.min(axis=0) - (9.5, 19.5, 24.5)) < cells).all()
    assert (np.abs(index.max(axis=0) - (49.5, 69.5, 94.5)) < cells).all()
    assert mesh.volume_mm3 == pytest.approx(lungs.sum() * geometry.voxel_volume, rel=0.1)
    assert len(mesh.faces) < 4000


def test_nothing_has_no_surface():
    nothing = np.zeros((3, 4, 5), np.uint8)
    with pytest.raises(MaskError, match="no voxel of this nodule"):
        nodule_mesh(nothing, Geometry(nothing.shape))
    with pytest.raises(MaskError, match="no lungs"):
        lung_mesh(nothing, Geometry(nothing.shape))
