"""The border of one nodule, as a star-shaped surface about a place inside it.

Each direction has evidence for a border where what lies before it is as dense as the
nodule and what lies behind it is as dense as the lung. Where a vessel or the lung's wall
is attached there is none, and the surface goes on as it comes from the sides.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.errors import ClickError
from napari_ctlns.masks.densities import (
    SOFT_TISSUE_HU,
    GlassRules,
    density_with_glass,
    lung_hu,
    ray_values,
)
from napari_ctlns.masks.pleura import Wall, WallRules, find_wall
from napari_ctlns.masks.star import Floats, Points, Star, cheapest, depth_below, star

Index = npt.NDArray[np.float64]
_CORE_MM = np.arange(0, 1.3, 0.4)
_MISSED_MM = 2.0
"""How far off a nodule a click may be."""
_CONTRAST_HU = 90.0
_THICK_MM = 2.0
"""Slices this far apart are not smoothed across."""
_TIGHTEST = 0.25
"""How much of the contrast the border moves from tightness 0 to 1."""
_ABOUT = 0.2
"""A diameter that is given is right within about a fifth."""
_LARGEST = 1.5
"""Of a given diameter, what no nodule exceeds."""
_POINT_MM = 1.5
"""What a click means, around itself."""
_NEVER = 1000.0


@dataclass(frozen=True)
class ClickRules:
    """The constants of one-click segmentation; lengths in mm, densities in HU.

    Attributes
    ----------
    sigma_mm
        How much the picture is smoothed before borders are sought.
    fine_sigma_mm
        Likewise before voxels are told apart.
    border
        Where between lung and nodule the border is: 0.5 is what physics says, readers
        draw a little outside of it.
    softness
        Of half the contrast, how far from the border a density is wholly in or out.
    directions, distances, rounds
        How finely surfaces are sought; see `masks.star`.
    window_mm
        How much before and behind a border is looked at.
    airiness
        What a millimetre of lung inside the surface costs.
    size
        What a millimetre of radius costs.
    slope
        What a millimetre between neighbours costs.
    farthest_mm
        The largest radius looked for at first.
    shift
        How far the centre may move from the click, in radii.
    vessel_hu
        Denser than ground glass by this is a vessel, or a solid part.
    vessel_share
        Of the directions, in how many something that dense may come out of a solid part.
    vessel_gain
        How much better the borders must be with it inside than outside.
    vessel_cost
        How surely it is outside.
    outside_mm
        How far outside the surface voxels may lie.
    tilt, tilt_mm
        Of the contrast, how much the border's density changes at this depth.
    passes
        How often centre, densities and wall are sought anew, at most.
    """

    sigma_mm: float = 0.6
    fine_sigma_mm: float = 0.3
    border: float = 0.42
    softness: float = 0.45
    directions: int = 320
    distances: int = 56
    rounds: int = 12
    window_mm: float = 2.0
    airiness: float = 0.6
    size: float = 0.01
    slope: float = 0.35
    farthest_mm: float = 22.0
    shift: float = 0.4
    vessel_hu: float = 250.0
    vessel_share: float = 0.1
    vessel_gain: float = 0.1
    vessel_cost: float = 0.5
    outside_mm: float = 0.3
    tilt: float = 0.6
    tilt_mm: float = 1.5
    passes: int = 6
    glass: GlassRules = field(default_factory=GlassRules)
    wall: WallRules = field(default_factory=WallRules)


@dataclass(frozen=True, eq=False)
class Scene:
    """What surrounds a click.

    Attributes
    ----------
    hu, smooth
        (z, y, x): as in the scan, and smoothed.
    spacing
        Millimetres (z, y, x).
    lung
        HU of the lung here.
    """

    hu: Floats
    smooth: Floats
    spacing: Index
    lung: float


@dataclass(frozen=True, eq=False)
class Wishes:
    """What a person said besides the click; places are indices (z, y, x) of the scene.

    Attributes
    ----------
    outside
        Places that are not the nodule's, (n, 3).
    diameter_mm
        About how large it is.
    tightness
        -1 to 1.
    """

    outside: Points
    diameter_mm: float | None
    tightness: float


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


def scene_of(hu: Floats, spacing: Index, rules: ClickRules) -> Scene:
    """Return a picture (z, y, x) in HU with what all clicks in it need.

    Raises
    ------
    ClickError
        If it shows no lung.
    """
    smooth = smoothed(hu, spacing, rules.sigma_mm)
    lung = lung_hu(smooth)
    if lung is None:
        raise ClickError("air, not lung, at the click; click on a nodule in the lung")
    return Scene(hu, smooth, spacing, lung)


def smoothed(hu: Floats, spacing: Index, sigma_mm: float) -> Floats:
    """Return a picture smoothed along the axes that are finely sampled."""
    sigma = np.where(spacing < _THICK_MM, sigma_mm / spacing, 0)
    return np.asarray(ndimage.gaussian_filter(hu, sigma, truncate=2.5), np.float32)


def find_surface(scene: Scene, click: Index, wishes: Wishes, rules: ClickRules) -> Surface:
    """Find the border of the nodule that a click lies in.

    Raises
    ------
    ClickError
        If there is nothing denser than lung.
    """
    lines = star(rules.directions)
    click, density = _on_something(scene, click, lines)
    centre, wall, size = click, None, 0.0
    reach = rules.farthest_mm if wishes.diameter_mm is None else 0.8 * wishes.diameter_mm + 1
    for last in [False] * (rules.passes - 1) + [True]:
        found = _border(scene, centre, density, wall, reach, wishes, rules)
        if not last:
            outermost = density_with_glass(
                scene.smooth,
                scene.spacing,
                centre,
                lines,
                found.radii,
                (density, scene.lung),
                rules.glass,
            )
            if outermost < density:
                density = outermost
                found = _border(scene, centre, density, wall, reach, wishes, rules)
        moved = _recentred(found, click, lines, scene.spacing, rules)
        step = float(np.linalg.norm((moved - centre) * scene.spacing))
        settled = abs(found.size - size) < 0.06 * found.size and step < 0.15 * found.size
        if last or (size and settled):
            break
        centre, size = moved, found.size
        wall = find_wall(scene.smooth, scene.spacing, centre, lines, found.radii, rules.wall)
        reach = min(float(np.percentile(found.radii, 90)) * 1.6 + 3, 25.0)
    return found


def _on_something(scene: Scene, click: Index, lines: Star) -> tuple[Index, float]:
    """Return the click, moved onto what it just missed, and the density there."""
    for place in (click, _densest_near(scene, click)):
        seen = ray_values(scene.smooth, scene.spacing, place, lines, _CORE_MM)
        core = float(np.median(seen))
        if core > scene.lung + _CONTRAST_HU:
            # partial volume and noise hide how dense small solid nodules are
            return place, max(core, 0.0) if core > SOFT_TISSUE_HU else core
    raise ClickError("nothing denser than lung at the click; click on a nodule")


def _densest_near(scene: Scene, click: Index) -> Index:
    """Return the index of the densest voxel within `_MISSED_MM` of a click."""
    low = np.maximum(np.ceil(click - _MISSED_MM / scene.spacing), 0).astype(int)
    high = np.floor(click + _MISSED_MM / scene.spacing).astype(int) + 1
    part = scene.smooth[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    if not part.size:
        return click
    return np.asarray(np.unravel_index(int(part.argmax()), part.shape) + low, float)


def _border(
    scene: Scene,
    centre: Index,
    density: float,
    wall: Wall | None,
    reach: float,
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
    found = _cheapest(inside, distances, inside, given, rules)
    if density <= SOFT_TISSUE_HU:
        dense = (seen > density + rules.vessel_hu) & ~behind
        apart = np.where(dense, np.minimum(inside, -rules.vessel_cost), inside)
        other = _cheapest(apart.astype(np.float32), distances, inside, given, rules)
        beyond = found[0][:, None]
        near = (distances > beyond + 0.5) & (distances < beyond + 2.5)
        comes_out = float((dense & near).any(axis=1).mean())
        better = found[1].mean() - other[1].mean() >= rules.vessel_gain
        if comes_out >= rules.vessel_share and not better:
            found = other
    return Surface(centre, found[0], found[1], density)


def border_hu(density: float, lung: float, tightness: float, rules: ClickRules) -> float:
    """Return the density at the border of a nodule: tighter is denser."""
    share = float(np.clip(rules.border + _TIGHTEST * tightness, 0.1, 0.9))
    return lung + share * (density - lung)


def _cheapest(
    inside: Floats,
    distances: Points,
    airy: Floats,
    given: Floats,
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
    """
    step = float(distances[1] - distances[0])
    evidence = _evidence(inside, max(round(rules.window_mm / step), 1))
    lung = np.cumsum(np.maximum(-airy - 0.2, 0), axis=1) * step
    cost = rules.airiness * lung - evidence + rules.size * distances + given
    lines = star(rules.directions)
    best = cheapest(lines, cost.astype(np.float32), rules.slope * step, rules.rounds)
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


def _recentred(
    found: Surface, click: Index, lines: Star, spacing: Index, rules: ClickRules
) -> Index:
    """Return the centroid of what a surface encloses, but not far from the click."""
    cubes = (found.radii**3).mean()
    offset = 0.75 * (lines.directions * found.radii[:, None] ** 4).mean(axis=0) / cubes
    if np.linalg.norm(offset) >= 0.8 * found.radii.mean():
        return found.centre
    moved = found.centre + offset / spacing
    far = float(np.linalg.norm((moved - click) * spacing))
    most = rules.shift * found.size
    return moved if far <= most else click + (moved - click) * most / far


def voxels_inside(
    scene: Scene, found: Surface, wishes: Wishes, rules: ClickRules
) -> npt.NDArray[np.bool_]:
    """Return which voxels (z, y, x) of a scene belong to the nodule.

    They lie within the surface, or just outside, and are dense enough: the deeper they lie,
    the less dense they need be. Holes are filled.
    """
    reach = (float(found.radii.max()) + 1) / scene.spacing
    low = np.maximum(np.floor(found.centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(found.centre + reach).astype(int) + 1, scene.hu.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    depth = depth_below(star(rules.directions), found.radii, (index - found.centre) * scene.spacing)
    fine = smoothed(scene.hu[box], scene.spacing, rules.fine_sigma_mm)
    border = border_hu(found.density, scene.lung, wishes.tightness, rules)
    tilt = rules.tilt * np.clip(depth / rules.tilt_mm, -1, 1)
    inside = (depth > -rules.outside_mm) & (fine > border - (border - scene.lung) * tilt)
    labels, count = ndimage.label(inside)
    if count > 1:
        sizes = np.bincount(labels[inside & (depth > 0)], minlength=count + 1)
        sizes[0] = 0
        inside = labels == sizes.argmax()
    whole = np.zeros(scene.hu.shape, bool)
    whole[box] = ndimage.binary_fill_holes(inside)
    return whole
