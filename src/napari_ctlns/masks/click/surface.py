"""The surface of one nodule: centre, densities and wall, sought in turns until they settle."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.errors import ClickError
from napari_ctlns.masks.click.border import Surface, border_hu, find_border
from napari_ctlns.masks.click.densities import SOFT_TISSUE_HU, density_with_glass, ray_values
from napari_ctlns.masks.click.rules import ClickRules
from napari_ctlns.masks.click.scene import Index, Scene, Wishes, smoothed
from napari_ctlns.masks.click.star import Star, depth_below, star
from napari_ctlns.masks.click.wall import find_wall

_CORE_MM = np.arange(0, 1.3, 0.4)
_MISSED_MM = 2.0
"""How far off a nodule a click may be."""
_CONTRAST_HU, _MISSED_HU = 90.0, 200.0
"""How much denser than lung a nodule is: where one clicked, and next to it, amid noise."""


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
    wished = (wishes.diameter_mm or 0) / 2
    reach = min(1.6 * wished + 1, 25.0) if wished else rules.farthest_mm
    for last in [False] * (rules.passes - 1) + [True]:
        found = find_border(scene, centre, density, wall, reach, size or wished, wishes, rules)
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
                found = find_border(
                    scene, centre, density, wall, reach, size or wished, wishes, rules
                )
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
    for place, contrast in ((click, _CONTRAST_HU), (_densest_near(scene, click), _MISSED_HU)):
        seen = ray_values(scene.smooth, scene.spacing, place, lines, _CORE_MM)
        core = float(np.median(seen))
        if core > scene.lung + contrast:
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
