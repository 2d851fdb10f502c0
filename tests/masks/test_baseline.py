"""Round things in a box of lung."""

import numpy as np
import pytest

from napari_ctlns.errors import MaskError
from napari_ctlns.findings import Annotation
from napari_ctlns.masks.baseline import round_components
from napari_ctlns.masks.spheres import sphere_mask
from napari_ctlns.metrics import match_nodules
from napari_ctlns.volume import Geometry, Volume

GEOMETRY = Geometry((40, 90, 90), (2.0, 0.8, 0.8))


def spheres(*rows):
    return sphere_mask(
        GEOMETRY, [Annotation("s", *GEOMETRY.index_to_world(centre), d) for centre, d in rows]
    )


@pytest.fixture
def lungs():
    array = np.zeros(GEOMETRY.shape, np.uint8)
    array[4:-4, 8:-8, 8:-8] = 1
    return Volume(array, GEOMETRY, kind="mask")


def scan(lungs, dense):
    array = np.where(lungs.array > 0, -850, 40).astype(np.int16)
    array[dense] = 30
    return Volume(array, GEOMETRY)


def test_balls_are_found_rods_specks_and_masses_are_not(lungs):
    nodules = spheres(((14, 30, 30), 8), ((14, 30, 60), 14))
    others = spheres(((25, 60, 30), 3)) > 0
    others[30, 70:73, 14:76] = True  # a vessel
    labels, scores = round_components(scan(lungs, (nodules > 0) | others), lungs)
    assert labels.max() == len(scores) == 2
    assert (scores > 0.95).all()
    assert (scores <= 1.01).all()
    matches = match_nodules(labels, nodules, GEOMETRY, scores=scores)
    assert all(n.found and n.dice == 1 for n in matches.nodules)
    assert matches.false_positives == ()
    labels, _ = round_components(scan(lungs, spheres(((20, 45, 45), 36)) > 0), lungs)
    assert labels.max() == 0


def test_roundness_of_an_ellipsoid(lungs):
    z, y, x = np.ogrid[-20:20, -45:45, -45:45]
    long = (z * 2 / 5) ** 2 + (y * 0.8 / 5) ** 2 + (x * 0.8 / 10) ** 2 <= 1
    _, scores = round_components(scan(lungs, long), lungs)
    # the ball's 3/5 r^2, r^3 = a b c, over the ellipsoid's (a^2 + b^2 + c^2) / 5
    assert scores.tolist() == pytest.approx([0.6 * 250 ** (2 / 3) / (150 / 5)], rel=0.03)


def test_a_wall_inside_the_mask_is_no_candidate(lungs):
    wide = Volume(np.ones(GEOMETRY.shape, np.uint8), GEOMETRY, kind="mask")
    too_wide = np.zeros(GEOMETRY.shape, np.uint8)
    too_wide[3:-3, 5:-5, 5:-5] = 1
    dense = spheres(((20, 45, 45), 8)) > 0
    labels, _ = round_components(scan(lungs, dense), Volume(too_wide, GEOMETRY, kind="mask"))
    np.testing.assert_array_equal(labels, dense)
    labels, _ = round_components(scan(lungs, dense), wide)  # the wall is one large piece
    np.testing.assert_array_equal(labels, dense)


def test_no_lungs_no_candidates(lungs):
    none = Volume(np.zeros(GEOMETRY.shape, np.uint8), GEOMETRY, kind="mask")
    labels, scores = round_components(scan(lungs, lungs.array > 0), none)
    assert labels.max() == 0
    assert len(scores) == 0


def test_another_grid_is_refused(lungs):
    other = Volume(lungs.array, Geometry(GEOMETRY.shape), kind="mask")
    with pytest.raises(MaskError, match="different grids"):
        round_components(scan(lungs, lungs.array > 0), other)
