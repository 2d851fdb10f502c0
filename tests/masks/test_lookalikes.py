"""Shapes that are known, in any direction; and the nodules of phantoms, which are none of them."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from napari_ctlns.masks.lookalikes import lookalike
from napari_ctlns.phantom import PhantomSpec, make_phantom

SPACINGS = [(1.25, 1.0, 1.0), (0.7, 0.7, 0.7), (5.0, 0.7, 0.7)]
TURNS = range(12)


def around(points, radius, spacing, turn):
    """Voxels within ``radius`` of a line of points that is turned in some direction."""
    points = Rotation.random(random_state=turn).apply(points)
    low, high = points.min(axis=0) - radius - 6, points.max(axis=0) + radius + 6
    axes = [np.arange(a, b, s) for a, b, s in zip(low, high, spacing, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distance, _ = cKDTree(points).query(grid.reshape(-1, 3))
    return (distance < radius).reshape(grid.shape[:3])


def share(kind, spacing, objects):
    return np.mean([lookalike(inside, spacing) == kind for inside in objects])


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("bend", [0, 0.3])
def test_tubes_are_like_vessels(spacing, bend):
    t = np.linspace(-1, 1, 60)
    line = np.stack([t, bend * np.cos(np.pi * t / 2), 0 * t], axis=1)
    tubes = [around(line * (8 + turn), 1.5 + turn / 6, spacing, turn) for turn in TURNS]
    assert share("vessel", spacing, tubes) >= 0.9


@pytest.mark.parametrize("spacing", SPACINGS[:2])
def test_forks_are_like_vessels(spacing):
    t = np.linspace(0, 1, 40)[:, None]
    fork = np.concatenate([t * [-1, 0, 0], t * [0.8, 0.6, 0], t * [0.8, -0.6, 0]])
    forks = [around(fork * (10 + turn), 1.8 + turn / 10, spacing, turn) for turn in TURNS]
    assert share("vessel", spacing, forks) >= 0.9


@pytest.mark.parametrize("spacing", SPACINGS[:2])
def test_pieces_of_a_shell_are_like_the_lung_wall(spacing):
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (4000, 2))
    points = points[(points**2).sum(axis=1) < 1]
    objects = []
    for turn in TURNS:
        wide, radius = 6 + turn / 2, 30 + 4 * turn
        flat = points * wide
        height = radius - np.sqrt(radius**2 - (flat**2).sum(axis=1))
        objects.append(around(np.c_[flat, height], 1.2, spacing, turn))
    assert share("lung wall", spacing, objects) >= 0.9


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("radius", [2.5, 6, 12])
def test_balls_are_like_neither(spacing, radius):
    point = np.zeros((1, 3))
    assert share("", spacing, [around(point, radius, spacing, turn) for turn in TURNS]) == 1


def test_the_nodules_of_phantoms_are_like_neither():
    spec = PhantomSpec(seed=3, spacing=(1.5, 1.0, 1.0), n_nodules=40, extent_mm=(96, 220, 300))
    mask = make_phantom(spec).mask.array
    objects = [mask[box] == k for k, box in enumerate(ndimage.find_objects(mask), start=1)]
    assert len(objects) == 40
    assert share("", spec.spacing, objects) >= 0.95


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 2), (3, 3, 3)])
def test_a_few_voxels_have_no_shape(shape):
    assert lookalike(np.ones(shape, bool), (1.0, 1.0, 1.0)) == ""
