"""Arteries, veins and airways of the lungs.

Trees grow into a cloud of points that fills the lung: a branch runs some way
towards the middle of its points, which are then parted in two for its children
(as Tawhai et al. 2004 grow airways). Radii come from the tips upwards by
Murray's law: r^3 = r1^3 + r2^3.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ctlns.phantom.anatomy import Anatomy
from napari_ctlns.phantom.body import LEFT_HILUM, RIGHT_HILUM, central_airways
from napari_ctlns.phantom.pieces import Pieces, Points, joined

TIP_RADIUS_MM = (0.45, 0.72)
POINT_EVERY_MM3 = 1700.0
"""Lung that one tip of a tree feeds; arteries and veins each have their own."""

ARTERY_HILA = ((12.0, 16.0, -46.0), (13.0, 22.0, 47.0))
VEIN_HILA = ((-6.0, 4.0, -44.0), (-4.0, 6.0, 46.0))


@dataclass(frozen=True)
class Airways:
    """Tubes with walls: the same pieces with outer and inner radii; some are plugged with mucus."""

    outer: Pieces
    inner: Pieces
    plugged: npt.NDArray[np.bool_]


@dataclass
class _Branch:
    parent: int
    start: Points
    end: Points
    heading: Points
    radius: float = 0.0


def _grow(
    hilum: Points, heading: Points, points: Points, rng: np.random.Generator
) -> list[_Branch]:
    """Grow one tree from a hilum into a cloud of points; parents come before children."""
    branches: list[_Branch] = []
    waiting: list[tuple[int, Points, Points, Points]] = [(-1, hilum, heading, points)]
    while waiting:
        parent, start, before, cloud = waiting.pop()
        middle = cloud.mean(axis=0)
        way = middle - start
        share = rng.uniform(0.33, 0.45) if len(cloud) > 1 else 0.92
        end = start + share * way
        if len(cloud) > 1:
            end = end + rng.normal(0, 0.05 * np.linalg.norm(way) + 0.2, 3)
        length = float(np.linalg.norm(end - start))
        direction = (end - start) / max(length, 1e-6)
        branches.append(_Branch(parent, start, end, before))
        if len(cloud) > 1:
            index = len(branches) - 1
            halves = _halves(cloud, end, direction, rng)
            waiting.extend((index, end, direction, half) for half in halves)
    return branches


def _halves(
    cloud: Points, end: Points, direction: Points, rng: np.random.Generator
) -> tuple[Points, Points]:
    """Part a cloud across its widest direction perpendicular to the branch."""
    offset = cloud - end
    flat = offset - np.outer(offset @ direction, direction)
    flat = flat - flat.mean(axis=0)
    _, axes = np.linalg.eigh(flat.T @ flat)
    side = flat @ axes[:, -1]
    cut = min(max(round(len(cloud) * rng.uniform(0.2, 0.8)), 1), len(cloud) - 1)
    order = np.argsort(side, kind="stable")
    return cloud[order[:cut]], cloud[order[cut:]]


def _set_radii(branches: list[_Branch], rng: np.random.Generator) -> None:
    """Give tips a radius and follow Murray's law up to the hilum."""
    cubes = np.zeros(len(branches))
    tips = rng.uniform(*TIP_RADIUS_MM, len(branches)) ** 3
    for i in range(len(branches) - 1, -1, -1):
        if cubes[i] == 0:
            cubes[i] = tips[i]
        branches[i].radius = float(np.cbrt(cubes[i]))
        if branches[i].parent >= 0:
            cubes[branches[i].parent] += cubes[i]


def _pieces(branches: list[_Branch]) -> Pieces:
    """Bend each branch from its parent's heading into its own, in pieces of some 7 mm."""
    starts, ends, first, last, count = [], [], [], [], []
    for b in branches:
        length = float(np.linalg.norm(b.end - b.start))
        n = min(int(length / 7.0) + 1, 5)
        t = np.linspace(0, 1, n + 1)[:, None]
        knee = b.start + b.heading * length * 0.3
        line = (1 - t) ** 2 * b.start + 2 * t * (1 - t) * knee + t * t * b.end
        wide = b.radius * (1.06 - 0.12 * t[:, 0])
        starts.append(line[:-1])
        ends.append(line[1:])
        first.append(wide[:-1])
        last.append(wide[1:])
        count.append(n)
    return Pieces(
        np.concatenate(starts),
        np.concatenate(ends),
        np.concatenate(first),
        np.concatenate(last),
        _tips(branches, count),
    )


def _tips(branches: list[_Branch], count: list[int]) -> npt.NDArray[np.int64]:
    """Return for each piece where its subtree ends; branches are in depth-first order."""
    before = np.concatenate([[0], np.cumsum(count)])
    ends = before[1:].copy()
    for i in range(len(branches) - 1, -1, -1):
        parent = branches[i].parent
        if parent >= 0:
            ends[parent] = max(ends[parent], ends[i])
    return np.repeat(ends, count)


def _clouds(coarse: Anatomy, rng: np.random.Generator) -> list[Points]:
    """Fill the right and the left lung with points."""
    lattice, lung = coarse.lattice, coarse.lung
    z, y, x = (a.ravel() for a in lattice.axes)
    inside = np.argwhere(lung > 3.0)
    place = np.stack([z[inside[:, 0]], y[inside[:, 1]], x[inside[:, 2]]], axis=1)
    clouds = []
    for side in (-1, 1):
        mine = place[place[:, 2] * side > 0]
        n = int(len(mine) * lattice.step**3 / POINT_EVERY_MM3)
        chosen = mine[rng.permutation(len(mine))[:n]]
        clouds.append(chosen + rng.uniform(-0.5, 0.5, chosen.shape) * lattice.step)
    return clouds


def grow_lungs(coarse: Anatomy, rng: np.random.Generator) -> tuple[Pieces, Airways]:
    """Return the blood vessels and the airways of a body.

    Parameters
    ----------
    coarse
        The whole body on a coarse lattice.
    rng
        Where randomness comes from.
    """
    vessels: list[Pieces] = []
    airways: list[tuple[Pieces, Pieces]] = []
    for hila, bronchi in ((ARTERY_HILA, (RIGHT_HILUM, LEFT_HILUM)), (VEIN_HILA, None)):
        for i, cloud in enumerate(_clouds(coarse, rng)):
            side = 1.0 if i else -1.0
            branches = _grow(np.array(hila[i]), np.array([0.0, 0.1, side]), cloud, rng)
            _set_radii(branches, rng)
            vessels.append(_pieces(branches))
            if bronchi:
                airways.append(_beside(branches, np.array(bronchi[i])))
    for points, radii in central_airways(coarse.body):
        airways.append(_central(np.array(points), np.array(radii)))
    outer = joined([a[0] for a in airways])
    inner = joined([a[1] for a in airways])
    plugged = (rng.random(len(outer)) < 0.02) & (outer.radius < 2.6)
    return joined(vessels), Airways(outer, inner, plugged)


def _beside(branches: list[_Branch], bronchus: Points) -> tuple[Pieces, Pieces]:
    """Run airways along the arteries that are wider than 2 mm in radius, side by side."""
    kept = [b for b in branches if b.radius > 2.0]
    starts, ends, first, last = [], [], [], []
    for b in kept:
        starts.append(bronchus if b.parent < 0 else b.start + _aside(branches[b.parent]))
        ends.append(b.end + _aside(b))
        first.append(min(b.radius * 0.72, 4.4))
        last.append(min(b.radius * 0.68, 4.2))
    return _walled(np.array(starts), np.array(ends), np.array(first), np.array(last))


def _aside(branch: _Branch) -> Points:
    """Return where the airway runs, seen from its artery: above and behind, at right angles."""
    way = (branch.end - branch.start) / max(float(np.linalg.norm(branch.end - branch.start)), 1e-9)
    up = np.array([0.85, 0.5, 0.1])
    across = up - way * (up @ way)
    return np.asarray(
        across / max(float(np.linalg.norm(across)), 0.3) * (1.85 * branch.radius + 0.7)
    )


def _central(points: Points, radii: Points) -> tuple[Pieces, Pieces]:
    """Return trachea and main bronchi as walled pieces."""
    return _walled(points[:-1], points[1:], radii[:-1], radii[1:])


def _walled(start: Points, end: Points, first: Points, last: Points) -> tuple[Pieces, Pieces]:
    """Return the outer and the inner surface of airways with inner radii given."""
    none = np.arange(1, len(start) + 1)
    wall_first, wall_last = 0.4 + 0.1 * first, 0.4 + 0.1 * last
    outer = Pieces(start, end, first + wall_first, last + wall_last, none)
    return outer, Pieces(start, end, first, last, none)
