"""Lobes: what a nodule goes on in where no surface about its own centre can reach.

Bodies that are as thick and as dense as a nodule lie beside it often: other lobes of
it, vessels, the wall. A surface is sought about each in turn. That of a lobe is closed
but for where it touches the nodule; a vessel goes on at its other end, and a wall on all
sides.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.errors import ClickError
from napari_ctlns.masks.click.border import Surface, border_hu, find_border
from napari_ctlns.masks.click.densities import around
from napari_ctlns.masks.click.rules import ClickRules, LobeRules
from napari_ctlns.masks.click.scene import Index, Scene, Wishes
from napari_ctlns.masks.click.star import Floats, depth_below, star
from napari_ctlns.masks.click.surface import find_surface

_FEW = 0.02
"""A nodule that is open in fewer directions goes on in nothing."""


def find_lobes(scene: Scene, nodule: Surface, wishes: Wishes, rules: ClickRules) -> list[Surface]:
    """Find the lobes beside a nodule, and those beside them.

    Parameters
    ----------
    nodule
        The surface about the click.

    Returns
    -------
    list
        A surface for each lobe; none of a nodule that is small, closed, or of a given size.
    """
    own = rules.lobes
    whole = nodule.size < own.smallest_mm or (nodule.evidence < own.level).mean() <= _FEW
    if whole or wishes.diameter_mm is not None:
        return []
    bodies, tried = [nodule], 0
    for body in bodies:  # which grows while lobes are found
        for middle in _middles(scene, body, bodies, rules):
            if tried == own.most:
                break
            if _depth(scene, middle, bodies) < 0:
                tried += 1
                lobe = _lobe(scene, middle, nodule, bodies, wishes, rules)
                bodies += [] if lobe is None else [lobe]
    return bodies[1:]


def _lobe(
    scene: Scene,
    middle: Index,
    nodule: Surface,
    bodies: list[Surface],
    wishes: Wishes,
    rules: ClickRules,
) -> Surface | None:
    """Return the surface about the middle of something thick, None if that is no lobe."""
    own = rules.lobes
    first = find_border(
        scene, middle, nodule.density, None, rules.farthest_mm, nodule.size, wishes, rules
    )
    if _open(scene, first, bodies, own) > 2 * own.open:
        return None  # a quick look is enough for most vessels
    try:
        found = find_surface(scene, middle, wishes, rules)
    except ClickError:
        return None
    alike = abs(found.density - nodule.density) < own.contrast_hu
    closed = _open(scene, found, bodies, own) < own.open
    if not (alike and closed and found.size > own.size_mm):
        return None
    return None if _goes_on(scene, found, bodies, rules) else found


def _middles(scene: Scene, body: Surface, bodies: list[Surface], rules: ClickRules) -> list[Index]:
    """Return indices (z, y, x) of the middles of what is thick beside a body, the nearest first."""
    own = rules.lobes
    index, thick = _thickness(scene, body, rules)
    depth = _depth(scene, index, bodies)
    outside = depth < -0.5
    most = float(thick[~outside].max(initial=0.0))
    neck = max(own.neck_share * min(most, body.size), own.step_mm)
    labels, _ = ndimage.label(thick >= neck)
    middle = outside & np.isin(labels, np.unique(labels[~outside & (labels > 0)]))
    middle &= (thick >= own.thick_mm) & (thick <= own.fat * most) & (-depth - thick < own.gap_mm)
    middle &= thick == ndimage.maximum_filter(thick, 3)
    nearest = np.argsort((-depth - 1.3 * thick)[middle], kind="stable")
    return list(index[middle][nearest])


def _goes_on(scene: Scene, found: Surface, bodies: list[Surface], rules: ClickRules) -> bool:
    """Whether a body goes on, as thick as it is, in what is neither it nor the nodule."""
    own = rules.lobes
    index, thick = _thickness(scene, found, rules)
    depth = _depth(scene, index, [found])
    within = depth > 0
    most = float(thick[within].max(initial=0.0))
    rest = _depth(scene, index, [found, *bodies]) < -own.touch_mm
    rest &= (thick >= own.rest_share * most) & (thick <= own.fat * most)
    rest &= -depth - thick < own.gap_mm
    return bool(np.count_nonzero(rest) > own.rest_volume * np.count_nonzero(within))


def _thickness(
    scene: Scene, body: Surface, rules: ClickRules
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return a coarse grid about a body: indices, and how deep (mm) each lies in what is dense."""
    own = rules.lobes
    border = border_hu(body.density, scene.lung, 0.0, rules)
    half = float(body.radii.max()) + own.reach_mm
    offsets, seen, there = around(scene.smooth, scene.spacing, body.centre, half, own.step_mm)
    dense = (seen > border) & there
    thick = ndimage.distance_transform_edt(dense, sampling=own.step_mm)
    return body.centre + offsets / scene.spacing, np.asarray(thick)


def _depth(scene: Scene, index: npt.NDArray[np.float64], bodies: list[Surface]) -> Floats:
    """Return how deep (mm) indices (..., zyx) lie in that body which they lie deepest in."""
    depths = [
        depth_below(star(len(b.radii)), b.radii, (index - b.centre) * scene.spacing) for b in bodies
    ]
    return np.asarray(np.max(depths, axis=0))


def _open(scene: Scene, found: Surface, bodies: list[Surface], rules: LobeRules) -> float:
    """Return in what share of the directions a surface is open, but not towards the bodies."""
    lines = star(len(found.radii))
    border = found.centre + lines.directions * found.radii[:, None] / scene.spacing
    away = _depth(scene, border, bodies) < -rules.touch_mm
    return float(((found.evidence < rules.level) & away).mean())
