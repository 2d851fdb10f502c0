"""What the phantom says about its nodules is what lies in its voxels."""

import numpy as np
import pytest
from scipy import ndimage

from napari_ctlns.errors import ScanError
from napari_ctlns.phantom import Phantom, PhantomSpec, make_phantom
from napari_ctlns.phantom.shapes import IN_PLANE_MM, draw_shape, library

BOX = (56.0, 170.0, 250.0)


def test_a_sphere_is_labelled_to_its_analytic_surface() -> None:
    spec = PhantomSpec(
        seed=3,
        spacing=(1.25, 0.9, 0.9),
        extent_mm=BOX,
        n_nodules=2,
        diameter_mm=(11, 13),
        shapes={"sphere": 1},
        attachments={"isolated": 1},
    )
    phantom = make_phantom(spec)
    geometry = phantom.mask.geometry
    for nodule in phantom.nodules:
        centre = np.array(nodule.annotation.centre)
        radius = nodule.annotation.diameter_mm / 2
        index = np.argwhere(np.ones(geometry.shape, bool))
        distance = np.linalg.norm(geometry.index_to_world(index) - centre, axis=1)
        labelled = phantom.mask.array.ravel() == nodule.label
        assert labelled[distance < radius - 0.5].all()
        assert not labelled[distance > radius + 0.5].any()
        assert labelled.sum() * geometry.voxel_volume == pytest.approx(
            4 / 3 * np.pi * radius**3, rel=0.02
        )


def test_masks_hold_the_true_volume_about_the_annotated_centre(slab: Phantom) -> None:
    geometry = slab.mask.geometry
    for nodule in slab.nodules:
        inside = slab.mask.array == nodule.label
        volume = inside.sum() * geometry.voxel_volume
        assert volume == pytest.approx(nodule.volume_mm3, rel=0.12)
        assert nodule.volume_mm3 == pytest.approx(np.pi / 6 * nodule.annotation.diameter_mm**3)
        centroid = np.argwhere(inside).mean(axis=0)
        index = geometry.world_to_index(nodule.annotation.centre)
        assert np.abs(centroid - index).max() < 0.5


def test_nodules_are_the_same_at_another_spacing(slab: Phantom, slab_spec: PhantomSpec) -> None:
    coarse = make_phantom(slab_spec.model_copy(update={"spacing": (3.0, 2.0, 2.0)}))
    for a, b in zip(slab.nodules, coarse.nodules, strict=True):
        assert b.annotation.centre == pytest.approx(a.annotation.centre, abs=1e-3)
        assert b.volume_mm3 == pytest.approx(a.volume_mm3, rel=1e-4)
        assert (b.shape, b.density, b.attachment) == (a.shape, a.density, a.attachment)


def test_even_the_smallest_nodule_has_a_voxel_in_thick_slices() -> None:
    spec = PhantomSpec(
        seed=5, spacing=(8, 3, 3), extent_mm=BOX, n_nodules=6, diameter_mm=(3, 4), noise_hu=0
    )
    phantom = make_phantom(spec)
    assert set(np.unique(phantom.mask.array)) == set(range(7))


def test_nodules_keep_apart_and_in_range(slab: Phantom, slab_spec: PhantomSpec) -> None:
    low, high = slab_spec.diameter_mm
    for nodule in slab.nodules:
        assert low <= nodule.annotation.diameter_mm <= high
        around = ndimage.binary_dilation(slab.mask.array == nodule.label)
        assert set(np.unique(slab.mask.array[around])) <= {0, nodule.label}
    assert len(slab.nodules) == slab_spec.n_nodules == slab.mask.array.max()


def test_a_pleural_nodule_ends_at_the_chest_wall() -> None:
    spec = PhantomSpec(
        seed=8,
        spacing=(1.5, 1.2, 1.2),
        extent_mm=BOX,
        n_nodules=3,
        diameter_mm=(9, 14),
        densities={"ground-glass": 1},
        attachments={"pleura": 1},
        noise_hu=0,
    )
    phantom = make_phantom(spec)
    for nodule in phantom.nodules:
        inside = phantom.mask.array == nodule.label
        assert nodule.attachment == "pleura"
        # the wall is not part of it, but right beside it
        assert np.median(phantom.volume.array[inside]) < -400
        assert np.mean(phantom.volume.array[inside] > -150) < 0.1
        rim = ndimage.binary_dilation(inside, iterations=2) & ~inside
        assert np.mean(phantom.volume.array[rim] > -150) > 0.1


def test_an_isolated_solid_nodule_touches_nothing_dense() -> None:
    spec = PhantomSpec(
        seed=9,
        spacing=(1.2, 1, 1),
        extent_mm=BOX,
        n_nodules=2,
        diameter_mm=(8, 12),
        shapes={"lidc": 1},
        densities={"solid": 1},
        attachments={"isolated": 1},
        noise_hu=0,
    )
    phantom = make_phantom(spec)
    dense, _ = ndimage.label(phantom.volume.array > -350)
    for nodule in phantom.nodules:
        inside = phantom.mask.array == nodule.label
        part = np.bincount(dense[inside])[1:].argmax() + 1
        assert (dense == part).sum() < 1.6 * inside.sum()


def test_a_readers_shape_is_drawn_as_the_readers_drew_it() -> None:
    lib = library()
    rng = np.random.default_rng(0)
    for number in rng.choice(np.flatnonzero(lib.diameter > 8), 5, replace=False):
        from napari_ctlns.phantom.shapes import _lidc

        depth_at, reach, diameter = _lidc(int(number))
        mask = lib.mask(int(number))
        spacing = np.array([float(lib.slice_spacing[number]), IN_PLANE_MM, IN_PLANE_MM])
        offset = (np.argwhere(np.ones_like(mask)) - np.argwhere(mask).mean(axis=0)) * spacing
        z, y, x = offset.astype(np.float32).T
        drawn = depth_at(z, y, x).reshape(mask.shape) > 0
        assert 2 * (drawn & mask).sum() / (drawn.sum() + mask.sum()) > 0.85
        assert diameter == pytest.approx(lib.diameter[number], rel=0.03)
        assert np.linalg.norm(offset[drawn.ravel()], axis=1).max() <= reach


@pytest.mark.parametrize("kind", ["lidc", "sphere", "ellipsoid", "lobulated", "spiculated"])
def test_no_shape_reaches_beyond_its_extent(kind: str) -> None:
    rng = np.random.default_rng(4)
    shape = draw_shape(kind, 12.0, "solid", rng)
    way = rng.normal(size=(4000, 3))
    way *= 1.01 * shape.extent / np.linalg.norm(way, axis=1, keepdims=True)
    z, y, x = way.astype(np.float32).T
    assert (shape.depth(z, y, x) < 0).all()
    middle = np.zeros(1, np.float32)
    assert shape.depth(middle, middle, middle)[0] > 0


def test_shapes_are_mostly_the_readers() -> None:
    assert len(library().diameter) == 853
    assert np.percentile(library().diameter, 1) > 3
    assert np.percentile(library().diameter, 99) < 32


def test_too_many_nodules_are_refused_in_words() -> None:
    spec = PhantomSpec(
        seed=1, spacing=(4, 4, 4), extent_mm=(40, 120, 160), n_nodules=150, diameter_mm=(20, 25)
    )
    with pytest.raises(ScanError, match="nodules have room"):
        make_phantom(spec)
