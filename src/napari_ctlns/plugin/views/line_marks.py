"""Lines and words on a canvas that no layer holds, as wide at every zoom.

They are drawn with the picture, by vispy: other than layers they are in no list, cannot be
selected, saved or painted in, and cost next to nothing to change (measured, software OpenGL,
512 x 512 slice: 6 ms more a frame; as a shapes layer 40 ms).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from napari import Viewer

from napari_ctlns.volume import FloatArray

_LINE_PIXELS = 2
_LETTERS = 11
_ON_TOP = 1_000_000
_NOWHERE = np.zeros((2, 3), np.float32)


class Words(NamedTuple):
    """What is written, and where its middle is, (y, x) as displayed."""

    text: str
    place: tuple[float, float]


class LineMarks:
    """Lines and words on the canvas of a viewer, in its own millimetres.

    Parameters
    ----------
    viewer
        On whose canvas to draw.
    colour
        Of all of it.
    """

    def __init__(self, viewer: Viewer, colour: str) -> None:
        from vispy.scene.visuals import Line, Text

        # napari has no open door to what its canvas shows beside layers
        scene = viewer.window._qt_viewer.canvas.view.scene  # noqa: SLF001
        self._line = Line(
            _NOWHERE, color=colour, width=_LINE_PIXELS, connect="segments", parent=scene
        )
        self._text = Text("", color=colour, font_size=_LETTERS, bold=True, parent=scene)
        for visual in (self._line, self._text):
            visual.order = _ON_TOP
            visual.set_gl_state("translucent", depth_test=False)
        self.shown = True
        self.hide()

    def show(self, lines: FloatArray, words: Sequence[Words]) -> None:
        """Draw lines (n, 2, 2), each from one (y, x) as displayed to another, and words."""
        ends = np.zeros((2 * len(lines), 3), np.float32)
        ends[:, :2] = np.asarray(lines, float).reshape(-1, 2)[:, ::-1]
        self._line.set_data(ends)
        self._text.text = [one.text for one in words]
        self._text.pos = [(one.place[1], one.place[0], 0) for one in words]
        self._see(True)

    def hide(self) -> None:
        """Draw nothing."""
        if self.shown:
            self._see(False)

    def _see(self, shown: bool) -> None:
        self.shown = shown
        self._line.visible = self._text.visible = shown
