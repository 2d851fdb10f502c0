"""Tubes as straight, tapering pieces."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pieces:
    """Straight, tapering pieces of tubes in the body's frame; (z, y, x) and radii in mm.

    Attributes
    ----------
    start, end
        (n, 3) ends of the axes.
    start_radius, end_radius
        (n,) radii there.
    tip_of
        (n,) the last piece that is fed through this one, plus one: pieces are in
        the order in which a walk through the tree meets them.
    """

    start: Points
    end: Points
    start_radius: Points
    end_radius: Points
    tip_of: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def radius(self) -> Points:
        """The mean radius of each piece."""
        return (self.start_radius + self.end_radius) / 2

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Pieces":
        """Return the chosen pieces; ``tip_of`` no longer means anything."""
        return Pieces(
            self.start[chosen],
            self.end[chosen],
            self.start_radius[chosen],
            self.end_radius[chosen],
            self.tip_of[chosen],
        )

    def near(self, point: Points, reach: float) -> npt.NDArray[np.bool_]:
        """Whether the surface of each piece comes within ``reach`` of a point."""
        return self.distance(point) < reach

    def distance(self, point: Points) -> Points:
        """Return millimetres from a point to the surface of each piece."""
        d = self.end - self.start
        length2 = np.maximum((d * d).sum(axis=1), 1e-9)
        t = np.clip(((point - self.start) * d).sum(axis=1) / length2, 0, 1)
        gap = np.linalg.norm(self.start + t[:, None] * d - point, axis=1)
        return gap - (self.start_radius + t * (self.end_radius - self.start_radius))


def joined(parts: list[Pieces]) -> Pieces:
    """Return several sets of pieces as one."""
    offsets = np.cumsum([0] + [len(p) for p in parts])[:-1]
    tips = [p.tip_of + o for p, o in zip(parts, offsets, strict=True)]
    return Pieces(
        np.concatenate([p.start for p in parts]),
        np.concatenate([p.end for p in parts]),
        np.concatenate([p.start_radius for p in parts]),
        np.concatenate([p.end_radius for p in parts]),
        np.concatenate(tips),
    )


def without_twigs(vessels: Pieces, point: Points, reach: float, radius: float) -> Pieces:
    """Cut off, with all they feed, vessels thinner than ``radius`` that come near a point."""
    kept = np.ones(len(vessels), bool)
    for i in np.flatnonzero(vessels.near(point, reach) & (vessels.radius < radius)):
        kept[i : vessels.tip_of[i]] = False
    return _renumbered(vessels, kept)


def _renumbered(vessels: Pieces, kept: npt.NDArray[np.bool_]) -> Pieces:
    """Keep some pieces and let ``tip_of`` follow."""
    before = np.concatenate([[0], np.cumsum(kept)])
    left = vessels.take(kept)
    return Pieces(
        left.start, left.end, left.start_radius, left.end_radius, before[vessels.tip_of[kept]]
    )
