"""How soon three planes show another place, or what was painted: ways to do it, beside napari's.

    xvfb-run -a -s "-screen 0 1366x768x24" python benchmarks/planes.py [--slices 300] [--moves 60]

A scan of 512x512 pixels, labels and 50 annotations are open in napari. The ways:

- widgets: the Planes panel, pictures in Qt widgets beside napari's canvas
- visuals: vispy canvases beside it, a picture of the scan and one of the labels in each
- viewers: what napari's own example for several viewers does: two more viewer models with a copy
  of each layer over the same arrays, kept alike by events

A move takes the crosshair to another slice of one plane (wheel) or of two at once (drag); it is
timed until all three canvases were drawn and shown. A dab is timed from the voxels' being written
until all three were drawn; with widgets it comes as mouse events in the coronal plane too. The
last line is the time of a drag with napari's example over that with the panel.
"""

import argparse
import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from napari import Viewer
from napari._qt.qt_viewer import QtViewer
from napari.components import ViewerModel
from napari.layers import Labels, Layer, Vectors
from qtpy.QtCore import QEvent, QObject, QPointF, Qt
from qtpy.QtWidgets import QApplication, QSplitter
from vispy.scene import SceneCanvas
from vispy.scene.visuals import Image, Line
from vispy.visuals.transforms import STTransform

from event_loop import send, wait
from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.crosshair import crosshair_of
from napari_ctlns.plugin.panels.planes_panel import PlanesPanel
from napari_ctlns.plugin.session import session_of
from napari_ctlns.volume import Geometry, Volume

SPACING = (1.0, 0.7, 0.7)
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
Move = Callable[[tuple[float, float, float]], None]


def main() -> None:
    """Measure each way, print a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--moves", type=int, default=60)
    given = parser.parse_args()
    print(f"{'':10} {'':28} {'median':>8} {'p95':>8} {'cpu':>8}   ms")
    drags = {}
    for name, way in {"widgets": Widgets, "visuals": Visuals, "viewers": Viewers}.items():
        viewer, labels = open_window(given.slices)
        there = way(viewer, labels)
        wait(1)
        for what, moves in places(viewer, given.moves).items():
            took = [there.timed(partial(there.move, place)) for place in moves]
            drags[name, what] = report(name, what, took)
        middle = np.array(labels.data.shape) // 2
        for axis, plane in enumerate(("axial", "coronal", "sagittal")):
            took = [there.timed(partial(dab, labels, middle, axis, k)) for k in range(given.moves)]
            report(name, f"dab, {plane}", took)
        if isinstance(there, Widgets):
            labels.mode, labels.brush_size = "paint", 15
            for view in there.panel.views:
                if view.isVisible():
                    report(name, f"stroke's moves, {view.plane.name.lower()}", there.stroke(view))
        there.close()
        viewer.close()
        gc.collect()
    print(f"ratio: {drags['viewers', 'drag'] / drags['widgets', 'drag']:.1f}")


def open_window(slices: int) -> tuple[Viewer, Labels]:
    """Return napari with a scan, labels and annotations."""
    shape = (slices, 512, 512)
    random = np.random.default_rng(0)
    scan = Volume(
        random.integers(-1000, 400, shape, dtype=np.int16), Geometry(shape, SPACING), scan_id="a"
    )
    labels = np.zeros(shape, np.uint8)
    labels[slices // 3 : slices // 2, 200:300, 200:300] = 1
    viewer = Viewer()
    viewer.window.resize(1366, 768)
    session = session_of(viewer)
    session.add_scan(scan)
    places = random.random((50, 3)) * [358, 358, slices]
    session.add_annotations(tuple(Annotation("a", *map(float, p), 10.0) for p in places), scan)
    return viewer, session.add_mask(scan.mask(labels), "nodules")


def places(viewer: Viewer, many: int) -> dict[str, list[tuple[float, float, float]]]:
    """Return where the crosshair goes, from the middle: by the wheel, and as a drag takes it."""
    z, y, x = (float(p) for p in viewer.dims.point)
    steps = [k % 20 + 1 for k in range(many)]
    dz, dy, dx = SPACING
    return {
        "wheel, axial": [(z + k * dz, y, x) for k in steps],
        "wheel, coronal": [(z, y + k * dy, x) for k in steps],
        "wheel, sagittal": [(z, y, x + k * dx) for k in steps],
        "drag, axial": [(z, y + k * dy, x - k * dx) for k in steps],
        "drag": [(z + k * dz, y, x - k * dx) for k in steps],
    }


def dab(labels: Labels, middle: np.ndarray, axis: int, k: int) -> None:
    """Paint a disc through the middle of a plane; neighbours differ, so each changes voxels."""
    down, across = np.mgrid[-10:11, -10:11]
    inside = down**2 + across**2 <= 100
    ways = [down[inside], across[inside]]
    ways.insert(axis, np.zeros_like(ways[0]))
    at = tuple(m + way for m, way in zip(middle, ways, strict=True))
    labels.data_setitem(at, k % 5 + 2)


def report(name: str, what: str, took: list[tuple[float, float]]) -> float:
    """Print how long something took, and return the median, ms."""
    walls, cpu = np.array(took).T
    median, slow = float(np.median(walls)), float(np.percentile(walls, 95))
    print(f"{name:10} {what:28} {median:8.1f} {slow:8.1f} {np.median(cpu):8.1f}")
    return median


class Drawings(QObject):
    """Counts the paint events of widgets."""

    def __init__(self, widgets: list[Any]) -> None:
        super().__init__()
        self.left: set[int] = set()
        self._names = {id(widget): widget for widget in widgets}
        for widget in widgets:
            widget.installEventFilter(self)

    def begin(self) -> None:
        """Wait for all that are seen."""
        self.left = {name for name, widget in self._names.items() if widget.isVisible()}

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Note what is drawn."""
        if event.type() == QEvent.Type.Paint:
            self.left.discard(id(watched))
        return False


class Way:
    """One way to have three planes."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.main = viewer.window._qt_viewer.canvas.native
        self.drawings: Drawings

    def timed(self, does: Callable[[], None]) -> tuple[float, float]:
        """Return how long it takes until all canvases were drawn and handed on, ms.

        The second is the processor's time, which says more on a machine that is busy.
        """
        QApplication.processEvents()
        self.drawings.begin()
        start, cpu = time.perf_counter(), time.process_time()
        does()
        while self.drawings.left and time.perf_counter() - start < 2:
            QApplication.processEvents()
        QApplication.processEvents()
        took, cpu = time.perf_counter() - start, time.process_time() - cpu
        wait(0.02)
        if self.drawings.left:
            raise TimeoutError("a canvas was not drawn")
        return took * 1000, cpu * 1000


class Widgets(Way):
    """The Planes panel."""

    def __init__(self, viewer: Viewer, labels: Labels) -> None:
        super().__init__(viewer)
        self.labels = labels
        self.panel = PlanesPanel(viewer)
        viewer.window.add_dock_widget(self.panel, name="Planes", area="right")
        self.cross = crosshair_of(session_of(viewer))
        self.drawings = Drawings([self.main, *self.panel.views])

    def move(self, place: tuple[float, float, float]) -> None:
        """Take the crosshair there."""
        self.cross.go(place)

    def stroke(self, view: Any) -> list[tuple[float, float]]:
        """Drag the brush; return the time of each move of the mouse until it is drawn, ms."""
        at = QPointF(view.width() / 3, view.height() / 3)
        self.labels.selected_label = 7 + view.plane.axis
        send(view, QEvent.Type.MouseButtonPress, at, LEFT, LEFT)
        took = []
        for _ in range(60):
            at += QPointF(2.5, 1)
            took.append(
                self.timed(partial(send, view, QEvent.Type.MouseMove, QPointF(at), NONE, LEFT))
            )
        send(view, QEvent.Type.MouseButtonRelease, at, LEFT, NONE)
        return took

    def close(self) -> None:
        """Close the panel."""
        self.viewer.window.remove_dock_widget(self.panel)
        self.panel.close()


class Visuals(Way):
    """Canvases of vispy, each with a picture of the scan and of the labels."""

    def __init__(self, viewer: Viewer, labels: Labels) -> None:
        super().__init__(viewer)
        self.scan = viewer.layers[0]
        self.labels = labels
        self.box = QSplitter(Qt.Orientation.Vertical)
        self.planes = [VisualPlane(axis) for axis in (1, 2)]
        for plane in self.planes:
            self.box.addWidget(plane.canvas.native)
        viewer.window.add_dock_widget(self.box, name="Planes", area="right")
        viewer.window._qt_window.resizeDocks(
            [self.box.parentWidget()], [464], Qt.Orientation.Horizontal
        )
        labels.events.labels_update.connect(self.draw)
        self.drawings = Drawings([self.main, *(p.canvas.native for p in self.planes)])

    def move(self, place: tuple[float, float, float]) -> None:
        """Take the crosshair there: napari's point, and the planes after it."""
        self.viewer.dims.set_point(range(3), place)
        self.draw()

    def draw(self, _event: Any = None) -> None:
        """Cut all slices anew."""
        for plane in self.planes:
            plane.draw(self.viewer.dims.point, self.scan, self.labels)

    def close(self) -> None:
        """Close the canvases."""
        self.labels.events.labels_update.disconnect(self.draw)
        self.viewer.window.remove_dock_widget(self.box)
        for plane in self.planes:
            plane.canvas.close()


class VisualPlane:
    """One canvas of vispy."""

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self.canvas = SceneCanvas(keys=None, size=(450, 330))
        self.view = self.canvas.central_widget.add_view()
        self.view.camera = "panzoom"
        self.view.camera.aspect = 1
        self.view.camera.rect = (0, 0, 358, 300)
        shade = np.zeros((300, 512), np.int16)
        self.scan = Image(shade, cmap="grays", clim=(-1350, 150), parent=self.view.scene)
        self.marks = Image(np.zeros((300, 512, 4), np.uint8), parent=self.view.scene)
        self.lines = Line(np.zeros((4, 2)), connect="segments", parent=self.view.scene)
        for visual in (self.scan, self.marks):
            visual.transform = STTransform(scale=(SPACING[1], SPACING[0]))
        self.marks.set_gl_state("translucent", depth_test=False)

    def draw(self, point: Any, scan: Layer, labels: Labels) -> None:
        """Show the slice through a point."""
        index = round(point[self.axis] / SPACING[self.axis])
        key = tuple(index if axis == self.axis else slice(None) for axis in range(3))
        self.scan.set_data(np.ascontiguousarray(scan.data[key]))
        there = np.array(labels.data[key])
        table = (255 * labels.colormap.map(np.arange(int(there.max()) + 1))).astype(np.uint8)
        self.marks.set_data(table[there])
        down, across = point[0], point[3 - self.axis]
        ends = [(-999, down), (999, down), (across, -999), (across, 999)]
        self.lines.set_data(np.array(ends, float))
        self.canvas.update()


class Viewers(Way):
    """Two more viewer models with a copy of each layer, as in napari's example."""

    def __init__(self, viewer: Viewer, labels: Labels) -> None:
        super().__init__(viewer)
        self.labels = labels
        self.models = [ViewerModel(title=f"plane {axis}") for axis in (1, 2)]
        self.views = [QtViewer(model) for model in self.models]
        self.box = QSplitter(Qt.Orientation.Vertical)
        for view in self.views:
            self.box.addWidget(view)
        viewer.window.add_dock_widget(self.box, name="Planes", area="right")
        viewer.window._qt_window.resizeDocks(
            [self.box.parentWidget()], [464], Qt.Orientation.Horizontal
        )
        self.crosses = [self._cross(model) for model in (viewer, *self.models)]
        for layer in list(viewer.layers)[:3]:
            for model in self.models:
                self._copy(layer, model)
        for model, order in zip(self.models, ((1, 0, 2), (2, 0, 1)), strict=True):
            model.dims.order = order
            model.reset_view()
        viewer.dims.events.point.connect(self._follow)
        self.drawings = Drawings([self.main, *(view.canvas.native for view in self.views)])

    def _copy(self, layer: Layer, model: ViewerModel) -> None:
        data, state, kind = layer.as_layer_data_tuple()
        state["metadata"] = {}
        other = model.add_layer(Layer.create(data, state, kind))
        layer.events.set_data.connect(lambda: other.refresh())
        if isinstance(layer, Labels):
            layer.events.labels_update.connect(lambda: other.refresh())

    def _cross(self, model: ViewerModel) -> Vectors:
        return model.add_vectors(
            np.zeros((3, 2, 3)), vector_style="line", edge_width=1, units=("mm",) * 3
        )

    def _follow(self, _event: Any = None) -> None:
        point = np.array(self.viewer.dims.point)
        for model in self.models:
            model.dims.set_point(range(3), point)
        lines = np.array([[point - 400 * unit, 800 * unit] for unit in np.eye(3)])
        for cross in self.crosses:
            cross.data = lines

    def move(self, place: tuple[float, float, float]) -> None:
        """Take the viewer's point there, and all others after it."""
        self.viewer.dims.set_point(range(3), place)

    def close(self) -> None:
        """Close the viewers."""
        self.viewer.dims.events.point.disconnect(self._follow)
        self.viewer.window.remove_dock_widget(self.box)
        for view in self.views:
            view.close()


if __name__ == "__main__":
    main()
