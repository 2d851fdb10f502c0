"""The crosshair on napari's own canvas: lines of its scene, which no layer holds."""

from typing import Any

import numpy as np
from vispy.scene.visuals import Line

from napari_ctlns.plugin.views.plane_view import CROSS_COLOUR, CROSS_GAP

_FAR = 1e5  # mm: beyond every scan
_ON_TOP = 10**6


class CanvasCross:
    """Two lines that cross, on the scene of napari's canvas.

    Parameters
    ----------
    scene
        The node of the canvas that layers are drawn below, in canvas millimetres.
    """

    def __init__(self, scene: Any) -> None:
        self._lines = Line(
            np.zeros((2, 2)), color=CROSS_COLOUR, width=1, connect="segments", parent=scene
        )
        self._lines.set_gl_state("translucent", depth_test=False)
        self._lines.order = _ON_TOP
        self._lines.visible = False
        self._shown: tuple[float, float, float] | None = None

    def show_at(self, across: float, down: float, scale: float) -> None:
        """Show it at a place, mm, on a canvas with so many pixels for a millimetre."""
        if self._shown == (across, down, scale):
            return  # each change draws the whole canvas
        self._shown = (across, down, scale)
        gap = CROSS_GAP / max(scale, 1e-6)
        ends = np.zeros((8, 2))
        ends[:4, 0] = ends[4:, 1] = (-_FAR, -gap, gap, _FAR)
        self._lines.set_data(pos=ends + np.array([across, down]))
        self._lines.visible = True

    def hide(self) -> None:
        """Show nothing."""
        if self._shown is None:
            return
        self._shown = None
        self._lines.visible = False

    def remove(self) -> None:
        """Leave the canvas."""
        self._lines.parent = None
