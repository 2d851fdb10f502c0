"""Side and distance to the pleura, beside what the whole volume says without any haste."""

import numpy as np
import pytest
from scipy import ndimage

from napari_ctlns.measurement.place import Sides, pleura_distance_mm
from napari_ctlns.volume import Geometry, Volume

SHAPE, SPACING = (40, 64, 72), (2.5, 0.9, 1.1)
GEOMETRY = Geometry(SHAPE, SPACING)


def ball(centre, radius):
    """Voxels of a ball; the centre in voxels, the radius in mm."""
    grid = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    return sum(((g - c) * s) ** 2 for g, c, s in zip(grid, centre, SPACING, strict=True)) <= (
        radius**2
    )


def lungs():
    """Two ellipsoids, one beside the other, with a hole as a vessel leaves it."""
    z, y, x = np.mgrid[tuple(slice(0, n) for n in SHAPE)]
    both = [
        ((z - 20) / 19) ** 2 + ((y - 32) / 28) ** 2 + ((x - middle) / 15) ** 2 <= 1
        for middle in (18, 53)
    ]
    return (both[0] | both[1]) & ~ball((20, 40, 53), 3)


def whole_volume_mm(inside, within):
    """The distance as it is defined, from the distance map of the whole volume."""
    if (inside & ~within).any():
        return 0.0
    away = ndimage.distance_transform_edt(~inside, sampling=SPACING)
    return max(away[~within].min() - min(SPACING), 0)


def measured_mm(inside, within):
    labels = np.zeros(SHAPE, np.uint16)
    labels[inside] = 300
    mask = Volume(labels, GEOMETRY)
    box = ndimage.find_objects(inside.astype(int))[0]
    return pleura_distance_mm(mask, 300, box, Volume(within.astype(np.uint8), GEOMETRY))


@pytest.mark.parametrize(
    ("centre", "radius"),
    [
        ((20, 32, 18), 4),  # in the middle of a lung
        ((20, 32, 53), 2),  # beside the hole
        ((20, 10, 18), 3),  # near the surface
        ((6, 32, 18), 5),  # crosses it
        ((20, 32, 36), 4),  # between the lungs
        ((4, 6, 6), 3),  # near a corner
        ((20, 32, 18), 0.1),  # one voxel
    ],
)
def test_the_distance_to_the_pleura_is_that_of_the_whole_volume(centre, radius):
    inside = ball(centre, radius)
    for within in (lungs(), lungs() & ~inside):  # the second, cut out of the lungs
        wanted = whole_volume_mm(inside, within)
        assert measured_mm(inside, within) == pytest.approx(wanted, abs=1e-5)
    # nothing but lung at its side, and far away one corner that is none
    far = np.ones(SHAPE, np.bool_)
    far[-1, -1, -1] = False
    assert measured_mm(inside, far) == pytest.approx(whole_volume_mm(inside, far), abs=1e-5)


def test_of_any_nodule_in_any_lungs():
    random = np.random.default_rng(7)
    for _ in range(40):
        inside = ball(random.uniform(4, np.array(SHAPE) - 4), random.uniform(0.5, 9))
        inside &= ball(random.uniform(4, np.array(SHAPE) - 4), 40)  # of odd shape
        within = ndimage.gaussian_filter(random.normal(size=SHAPE), 3) > -0.02
        if random.random() < 0.7:
            within |= ndimage.binary_dilation(inside, iterations=int(random.integers(1, 6)))
        if inside.any():
            wanted = whole_volume_mm(inside, within)
            assert measured_mm(inside, within) == pytest.approx(wanted, abs=1e-5)


def test_the_nearer_of_two_lungs_tells_the_side():
    within = lungs()
    scan = Volume(np.zeros(SHAPE, np.int16), GEOMETRY)
    sides = Sides(scan, Volume(within.astype(np.uint8), GEOMETRY))
    right, left = (
        ndimage.distance_transform_edt(~half, sampling=SPACING)
        for half in (within & (np.arange(72) < 36), within & (np.arange(72) >= 36))
    )
    random = np.random.default_rng(3)
    for place in random.integers(0, SHAPE, (60, 3)):
        one, other = right[tuple(place)], left[tuple(place)]
        if abs(one - other) > 6:  # more than two of the cells that lungs are sampled on
            assert sides.side_of(place) == ("right" if one < other else "left")
