import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import grid_points_in_poly

from napari_ctlns.formats.contours import edge_pixels, pixel_planes_of, planes_of, polygon_pixels
from napari_ctlns.volume import Geometry, Source, Volume


def circle(centre, radius, corners=400):
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.array(centre) + radius * np.stack([np.cos(turn), np.sin(turn)], axis=1)


# off the lattice: a centre exactly on an edge belongs to no side by nature
place = st.integers(-60, 260).map(lambda n: n / 10 + 0.0371)


@given(st.lists(st.tuples(place, place), min_size=3, max_size=9))
def test_any_polygon_as_scikit_image_fills_it(corners):
    # its corners are a hair aside, so that no edge runs through a centre
    rng = np.random.default_rng(len(corners))
    polygon = np.array(corners) + rng.uniform(0, 1e-3, (len(corners), 2))
    truth = grid_points_in_poly((20, 17), polygon[:, ::-1], binarize=True)
    assert np.array_equal(polygon_pixels([polygon], (20, 17)), truth)


@pytest.mark.parametrize("radius", [3.3, 20.1, 77.7])
def test_the_area_of_a_circle(radius):
    pixels = polygon_pixels([circle((101.3, 99.8), radius)], (200, 210))
    assert pixels.sum() == pytest.approx(np.pi * radius**2, rel=2 / radius**1.5)
    y, x = np.nonzero(pixels)
    assert (x.mean(), y.mean()) == pytest.approx((101.3, 99.8), abs=0.15)


def test_an_inner_contour_cuts_a_hole():
    outer, inner = circle((20, 20), 15.2), circle((20, 20), 7.1)
    ring = polygon_pixels([outer, inner], (40, 40))
    whole, hole = (polygon_pixels([c], (40, 40)) for c in (outer, inner))
    assert np.array_equal(ring, whole & ~hole)
    assert hole.any()


def test_a_keyhole_is_the_ring():
    outer, inner = circle((20, 20), 15.2), circle((20, 20), 7.1)
    keyhole = np.concatenate([outer, outer[:1], inner, inner[:1]])
    ring = polygon_pixels([outer, inner], (40, 40))
    assert np.array_equal(polygon_pixels([keyhole], (40, 40)), ring)


@given(st.integers(1, 11), st.integers(1, 11))
def test_polygons_that_share_an_edge_share_no_pixel(x, y):
    """Four rectangles around a corner on the lattice cover a picture once."""
    count = np.zeros((12, 12), int)
    for left, right in ((0, x), (x, 12)):
        for top, bottom in ((0, y), (y, 12)):
            corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
            count += polygon_pixels([np.array(corners)], (12, 12))
    assert (count == 1).all()


def test_rounding_on_the_way_from_millimetres_changes_nothing():
    corners = np.array([(2, 2), (8, 2), (8, 8), (2, 8)], float)
    noise = np.random.default_rng(0).uniform(-1e-9, 1e-9, corners.shape)
    exact = polygon_pixels([corners], (10, 10))
    assert exact.sum() == 36
    assert np.array_equal(polygon_pixels([corners + noise], (10, 10)), exact)


@pytest.mark.parametrize(
    "polygons", [[], [[]], [[(1, 1)]], [[(1, 1), (5, 5)]], [circle((90, 9), 5)]]
)
def test_what_encloses_no_centre_is_empty(polygons):
    pixels = polygon_pixels(polygons, (10, 12))
    assert pixels.shape == (10, 12)
    assert not pixels.any()


def test_contours_of_very_many_points_stay_exact(monkeypatch):
    polygon = circle((15, 15), 11.3)
    whole = polygon_pixels([polygon], (30, 30))
    monkeypatch.setattr("napari_ctlns.formats.contours._AT_ONCE", 100)
    assert np.array_equal(polygon_pixels([polygon], (30, 30)), whole)


def test_pixels_on_a_contour():
    points = [(1, 1), (5, 1), (5, 3), (1, 5)]  # the last two steps: (-4, 2) and (0, -4)
    expected = {(x, 1) for x in range(1, 6)} | {(5, 2), (5, 3), (3, 4), (1, 5)}
    expected |= {(1, y) for y in range(1, 6)}
    on = edge_pixels(points, (8, 8))
    assert {(int(x), int(y)) for y, x in np.argwhere(on)} == expected
    assert np.argwhere(edge_pixels([(2, 3)], (8, 8))).tolist() == [[3, 2]]


DIRECTIONS = [
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    ((1, 0, 0), (0, 0.8, -0.6), (0, 0.6, 0.8)),
]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_pixels_and_millimetres_of_a_file_s_planes(direction):
    own = Geometry((4, 5, 6), (2.5, 0.7, 0.8), (-10, 20, -30), direction)
    geometry = own.oriented()
    volume = Volume(np.zeros(geometry.shape, np.uint8), geometry, source=Source(format="mhd"))
    planes = pixel_planes_of(volume)
    world = planes.to_world(2, (4, 3))
    assert world == pytest.approx(own.index_to_world((2, 3, 4)))
    assert planes.to_pixels(2, world) == pytest.approx((4, 3))
    marked = np.zeros(planes.shape, np.uint8)
    marked[2, 3, 4] = 1
    there = np.argwhere(planes.onto(volume, marked))[0]
    assert geometry.index_to_world(there) == pytest.approx(world)
    assert planes_of(volume).step == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("kind", "direction"),
    [
        ("nifti", ((1, 0, 0), (0, -1, 0), (0, 0, 1))),
        ("nifti", ((-1, 0, 0), (0, -1, 0), (0, 0, 1))),
        ("mhd", ((1, 0, 0), (0, 1, 0), (0, 0, -1))),
        ("nrrd", ((0, 0, 1), (1, 0, 0), (0, 1, 0))),
    ],
)
def test_files_that_were_turned_count_pixels_along_lps(kind, direction):
    geometry = Geometry((4, 5, 6), (2, 1, 1), (7, 8, 9), direction).oriented()
    volume = Volume(np.zeros(geometry.shape, np.uint8), geometry, source=Source(format=kind))
    world = pixel_planes_of(volume).to_world(1, (2, 3))
    assert world == pytest.approx(geometry.index_to_world((1, 3, 2)))
