"""The click tool: what the mouse does on the canvas while it is on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin.click_plans import Doing
from napari_ctlns.plugin.clicking import TIGHTNESS_STEP, clicking_of
from napari_ctlns.plugin.correction_tools import correction_tools_of
from napari_ctlns.plugin.keys import bind_free_keys
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.window_tool import canvas_at_rest

KEY = "N"
"""Neither napari nor the corrections use it."""
_LEFT, _MIDDLE = 1, 3
_DRAG_PIXELS = 5  # a shorter way is a click
_2D = 2
_CURSOR = "cross"

Pixel = tuple[float, float]


@dataclass(frozen=True)
class Outline:
    """What is being dragged, in pixels of the canvas, x and y.

    Attributes
    ----------
    start, end
        Of a circle the middle and a place on it, of a box two corners.
    """

    start: Pixel
    end: Pixel
    is_box: bool


class ClickTool(QObject):
    """The left button and Shift+wheel for clicks on nodules; it belongs to the session.

    It works on every layer and slice, and goes off when napari's own mouse modes, a tool
    of the corrections or 3D come on. With the space bar held, or the middle button, the
    mouse moves the picture.

    Attributes
    ----------
    switched
        It went on or off, or whether it can be used is different.
    dragging
        What is being dragged (an `Outline`), None when it is let go.
    on
        Whether the mouse is the tool's.
    doing
        What a plain click does.
    """

    switched = Signal()
    dragging = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._clicking = clicking_of(session)
        self._corrections = correction_tools_of(session)
        self.on = False
        self.doing: Doing = "new"
        self._active: Layer | None = None
        self._double_clicks: list[Any] = []
        self._space = False
        self._wheel_way = 0.0
        viewer = session.viewer
        viewer.dims.events.ndisplay.connect(self._turned)
        viewer.layers.selection.events.active.connect(self._follow_active)
        viewer.cursor.events.style.connect(self._keep_cursor)
        session.scan_changed.connect(self._settle)
        session.mouse_taken.connect(self._leave_to)
        self._corrections.switched.connect(self._make_way)

    def why_not(self) -> str:
        """Say why it cannot be used, but for a scan that is lacking; empty if it can."""
        if self._session.viewer.dims.ndisplay != _2D:
            return "In 3D a click has no depth: go back to 2D first"
        return ""

    def bind_key(self) -> None:
        """Let `KEY` switch it, unless a person gave that key to something else."""
        bind_free_keys(self._session.viewer, {"": KEY}, {"": self._toggle})

    def switch(self, on: bool) -> None:
        """Take the mouse, or give it back to napari."""
        on = on and self._session.scan is not None and not self.why_not()
        if on != self.on:
            self.on = on
            if on:
                self._begin()
            else:
                self._leave()
        self.switched.emit()

    def release(self, _gone: QObject | None = None) -> None:
        """Go off; for the panel that is no more."""
        if not self._session.gone:
            self.switch(False)

    def _toggle(self) -> None:
        self.switch(not self.on)

    # -- on and off -----------------------------------------------------------------------

    def _begin(self) -> None:
        viewer = self._session.viewer
        self._session.mouse_taken.emit(self)
        self._corrections.use("")
        self._clicking.get_ready()
        viewer.mouse_drag_callbacks.append(self._drag)
        viewer.mouse_wheel_callbacks.append(self._wheel)
        # two quick clicks are no wish to see more of it
        self._double_clicks = viewer.mouse_double_click_callbacks[:]
        viewer.mouse_double_click_callbacks.clear()
        viewer.bind_key("Space", self._hold, overwrite=True)
        self._follow_active()

    def _leave(self) -> None:
        viewer = self._session.viewer
        viewer.mouse_drag_callbacks.remove(self._drag)
        viewer.mouse_wheel_callbacks.remove(self._wheel)
        viewer.mouse_double_click_callbacks[:0] = self._double_clicks
        viewer.bind_key("Space", None, overwrite=True)
        self._space = False
        self._let_go()
        active = viewer.layers.selection.active
        viewer.cursor.style = "standard" if active is None else active.cursor

    def _follow_active(self, _event: Any = None) -> None:
        """Let no tool of the layer that is selected be on beside this one."""
        self._let_go()
        if not self.on:
            return
        self._active = self._session.viewer.layers.selection.active
        if self._active is not None:
            self._active.mode = "pan_zoom"
            self._active.events.mode.connect(self._mode_changed)
        self._keep_cursor()

    def _let_go(self) -> None:
        if self._active is not None:
            self._active.events.mode.disconnect(self._mode_changed)
        self._active = None

    def _mode_changed(self, _event: Any = None) -> None:
        if self._active is not None and self._active.mode != "pan_zoom":
            self.switch(False)

    def _leave_to(self, tool: object) -> None:
        if tool is not self:
            self.switch(False)

    def _make_way(self) -> None:
        if self._corrections.tool:
            self.switch(False)

    def _turned(self, _event: Any = None) -> None:
        self._settle()

    def _settle(self) -> None:
        self.switch(self.on)

    def _keep_cursor(self, _event: Any = None) -> None:
        cursor = self._session.viewer.cursor
        if self.on and not self._space and cursor.style != _CURSOR:
            cursor.style = _CURSOR

    def _hold(self, viewer: ViewerModel) -> Iterator[None]:
        """Leave the mouse to napari while the space bar is held."""
        self._space = True
        viewer.cursor.style = "standard"
        yield
        self._space = False
        self._keep_cursor()

    # -- the mouse ------------------------------------------------------------------------

    def _drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        if event.button == _MIDDLE:
            return _move_picture(viewer, event)
        if event.button != _LEFT or self._space:
            return iter(())
        return self._click_or_draw(viewer, event)

    def _click_or_draw(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        start, began = np.asarray(event.position, float), _pixel(event)
        doing, draws, is_box = self._meant(event.modifiers)
        with canvas_at_rest(viewer):
            yield
            while event.type == "mouse_move":
                if draws and _apart(began, _pixel(event)):
                    self.dragging.emit(Outline(began, _pixel(event), is_box))
                yield
        self.dragging.emit(None)
        if not _apart(began, _pixel(event)):
            self._clicking.click(doing, start, pixel=began)
        elif draws:
            end = np.asarray(event.position, float)
            place, diameter_mm = _meant_by(start, end, is_box)
            self._clicking.click("new", place, diameter_mm, pixel=began)

    def _meant(self, modifiers: Any) -> tuple[Doing, bool, bool]:
        """Return what a click does, and whether a drag means something, and that a box."""
        if "Shift" in modifiers:
            return "add", True, True
        if "Control" in modifiers or "Alt" in modifiers:  # with Alt, napari's drags zoom
            return "take", False, False
        return self.doing, self.doing == "new", False

    def _wheel(self, _viewer: ViewerModel, event: Any) -> None:
        if tuple(event.modifiers) != ("Shift",):
            return
        # some systems turn the wheel by 90 degrees while Shift is held
        self._wheel_way += float(np.sum(event.delta))
        notches = int(self._wheel_way)
        if notches:
            self._wheel_way -= notches
            self._clicking.set_tightness(self._clicking.tightness - TIGHTNESS_STEP * notches)


def _meant_by(start: np.ndarray, end: np.ndarray, is_box: bool) -> tuple[np.ndarray, float]:
    """Return middle and diameter, mm, of a circle about its start, or in a box."""
    if not is_box:
        return start, 2 * float(np.linalg.norm(end - start))
    sides = np.sort(np.abs(end - start))[-2:]  # across the slice it has none
    return (start + end) / 2, float(sides.mean())


def _move_picture(viewer: ViewerModel, event: Any) -> Iterator[None]:
    """Keep the place that was pressed under the mouse."""
    shown = list(event.dims_displayed)
    start = np.asarray(event.position, float)[shown]
    yield
    while event.type == "mouse_move":
        way = start - np.asarray(event.position, float)[shown]
        centre = np.asarray(viewer.scene.camera.center, float)[-len(shown) :]
        viewer.scene.camera.center = tuple(centre + way)
        yield


def _pixel(event: Any) -> Pixel:
    return float(event.pos[0]), float(event.pos[1])


def _apart(one: Pixel, other: Pixel) -> bool:
    return float(np.hypot(other[0] - one[0], other[1] - one[1])) >= _DRAG_PIXELS


def click_tool_of(session: Session) -> ClickTool:
    """Return the tool of a session; the first call makes it."""
    return session.part(ClickTool)
