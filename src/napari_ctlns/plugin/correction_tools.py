"""What the mouse does to nodules: cut by a line that is dragged, click on what goes or stays."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels, Vectors
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin.canvas import COMMON
from napari_ctlns.plugin.corrections import NO_LAYER, Voxel, corrections_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.window_tool import canvas_at_rest

Tool = Literal["split", "merge", "delete", "keep", ""]
LINE_LAYER = "cutting line"
"""The name of the layer in which the line is shown while the tool is on."""
_LINE_COLOUR = "#f0e442"
"""Yellow of the Okabe-Ito palette."""
_LEFT = 1
_CLICK_PIXELS = 5  # a longer way is a drag
_2D = 2


class CorrectionTools(QObject):
    """The left button for corrections, while one of the tools is on.

    A tool goes off when napari's own mouse modes, another layer or 3D come on.

    Attributes
    ----------
    switched
        Another tool is on now, or none, or whether one can be used is different.
    tool
        Which one is.
    """

    switched = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._corrections = corrections_of(session)
        self.tool: Tool = ""
        self._layer: Labels | None = None
        viewer = session.viewer
        viewer.dims.events.ndisplay.connect(self._turned)
        viewer.layers.selection.events.active.connect(self._settle)
        session.mask_changed.connect(self._settle)

    def why_not(self) -> str:
        """Say why no tool can be used; empty if they can."""
        if self._session.mask is None:
            return NO_LAYER
        if self._session.viewer.dims.ndisplay != _2D:
            return "In 3D a click has no depth: go back to 2D first"
        return ""

    def use(self, tool: Tool) -> None:
        """Let the left button do this; "": it moves the picture again."""
        if tool == self.tool:
            return
        self._leave()
        layer = self._session.mask
        if tool and layer is not None and not self.why_not():
            self._begin(tool, layer)
        self.switched.emit()

    def toggle(self, tool: Tool) -> None:
        """Let the left button do this, or move the picture again if it did."""
        self.use("" if tool == self.tool else tool)

    def release(self, _gone: QObject | None = None) -> None:
        """Go off; for the panel that is no more."""
        if not self._session.gone:
            self.use("")

    # -- on and off ---------------------------------------------------------------------

    def _begin(self, tool: Tool, layer: Labels) -> None:
        viewer = self._session.viewer
        if not layer.visible:
            layer.visible = True
        if tool == "split":
            self._add_line(layer)
        viewer.layers.selection.active = layer
        layer.mode = "pan_zoom"
        self.tool, self._layer = tool, layer
        layer.events.mode.connect(self._settle)
        viewer.mouse_drag_callbacks.append(self._drag)

    def _leave(self) -> None:
        if self._layer is None:
            return
        viewer = self._session.viewer
        self._layer.events.mode.disconnect(self._settle)
        viewer.mouse_drag_callbacks.remove(self._drag)
        self.tool, self._layer = "", None
        if (line := self._line) is not None:
            active = viewer.layers.selection.active
            viewer.layers.remove(line)
            if active in viewer.layers:
                viewer.layers.selection.active = active

    def _settle(self, _event: Any = None) -> None:
        """Go off where a person does something else with the mouse."""
        layer = self._layer
        if layer is None:
            return
        active = self._session.viewer.layers.selection.active
        if active is not layer or layer.mode != "pan_zoom" or self.why_not():
            self.use("")

    def _turned(self, _event: Any = None) -> None:
        self._settle()
        self.switched.emit()

    # -- the line -----------------------------------------------------------------------

    @property
    def _line(self) -> Vectors | None:
        layers = self._session.viewer.layers
        return next(
            (one for one in layers if isinstance(one, Vectors) and one.name == LINE_LAYER), None
        )

    def _add_line(self, layer: Labels) -> None:
        line = Vectors(
            np.zeros((0, 2, 3)),
            name=LINE_LAYER,
            scale=layer.scale,  # another would make the slider stop between slices
            translate=layer.translate,
            edge_width=0.6 / float(min(layer.scale)),
            edge_color=_LINE_COLOUR,
            vector_style="line",
            **COMMON,
        )
        self._session.viewer.add_layer(line)

    def _show(self, start: np.ndarray, end: np.ndarray) -> None:
        if self._line is not None:
            self._line.data = np.stack([start, end - start])[None]

    def _hide(self) -> None:
        if self._line is not None:
            self._line.data = np.zeros((0, 2, 3))

    # -- the mouse ----------------------------------------------------------------------

    def _drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        layer = self._layer
        if layer is None or event.button != _LEFT or event.modifiers:
            return
        if self.tool == "split":
            with canvas_at_rest(viewer):
                yield from self._draw_line(layer, event)
            return
        began = np.array(event.pos)
        yield
        while event.type == "mouse_move":  # moves the picture
            yield
        if np.linalg.norm(np.array(event.pos) - began) < _CLICK_PIXELS:
            self.click(_voxel(layer, event.position))

    def _draw_line(self, layer: Labels, event: Any) -> Iterator[None]:
        start = np.asarray(event.position, float)
        yield
        while event.type == "mouse_move":
            self._show(*(np.asarray(layer.world_to_data(p)) for p in (start, event.position)))
            yield
        end = np.asarray(event.position, float)
        self._hide()
        self._corrections.split(np.stack([start, end])[:, -3:])

    def click(self, at: Voxel) -> None:
        """Do with a voxel what the tool does."""
        does: dict[Tool, Callable[[Voxel], None]] = {
            "merge": self._merge,
            "delete": self._corrections.delete_piece,
            "keep": self._corrections.keep_piece,
        }
        does[self.tool](at)

    def _merge(self, at: Voxel) -> None:
        self._corrections.merge(self._corrections.label_at(at))


def _voxel(layer: Labels, position: Any) -> Voxel:
    z, y, x = (round(float(k)) for k in layer.world_to_data(position))
    return z, y, x


def correction_tools_of(session: Session) -> CorrectionTools:
    """Return the tools of a session; the first call makes them."""
    return session.part(CorrectionTools)
