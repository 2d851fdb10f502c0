"""Overlap and surface metrics against analytic cases, SimpleITK and MONAI."""

import warnings

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from napari_ctlns.errors import MaskError
from napari_ctlns.metrics import (
    average_surface_distance_mm,
    compare_masks,
    dice,
    hausdorff95_mm,
    iou,
    surface_dice,
)
from napari_ctlns.volume import Geometry, Volume

SPACING = (2.5, 0.7, 0.8)


def blobs(seed, shape=(14, 30, 28)):
    field = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(field, (1, 2, 2)) > 0.1


def box(start, stop, shape=(12, 30, 30)):
    mask = np.zeros(shape, np.uint8)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = 1
    return mask


@pytest.mark.parametrize("seed", range(3))
def test_overlap_agrees_with_simpleitk(seed):
    a, b = blobs(seed), blobs(seed + 10)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*(sitk.GetImageFromArray(m.astype(np.uint8)) for m in (a, b)))
    assert dice(a, b) == pytest.approx(overlap.GetDiceCoefficient())
    assert iou(a, b) == pytest.approx(overlap.GetJaccardCoefficient())


@pytest.mark.parametrize("seed", range(4))
def test_distances_agree_with_monai(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch")
        monai = pytest.importorskip("monai.metrics")
        # MONAI takes a mask of any size, one-hot with one foreground channel
        a, b = blobs(seed), blobs(seed + 10)
        first, second = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (a, b))
        hausdorff = monai.HausdorffDistanceMetric(percentile=95)(first, second, spacing=SPACING)
        average = monai.SurfaceDistanceMetric(symmetric=True)(first, second, spacing=SPACING)
        share = monai.SurfaceDiceMetric([1.0])(first, second, spacing=SPACING)
    assert hausdorff95_mm(a, b, SPACING) == pytest.approx(hausdorff.item(), abs=1e-4)
    assert average_surface_distance_mm(a, b, SPACING) == pytest.approx(average.item(), abs=1e-4)
    assert surface_dice(a, b, SPACING, 1.0) == pytest.approx(share.item(), abs=1e-6)


def test_a_shifted_plate_is_as_far_as_it_was_shifted():
    a, b = box((3, 5, 5), (4, 25, 25)), box((7, 5, 5), (8, 25, 25))
    assert hausdorff95_mm(a, b, SPACING) == pytest.approx(10.0)
    assert average_surface_distance_mm(a, b, SPACING) == pytest.approx(10.0)
    assert surface_dice(a, b, SPACING, 9.9) == 0
    assert surface_dice(a, b, SPACING, 10.0) == 1


def test_a_spot_far_away_counts_in_the_mean_but_not_in_the_95th_percentile():
    a = box((2, 5, 5), (9, 25, 25))
    b = a.copy()
    b[0, 0, 0] = 1
    assert hausdorff95_mm(a, b, SPACING) == 0
    assert average_surface_distance_mm(a, b, SPACING) > 0


def test_the_edge_of_the_array_is_surface():
    whole = np.ones((6, 6, 6), np.uint8)
    assert hausdorff95_mm(whole, box((2, 2, 2), (4, 4, 4), (6, 6, 6)), (1, 1, 1)) > 0


def test_empty_masks():
    empty, full = np.zeros((4, 4, 4), bool), np.ones((4, 4, 4), bool)
    assert (dice(empty, empty), iou(empty, empty)) == (1, 1)
    assert (dice(empty, full), iou(full, empty)) == (0, 0)
    for a, b in ((empty, empty), (empty, full), (full, empty)):
        assert hausdorff95_mm(a, b, SPACING) is None
        assert average_surface_distance_mm(a, b, SPACING) is None
    assert surface_dice(empty, empty, SPACING, 1.0) == 1
    assert surface_dice(empty, full, SPACING, 1.0) == 0


def test_compare_has_exactly_the_keys_of_the_command():
    geometry = Geometry((12, 30, 30), SPACING)
    mask, truth = box((2, 5, 5), (6, 15, 15)) * 7, box((2, 5, 5), (6, 15, 25)) * 200
    result = compare_masks(*(Volume(m, geometry, kind="mask") for m in (mask, truth)))
    assert result == {
        "dice": pytest.approx(2 / 3),
        "iou": pytest.approx(1 / 2),
        "hausdorff95_mm": pytest.approx(8.0, abs=1.0),
        "volume_mm3": pytest.approx(400 * 1.4),
        "truth_volume_mm3": pytest.approx(800 * 1.4),
    }


def test_compare_two_empty_masks():
    empty = Volume(np.zeros((3, 4, 5), np.uint8), Geometry((3, 4, 5)), kind="mask")
    result = compare_masks(empty, empty)
    assert (result["dice"], result["hausdorff95_mm"]) == (1, None)


def test_masks_of_other_grids_are_refused():
    array = np.ones((3, 4, 5), np.uint8)
    mask = Volume(array, Geometry(array.shape), kind="mask")
    moved = Volume(array, Geometry(array.shape, origin=(0, 0, 1)), kind="mask")
    with pytest.raises(MaskError, match="different grids"):
        compare_masks(mask, moved)
    with pytest.raises(ValueError, match="differ"):
        dice(array, array[:2])
    with pytest.raises(ValueError, match="differ"):
        hausdorff95_mm(array, array[:2], SPACING)
