import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_ctlns.volume import Geometry, Source, Volume

ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


@st.composite
def geometries(draw):
    number = lambda low, high: st.floats(low, high, allow_nan=False)  # noqa: E731
    turn = Rotation.from_rotvec([draw(number(-0.3, 0.3)) for _ in range(3)]).as_matrix()
    direction = turn @ draw(st.sampled_from(ORIENTATIONS))
    return Geometry(
        shape=tuple(draw(st.integers(1, 6)) for _ in range(3)),
        spacing=tuple(draw(number(0.2, 6)) for _ in range(3)),
        origin=tuple(draw(number(-900, 900)) for _ in range(3)),
        direction=tuple(tuple(float(v) for v in row) for row in direction),
    )


def numbered(geometry):
    return np.arange(np.prod(geometry.shape)).reshape(geometry.shape)


@given(geometries(), st.tuples(*[st.floats(-500, 500)] * 3))
def test_world_and_index_undo_each_other(geometry, index):
    back = geometry.world_to_index(geometry.index_to_world(index))
    moved = geometry.index_to_world(back) - geometry.index_to_world(index)
    assert np.abs(moved).max() < 1e-6


@given(geometries())
def test_every_voxel_keeps_its_place_when_oriented(geometry):
    array = numbered(geometry)
    oriented = geometry.oriented()
    turned = oriented.from_source(array)
    assert turned.shape == oriented.shape
    ours = np.argwhere(turned >= 0)
    source = np.array([np.argwhere(array == turned[tuple(i)])[0] for i in ours])
    distance = geometry.index_to_world(source) - oriented.index_to_world(ours)
    assert np.abs(distance).max() < 1e-6


@given(geometries())
def test_oriented_axes_run_along_lps(geometry):
    oriented = geometry.oriented()
    assert (np.diag(np.asarray(oriented.direction)) > 0.5).all()
    again = oriented.oriented()
    assert again.source_axes == (0, 1, 2)
    assert again.source_flips == (False, False, False)


@given(geometries())
def test_the_source_grid_comes_back(geometry):
    oriented = geometry.oriented()
    assert oriented.source.same_grid(geometry, 1e-6)
    array = numbered(geometry)
    assert np.array_equal(oriented.to_source(oriented.from_source(array)), array)


@pytest.mark.parametrize("direction", ORIENTATIONS)
def test_flips_and_permutations_are_exact_and_not_oblique(direction):
    rows = tuple(tuple(float(v) for v in row) for row in direction)
    geometry = Geometry((2, 3, 4), (3.0, 2.0, 1.0), (10.0, 20.0, 30.0), rows)
    oriented = geometry.oriented()
    assert np.array_equal(np.asarray(oriented.direction), np.eye(3))
    assert oriented.source == geometry
    assert not oriented.is_oblique
    assert "-0.0" not in json.dumps(oriented.source.direction)


@given(geometries(), st.tuples(*[st.integers(-3, 3)] * 3))
def test_a_crop_stays_where_it_was(geometry, start):
    crop = geometry.cropped(start, (2, 2, 2))
    assert crop.index_to_world((0, 0, 0)) == pytest.approx(geometry.index_to_world(start))
    last = np.add(start, 1)
    assert crop.index_to_world((1, 1, 1)) == pytest.approx(geometry.index_to_world(last))


@given(geometries(), st.floats(0.3, 3))
def test_resampled_grids_share_their_first_corner_and_size(geometry, spacing):
    fine = geometry.resampled((spacing,) * 3)
    corner = geometry.index_to_world((-0.5, -0.5, -0.5))
    assert fine.index_to_world((-0.5, -0.5, -0.5)) == pytest.approx(corner, abs=1e-6)
    for ours, theirs in zip(fine.size_mm, geometry.size_mm, strict=True):
        assert ours == pytest.approx(max(theirs, spacing), abs=spacing / 2 + 1e-9)


def test_a_point_is_inside_up_to_the_outer_faces():
    geometry = Geometry((2, 2, 2), (2.0, 1.0, 1.0))
    assert geometry.contains([(0, 0, -1), (0, 0, 2.99), (-0.5, 0, 0)]).all()
    assert not geometry.contains([(0, 0, 3.01), (0, 1.51, 0), (-0.51, 0, 0)]).any()


def test_grids_of_other_shape_or_place_differ():
    geometry = Geometry((4, 5, 6))
    assert geometry.same_grid(replace(geometry, origin=(0.0005, 0.0, 0.0)))
    assert not geometry.same_grid(replace(geometry, origin=(0.002, 0.0, 0.0)))
    assert not geometry.same_grid(replace(geometry, shape=(4, 5, 5)))
    assert not geometry.same_grid(replace(geometry, spacing=(1.001, 1.0, 1.0)))


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_hu_clamps_a_copy(dtype):
    stored = np.array([-3024, -1024, 40], dtype).reshape(1, 1, 3)
    volume = Volume(stored, Geometry((1, 1, 3)))
    assert volume.hu().ravel().tolist() == [-1024, -1024, 40]
    assert volume.hu().dtype == dtype
    assert stored[0, 0, 0] == -3024


def test_hu_takes_what_is_no_number_for_air():
    stored = np.array([np.nan, 5], np.float32).reshape(1, 1, 2)
    assert Volume(stored, Geometry((1, 1, 2))).hu().ravel().tolist() == [-1024, 5]


def test_hu_of_unsigned_voxels_stays():
    stored = np.array([0, 255], np.uint8).reshape(1, 1, 2)
    assert Volume(stored, Geometry((1, 1, 2))).hu().ravel().tolist() == [0, 255]


def test_an_array_must_fit_its_geometry():
    with pytest.raises(ValueError, match="differ"):
        Volume(np.zeros((2, 2, 2)), Geometry((2, 2, 3)))


def test_a_volume_is_known_by_its_file_or_its_folders():
    volume = Volume(np.zeros((1, 1, 1), np.int16), Geometry((1, 1, 1)), scan_id="1.2.3")
    assert volume.title == "1.2.3"
    for path, form, title in (
        ("scans/1.2.3.mhd", "mhd", "1.2.3.mhd"),
        ("patient/ct", "dicom", "patient/ct"),
    ):
        source = Source(Path(path), form)
        assert replace(volume, source=source).title == title
