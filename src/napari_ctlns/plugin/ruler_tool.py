"""The ruler in a person's hand: what the mouse does on the canvas while it is on."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QObject, Signal

from napari_ctlns.findings import new_uid
from napari_ctlns.plugin.canvas import canvas_to_lps
from napari_ctlns.plugin.keys import bind_free_keys
from napari_ctlns.plugin.ruler_book import ruler_book_of
from napari_ctlns.plugin.ruler_layer import canvas_points, on_canvas
from napari_ctlns.plugin.rulers import Kind, Ruler, across, length_mm, moved
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.controls import NO_SCAN
from napari_ctlns.plugin.window_tool import canvas_at_rest
from napari_ctlns.volume import FloatArray, Geometry

KEYS: dict[Kind, str] = {"ruler": "Shift-R", "axes": "Shift-B"}
"""Neither napari nor another tool of ours uses them."""
_LEFT = 1
_END_PIXELS = 8  # an end can be taken from so near
_DRAG_PIXELS = 5  # a shorter way is a click
_2D = 2

_Meant = Callable[[FloatArray], Ruler | None]
"""What a drag makes of the place where it is."""


class _End(NamedTuple):
    """One end of a line that can be dragged."""

    ruler: Ruler
    line: int
    end: int


class RulerTool(QObject):
    """The left button for measuring by hand, while it is on.

    A drag draws a line; one that begins at an end of a line moves that end. With axes, the
    first drag is the long one and the next on the same slice, which snaps to a right angle
    and crosses it, the short one. It goes off when another layer, another tool or 3D comes on.

    Attributes
    ----------
    switched
        It went on or off, or whether it can be used is different.
    kind
        What a drag draws; "" while it is off.
    """

    switched = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._book = ruler_book_of(session)
        self.kind: Kind | None = None
        self._layer: Layer | None = None
        self._before: Layer | None = None
        viewer = session.viewer
        viewer.dims.events.ndisplay.connect(self._settle)
        viewer.layers.selection.events.active.connect(self._settle)
        session.scan_changed.connect(self._settle)
        session.mouse_taken.connect(self._leave_to)

    def why_not(self) -> str:
        """Say why it cannot be used; empty if it can."""
        if self._session.scan is None:
            return NO_SCAN
        if self._session.viewer.dims.ndisplay != _2D:
            return "In 3D a drag has no depth: go back to slices first"
        return ""

    def bind_keys(self) -> None:
        """Let `KEYS` switch it, but those that a person gave to something else."""
        does = {kind: partial(self.toggle, kind) for kind in KEYS}
        bind_free_keys(self._session.viewer, KEYS, does)

    def use(self, kind: Kind | None) -> None:
        """Take the left button to draw this, or give it back to napari."""
        if kind is not None and self.why_not():
            kind = None
        if kind != self.kind:
            was, self.kind = self.kind, kind
            if was is None:
                self._begin()
            elif kind is None:
                self._leave()
        self.switched.emit()

    def toggle(self, kind: Kind) -> None:
        """Draw this, or nothing more if that is what it did."""
        self.use(None if kind == self.kind else kind)

    def release(self, _gone: QObject | None = None) -> None:
        """Go off; for the panel that is no more."""
        if not self._session.gone:
            self.use(None)

    # -- on and off ---------------------------------------------------------------------

    def _begin(self) -> None:
        viewer = self._session.viewer
        self._session.mouse_taken.emit(self)
        self._before = viewer.layers.selection.active
        layer = self._book.layer_for_new()
        viewer.layers.selection.active = layer  # so that Ctrl+Z is its own
        self._layer = layer
        viewer.mouse_drag_callbacks.append(self._drag)
        viewer.cursor.style = "cross"

    def _leave(self) -> None:
        viewer = self._session.viewer
        viewer.mouse_drag_callbacks.remove(self._drag)
        layers = viewer.layers
        if layers.selection.active is self._layer and self._before in layers:
            layers.selection.active = self._before
        self._layer = self._before = None
        viewer.cursor.style = "standard"

    def _settle(self, _event: Any = None) -> None:
        active = self._session.viewer.layers.selection.active
        if self._layer is not None and (active is not self._layer or self.why_not()):
            self.use(None)
        self.switched.emit()

    def _leave_to(self, tool: object) -> None:
        if tool is not self:
            self.use(None)

    # -- the mouse ------------------------------------------------------------------------

    def _drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        start = _place(event)
        meant = self._meant(start) if event.button == _LEFT and not event.modifiers else None
        if meant is None:
            return
        began = np.array(event.pos)
        with canvas_at_rest(viewer), self._book.one_step():
            yield
            while event.type == "mouse_move":
                if np.linalg.norm(np.array(event.pos) - began) >= _DRAG_PIXELS:
                    ruler = meant(_place(event))
                    if ruler is not None:
                        found = self._book.finding_at(ruler)
                        self._book.put(ruler.model_copy(update={"finding": found}))
                yield

    def _meant(self, start: FloatArray) -> _Meant | None:
        """Return what a drag from a place makes of the place where it is."""
        geometry, hidden = self._book.geometry, self._book.hidden_axis
        if self.kind is None or geometry is None or hidden is None:
            return None
        normal = np.eye(3)[hidden]
        here = [
            (ruler, points)
            for ruler in self._book.rulers
            if _is_on_slice(points := canvas_points(ruler, geometry), start, hidden, geometry)
        ]
        taken = self._end_near(start, here)
        if taken is not None:
            return partial(_with_end, taken, geometry, normal)
        long = next((r for r, _ in reversed(here) if r.kind == "axes" and len(r.lines) == 1), None)
        if self.kind == "axes" and long is not None:
            return partial(_with_short, long, geometry, normal, start)
        return partial(_new, self.kind, new_uid(), geometry, start)

    def _end_near(self, place: FloatArray, here: Sequence[tuple[Ruler, FloatArray]]) -> _End | None:
        """Return the end that lies nearest to a place, if it is within reach."""
        best, reach = None, _END_PIXELS / self._session.viewer.scene.camera.zoom
        for ruler, points in here:
            away = np.linalg.norm(points - place, axis=-1)
            line, end = np.unravel_index(int(away.argmin()), away.shape)
            if away[line, end] <= reach:
                best, reach = _End(ruler, int(line), int(end)), float(away[line, end])
        return best


def _with_end(
    taken: _End, geometry: Geometry, normal: FloatArray, place: FloatArray
) -> Ruler | None:
    """Return a ruler with one end at a place; None if nothing would be left of it."""
    points = canvas_points(taken.ruler, geometry)
    points = moved(points, taken.line, taken.end, place, normal)
    if min(map(length_mm, points)) <= 0:
        return None
    return on_canvas(taken.ruler, points, geometry)


def _with_short(
    ruler: Ruler, geometry: Geometry, normal: FloatArray, start: FloatArray, place: FloatArray
) -> Ruler | None:
    """Return axes with the short one that a drag means; None while it has no length."""
    long = canvas_points(ruler, geometry)[0]
    short = across(long, start, place, normal)
    if length_mm(short) <= 0:
        return None
    return on_canvas(ruler, np.stack([long, short]), geometry)


def _new(
    kind: Kind, uid: str, geometry: Geometry, start: FloatArray, place: FloatArray
) -> Ruler | None:
    """Return a new line from one place to another; None while it has no length."""
    line = np.stack([start, place])
    if length_mm(line) <= 0:
        return None
    return Ruler(uid=uid, kind=kind, lines=canvas_to_lps(geometry, line)[None].tolist())


def _is_on_slice(points: FloatArray, place: FloatArray, hidden: int, geometry: Geometry) -> bool:
    away = np.abs(points[..., hidden] - place[hidden]).max()
    return bool(away < geometry.spacing[hidden] / 2)


def _place(event: Any) -> FloatArray:
    return np.asarray(event.position, float)[-3:]


def ruler_tool_of(session: Session) -> RulerTool:
    """Return the tool of a session; the first call makes it."""
    return session.part(RulerTool)
