"""From what a person does with the mouse to the clicks that a mask is made of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from napari.layers import Labels

from napari_ctlns.errors import ClickError
from napari_ctlns.masks.click import Clicks
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Triple, Volume

_SAME_PLACE_MM = 2.0

Doing = Literal["new", "add", "take"]
"""What a click does: begin a nodule, add to one, take away from it."""


@dataclass(frozen=True)
class Wish:
    """What a person did: a click, or another tightness.

    Attributes
    ----------
    doing
        What is wanted; "redraw": the nodule that is worked on by the tightness there is now.
    place
        LPS millimetres (x, y, z).
    diameter_mm
        About how large the nodule is.
    pixel
        Where on the canvas, x and y, it was.
    """

    doing: Doing | Literal["redraw"]
    place: Triple | None = None
    diameter_mm: float | None = None
    pixel: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """Clicks to make a mask of; without a uid they are of a new nodule."""

    wish: Wish
    scan: Volume
    layer: Labels | None
    uid: str
    clicks: Clicks


def scan_for(session: Session, wish: Wish) -> Volume:
    """Return the scan that a wish is about.

    Raises
    ------
    ClickError
        If there is none, or the place lies outside it.
    """
    scan = session.volume
    if scan is None:
        raise ClickError("no scan is open any more; open one first")
    if wish.place is not None and not scan.geometry.contains(wish.place):
        raise ClickError("outside the scan: click on a nodule in the picture")
    return scan


def target_on(session: Session, scan: Volume) -> Labels | None:
    """Return the labels layer to draw in, None where one has to be made.

    Raises
    ------
    ClickError
        If nothing can be drawn into the one that was chosen.
    """
    layer = session.mask
    if layer is None:
        return None
    mask = of.mask_of(layer, scan)
    if mask.scan_id not in ("", scan.scan_id) or not mask.geometry.same_grid(scan.geometry):
        raise ClickError(f"{layer.name} is not on this scan's grid: choose others, or New")
    if not layer.editable:
        raise ClickError(f"{layer.name} cannot be edited: choose other labels, or New")
    return layer


def with_wish(clicks: Clicks, wish: Wish, tightness: float) -> Clicks:
    """Return the clicks of a nodule with one more.

    Of two at one place that contradict each other the later one counts.
    """
    clicks = replace(clicks, tightness=tightness)
    if wish.place is None:
        return clicks
    if wish.doing == "add":
        outside = _away_from(wish.place, clicks.outside)
        return replace(clicks, inside=(*clicks.inside, wish.place), outside=outside)
    first, *others = clicks.inside
    inside = (first, *_away_from(wish.place, others))
    return replace(clicks, inside=inside, outside=(*clicks.outside, wish.place))


def _away_from(place: Triple, others: Sequence[Triple]) -> tuple[Triple, ...]:
    return tuple(other for other in others if math.dist(place, other) > _SAME_PLACE_MM)
