"""Lungs, and the trees that grow in them."""

from collections import defaultdict

import numpy as np
import pytest
from scipy import ndimage

from napari_ctlns.phantom.anatomy import Anatomy, build_anatomy
from napari_ctlns.phantom.body import draw_body
from napari_ctlns.phantom.grid import Grid, draw_tubes
from napari_ctlns.phantom.lattice import Lattice, ellipsoid
from napari_ctlns.phantom.pieces import Pieces, without_twigs
from napari_ctlns.phantom.vessels import Airways, grow_lungs


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    seeds = np.random.SeedSequence(31).spawn(2)
    body = draw_body(np.random.default_rng(seeds[0]))
    return build_anatomy(body, Lattice.covering((-150, -140, -180), (150, 140, 180), 5.0), seeds[1])


@pytest.fixture(scope="module")
def trees(anatomy: Anatomy) -> tuple[Pieces, Airways]:
    return grow_lungs(anatomy, np.random.default_rng(1))


def test_there_are_two_lungs_of_natural_size(anatomy: Anatomy) -> None:
    parts, n = ndimage.label(anatomy.lung > 0)
    litres = np.sort(np.bincount(parts.ravel())[1:] * anatomy.lattice.step**3 / 1e6)[::-1]
    assert n >= 2
    assert 1.2 < litres[1] <= litres[0] < 3.5
    assert litres[2:].sum() < 0.02


def test_fields_do_not_depend_on_the_part_computed(anatomy: Anatomy) -> None:
    seed = np.random.SeedSequence(31).spawn(2)[1]
    part = Lattice.covering((-40, -60, -100), (30, 60, 100), 5.0)
    again = build_anatomy(anatomy.body, part, seed)
    z, y, x = (
        np.arange(low, high, 3.3, dtype=np.float32)
        for low, high in ((-30, 20), (-50, 50), (-90, 90))
    )
    for name in ("lung", "skin", "bone", "mottle"):
        a = anatomy.lattice.on_grid(anatomy.fields[name], z, y, x)
        b = part.on_grid(again.fields[name], z, y, x)
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_a_lattice_holds_a_smooth_surface_to_a_fraction_of_a_millimetre() -> None:
    lattice = Lattice.covering((-30, -30, -30), (30, 30, 30), 2.5)
    field = ellipsoid(lattice.axes, (0, 0, 0), (20, 20, 20))
    z, y, x = (np.linspace(-22, 22, 45, dtype=np.float32) for _ in range(3))
    radius = np.sqrt(z[:, None, None] ** 2 + y[:, None] ** 2 + x**2)
    near = np.abs(radius - 20) < 2
    assert np.abs(lattice.on_grid(field, z, y, x) - (20 - radius))[near].max() < 0.1


def test_vessels_follow_murrays_law(trees: tuple[Pieces, Airways]) -> None:
    vessels, _ = trees
    starts = defaultdict(list)
    for i, point in enumerate(vessels.start):
        starts[tuple(np.round(point, 6))].append(i)
    forks = 0
    for i, point in enumerate(vessels.end):
        children = starts[tuple(np.round(point, 6))]
        if len(children) == 2:
            # a branch narrows by 12 percent along its way, about its own radius
            parent = vessels.end_radius[i] / 0.94
            cubes = (vessels.start_radius[children] / 1.06) ** 3
            assert parent**3 == pytest.approx(cubes.sum(), rel=1e-6)
            forks += 1
    assert forks > 1000
    assert (vessels.start_radius >= vessels.end_radius).all()
    assert vessels.radius.min() < 0.6
    assert vessels.radius.max() > 4


def test_vessels_stay_in_the_lungs(anatomy: Anatomy, trees: tuple[Pieces, Airways]) -> None:
    vessels, airways = trees
    middle = (vessels.start + vessels.end) / 2
    thin = vessels.radius < 1.5
    assert np.mean(anatomy.lattice.at(anatomy.lung, middle[thin]) > 0) > 0.97
    assert (airways.outer.radius > airways.inner.radius).all()


def test_cutting_a_twig_cuts_all_it_feeds(trees: tuple[Pieces, Airways]) -> None:
    vessels, _ = trees
    i = int(np.flatnonzero((vessels.radius > 1.2) & (vessels.radius < 1.4))[0])
    left = without_twigs(vessels, (vessels.start[i] + vessels.end[i]) / 2, 0.0, 1.4)
    assert len(left) <= len(vessels) - (vessels.tip_of[i] - i)
    ends = {tuple(p) for p in np.round(left.end, 6)}
    orphans = [p for p in np.round(left.start, 6) if tuple(p) not in ends]
    assert len({tuple(p) for p in orphans}) == 4  # the four hila


@pytest.mark.parametrize("radius", [0.4, 0.8, 3.0])
def test_a_tube_fills_its_own_volume(radius: float) -> None:
    axis = np.arange(-20, 20.5, 1.0, dtype=np.float32)
    grid = Grid(axis, axis, axis, (1.0, 1.0, 1.0))
    one = np.array([radius])
    line = Pieces(
        np.array([[-30.0, 0.2, 0.3]]), np.array([[30.0, 0.2, 0.3]]), one, one, np.array([1])
    )
    assert draw_tubes(grid, line).sum() == pytest.approx(np.pi * radius**2 * 41, rel=0.12)
