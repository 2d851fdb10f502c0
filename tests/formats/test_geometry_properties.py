"""Any grid: there and back, written and read, and as SimpleITK sees it."""

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import center_of_mass
from scipy.spatial.transform import Rotation

from napari_ctlns.findings import Annotation
from napari_ctlns.formats import read_mask, read_scan, write_volume
from napari_ctlns.masks.spheres import sphere_mask
from napari_ctlns.volume import Geometry, Volume, direction_rows

NAMES = ["a.mhd", "a.mha", "a.nii", "a.nii.gz", "a.nrrd", "a.nhdr"]
EXACT = ["a.mhd", "a.mha", "a.nrrd", "a.nhdr"]
SINGLE_PRECISION_MM = 1e-3
"""NIfTI-1 keeps spacing, origin and direction in single precision."""

ORIENTATIONS = [
    np.eye(3)[:, list(order)] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
TYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64]


def number(low, high):
    return st.floats(low, high, allow_nan=False)


def triple(strategy):
    return st.tuples(strategy, strategy, strategy)


SMALL = triple(st.integers(1, 6))


@st.composite
def grids(draw, shapes=SMALL):
    """A source's own grid: any of the 48 orientations, turned a little."""
    turn = Rotation.from_rotvec(draw(triple(number(-0.4, 0.4)))).as_matrix()
    return Geometry(
        shape=draw(shapes),
        spacing=draw(triple(number(0.2, 6))),
        origin=draw(triple(number(-800, 800))),
        direction=direction_rows(turn @ draw(st.sampled_from(ORIENTATIONS))),
    )


@st.composite
def volumes(draw, types=(np.int16, np.int32, np.float32, np.float64)):
    own = draw(grids())
    array = draw(arrays.arrays(draw(st.sampled_from(types)), own.shape, fill=st.nothing()))
    array = np.nan_to_num(array, posinf=0, neginf=0)
    geometry = own.oriented()
    return Volume(np.ascontiguousarray(geometry.from_source(array)), geometry)


def corners(geometry):
    return np.array(list(itertools.product(*[(0, n - 1) for n in geometry.shape])))


def places_in_simpleitk(image, index):
    return [image.TransformIndexToPhysicalPoint([int(v) for v in i[::-1]]) for i in index]


@given(own=grids(), index=triple(number(-50, 600)))
@settings(max_examples=300)
def test_world_to_index_and_back(own, index):
    for geometry in (own, own.oriented()):
        world = geometry.index_to_world(index)
        assert geometry.world_to_index(world) == pytest.approx(index, abs=1e-6)
        again = geometry.index_to_world(geometry.world_to_index(world))
        assert np.abs(again - world).max() < 1e-6


@given(own=grids(shapes=triple(st.integers(1, 40))))
@settings(max_examples=200)
def test_a_voxel_stays_where_it_is_when_axes_are_turned(own):
    geometry = own.oriented()
    numbers = np.arange(np.prod(own.shape)).reshape(own.shape)
    turned = geometry.from_source(numbers)
    assert turned.shape == geometry.shape
    assert np.array_equal(geometry.to_source(turned), numbers)
    index = np.argwhere(np.isin(turned, [0, 1, numbers.size // 2, numbers.size - 1]))
    before = np.array(np.unravel_index(turned[tuple(index.T)], own.shape)).T
    between = geometry.index_to_world(index) - own.index_to_world(before)
    assert np.abs(between).max() < 1e-6
    assert geometry.source.same_grid(own, 1e-6)
    diagonal = np.diag(np.asarray(geometry.direction))
    assert (diagonal > 0.5).all()


@pytest.mark.parametrize("name", NAMES)
@given(volume=volumes())
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_by_us_and_by_simpleitk(name, volume):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_volume(volume, path)
        again = read_scan(path)
        image = sitk.ReadImage(str(path))
    assert again.array.dtype == volume.array.dtype
    assert np.array_equal(again.array, volume.array)
    assert again.geometry.source_axes == volume.geometry.source_axes
    assert again.geometry.source_flips == volume.geometry.source_flips
    tolerance = 1e-6 if name in EXACT else SINGLE_PRECISION_MM
    at = corners(volume.geometry)
    between = again.geometry.index_to_world(at) - volume.geometry.index_to_world(at)
    assert np.abs(between).max() < tolerance
    own = volume.geometry.source
    assert np.array_equal(
        sitk.GetArrayViewFromImage(image), volume.geometry.to_source(volume.array)
    )
    told = places_in_simpleitk(image, corners(own))
    assert np.abs(told - own.index_to_world(corners(own))).max() < tolerance


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packed", [False, True])
@given(own=grids(), kind=st.sampled_from(TYPES))
@settings(max_examples=25, deadline=None)
def test_what_simpleitk_writes_is_read_as_simpleitk_reads_it(name, packed, own, kind):
    array = np.arange(np.prod(own.shape)).reshape(own.shape).astype(kind)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(own.spacing[::-1])
    image.SetOrigin(own.origin)
    image.SetDirection(np.ravel(own.direction))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        sitk.WriteImage(image, str(path), packed)
        image = sitk.ReadImage(str(path))
        volume = read_scan(path)
    own = volume.geometry.source
    assert volume.array.dtype == kind
    assert np.array_equal(volume.geometry.to_source(volume.array), array)
    assert own.shape == image.GetSize()[::-1]
    assert own.spacing[::-1] == pytest.approx(image.GetSpacing(), abs=1e-6)
    assert own.origin == pytest.approx(image.GetOrigin(), abs=1e-6)
    assert np.ravel(own.direction) == pytest.approx(image.GetDirection(), abs=1e-6)


@given(
    own=grids(shapes=triple(st.integers(24, 30))), where=triple(number(0.35, 0.65)), data=st.data()
)
@settings(max_examples=100, deadline=None)
def test_a_spheres_centroid_is_where_it_was_annotated(own, where, data):
    geometry = own.oriented()
    centre = (np.asarray(geometry.shape) - 1) * where
    # wholly inside, whatever the spacings
    most = min(
        min(c, n - 1 - c) * s
        for c, n, s in zip(centre, geometry.shape, geometry.spacing, strict=True)
    )
    diameter = data.draw(number(0.5, 2 * most))
    annotation = Annotation("a", *geometry.index_to_world(centre), diameter)
    mask = sphere_mask(geometry, [annotation])
    assert np.abs(np.array(center_of_mass(mask)) - centre).max() <= 0.5 + 1e-6
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.nii.gz"
        write_volume(Volume(mask, geometry, "mask"), path)
        again = read_mask(path)
    found = again.geometry.index_to_world(center_of_mass(again.array))
    apart = geometry.world_to_index(found) - centre
    assert np.abs(apart).max() <= 0.5 + 1e-3
