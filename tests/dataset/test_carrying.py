"""Masks on the prepared grid, and what was lost on the way there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.dataset import PreparedScan, open_dataset
from napari_ctlns.dataset.carrying import carried, numbered
from napari_ctlns.errors import MaskError
from napari_ctlns.recipe import Preparation, Recipe
from napari_ctlns.resampling import prepared_geometry, to_sitk
from napari_ctlns.specs import PrepareSpec
from napari_ctlns.volume import Geometry, Volume

SHAPE = (12, 20, 30)
SCAN = Volume(np.full(SHAPE, -800, np.int16), Geometry(SHAPE, (2.0, 0.7, 0.8), (5.0, -3.0, 40.0)))
HALVED = Preparation(spacing_mm="native", slice_size=(10, 15), drop_first_slices=3)


def labels() -> np.ndarray:
    """1 stays; 2 is a single pixel wide; 3 lies in the slices left out; 4 reaches into them."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[6:9, 4:10, 4:10] = 1
    mask[5:8, 14, 20] = 2
    mask[0:2, 4:10, 4:10] = 3
    mask[1:5, 2:8, 20:26] = 4
    return mask


def test_what_is_lost_is_told() -> None:
    grid = prepared_geometry(SCAN.geometry, HALVED)
    array, words = carried(SCAN.mask(labels()), SCAN, grid, "the mask")
    lost_2 = 2 not in array  # which of two pixels counts is a toss
    assert set(np.unique(array)) >= {0, 1, 4}
    assert 3 not in array
    assert "nodule 3 of the mask: in slices that the recipe leaves out" in words
    assert any("nodule 2 of the mask: thinner" in said for said in words) == lost_2
    # where ITK puts the centres of its voxels, with nothing around the mask
    itk = sitk.Resample(
        to_sitk(labels(), SCAN.geometry), to_sitk(array, grid), sitk.Transform(),
        sitk.sitkNearestNeighbor,
    )  # fmt: skip
    np.testing.assert_array_equal(array, sitk.GetArrayFromImage(itk))


def test_every_thin_nodule_that_is_gone_is_told() -> None:
    grid = prepared_geometry(SCAN.geometry, Preparation(spacing_mm="native", slice_size=(5, 7)))
    mask = np.zeros(SHAPE, np.uint8)
    for label, x in enumerate(range(1, 29, 2), 1):
        mask[4, x % 17, x] = label
    array, words = carried(SCAN.mask(mask), SCAN, grid, "m")
    gone = sorted(set(range(1, 15)) - set(np.unique(array)))
    assert gone
    named = ", ".join(map(str, gone))
    assert words == (f"nodules {named} of m: thinner than the voxels of the prepared grid: lost",)


def test_the_same_grid_takes_nothing_away() -> None:
    mask = SCAN.mask(labels())
    array, words = carried(mask, SCAN, SCAN.geometry, "m")
    assert array is mask.array
    assert words == ()


def test_a_mask_beside_the_scan_is_refused() -> None:
    away = Volume(labels(), Geometry(SHAPE, (2.0, 0.7, 0.8), (500.0, 0.0, 0.0)), "mask")
    with pytest.raises(MaskError, match="lies beside the scan"):
        carried(away, SCAN, prepared_geometry(SCAN.geometry, HALVED), "m")


def test_a_mask_of_one_label_is_numbered() -> None:
    assert len(np.unique(numbered((labels() > 0).astype(np.uint8)))) == 5
    several = labels()
    assert numbered(several) is several


@pytest.fixture
def dropping(recipe: Recipe) -> Recipe:
    return recipe.with_changes({"preparation.drop_first_slices": 12})


TWO = (((6, 14, 14), 8.0), ((13, 26, 30), 9.0))


@pytest.mark.parametrize("marked", ["annotations", "masks"])
def test_nodules_in_slices_left_out(
    tiny_cohort: Any,
    tiny_scan: Any,
    prepared: Callable[..., Any],
    dropping: Recipe,
    tmp_path: Path,
    marked: str,
) -> None:
    """One lies there, up to its last slice; the other reaches from there into the scan."""
    cohort = tiny_cohort(tiny_scan("x", TWO))
    truth = {marked: getattr(cohort, marked)}
    prepared(PrepareSpec(source=cohort.scans, out=tmp_path / "d", recipe=dropping, **truth))
    (scan,) = open_dataset(tmp_path / "d").scans()
    assert isinstance(scan, PreparedScan)
    whole = tiny_scan("x", TWO).labels()[12:]
    np.testing.assert_array_equal(scan.mask() > 0, whole > 0)
    assert len(scan.nodules) == 1
    (told,) = scan.card.problems
    assert "slices" in told
    assert len(scan.card.annotations) == (1 if marked == "annotations" else 0)


def test_a_sphere_reaches_in_from_below(
    tiny_cohort: Any, tiny_scan: Any, prepared: Any, dropping: Recipe, tmp_path: Path
) -> None:
    nodules = (((10, 20, 24), 9.0),)
    cohort = tiny_cohort(tiny_scan("x", nodules))
    spec = PrepareSpec(
        source=cohort.scans, out=tmp_path / "d", recipe=dropping, annotations=cohort.annotations
    )
    prepared(spec)
    (scan,) = open_dataset(tmp_path / "d").scans()
    np.testing.assert_array_equal(scan.mask(), tiny_scan("x", nodules).labels()[12:])
    assert scan.mask().any()
    assert not scan.card.problems
