"""One click on a nodule becomes its mask: no model, a tenth of a second.

A star-shaped surface is sought about the click (`surface`). That is the idea of
Kuhnigk et al. (IEEE TMI 2006) and of Krishnan et al. (MICCAI 2010), that a nodule is
the compact thing about its core and vessels and pleura are cut off where it would end,
with a border that is found in all directions at once instead of by erosion.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.errors import ClickError
from napari_ctlns.masks.click.border import Surface
from napari_ctlns.masks.click.lobes import find_lobes
from napari_ctlns.masks.click.rules import ClickRules
from napari_ctlns.masks.click.scene import Wishes, scene_of
from napari_ctlns.masks.click.surface import find_surface, voxels_inside
from napari_ctlns.masks.islands import Part
from napari_ctlns.volume import AIR_HU, Triple, Volume

SCENE_MM = 34.0
"""How far around the clicks the scan is looked at."""
OPEN_EVIDENCE = 0.5
"""Directions in which the border has less are open: there the nodule goes on as something else."""
MOST_OPEN = 0.4
"""What is open in more directions lies in the chest wall, the mediastinum or the diaphragm."""
RULES = ClickRules()


@dataclass(frozen=True)
class Clicks:
    """Where a person pointed, LPS millimetres (x, y, z).

    Attributes
    ----------
    inside
        Places in the nodule; the first is where it was found.
    outside
        Places that are not to belong to it.
    diameter_mm
        About how large it is.
    tightness
        From -1, loose, to 1, tight.
    """

    inside: tuple[Triple, ...]
    outside: tuple[Triple, ...] = ()
    diameter_mm: float | None = None
    tightness: float = 0.0


def click_mask(scan: Volume, clicks: Clicks, rules: ClickRules = RULES) -> Part:
    """Return the nodule that was clicked on.

    Parameters
    ----------
    scan
        A CT in HU.
    clicks
        Each place inside has a surface of its own, and the nodule is all of them
        together, so another click never takes anything away; a place outside bounds
        them all.
    rules
        The constants of the method.

    Returns
    -------
    Part
        The nodule's voxels; those of each place inside are connected.

    Raises
    ------
    ClickError
        If a click lies outside the scan, or not on anything like a nodule.
    """
    check_clicks(scan, clicks)
    spacing = np.asarray(scan.geometry.spacing)
    places = scan.geometry.world_to_index(np.asarray(clicks.inside, float))
    start, hu = _surroundings(scan, places, spacing)
    scene = scene_of(hu, spacing, rules)
    outside = np.asarray(clicks.outside, float).reshape(-1, 3)
    wishes = Wishes(
        scan.geometry.world_to_index(outside) - start, clicks.diameter_mm, clicks.tightness
    )
    inside = np.zeros(hu.shape, bool)
    for place in places - start:
        found = find_surface(scene, place, wishes, rules)
        _must_be_closed(found)
        own = voxels_inside(scene, found, wishes, rules)
        if not own.any():
            raise ClickError("nothing like a nodule at the click; click on its middle")
        inside |= own
        for lobe in find_lobes(scene, found, wishes, rules):
            inside |= voxels_inside(scene, lobe, wishes, rules)
    return part_in_scan(inside, start)


def mask_of(part: Part, scan: Volume) -> Volume:
    """Return a mask on the scan's grid, uint8, in which a nodule is 1."""
    mask = np.zeros(scan.geometry.shape, np.uint8)
    mask[part.box][part.inside] = 1
    return scan.mask(mask)


def check_clicks(scan: Volume, clicks: Clicks) -> None:
    """Refuse clicks that cannot be meant.

    Raises
    ------
    ClickError
        If there is none inside, one lies outside the scan, or another number is impossible.
    """
    if not clicks.inside:
        raise ClickError("no click inside a nodule; give one place at least")
    for place in (*clicks.inside, *clicks.outside):
        if not (np.isfinite(place).all() and scan.geometry.contains(place)):
            where = "({:g}, {:g}, {:g}) mm".format(*place)
            raise ClickError(f"outside the scan: click at {where}; coordinates are LPS")
    if clicks.diameter_mm is not None and not 0 < clicks.diameter_mm <= 100:
        wrong = f"impossible diameter: {clicks.diameter_mm:g} mm"
        raise ClickError(f"{wrong}; give one above 0, at most 100")
    if not -1 <= clicks.tightness <= 1:
        raise ClickError(f"impossible tightness: {clicks.tightness:g}; give one from -1 to 1")


def _surroundings(
    scan: Volume, places: npt.NDArray[np.float64], spacing: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return where the scene starts in the scan, and its HU, padding being air."""
    away = SCENE_MM / spacing
    low = np.maximum(np.floor(places.min(axis=0) - away), 0).astype(int)
    high = np.minimum(np.ceil(places.max(axis=0) + away).astype(int) + 1, scan.array.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    # fmax, not maximum: it prefers a number to NaN
    return low, np.fmax(scan.array[box], AIR_HU).astype(np.float32)


def _must_be_closed(found: Surface) -> None:
    if (found.evidence < OPEN_EVIDENCE).mean() > MOST_OPEN:
        raise ClickError("no lung around the click: chest wall or mediastinum; click on a nodule")


def part_in_scan(inside: npt.NDArray[np.bool_], start: npt.NDArray[np.intp]) -> Part:
    """Crop to the voxels inside, and place them in the scan."""
    (box,) = ndimage.find_objects(inside.astype(np.uint8))
    z, y, x = (slice(s.start + int(a), s.stop + int(a)) for s, a in zip(box, start, strict=True))
    return Part((z, y, x), inside[box], int(np.count_nonzero(inside)))
