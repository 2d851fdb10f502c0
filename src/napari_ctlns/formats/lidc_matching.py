"""Which outlines of different readers are of one nodule.

Every reader outlined what they saw, without numbers in common. Two outlines of different
readers are of one nodule if they share a voxel, or, for small ones, if their middles lie
within 3 mm of each other in the plane and on the same or neighbouring slices. Where that
leaves a choice, the outlines that overlap most (by Dice) go together first, and one
reader's outlines stay apart; only an outline that shares over half of its voxels, or of
theirs, with a nodule joins it although its reader is there already: that reader saw in
parts what others saw as one.
"""

from itertools import combinations

import numpy as np

from napari_ctlns.formats.contours import Planes
from napari_ctlns.formats.lidc_drawing import Drawn, IntArray

_NEAR_MM = 3.0
"""Readers outlined nodules from this diameter on."""

Cluster = list[Drawn]


def match_drawn(drawn: list[Drawn], planes: Planes) -> list[Cluster]:
    """Return outlines grouped by nodule, the largest nodule first.

    Size is that of all its readers' voxels together; nodules of equal size keep the
    order of their middles (z, y, x). The same reading gives the same order always.
    """
    clusters = _apart(drawn, planes)
    _join_parts(clusters)
    return sorted(clusters, key=lambda c: (-len(union(c)), *middle(c)))


def union(cluster: Cluster) -> IntArray:
    """Return the voxels that any reader drew, flat and ascending."""
    return np.unique(np.concatenate([d.voxels for d in cluster]))


def middle(cluster: Cluster) -> tuple[float, ...]:
    """Return the mean (slice, row, column) of the outlines' middles."""
    return tuple(float(v) for v in np.mean([d.centre for d in cluster], axis=0))


def _apart(drawn: list[Drawn], planes: Planes) -> list[Cluster]:
    """Group outlines, no two of one reader in a group."""
    of = {id(d): [d] for d in drawn}
    pairs = [(a, b) for a, b in combinations(drawn, 2) if a.reader != b.reader]
    likeness = {(id(a), id(b)): _likeness(a, b, planes) for a, b in pairs}
    pairs = [(a, b) for a, b in pairs if likeness[id(a), id(b)] is not None]
    for a, b in sorted(pairs, key=lambda pair: likeness[id(pair[0]), id(pair[1])] or (0, 0)):
        one, other = of[id(a)], of[id(b)]
        if one is not other and not {d.reader for d in one} & {d.reader for d in other}:
            one.extend(other)
            of.update({id(d): one for d in other})
    return list({id(cluster): cluster for cluster in of.values()}.values())


def _likeness(a: Drawn, b: Drawn, planes: Planes) -> tuple[float, float] | None:
    """Return what sorts pairs of outlines, the likeliest first; None if they are two nodules."""
    row, column = planes.plane.spacing[1:]
    slices, *in_plane = np.abs(a.centre - b.centre) * (1, row, column)
    apart = float(np.hypot(*in_plane))
    shared = len(np.intersect1d(a.voxels, b.voxels, assume_unique=True))
    if shared:
        return -2 * shared / (len(a.voxels) + len(b.voxels)), apart
    near = apart <= _NEAR_MM and slices <= 1
    return (0.0, apart) if near else None


def _join_parts(clusters: list[Cluster]) -> None:
    """Join groups that share over half the voxels of one of them."""
    joined = True
    while joined:
        joined = False
        for one, other in combinations(clusters, 2):
            a, b = union(one), union(other)
            shared = len(np.intersect1d(a, b, assume_unique=True))
            if 2 * shared > min(len(a), len(b)):
                one.extend(other)
                clusters[:] = [c for c in clusters if c is not other]
                joined = True
                break
