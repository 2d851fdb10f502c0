"""Three planes: what is seen beside napari's canvas, and what the mouse does there.

napari has one canvas for a viewer. Its own example for more adds viewers with a copy of each
layer; those have undo histories of their own. Here planes are pictures of the very same layers,
drawn without OpenGL, and tools write into the layers (benchmarks/planes.py has the times).
"""

from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from napari.utils.events import disconnect_events
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin import plane_points
from napari_ctlns.plugin.canvas import canvas_to_lps
from napari_ctlns.plugin.crosshair import crosshair_of
from napari_ctlns.plugin.plane_brush import TOOLS, Stroke
from napari_ctlns.plugin.plane_geometry import PLANES, Pixel, Plane, grid_of
from napari_ctlns.plugin.plane_pictures import LayerPictures, can_be_drawn
from napari_ctlns.plugin.plane_sights import plane_sights_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.plane_view import Scene
from napari_ctlns.plugin.window_tool import scan_window_of
from napari_ctlns.volume import Geometry, Triple

_2D = 2
_LAYER_EVENTS = ("inserted", "removed", "reordered")


class ThreePlanes(QObject):
    """The planes of a session: on while a panel shows them.

    Attributes
    ----------
    changed
        Something looks different.
    turned
        napari's canvas shows another plane now, or 3D.
    cross
        Whether the crosshair is drawn.
    """

    changed = Signal()
    turned = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._crosshair = crosshair_of(session)
        self._sights = plane_sights_of(session)
        self._window = scan_window_of(session)
        self._pictures: dict[Layer, LayerPictures] = {}
        self._points: list[Layer] = []
        self._stroke: Stroke | None = None
        self._windowed: Any = None
        self.on = False
        self.cross = True

    # -- on and off -----------------------------------------------------------------------

    def switch(self, on: bool) -> None:
        """Follow the layers of the viewer, or no longer."""
        if on == self.on or self._session.gone:
            return
        self.on = on
        if on:
            self._begin()
        else:
            self._leave()

    def release(self, _gone: QObject | None = None) -> None:
        """Go off; for the panel that is no more."""
        self.switch(False)

    def _begin(self) -> None:
        viewer = self._session.viewer
        self._sights.begin()
        for signal in (self._sights.changed, self._crosshair.moved, self._session.scan_changed):
            signal.connect(self.changed)
        for name in _LAYER_EVENTS:
            getattr(viewer.layers.events, name).connect(self._follow_layers)
        viewer.layers.selection.events.active.connect(self._tell)
        viewer.dims.events.order.connect(self._turn)
        viewer.dims.events.ndisplay.connect(self._turn)
        viewer.mouse_move_callbacks.append(self._shift_moved)
        self._put_head_up()
        self._follow_layers()

    def _leave(self) -> None:
        viewer = self._session.viewer
        self.release_button()
        for signal in (self._sights.changed, self._crosshair.moved, self._session.scan_changed):
            signal.disconnect(self.changed)
        for events in (viewer.layers.events, viewer.layers.selection.events, viewer.dims.events):
            disconnect_events(events, self)
        viewer.mouse_move_callbacks.remove(self._shift_moved)
        for layer in [*self._pictures, *self._points]:
            self._drop(layer)
        self._put_head_up()

    def _follow_layers(self, _event: Any = None) -> None:
        """Have pictures of the layers that there are."""
        layers = self._session.viewer.layers
        for layer in [*self._pictures, *self._points]:
            if layer not in layers:
                self._drop(layer)
        for layer in layers:
            if can_be_drawn(layer) and layer not in self._pictures:
                self._pictures[layer] = LayerPictures(layer, self._session.viewer, self._tell)
            elif plane_points.are_points(layer) and layer not in self._points:
                self._points.append(layer)
                for name in plane_points.LOOKS:
                    getattr(layer.events, name).connect(self._tell)
        self._tell()

    def _drop(self, layer: Layer) -> None:
        if layer in self._pictures:
            self._pictures.pop(layer).leave()
        else:
            self._points.remove(layer)
            disconnect_events(layer.events, self)

    def _tell(self, _event: Any = None) -> None:
        self.changed.emit()

    def _put_head_up(self) -> None:
        """Let napari's canvas, too, have the head up while it shows z downwards."""
        viewer = self._session.viewer
        dims, camera = viewer.dims, viewer.scene.camera
        z_is_down = dims.ndisplay == _2D and dims.ndim >= 3 and dims.displayed[0] == dims.ndim - 3
        depth, vertical, across = camera.orientation
        wanted = "up" if self.on and z_is_down else "down"
        if str(vertical) != wanted and self._session.scan is not None:
            camera.orientation = (depth, wanted, across)

    def _turn(self, _event: Any = None) -> None:
        self._put_head_up()
        self._sights.begin()
        self.turned.emit()
        self.changed.emit()

    # -- what is seen ---------------------------------------------------------------------

    @property
    def beside(self) -> tuple[Plane, ...]:
        """The planes that napari's canvas does not show."""
        dims = self._session.viewer.dims
        if dims.ndisplay != _2D or dims.ndim < 3:
            return PLANES if dims.ndim >= 3 else PLANES[1:]
        hidden = dims.order[-3] - (dims.ndim - 3)
        return tuple(plane for plane in PLANES if plane.axis != hidden)

    def scene(self, plane: Plane, size: tuple[int, int]) -> Scene | None:
        """Return what a plane shows in a picture of some size; None: nothing is open."""
        if not self.on or not (self._pictures or self._points) or not self._crosshair.is_somewhere:
            return None
        point = self._crosshair.point
        layers = [layer for layer in self._session.viewer.layers if layer.visible]
        drawn = [self._pictures[a].picture(plane, point) for a in layers if a in self._pictures]
        points = [plane_points.discs(a, plane, point) for a in layers if a in self._points]
        volume = self._session.volume
        return Scene(
            sight=self._sights.sight(plane, size),
            point=point,
            pictures=tuple(picture for picture in drawn if picture is not None),
            discs=tuple(disc for some in points for disc in some),
            cross=self.cross,
            brush=self._brush(plane),
            letters=volume is not None,
            words=_words(plane, point, None if volume is None else volume.geometry),
        )

    def show_cross(self, on: bool) -> None:
        """Draw the crosshair, or not."""
        self.cross = on
        self.changed.emit()

    def _tool_layer(self) -> Labels | None:
        """Return the labels layer that the left button works on, as it does on the canvas."""
        layer = self._session.viewer.layers.selection.active
        if not isinstance(layer, Labels) or layer not in self._pictures:
            return None
        if str(layer.mode) not in TOOLS or not layer.visible or grid_of(layer) is None:
            return None
        return layer

    def _brush(self, plane: Plane) -> float | None:
        layer = self._tool_layer()
        if layer is None or str(layer.mode) not in ("paint", "erase"):
            return None
        spacing = np.asarray(layer.scale)
        axes = range(3) if layer.n_edit_dimensions == 3 else (plane.down, plane.across)
        return float(layer.brush_size) / 2 * min(float(spacing[axis]) for axis in axes)

    # -- the mouse ------------------------------------------------------------------------

    def press(self, plane: Plane, point: Triple, shift: bool) -> None:
        """Begin a stroke, or go to the point; with Shift always that."""
        layer = None if shift else self._tool_layer()
        if layer is not None:
            self._stroke = Stroke(layer, plane)
            self._stroke.to(point)
            return
        self._sights.hold(plane)
        self._crosshair.go(point)

    def drag(self, point: Triple) -> None:
        """Go on with it."""
        if self._stroke is None:
            self._crosshair.go(point)
        else:
            self._stroke.to(point)

    def release_button(self) -> None:
        """End it: a stroke becomes one step of undo."""
        stroke, self._stroke = self._stroke, None
        if stroke is not None:
            stroke.end()
        self._sights.hold(None)

    def hover(self, point: Triple, shift: bool) -> None:
        """Read out what lies under the mouse; with Shift, go there."""
        viewer = self._session.viewer
        viewer.cursor.position = (*viewer.dims.point[:-3], *point)
        if shift:
            self._crosshair.go(point)
        elif self._tool_layer() is not None:
            self.changed.emit()  # the brush goes with the mouse

    def scroll(self, plane: Plane, notches: int) -> None:
        """Show another slice of a plane; up is on."""
        dims = self._session.viewer.dims
        axis = dims.ndim - 3 + plane.axis
        span = dims.range[axis]
        point = list(self._crosshair.point)
        here = round((point[plane.axis] - span.start) / span.step)
        point[plane.axis] = span.start + (here + notches) * span.step
        self._crosshair.go((point[0], point[1], point[2]))

    def zoom(self, plane: Plane, factor: float, point: Triple) -> None:
        """See more or less of all planes."""
        self._sights.zoom(plane, factor, point)

    def move(self, plane: Plane, pixels: Pixel) -> None:
        """Move the pictures."""
        self._sights.move(plane, pixels)

    def window(self, right: float, up: float, begins: bool) -> None:
        """Widen the HU window to the right, darken it upwards, from where the drag began."""
        if begins:
            self._windowed = self._window.window
        elif self._windowed is not None:
            self._window.choose(self._windowed.dragged(right, up))

    def _shift_moved(self, viewer: Any, event: Any) -> None:
        """Take the crosshair along with the mouse on napari's canvas while Shift is held."""
        if "Shift" in event.modifiers and not event.is_dragging and viewer.dims.ndisplay == _2D:
            z, y, x = (0.0, 0.0, 0.0, *event.position)[-3:]
            self._crosshair.go((float(z), float(y), float(x)))


def _words(plane: Plane, point: Triple, geometry: Geometry | None) -> str:
    """Return which plane it is, and where, in LPS millimetres."""
    if geometry is None:
        return f"{plane.name}  {'zyx'[plane.axis]} {point[plane.axis]:.1f} mm"
    x, y, z = (float(v) for v in canvas_to_lps(geometry, point))
    if np.allclose(np.asarray(geometry.direction), np.eye(3), atol=1e-4):
        return f"{plane.name}  {'zyx'[plane.axis]} {(z, y, x)[plane.axis]:.1f} mm"
    return f"{plane.name}, oblique: along the scan's own axes\nx {x:.1f}, y {y:.1f}, z {z:.1f} mm"


def three_planes_of(session: Session) -> ThreePlanes:
    """Return the planes of a session; the first call makes them."""
    return session.part(ThreePlanes)
