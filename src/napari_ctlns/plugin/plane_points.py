"""Points in a plane: annotations as the circles in which a slice cuts their spheres."""

from dataclasses import dataclass

import numpy as np
from napari.layers import Layer, Points
from qtpy.QtGui import QColor

from napari_ctlns.plugin.plane_geometry import Plane, grid_of
from napari_ctlns.volume import Triple

LOOKS = (
    "data",
    "size",
    "visible",
    "opacity",
    "current_face_color",
    "current_border_color",
    "scale",
    "translate",
)
"""The events of a points layer after which it looks different."""


@dataclass(frozen=True)
class Disc:
    """A circle in a plane.

    Attributes
    ----------
    middle
        Canvas millimetres (z, y, x).
    radius
        Millimetres.
    fill, line
        Its colours.
    width
        Of the line, mm.
    opacity
        0 to 1.
    """

    middle: Triple
    radius: float
    fill: QColor
    line: QColor
    width: float
    opacity: float


def are_points(layer: Layer) -> bool:
    """Whether planes can show a layer as points."""
    return isinstance(layer, Points) and layer.ndim == 3


def discs(layer: Points, plane: Plane, point: Triple) -> list[Disc]:
    """Return the points of a layer that the slice through ``point`` cuts, as spheres."""
    grid = grid_of(layer)
    if grid is None or not layer.visible or not len(layer.data):
        return []
    middles = np.asarray(layer.data, float) * grid.spacing + grid.corner
    radii = np.broadcast_to(np.asarray(layer.size, float), len(middles)) * grid.spacing[-1] / 2
    away = np.abs(middles[:, plane.axis] - point[plane.axis])
    met = np.flatnonzero((away < radii) & np.asarray(layer.shown))
    widths = np.broadcast_to(np.asarray(layer.border_width, float), len(middles))
    units = 2 * radii if layer.border_width_is_relative else np.full(len(radii), grid.spacing[-1])
    found = []
    for k in met.tolist():
        z, y, x = middles[k].tolist()
        found.append(
            Disc(
                (z, y, x),
                float(np.sqrt(radii[k] ** 2 - away[k] ** 2)),
                QColor.fromRgbF(*layer.face_color[k].tolist()),
                QColor.fromRgbF(*layer.border_color[k].tolist()),
                float(widths[k] * units[k]),
                float(layer.opacity),
            )
        )
    return found
