"""The cheapest border about a place, for a nodule of some density.

Each direction has evidence for a border where what lies before it is as dense as the
nodule and what lies behind it is as dense as the lung. Where a vessel or the lung's wall
is attached there is none, and the surface goes on as it comes from the sides.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ctlns.masks.click.densities import SOFT_TISSUE_HU, ray_values
from napari_ctlns.masks.click.rules import ClickRules
from napari_ctlns.masks.click.scene import Index, Scene, Wishes
from napari_ctlns.masks.click.star import Floats, Points, Star, cheapest, star
from napari_ctlns.masks.click.wall import Wall

_TIGHTEST = 0.25
"""How much of the contrast the border moves from tightness 0 to 1."""
_ABOUT = 0.2
"""A diameter that is given is right within about a fifth."""
_LARGEST = 1.5
"""Of a given diameter, what no nodule exceeds."""
_POINT_MM = 1.5
"""What a click means, around itself."""
_NEVER = 1000.0


@dataclass(frozen=True, eq=False)
class Surface:
    """A border that was found.

    Attributes
    ----------
    centre
        Index (z, y, x).
    radii
        Millimetres in each direction.
    evidence
        Of a border in each direction, 0 to 2.
    density
        HU of the nodule's outermost part.
    """

    centre: Index
    radii: Floats
    evidence: Floats
    density: float

    @property
    def size(self) -> float:
        """The median radius (mm)."""
        return float(np.median(self.radii))


def find_border(
    scene: Scene,
    centre: Index,
    density: float,
    wall: Wall | None,
    reach: float,
    size: float,
    wishes: Wishes,
    rules: ClickRules,
) -> Surface:
    """Find the cheapest surface about a centre for a nodule of some density."""
    lines = star(rules.directions)
    distances = np.linspace(0, reach, rules.distances)
    seen = ray_values(scene.smooth, scene.spacing, centre, lines, distances)
    border = border_hu(density, scene.lung, wishes.tightness, rules)
    soft = max((density - scene.lung) / 2 * rules.softness, 50.0)
    inside = np.clip((seen - border) / soft, -1, 1)
    behind = np.zeros(seen.shape, bool)
    if wall is not None:
        behind = wall.beyond(lines.directions[:, None, :] * distances[:, None]) > 0
        inside = np.where(behind, np.float32(-1), inside)
    given = _wished(scene, centre, distances, wishes, lines)
    radii, evidence = _cheapest(inside, distances, inside, given, size, rules)
    if density <= SOFT_TISSUE_HU:
        dense = (seen > density + rules.vessel_hu) & ~behind
        apart = np.where(dense, np.minimum(inside, -rules.vessel_cost), inside).astype(np.float32)
        other = _cheapest(apart, distances, inside, given, size, rules)
        better = evidence.mean() - other[1].mean() >= rules.vessel_gain
        if not better and _comes_out(dense, distances, radii) >= rules.vessel_share:
            radii, evidence = other
    return Surface(centre, radii, evidence, density)


def _comes_out(dense: npt.NDArray[np.bool_], distances: Points, radii: Floats) -> float:
    """Return in what share of the directions something dense lies just outside a surface."""
    beyond = distances - radii[:, None]
    return float((dense & (beyond > 0.5) & (beyond < 2.5)).any(axis=1).mean())


def border_hu(density: float, lung: float, tightness: float, rules: ClickRules) -> float:
    """Return the density at the border of a nodule: tighter is denser."""
    share = float(np.clip(rules.border + _TIGHTEST * tightness, 0.1, 0.9))
    return lung + share * (density - lung)


def _cheapest(
    inside: Floats,
    distances: Points,
    airy: Floats,
    given: Floats,
    size: float,
    rules: ClickRules,
) -> tuple[Floats, Floats]:
    """Return radii and evidence of the surface that costs least.

    Parameters
    ----------
    inside
        From 1, surely nodule, to -1, surely not: (directions, distances).
    airy
        Likewise, but of what counts as lung where it is -1.
    given
        What each radius costs for other reasons.
    size
        The radius (mm) as far as it is known; 0: it is not.
    """
    step = float(distances[1] - distances[0])
    evidence = _evidence(inside, max(round(rules.window_mm / step), 1))
    lung = np.cumsum(np.maximum(-airy - 0.2, 0), axis=1) * step
    cost = rules.airiness * lung - evidence + rules.size * distances + given
    lines = star(rules.directions)
    slope = rules.slope * (float(np.clip(rules.even_mm / size, 0.5, 4)) if size else 1)
    best = cheapest(lines, cost.astype(np.float32), slope * step, rules.rounds)
    radii = (distances[best] + step / 2).astype(np.float32)
    return radii, evidence[np.arange(len(best)), best]


def _evidence(inside: Floats, window: int) -> Floats:
    """Return by how much the window before a border is more inside than the one behind it."""
    count = inside.shape[1]
    sums = np.zeros((len(inside), count + 1), np.float32)
    np.cumsum(inside, axis=1, out=sums[:, 1:])
    here = np.arange(1, count + 1)
    low, high = np.maximum(here - window, 0), np.minimum(here + window, count)
    before = (sums[:, here] - sums[:, low]) / (here - low)
    behind = (sums[:, high] - sums[:, here]) / np.maximum(high - here, 1)
    evidence = before - behind
    evidence[:, -1] = 0
    return np.asarray(evidence, np.float32)


def _wished(scene: Scene, centre: Index, distances: Points, wishes: Wishes, lines: Star) -> Floats:
    """Return what each radius costs because of what a person said: (directions, distances)."""
    cost = np.zeros((len(lines.directions), len(distances)), np.float32)
    if wishes.diameter_mm is not None:
        ratio = np.maximum(distances, 0.1) / (wishes.diameter_mm / 2)
        cost += np.maximum(np.abs(np.log(ratio)) - _ABOUT, 0)
        cost += np.where(ratio > _LARGEST, _NEVER, 0)
    for place in wishes.outside:
        offset = (place - centre) * scene.spacing
        far = max(float(np.linalg.norm(offset)), 0.1)
        cone = max(_POINT_MM / far, 0.3)
        angle = np.arccos(np.clip(lines.directions @ (offset / far), -1, 1))
        cost[np.ix_(angle < cone, distances > max(far - _POINT_MM, 0.5))] += _NEVER
    return cost
