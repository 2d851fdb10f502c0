"""Solid, part-solid and ground glass: balls of known tissue, blurred as scanners do."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_ctlns.masks.label_box import around, box_in
from napari_ctlns.masks.solid_part import LOOK_MM, solid_part
from napari_ctlns.phantom import PhantomSpec, make_phantom

LUNG, GLASS, SOLID, BLOOD = -850.0, -600.0, 30.0, 40.0


def scene(spacing=(1.0, 0.7, 0.7), half_mm=14.0):
    """Places (mm) of a cube's voxels from its centre, (3, z, y, x)."""
    reach = [int(half_mm / s) for s in spacing]
    grid = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
    return np.stack([g * s for g, s in zip(grid, spacing, strict=True)])


def ball(places, diameter, centre=(0, 0, 0)):
    return np.linalg.norm(places - np.reshape(centre, (3, 1, 1, 1)), axis=0) <= diameter / 2


def vessel(places, diameter):
    """A tube through the centre, slanting."""
    along = np.array([0.3, 0.8, 0.52])
    along /= np.linalg.norm(along)
    across = places - np.tensordot(along, np.tensordot(along, places, 1), 0)
    return np.linalg.norm(across, axis=0) <= diameter / 2


def scanned(parts, spacing=(1.0, 0.7, 0.7), blur_mm=0.6, noise=25.0, seed=0):
    """HU of (where, HU) drawn over each other on lung, blurred, with noise."""
    hu = np.full(parts[0][0].shape, LUNG)
    for where, value in parts:
        hu[where] = value
    hu = ndimage.gaussian_filter(hu, [blur_mm / s for s in spacing])
    return hu + noise * np.random.default_rng(seed).standard_normal(hu.shape)


@settings(max_examples=15, deadline=None)
@given(
    st.floats(4.5, 20), st.sampled_from([0.5, 0.8]), st.floats(0, 1.2), st.integers(0, 2**32 - 1)
)
def test_a_solid_nodule_with_a_blurred_rim_is_solid(diameter, blur, wider, seed):
    places = scene()
    hu = scanned([(ball(places, diameter), SOLID)], blur_mm=blur, seed=seed)
    inside = ball(places, diameter + wider)  # readers draw a little outside
    found = solid_part(hu, inside, (1.0, 0.7, 0.7))
    assert found.type == "solid"
    assert np.array_equal(found.inside, inside)


@settings(max_examples=15, deadline=None)
@given(st.floats(5, 20), st.floats(-700, -450), st.integers(0, 2**32 - 1))
def test_ground_glass_has_no_solid_part(diameter, glass, seed):
    places = scene()
    inside = ball(places, diameter)
    found = solid_part(scanned([(inside, glass)], seed=seed), inside, (1.0, 0.7, 0.7))
    assert found.type == "ground-glass"
    assert not found.inside.any()


@pytest.mark.parametrize(
    ("diameter", "width"), [(d, w) for d in (8, 12, 20) for w in (1.0, 1.5, 2.0, 3.0)]
)
def test_a_vessel_through_ground_glass_makes_no_solid_part(diameter, width):
    places = scene()
    inside = ball(places, diameter)
    hu = scanned([(inside, GLASS), (vessel(places, width), BLOOD)])
    assert solid_part(hu, inside, (1.0, 0.7, 0.7)).type == "ground-glass"


@pytest.mark.parametrize("spacing", [(1.0, 0.7, 0.7), (2.5, 0.7, 0.7)])
@pytest.mark.parametrize("core", [5, 8])
@pytest.mark.parametrize("with_vessel", [False, True])
def test_a_core_in_ground_glass_is_the_solid_part(spacing, core, with_vessel):
    places = scene(spacing)
    inside, solid = ball(places, 16), ball(places, core, (0, 1, 1))
    tube = [(vessel(places, 1.5), BLOOD)] if with_vessel else []
    hu = scanned([(inside, GLASS), *tube, (solid, SOLID)], spacing)
    found = solid_part(hu, inside, spacing)
    assert found.type == "part-solid"
    assert (2 * (found.inside & solid).sum()) / (found.inside.sum() + solid.sum()) > 0.75


def test_a_sliver_of_chest_wall_makes_no_solid_part():
    places = scene()
    wall, glass = places[1] > 4.5, ball(places, 14)
    hu = scanned([(glass, GLASS), (wall, 50.0)])
    inside = glass & (places[1] < 5.5)  # a millimetre of the wall is drawn, too
    assert solid_part(hu, inside, (1.0, 0.7, 0.7)).type == "ground-glass"
    # and a solid nodule at the wall is solid
    hu = scanned([(glass, SOLID), (wall, 50.0)])
    assert solid_part(hu, inside, (1.0, 0.7, 0.7)).type == "solid"


@pytest.mark.parametrize("spacing", [(1.0, 0.7, 0.7), (2.5, 0.7, 0.7)])
@pytest.mark.parametrize("core", [4, 5, 6])
def test_a_core_at_the_chest_wall_is_a_solid_part(spacing, core):
    places = scene(spacing)
    wall, glass, solid = places[1] > 4.5, ball(places, 12), ball(places, core, (0, 3.0, 0))
    inside = glass & (places[1] < 5.0)
    found = solid_part(
        scanned([(glass, GLASS), (solid, SOLID), (wall, 50.0)], spacing), inside, spacing
    )
    assert found.type == "part-solid"
    drawn = solid & inside
    assert (found.inside & drawn).sum() > 0.75 * drawn.sum()
    assert found.inside.sum() < 2 * drawn.sum()


@pytest.mark.parametrize("diameter", [8, 12])
@pytest.mark.parametrize("drawn_mm", [0.0, 0.7, 1.4])
def test_neither_wall_nor_a_vessel_to_it_makes_a_solid_part(diameter, drawn_mm):
    places = scene()
    edge = diameter / 2 - 1.5
    wall, glass = places[1] > edge, ball(places, diameter)
    inside = glass & (places[1] < edge + drawn_mm)
    hu = scanned([(glass, GLASS), (vessel(places, 1.5), BLOOD), (wall, 50.0)])
    assert solid_part(hu, inside, (1.0, 0.7, 0.7)).type == "ground-glass"


def test_one_voxel():
    inside = np.zeros((3, 3, 3), bool)
    inside[1, 1, 1] = True
    assert solid_part(np.full((3, 3, 3), 20.0), inside, (1.0, 1.0, 1.0)).type == "solid"
    assert solid_part(np.full((3, 3, 3), -600.0), inside, (1.0, 1.0, 1.0)).type == "ground-glass"


@pytest.mark.slow
def test_types_on_phantoms():
    """Nodules of 6 mm and more in chests with vessels, on slices of 0.7 to 2.5 mm."""
    told: Counter[tuple[str, str]] = Counter()
    for seed, spacing in enumerate([(1.25, 0.75, 0.75), (0.7, 0.7, 0.7), (2.5, 0.7, 0.7)] * 3, 200):
        spec = PhantomSpec(
            seed=seed,
            spacing=spacing,
            extent_mm=(96, 220, 300),
            n_nodules=14,
            diameter_mm=(6, 25),
            kernel="sharp" if seed % 3 == 2 else "soft",
        )
        phantom = make_phantom(spec)
        labels, hu = phantom.mask.array, phantom.volume.array
        for nodule in phantom.nodules:
            wider = around(box_in(labels, nodule.label), labels.shape, spacing, LOOK_MM)
            found = solid_part(hu[wider], labels[wider] == nodule.label, spacing)
            told[nodule.density, found.type] += 1
    assert told.total() >= 100
    right = sum(n for (true, found), n in told.items() if true == found)
    assert right >= 0.85 * told.total(), told
    solid = sum(n for (true, _), n in told.items() if true == "solid")
    assert told["solid", "solid"] >= 0.98 * solid, told
