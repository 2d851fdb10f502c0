"""Lungs in a body of simple shapes, and on real scans with a truth."""

import functools
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.metrics import compare_masks, dice
from napari_ctlns.resampling import from_sitk_geometry
from napari_ctlns.volume import Geometry, Volume

DATA = Path(__file__).parents[3] / "shared" / "data"


def ellipsoid(geometry, centre, semi_axes):
    """Where (z, y, x) mm from the middle of the grid lie in an ellipsoid."""
    axes = [
        (np.arange(n) - (n - 1) / 2) * s
        for n, s in zip(geometry.shape, geometry.spacing, strict=True)
    ]
    zyx = np.meshgrid(*axes, indexing="ij", sparse=True)
    return sum(((p - c) / a) ** 2 for p, c, a in zip(zyx, centre, semi_axes, strict=True)) <= 1


@functools.cache
def chest(spacing=(2.5, 1.6, 1.6), noise=30.0):
    """A body, two lungs, a trachea that leaves it at the top, gut gas and a table."""
    extent = (320, 300, 400)
    geometry = Geometry(tuple(round(e / s) for e, s in zip(extent, spacing, strict=True)), spacing)
    hu = np.full(geometry.shape, -1000.0)
    hu[ellipsoid(geometry, (0, 0, 0), (1e6, 110, 165))] = 40
    lungs = ellipsoid(geometry, (20, 0, -75), (110, 80, 55))
    lungs |= ellipsoid(geometry, (20, 0, 75), (110, 80, 55))
    hu[lungs] = -850
    for x in (-70, 80):  # vessels
        hu[ellipsoid(geometry, (10, 10, x), (60, 4, 4)) & lungs] = 50
    middle = (geometry.shape[1] // 2, geometry.shape[2] // 2)
    z0 = round(190 / spacing[0])
    w = round(8 / spacing[1])
    hu[z0:, middle[0] - w : middle[0] + w, middle[1] - w : middle[1] + w] = -1000
    main = np.s_[z0 : z0 + round(8 / spacing[0]), middle[0] - w : middle[0] + w]
    hu[main][..., abs(np.arange(geometry.shape[2]) - middle[1]) < 35 / spacing[2]] = -1000
    hu[ellipsoid(geometry, (-145, -40, 40), (12, 30, 35))] = -1000  # stomach
    back = middle[0] + round(120 / spacing[1])
    hu[:, back : back + round(28 / spacing[1]), 20:-20] = -930  # a foam table in its shell
    hu[:, [back, back + round(28 / spacing[1]) - 1], 20:-20] = -200
    rng = np.random.default_rng(0)
    hu += rng.normal(0, noise, hu.shape)
    return Volume(np.rint(hu).astype(np.int16), geometry, scan_id="chest"), lungs


def crop(volume, truth, box):
    start = [s.indices(n)[0] for s, n in zip(box, volume.array.shape, strict=True)]
    array = volume.array[box]
    return Volume(array, volume.geometry.cropped(start, array.shape)), truth[box]


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
    assert dice(lung_mask(volume).array, truth) > 0.95


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


def test_padding_beyond_the_field_of_view():
    volume, truth = chest()
    array = volume.array.copy()
    array[~ellipsoid(volume.geometry, (0, 0, 0), (1e6, 150, 200))] = -2048
    assert dice(lung_mask(Volume(array, volume.geometry)).array, truth) > 0.97


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
