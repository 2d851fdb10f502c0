"""Lungs in a body of simple shapes, and on real scans with a truth."""

import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.masks.near_lungs import near_lungs
from napari_ctlns.metrics import compare_masks, dice
from napari_ctlns.phantom import SLAB_MM, PhantomSpec, make_phantom
from napari_ctlns.resampling import from_sitk_geometry
from napari_ctlns.volume import Geometry, Volume

from .chests import chest, crop, edited, ellipsoid

DATA = Path(__file__).parents[3] / "shared" / "data"


def test_a_chest():
    volume, truth = chest()
    mask = lung_mask(volume)
    assert (mask.kind, mask.scan_id, mask.array.dtype) == ("mask", "chest", np.uint8)
    assert mask.geometry is volume.geometry
    assert mask.array.max() == 1
    assert dice(mask.array, truth) > 0.97
    middle = np.s_[:, 94, 125]
    assert (volume.array[middle] < -800).sum() > 40  # the trachea, open to both lungs
    assert mask.array[middle].sum() <= 8


@pytest.mark.parametrize("spacing", [(5.0, 0.8, 0.9), (4.0, 4.0, 4.0), (1.0, 2.0, 2.0)])
def test_any_spacing(spacing):
    volume, truth = chest(spacing)
    assert dice(lung_mask(volume).array, truth) > 0.97


def test_noise_of_a_sharp_kernel():
    volume, truth = chest(noise=150.0)
    assert dice(lung_mask(volume).array, truth) > 0.95


def test_a_slab_cut_above_and_below():
    volume, truth = crop(*chest(), np.s_[60:76, :, :])
    assert dice(lung_mask(volume).array, truth) > 0.97


def test_a_crop_cut_through_the_lungs():
    # one lung, cut by the faces; body and outer air on one side only
    volume, truth = crop(*chest(), np.s_[30:100, 40:140, 10:100])
    assert dice(lung_mask(volume).array, truth) > 0.95


def test_a_crop_with_a_wall_on_one_side_only():
    volume, truth = crop(*chest(), np.s_[50:90, 70:115, 20:75])
    assert truth.mean() > 0.3
    assert dice(lung_mask(volume).array, truth) > 0.95


def test_nodules_on_the_pleura_and_masses_inside_belong_to_the_lungs():
    volume, truth = chest()
    array = volume.array.copy()
    nodule = ellipsoid(volume.geometry, (20, 0, -124), (8, 8, 8)) & truth
    mass = ellipsoid(volume.geometry, (20, 0, 75), (20, 20, 20))
    array[nodule | mass] = 40
    mask = lung_mask(Volume(array, volume.geometry)).array
    assert mask[mass].all()
    assert mask[nodule].mean() > 0.8


def test_the_surface_is_that_of_the_voxels_not_of_the_cells_between_which_it_was_found():
    volume, truth = crop(*chest((5.0, 0.8, 0.9)), np.s_[32:40, :, :])
    lungs = lung_mask(volume).array
    assert dice(lungs[4], truth[4]) > 0.99


def test_a_large_nodule_and_a_mass_on_the_ribs_belong_to_the_lungs():
    volume, truth = chest()
    left = ellipsoid(volume.geometry, (20, 0, 128), (14, 14, 14)) & truth
    right = ellipsoid(volume.geometry, (20, 30, -125), (25, 25, 25)) & truth
    lungs = lung_mask(edited(volume, left | right, 40)).array
    assert lungs[left].mean() > 0.85
    assert lungs[right].mean() > 0.85
    assert dice(lungs, truth) > 0.97


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("top", [True, False])
def test_an_airless_lobe_belongs_to_the_lungs(side, top):
    volume, truth = chest((2.5, 2.5, 2.5))
    z, _, x = np.ogrid[tuple(slice(n) for n in truth.shape)]
    half = (x > truth.shape[2] // 2) == (side > 0)
    lobe = truth & half & ((z > 76) if top else (z < 64))
    assert lobe.sum() > 0.15 * truth.sum()
    lungs = lung_mask(edited(volume, lobe, 20, 25)).array
    assert lungs[lobe].mean() > 0.9
    assert dice(lungs, truth) > 0.96


def test_a_side_without_air_stays_empty():
    volume, truth = chest((2.5, 2.5, 2.5))
    left = truth & (np.arange(truth.shape[2]) > truth.shape[2] // 2)
    assert dice(lung_mask(edited(volume, left, 20)).array, truth & ~left) > 0.97


def test_fluid_around_a_lung_does_not_belong_to_it():
    volume, truth = chest()
    y = np.arange(truth.shape[1])[:, None] - truth.shape[1] // 2
    fluid = truth & (y * 1.6 > 45) & (np.arange(truth.shape[2]) > truth.shape[2] // 2)
    assert fluid.sum() > 0.05 * truth.sum()
    assert dice(lung_mask(edited(volume, fluid, 10)).array, truth & ~fluid) > 0.97


@pytest.mark.parametrize("hu", [-995, -960])
def test_gas_in_the_gut_is_no_lung(hu):
    volume, truth = chest()
    gas = ellipsoid(volume.geometry, (-135, -20, 30), (22, 50, 70))
    gas &= ~ellipsoid(volume.geometry, (20, 0, 75), (118, 88, 63))  # the diaphragm between
    gas &= ~ellipsoid(volume.geometry, (20, 0, -75), (118, 88, 63))
    assert gas.sum() * volume.geometry.voxel_volume > 200_000
    assert dice(lung_mask(edited(volume, gas, hu)).array, truth) > 0.97


@pytest.mark.parametrize("x", [178, 190])  # they touch the body or do not
def test_arms_beside_the_body_change_nothing(x):
    volume, truth = chest((2.5, 2.5, 2.5))
    arms = ellipsoid(volume.geometry, (0, 10, -x), (1e6, 14, 14))
    arms |= ellipsoid(volume.geometry, (0, 10, x), (1e6, 14, 14))
    assert dice(lung_mask(edited(volume, arms & (volume.array < -500), 40)).array, truth) > 0.97


@pytest.mark.parametrize("axes", [(1,), (0, 1, 2)])
def test_a_patient_lying_otherwise_has_the_same_lungs(axes):
    volume, truth = chest((2.5, 2.5, 2.5))
    turned = Volume(np.flip(volume.array, axes), volume.geometry)
    assert dice(lung_mask(turned).array, np.flip(truth, axes)) > 0.97


@pytest.mark.parametrize("radius", [170, 120])
@pytest.mark.parametrize("padding", [-2048, -1000])
def test_a_round_field_of_view_may_cut_the_lungs(padding, radius):
    volume, truth = chest((2.5, 2.5, 2.5))
    within = ellipsoid(volume.geometry, (0, 0, 0), (1e6, radius, radius))
    assert (truth & ~within).any() == (radius == 120)
    lungs = lung_mask(edited(volume, ~within, padding, sd=0)).array
    assert dice(lungs, truth & within) > 0.97


@pytest.mark.parametrize("nothing", [np.nan, -1e5])
def test_floats_and_what_is_no_number(nothing):
    volume, _ = chest((2.5, 2.5, 2.5))
    array = volume.array.astype(np.float32)
    array[~ellipsoid(volume.geometry, (0, 0, 0), (1e6, 150, 200))] = nothing
    lungs = lung_mask(Volume(array, volume.geometry)).array
    assert np.array_equal(lungs, lung_mask(volume).array)


def test_unsigned_values_cannot_hold_lungs():
    assert not lung_mask(
        Volume(np.full((20, 30, 30), 40, np.uint16), Geometry((20, 30, 30)))
    ).array.any()


@pytest.mark.parametrize("value", [-1000, 40])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 40), (60, 120, 120)])
def test_no_lungs_give_an_empty_mask(value, shape):
    volume = Volume(np.full(shape, value, np.int16), Geometry(shape, (2.5, 2.5, 2.5)))
    assert not lung_mask(volume).array.any()


def test_a_body_without_lungs():
    volume, truth = chest()
    array = volume.array.copy()
    array[truth] = 40
    assert not lung_mask(Volume(array, volume.geometry)).array.any()


def read(path):
    if not path.exists():
        pytest.skip(f"no ../shared/data/{path.relative_to(DATA)}")
    image = sitk.ReadImage(str(path))
    return Volume(sitk.GetArrayFromImage(image), from_sitk_geometry(image))


@pytest.mark.parametrize(
    ("scan", "truth"),
    [
        ("chest-64/ct-64.nrrd", "chest-64/wholeLung-64.nrrd"),
        ("lung-crop-mha/3DCT_lung.mha", "lung-crop-mha/3DCT_lung_baseline_mask.mha"),
    ],
)
def test_real_lungs(scan, truth):
    comparison = compare_masks(lung_mask(read(DATA / scan)), read(DATA / truth))
    assert comparison["dice"] >= 0.95
    assert comparison["hausdorff95_mm"] < 8


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [(1.25, 0.75, 0.75), (5.0, 1.0, 1.0), (2.5, 2.0, 2.0)])
@pytest.mark.parametrize("extent", [None, SLAB_MM])
def test_phantoms(spacing, extent):
    spec = PhantomSpec(
        seed=round(10 * spacing[0]),
        spacing=spacing,
        extent_mm=extent,
        diameter_mm=(10, 30),
        attachments={"pleura": 1},
    )
    phantom = make_phantom(spec)
    lungs = lung_mask(phantom.volume)
    assert dice(lungs.array > 0, phantom.lungs.array > 0) > 0.97
    assert near_lungs(phantom.volume, lungs, 5)[phantom.mask.array > 0].all()


@pytest.mark.slow
def test_a_large_scan_takes_seconds():
    small, truth = chest()
    shape = (300, 512, 512)
    nearest = np.ix_(*(np.arange(n) * m // n for n, m in zip(shape, truth.shape, strict=True)))
    spacing = tuple(
        s * m / n for s, m, n in zip(small.geometry.spacing, truth.shape, shape, strict=True)
    )
    volume = Volume(small.array[nearest], Geometry(shape, spacing))
    start = time.process_time()
    mask = lung_mask(volume)
    assert time.process_time() - start < 3  # 1.0 s on an idle core
    assert dice(mask.array, truth[nearest]) > 0.97
