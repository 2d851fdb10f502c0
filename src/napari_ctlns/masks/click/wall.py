"""The lung's wall near a nodule: a smooth surface through what is seen of it around.

Where a nodule sits on the pleura or on a large vessel nothing parts the two. The wall
beside it is seen, though, and goes on under it about as it runs there.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.masks.click.densities import around
from napari_ctlns.masks.click.rules import WallRules
from napari_ctlns.masks.click.star import Floats, Points, Star, depth_below

DENSE_HU = -350
"""Wall, but no lung."""
AIRY_HU = -500
"""Lung, but no wall; what lies between the two is neither."""
SECTORS = 8


@dataclass(frozen=True, eq=False)
class Wall:
    """A wall: height above a plane through the centre, a quadratic of the place on it.

    Attributes
    ----------
    frame
        (3, zyx): two directions along the plane, and the one towards the wall.
    bend
        The six coefficients of 1, u, v, uu, uv and vv.
    """

    frame: Points
    bend: Points

    def beyond(self, offsets: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return how far (mm) points (..., zyx; mm from the centre) lie behind the wall."""
        u, v, height = np.moveaxis(offsets @ self.frame.T, -1, 0)
        return np.asarray(height - _terms(u, v) @ self.bend)


def find_wall(
    hu: Floats,
    spacing: npt.NDArray[np.float64],
    centre: npt.NDArray[np.float64],
    star: Star,
    radii: Floats,
    rules: WallRules,
) -> Wall | None:
    """Find the wall that a nodule may sit on, or None where there is none.

    Parameters
    ----------
    hu
        (z, y, x), smoothed.
    spacing
        Millimetres (z, y, x).
    centre
        Index (z, y, x) of the nodule's centre.
    radii
        Its surface as it is known so far, in the directions of ``star``.
    """
    size = float(np.median(radii))
    offsets, seen, there = _surroundings(hu, spacing, centre, size, rules)
    dense = seen > DENSE_HU
    outside = depth_below(star, radii, offsets) < -rules.away_mm - rules.away_share * size
    thick = _thick(dense, rules.thickness_mm, rules.step_mm)
    wall = _nearest_large(thick & dense & outside & there, offsets, size, rules)
    if wall is None:
        return None
    border = wall & ndimage.binary_dilation((seen < AIRY_HU) & there)
    points = offsets[border]
    points = points[np.linalg.norm(points, axis=1) < 1.3 * size + rules.reach_mm]
    body = offsets[wall & (np.linalg.norm(offsets, axis=-1) < size + rules.reach_mm + 2)]
    if len(points) < 30 or len(body) < 20:
        return None
    return _fitted(points, body.mean(axis=0), size, rules)


def _surroundings(
    hu: Floats,
    spacing: npt.NDArray[np.float64],
    centre: npt.NDArray[np.float64],
    size: float,
    rules: WallRules,
) -> tuple[Points, Floats, npt.NDArray[np.bool_]]:
    """Return what lies about a centre, as `densities.around` does."""
    half = min(1.6 * size + rules.reach_mm, 30.0)
    return around(hu, spacing, centre, half, rules.step_mm)


def _thick(
    dense: npt.NDArray[np.bool_], thickness_mm: float, step_mm: float
) -> npt.NDArray[np.bool_]:
    """Open a mask with a ball; beyond its faces it goes on as it ends there."""
    padded = np.pad(dense, 1, mode="edge")
    depth = ndimage.distance_transform_edt(padded, sampling=step_mm)[1:-1, 1:-1, 1:-1]
    core = depth > thickness_mm
    if not core.any():
        return core
    near = ndimage.distance_transform_edt(~core, sampling=step_mm)
    return np.asarray(near <= thickness_mm + 0.5 * step_mm)


def _nearest_large(
    mask: npt.NDArray[np.bool_], offsets: Points, size: float, rules: WallRules
) -> npt.NDArray[np.bool_] | None:
    """Return the largest component that comes near a nodule, or None."""
    labels, count = ndimage.label(mask)
    if not count:
        return None
    numbers = np.arange(1, count + 1)
    volume = np.bincount(labels.ravel(), minlength=count + 1)[1:] * rules.step_mm**3
    nearest = ndimage.minimum(np.linalg.norm(offsets, axis=-1), labels, numbers)
    fits = (volume >= rules.smallest_mm3) & (nearest < 1.35 * size + 4)
    if not fits.any():
        return None
    return np.asarray(labels == numbers[np.where(fits, volume, 0).argmax()])


def _fitted(points: Points, towards: Points, size: float, rules: WallRules) -> Wall | None:
    """Fit a quadratic to points of a wall, robustly; None where too little tells how it runs."""
    normal = towards / np.linalg.norm(towards)
    frame = _frame(normal)
    bend, _, _ = _robust(points @ frame.T, size, rules)
    # once more along the wall's own normal
    normal = frame[2] - bend[1] * frame[0] - bend[2] * frame[1]
    frame = _frame(normal / np.linalg.norm(normal))
    own = points @ frame.T
    bend, spread, trust = _robust(own, size, rules)
    angle = np.arctan2(own[:, 1], own[:, 0])[trust > 0.3]
    sectors = len(np.unique(np.floor((angle + np.pi) / (2 * np.pi / SECTORS))))
    # less than half of the way round, or rough, or with the nodule behind it: no wall of its own
    if sectors < SECTORS / 2 or spread > 3 or bend[0] < max(0.5, rules.nearest_share * size):
        return None
    return Wall(frame, bend)


def _frame(normal: Points) -> Points:
    """Return three directions at right angles, the last one being ``normal``."""
    aside = np.eye(3)[int(np.abs(normal).argmin())]
    u = np.cross(normal, aside)
    u /= np.linalg.norm(u)
    return np.stack([u, np.cross(normal, u), normal])


def _robust(own: Points, size: float, rules: WallRules) -> tuple[Points, float, Points]:
    """Return coefficients, spread of the residuals (mm) and how far each point is trusted."""
    u, v, height = own.T
    terms = _terms(u, v)
    near = np.exp(-(u * u + v * v) / (2 * (size + rules.spread_mm) ** 2))
    flat = np.diag([0, 0, 0, 1, 1, 1.0]) * len(own) * rules.stiffness
    trust, spread, bend = np.ones(len(own)), 0.0, np.zeros(6)
    for _ in range(8):
        weighted = terms.T * (near * trust)
        bend = np.linalg.solve(weighted @ terms + flat + 1e-9 * np.eye(6), weighted @ height)
        residual = height - terms @ bend
        spread = max(1.4826 * float(np.median(np.abs(residual))), 0.8)
        trust = 1 / (1 + (residual / (1.5 * spread)) ** 2) ** 2
    return bend, spread, trust


def _terms(u: Points, v: Points) -> Points:
    # tenths, so that one stiffness suits all
    return np.stack([np.ones_like(u), u, v, u * u / 10, u * v / 10, v * v / 10], axis=-1)
