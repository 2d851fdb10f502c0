"""Star-shaped surfaces: one distance from a centre in each direction, as smooth as can be.

What a surface costs is told by a table, directions by distances; neighbouring
directions should have like distances. The cheapest surface is sought by min-sum
belief propagation (Felzenszwalb and Huttenlocher 2006), whose messages take time
linear in the number of distances when unlikeness costs in proportion.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

NEIGHBOURS = 6
DAMPING = 0.5
"""How much of its last message each direction repeats, so that messages settle."""
_ROWS, _COLUMNS = 64, 128


@dataclass(frozen=True, eq=False)
class Star:
    """Directions spread evenly over the sphere, and which of them are neighbours.

    Attributes
    ----------
    directions
        Unit vectors (n, zyx).
    senders, receivers
        The two ends of each message, both ways of each pair; sorted by receiver.
    reverse
        For each message the one that goes the other way.
    first
        For each direction its first message as receiver.
    nearest, shares
        For each cell of a table of polar angle by azimuth its four nearest directions,
        and how much each counts.
    """

    directions: Points
    senders: npt.NDArray[np.intp]
    receivers: npt.NDArray[np.intp]
    reverse: npt.NDArray[np.intp]
    first: npt.NDArray[np.intp]
    nearest: npt.NDArray[np.intp]
    shares: Floats


@cache
def star(count: int) -> Star:
    """Return ``count`` directions on a golden spiral, which makes them even."""
    i = np.arange(count) + 0.5
    z, azimuth = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    across = np.sqrt(1 - z * z)
    directions = np.stack([z, across * np.sin(azimuth), across * np.cos(azimuth)], axis=1)
    tree = cKDTree(directions)
    _, near = tree.query(directions, NEIGHBOURS + 1)
    pairs = np.stack([np.repeat(np.arange(count), NEIGHBOURS), near[:, 1:].ravel()], axis=1)
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    senders, receivers = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.argsort(receivers, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    reverse = place[(order + len(pairs)) % len(order)]
    distance, nearest = tree.query(_cells(), 4)
    weight = 1 / (distance + 1e-3) ** 2
    return Star(
        directions,
        senders[order],
        receivers[order],
        reverse,
        np.searchsorted(receivers[order], np.arange(count)),
        nearest,
        (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32),
    )


def _cells() -> Points:
    """Return the directions at the middles of the cells of the table."""
    polar = (np.arange(_ROWS) + 0.5) / _ROWS * np.pi
    azimuth = (np.arange(_COLUMNS) + 0.5) / _COLUMNS * 2 * np.pi - np.pi
    p, a = (v.ravel() for v in np.meshgrid(polar, azimuth, indexing="ij"))
    return np.stack([np.cos(p), np.sin(p) * np.sin(a), np.sin(p) * np.cos(a)], axis=1)


def cheapest(star: Star, cost: Floats, slope: float, rounds: int) -> npt.NDArray[np.intp]:
    """Return for each direction the number of the distance that is best for all.

    Parameters
    ----------
    cost
        (directions, distances).
    slope
        What it costs if neighbours differ by one distance.
    rounds
        How often each direction tells its neighbours what it would like.
    """
    step, count = np.float32(slope), cost.shape[1]
    messages: Floats = np.zeros((len(star.senders), count), np.float32)
    for _ in range(rounds):
        belief = cost + np.add.reduceat(messages, star.first, axis=0)
        # distances first, so that each of the two sweeps goes through whole rows
        told = np.ascontiguousarray((belief[star.senders] - messages[star.reverse]).T)
        # the lower envelope of cones: from below, then from above
        for k in range(1, count):
            np.minimum(told[k], told[k - 1] + step, out=told[k])
        for k in range(count - 2, -1, -1):
            np.minimum(told[k], told[k + 1] + step, out=told[k])
        told -= told.min(axis=0)
        messages *= np.float32(DAMPING)
        messages += np.float32(1 - DAMPING) * told.T
    belief = cost + np.add.reduceat(messages, star.first, axis=0)
    return np.asarray(belief.argmin(axis=1))


def depth_below(star: Star, radii: Floats, offsets: npt.NDArray[Any]) -> Floats:
    """Return how deep points lie below a surface; negative outside.

    Parameters
    ----------
    radii
        Millimetres in each direction.
    offsets
        Points (..., zyx) in millimetres from the centre.

    Returns
    -------
    numpy.ndarray
        Millimetres along the ray from the centre, (...).
    """
    table = (radii[star.nearest] * star.shares).sum(axis=1)
    z, y, x = np.moveaxis(offsets.astype(np.float32), -1, 0)
    across = np.hypot(y, x)
    row = np.arctan2(across, z) * np.float32(_ROWS / np.pi)
    column = (np.arctan2(y, x) + np.float32(np.pi)) * np.float32(_COLUMNS / (2 * np.pi))
    rows = np.minimum(row.astype(np.intp), _ROWS - 1)
    columns = np.minimum(column.astype(np.intp), _COLUMNS - 1)
    return np.asarray(table[rows * _COLUMNS + columns] - np.hypot(across, z), np.float32)
