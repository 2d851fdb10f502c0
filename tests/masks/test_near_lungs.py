"""Nothing that may be a nodule lies outside of where nodules are looked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.masks.near_lungs import near_lungs
from napari_ctlns.volume import Geometry, Volume

from .chests import chest, crop, edited, ellipsoid

MARGIN_MM = 5


def looked_at(volume):
    return near_lungs(volume, lung_mask(volume), MARGIN_MM)


@settings(max_examples=8)
@given(st.data())
def test_no_voxel_of_a_nodule_anywhere_in_the_lungs_is_outside(data):
    volume, truth = chest((5.0, 4.0, 4.0))
    places = np.argwhere(truth)
    place = places[data.draw(st.integers(0, len(places) - 1))]
    radius = data.draw(st.floats(3, 15))
    middle = (np.asarray(truth.shape) - 1) / 2
    centre = (place - middle) * volume.geometry.spacing
    nodule = ellipsoid(volume.geometry, centre, (radius,) * 3) & truth
    assert looked_at(edited(volume, nodule, 30))[nodule].all()


@pytest.mark.parametrize("side", [-1, 1])
def test_nor_is_an_airless_lung(side):
    volume, truth = chest((5.0, 4.0, 4.0))
    half = (np.arange(truth.shape[2]) > truth.shape[2] // 2) == (side > 0)
    assert looked_at(edited(volume, truth & half, 20))[truth].mean() > 0.99


def test_what_is_far_from_the_lungs_is_outside():
    volume, truth = chest((2.5, 2.5, 2.5))
    inside = looked_at(volume)
    assert inside[truth].all()
    assert inside.mean() < 2 * truth.mean()
    shoulder = ellipsoid(volume.geometry, (100, 0, 150), (20, 20, 10))
    belly = ellipsoid(volume.geometry, (-140, 0, 0), (15, 60, 60))
    assert not (inside & (shoulder | belly)).any()


def test_the_margin_is_kept():
    """Straight below a flat lung that a slab cuts on all other sides."""
    hu = np.full((40, 120, 40), -850, np.int16)
    hu[:, 40:] = 40
    volume = Volume(hu, Geometry(hu.shape))
    lungs = volume.mask((hu < -400).astype(np.uint8))
    for margin in (2, 5, 9):
        depth = near_lungs(volume, lungs, margin).sum(axis=1) - 40
        assert (depth >= margin).all()
        assert (depth <= margin + 4).all()  # cells are 2.5 mm wide


def test_a_crop_knows_no_other_side():
    volume, truth = crop(*chest((2.5, 2.5, 2.5)), np.s_[40:80, :, 74:])
    inside = looked_at(volume)
    assert inside[truth].all()
    assert inside.mean() < 2 * truth.mean()
