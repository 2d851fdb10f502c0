"""Slices at their true positions, on an even grid, and back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_ctlns.formats.dicom.regridding import (
    mask_onto_grid,
    mask_onto_slices,
    slices_onto_grid,
)
from napari_ctlns.volume import Geometry, SourceSlice

PLANE = Geometry((1, 40, 30), (2.0, 0.5, 0.8), (-10.0, 5.0, 100.0))


def slices_at(*positions):
    return tuple(SourceSlice(Path("a"), "1.2", 0, p) for p in positions)


def ramp(geometry):
    """A value that grows linearly in the patient, so that linear interpolation is exact."""
    index = np.indices(geometry.shape).reshape(3, -1).T
    world = geometry.index_to_world(index)
    return (world @ [1.0, -2.0, 3.0]).reshape(geometry.shape)


def test_even_slices_are_copied():
    slices = slices_at(*[(-10.0, 5.0, 100.0 + 2 * k) for k in range(4)])
    pixels = np.random.default_rng(0).integers(-1000, 1000, (4, 40, 30)).astype(np.int16)
    grid = replace(PLANE, shape=(4, 40, 30))
    assert np.array_equal(slices_onto_grid(pixels, slices, PLANE, grid, -1024), pixels)


@pytest.mark.parametrize("shear", [0.0, 0.3, -0.45, 1.0])
def test_tilted_and_uneven_slices_show_the_patient_where_it_is(shear):
    heights = [0.0, 2.0, 4.0, 9.0, 11.0]
    slices = slices_at(*[(-10.0, 5.0 + shear * h, 100.0 + h) for h in heights])
    pixels = np.concatenate([ramp(replace(PLANE, origin=s.position)) for s in slices])
    grid = Geometry((12, 80, 30), (1.0, 0.5, 0.8), (-10.0, 0.0, 100.0))
    found = slices_onto_grid(pixels, slices, PLANE, grid, np.nan)
    known = np.isfinite(found)
    # the outermost pixels repeat their neighbours
    inner = known & np.roll(known, 1, 1) & np.roll(known, -1, 1)
    assert inner.mean() > 0.3
    np.testing.assert_allclose(found[inner], ramp(grid)[inner], atol=1e-3)


def test_a_mask_goes_to_the_slices_and_back():
    heights = [0.0, 2.0, 6.0]
    slices = slices_at(*[(-10.0, 5.0 + 0.5 * h, 100.0 + h) for h in heights])
    grid = Geometry((4, 60, 30), (2.0, 0.5, 0.8), (-10.0, 5.0, 100.0))
    drawn = np.zeros((3, 40, 30), np.uint8)
    drawn[0, 10:20, 5:10] = 1
    drawn[2, 12:18, 5:9] = 2
    mask = mask_onto_grid(drawn, slices, PLANE, grid)
    assert np.array_equal(mask_onto_slices(mask, grid, slices, PLANE), drawn)
    assert mask[0].sum() == 50
    assert mask[3, 18:24, 5:9].min() == 2


def test_a_slice_beyond_the_grid_is_empty():
    slices = slices_at((-10.0, 5.0, 90.0))
    grid = replace(PLANE, shape=(4, 40, 30))
    assert not mask_onto_slices(np.ones(grid.shape, np.uint8), grid, slices, PLANE).any()


def test_a_grid_that_is_turned_against_the_slices_is_a_mistake():
    slices = slices_at((-10.0, 5.0, 100.0))
    turned = replace(PLANE, direction=((0, 1, 0), (1, 0, 0), (0, 0, -1)))
    with pytest.raises(ValueError, match="parallel"):
        mask_onto_slices(np.ones((1, 40, 30), np.uint8), turned, slices, PLANE)
