"""The Planes panel: the two planes that napari's canvas does not show, and its crosshair."""

from typing import TYPE_CHECKING

from napari import Viewer
from napari.components import ViewerModel
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QHideEvent, QResizeEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QSizePolicy, QSplitter

from napari_ctlns.plugin.crosshair import crosshair_of
from napari_ctlns.plugin.plane_docking import place
from napari_ctlns.plugin.plane_geometry import PLANES, Plane
from napari_ctlns.plugin.plane_sights import plane_sights_of
from napari_ctlns.plugin.planes import three_planes_of
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.views.canvas_cross import CanvasCross
from napari_ctlns.plugin.views.controls import in_a_row
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.views.plane_view import PlaneView

if TYPE_CHECKING:
    import napari

_HINT = (
    "Click or drag: go there. Wheel: slices. Ctrl+wheel: zoom. Middle button: move. "
    "Right button: HU window. napari's brush, eraser, fill and picker of the selected labels "
    "layer work here too; Shift+click goes there meanwhile. On napari's canvas, hold Shift and "
    "move the mouse."
)


class PlanesPanel(Panel):
    """Shows the planes beside napari's canvas."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._planes = three_planes_of(self._session)
        self._sights = plane_sights_of(self._session)
        self._crosshair = crosshair_of(self._session)
        self._canvas_cross: CanvasCross | None = None
        self.views = tuple(PlaneView(plane, self._planes.scene) for plane in PLANES)
        self.cross = QCheckBox("Crosshair")
        self.same_scale = QCheckBox("Same scale")
        self.centred = QCheckBox("Centred")
        self._splitter = QSplitter()
        self._placed = False
        self._beside: tuple[Plane, ...] = ()
        self._lay_out()
        self._connect()
        self._settle()

    def _lay_out(self) -> None:
        self._splitter.setChildrenCollapsible(False)
        self._splitter.setHandleWidth(4)
        for view in self.views:
            self._splitter.addWidget(view)
        self.cross.setToolTip("Draw lines through the place that all planes show")
        self.same_scale.setToolTip(
            "Zoom and move the planes with napari's canvas; off: the whole scan is in sight"
        )
        self.centred.setToolTip("Keep the crosshair in the middle of the planes")
        self.cross.setChecked(self._planes.cross)
        self.same_scale.setChecked(self._sights.same_scale)
        self.centred.setChecked(self._sights.centred)
        self.add_body(self._splitter)
        row = in_a_row(self.cross, self.same_scale, self.centred)
        row.setToolTip(_HINT)
        self.add_foot(row)
        expanding = QSizePolicy.Policy.Expanding  # else napari adds a void below
        self.setSizePolicy(expanding, expanding)

    def _connect(self) -> None:
        planes, sights = self._planes, self._sights
        planes.changed.connect(self._draw)
        planes.turned.connect(self._settle)
        self.cross.toggled.connect(planes.show_cross)
        self.same_scale.toggled.connect(sights.set_same_scale)
        self.centred.toggled.connect(sights.set_centred)
        for view in self.views:
            self._connect_view(view)
        self.destroyed.connect(planes.release)

    def _connect_view(self, view: PlaneView) -> None:
        planes, plane = self._planes, view.plane
        view.pressed.connect(lambda point, shift: planes.press(plane, point, shift))
        view.dragged.connect(planes.drag)
        view.released.connect(planes.release_button)
        view.hovered.connect(planes.hover)
        view.windowed.connect(planes.window)
        view.scrolled.connect(lambda notches: planes.scroll(plane, notches))
        view.zoomed.connect(lambda factor, point: planes.zoom(plane, factor, point))
        view.moved.connect(lambda right, down: planes.move(plane, (right, down)))

    # -- what is shown ------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Follow the layers from now on."""
        super().showEvent(event)
        if not self._placed:
            self._placed = True
            QTimer.singleShot(0, self._place)  # Qt is busy with the dock until then
        self._planes.switch(True)
        if self._canvas_cross is None:
            self._canvas_cross = _cross_of(self._session.viewer)
        self._settle()
        self._draw()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802 - Qt's name
        """Follow nothing while nothing is seen."""
        super().hideEvent(event)
        self._planes.switch(False)
        if self._canvas_cross is not None:
            self._canvas_cross.remove()
            self._canvas_cross = None

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Put planes side by side where it is wide, else one above the other."""
        super().resizeEvent(event)
        wide = self.width() > self.height()
        self._splitter.setOrientation(
            Qt.Orientation.Horizontal if wide else Qt.Orientation.Vertical
        )

    def _place(self) -> None:
        dock = self._dock()
        if dock is not None:
            place(dock)

    def _settle(self) -> None:
        """Show the planes that the canvas does not."""
        beside = self._planes.beside
        if beside == self._beside:
            return
        self._beside = beside
        for view in self.views:
            view.setVisible(view.plane in beside)
        self._splitter.setSizes([self._splitter.width()] * len(self.views))

    def _draw(self) -> None:
        for view in self.views:
            view.update()
        self._draw_on_canvas()

    def _draw_on_canvas(self) -> None:
        if self._canvas_cross is None or self._session.gone:
            return
        viewer = self._session.viewer
        planes = self._planes
        shown = [axis - (viewer.dims.ndim - 3) for axis in viewer.dims.displayed]
        flat = len(shown) == 2 and min(shown) >= 0 and not viewer.canvas.grid.enabled
        if not (planes.on and planes.cross and flat and viewer.layers):
            self._canvas_cross.hide()
            return
        down, across = (self._crosshair.point[axis] for axis in shown)
        self._canvas_cross.show_at(across, down, float(viewer.scene.camera.zoom))


def _cross_of(viewer: ViewerModel) -> CanvasCross | None:
    """Return a cross for the canvas of a viewer; None for one without a window."""
    if not isinstance(viewer, Viewer):
        return None
    return CanvasCross(viewer.window._qt_viewer.canvas.view.scene)  # noqa: SLF001 - no other door
