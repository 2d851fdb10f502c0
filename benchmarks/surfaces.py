"""How soon nodules are seen in space, and how soon axes follow a stroke.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/surfaces.py [--slices 300]

A scan of 512x512 pixels with two lungs and a mask with 50 nodules of 4 to 30 mm are open in napari
with the Rulers panel. *Show in 3D* is clicked, and the time taken until the first frame is drawn;
then back to slices, to 3D again, and after one nodule was edited. Beside it, strokes of the brush
are dragged over nodules with the mouse; the time runs from the release of the button until the
axes are measured anew and the canvas is drawn.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from napari import Viewer
from qtpy.QtCore import QEvent, QPointF
from qtpy.QtWidgets import QApplication

from event_loop import send, wait, wait_until
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.nodule_axes import nodule_axes_of
from napari_ctlns.plugin.panels.rulers_panel import RulersPanel
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.spatial_view import spatial_view_of
from napari_ctlns.volume import Geometry, Volume
from strokes import LEFT, NONE, SPACING, make_mask


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    shape = (parser.parse_args().slices, 512, 512)
    viewer = Viewer()
    viewer.window.resize(1500, 900)
    panel = RulersPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Rulers", area="right")
    session = session_of(viewer)
    scan = Volume(chest(shape), Geometry(shape, SPACING), scan_id="made")
    labels, centres = make_mask(shape)
    session.add_scan(scan)
    layer = session.add_mask(scan.mask(labels), "nodules")
    wait(1)

    layer.mode, layer.brush_size = "paint", 7
    viewer.scene.camera.zoom = 4.0
    took = []
    for label, centre in enumerate(centres, start=1):
        layer.selected_label = label
        go_to(viewer, np.array(centre) * SPACING)
        wait(0.3)
        took.append(stroke(viewer, session, label))
    values = [statistics.median(took), float(np.percentile(took, 95)), max(took)]
    print(f"{'stroke to axes: median, p95, max':40} " + " ".join(f"{ms:7.0f}" for ms in values))

    view = spatial_view_of(session)

    def shown() -> bool:
        return view.on

    print(f"{'first 3D, 50 nodules and lungs':40} {timed(viewer, panel, shown):7.0f}   ms")
    triangles = {one.name: len(one.data[1]) for one in viewer.layers if one.name.endswith("in 3D")}
    print(f"{'frames after it':40} {statistics.median(frames(viewer)):7.0f}   {triangles}")
    print(f"{'back to slices':40} {timed(viewer, panel, lambda: not view.on):7.0f}")
    print(f"{'3D again':40} {timed(viewer, panel, shown):7.0f}")
    timed(viewer, panel, lambda: not view.on)
    at = np.indices((5, 9, 9)).reshape(3, -1) + np.reshape(centres[-1], (3, 1))
    layer.data_setitem(tuple(at), 1)
    wait(0.5)
    print(f"{'3D again, two nodules edited meanwhile':40} {timed(viewer, panel, shown):7.0f}")
    viewer.close()


def chest(shape: tuple[int, int, int]) -> np.ndarray:
    """Return a body of tissue with two lungs, HU."""
    z, y, x = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    hu = np.full(shape, -1000, np.int16)
    hu[np.broadcast_to((y / 0.8) ** 2 + (x / 0.95) ** 2 < 1, shape)] = 40
    for side in (-0.45, 0.45):
        hu[(z / 0.9) ** 2 + (y / 0.6) ** 2 + ((x - side) / 0.35) ** 2 < 1] = -850
    return hu


def stroke(viewer: Viewer, session: Session, label: int) -> float:
    """Drag the brush over the edge of a nodule; return the time until its axes are new, ms."""
    axes, canvas = nodule_axes_of(session), viewer.window._qt_viewer.canvas.native
    wait_until(lambda: axes.axes is not None and axes.axes.label == label, 20, 0.001)
    before = axes.axes
    radius = before.lengths_mm[0] / 2 if before is not None else 0.0
    edge = QPointF(canvas.width() / 2, canvas.height() / 2) + QPointF(radius * 4, 0)
    send(canvas, QEvent.Type.MouseMove, edge, NONE, NONE)
    send(canvas, QEvent.Type.MouseButtonPress, edge, LEFT, LEFT)
    for step in range(1, 6):
        wait(0.02)
        send(canvas, QEvent.Type.MouseMove, edge + QPointF(2 * step, 4 * step), NONE, LEFT)
    wait(0.05)
    start = time.perf_counter()
    send(canvas, QEvent.Type.MouseButtonRelease, edge + QPointF(10, 20), LEFT, NONE)
    wait_until(lambda: axes.axes is not before, 20, 0.001)
    draw(viewer)
    return (time.perf_counter() - start) * 1000


def timed(viewer: Viewer, panel: RulersPanel, done: Callable[[], bool]) -> float:
    """Click the button for 3D and return how long it takes until it is drawn, ms."""
    start = time.perf_counter()
    panel.job_bar.button.click()
    wait_until(done, 120, 0.001)
    draw(viewer)
    took = (time.perf_counter() - start) * 1000
    wait(0.5)
    return took


def frames(viewer: Viewer) -> list[float]:
    """Return how long frames take while the camera turns, ms."""
    took = []
    for step in range(10):
        z, y, x = viewer.scene.camera.angles
        viewer.scene.camera.angles = (z, y + 5 * (step % 2), x)
        start = time.perf_counter()
        draw(viewer)
        took.append((time.perf_counter() - start) * 1000)
    return took


def draw(viewer: Viewer) -> None:
    """Draw the canvas now."""
    canvas = viewer.window._qt_viewer.canvas._scene_canvas
    canvas.update()
    canvas.native.repaint()
    QApplication.processEvents()


if __name__ == "__main__":
    main()
