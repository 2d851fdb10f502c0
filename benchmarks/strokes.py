"""How soon a row of the nodule table is that of the stroke: one row beside all of them.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/strokes.py [--slices 300]

A scan of 512x512 pixels and a mask with 50 nodules of 4 to 30 mm are open in napari with the
Nodules panel. A stroke of the brush is dragged over one nodule after the other with the mouse; the
time runs from the release of the button until the table shows the new volume. Beside it, all
nodules are measured anew, as the button of the panel does, and the corrections of a nodule of
30 mm are timed until they are written.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from napari import Viewer
from qtpy.QtCore import QEvent, QPointF, Qt

from event_loop import send, wait, wait_until
from napari_ctlns.measurement import measure
from napari_ctlns.plugin.corrections import corrections_of
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.panels.correct_panel import CorrectPanel
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.session import session_of
from napari_ctlns.volume import Geometry, Volume

SPACING = (1.0, 0.7, 0.7)
NODULES = 50
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


def main() -> None:
    """Measure, print a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    shape = (parser.parse_args().slices, 512, 512)
    viewer = Viewer()
    viewer.window.resize(1500, 900)
    panel = NodulesPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Nodules", area="right")
    viewer.window.add_dock_widget(CorrectPanel(viewer), name="Correct", area="left")
    session = session_of(viewer)
    hu = np.random.default_rng(0).integers(-1000, 400, shape, dtype=np.int16)
    scan = Volume(hu, Geometry(shape, SPACING), scan_id="made")
    labels, centres = make_mask(shape)
    session.add_scan(scan)
    layer = session.add_mask(scan.mask(labels), "nodules")
    wait_until(lambda: session.table(layer) is not None and not session.is_stale(layer), 120, 0.001)
    wait(1)
    layer.mode, layer.brush_size = "paint", 7
    viewer.scene.camera.zoom = 4.0
    took = []
    for label, centre in enumerate(centres, start=1):
        layer.selected_label = label
        go_to(viewer, np.array(centre) * SPACING)
        wait(0.3)
        took.append(stroke(viewer, panel, label))
    print(f"{'stroke to row':34} {'median':>8} {'p95':>8} {'max':>8}   ms")
    line = [statistics.median(took), float(np.percentile(took, 95)), max(took)]
    print(f"{'followed':34} " + " ".join(f"{value:8.0f}" for value in line))
    start = time.perf_counter()
    measure(scan.mask(np.array(layer.data)), scan)
    whole = (time.perf_counter() - start) * 1000
    print(f"{'all 50 measured anew':34} {whole:8.0f}")
    corrections = corrections_of(session)
    layer.selected_label = NODULES
    for name in ("grow", "shrink", "smooth", "keep_touched", "fill_holes"):
        print(f"{name + ', 30 mm':34} {timed(getattr(corrections, name)):8.0f}")
        wait(0.5)
    across = [np.array(centres[-1]) * SPACING + (0, step, step) for step in (-20, 20)]
    print(f"{'split, 30 mm':34} {timed(lambda: corrections.split(np.array(across))):8.0f}")
    print(f"ratio: {whole / line[0]:.1f}")
    viewer.close()


def make_mask(shape: tuple[int, int, int]) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Return balls of 4 to 30 mm that do not touch, the smallest first, and their centres."""
    labels = np.zeros(shape, np.uint8)
    places = [(z, y, x) for z in (0.15, 0.85, 0.5) for y in range(1, 6) for x in range(1, 6)]
    centres = []
    for label, (z, y, x) in enumerate(places[:NODULES], start=1):
        centre = (round(z * shape[0]), round(y / 6 * shape[1]), round(x / 6 * shape[2]))
        radius = 2 + 13 * (label - 1) / (NODULES - 1)
        reach = np.ceil(radius / np.array(SPACING)).astype(int)
        box = tuple(slice(c - r, c + r + 1) for c, r in zip(centre, reach, strict=True))
        axes = np.ogrid[box]
        squares = [((i - c) * s) ** 2 for i, c, s in zip(axes, centre, SPACING, strict=True)]
        labels[box][sum(squares) <= radius**2] = label
        centres.append(centre)
    return labels, centres


def stroke(viewer: Viewer, panel: NodulesPanel, label: int) -> float:
    """Drag the brush over the edge of a nodule; return the time until its row is new, ms."""
    canvas = viewer.window._qt_viewer.canvas.native
    middle = QPointF(canvas.width() / 2, canvas.height() / 2)
    radius = float(np.sqrt((np.asarray(viewer.layers[-1].data) == label).any(0).sum() / np.pi))
    edge = middle + QPointF(radius * SPACING[1] * 4, 0)
    before = volume_shown(panel, label)
    send(canvas, QEvent.Type.MouseMove, edge, NONE, NONE)
    send(canvas, QEvent.Type.MouseButtonPress, edge, LEFT, LEFT)
    for step in range(1, 6):
        wait(0.02)
        send(canvas, QEvent.Type.MouseMove, edge + QPointF(2 * step, 4 * step), NONE, LEFT)
    wait(0.05)
    start = time.perf_counter()
    send(canvas, QEvent.Type.MouseButtonRelease, edge + QPointF(10, 20), LEFT, NONE)
    wait_until(lambda: volume_shown(panel, label) != before, 20, 0.001)
    panel.table.viewport().repaint()
    return (time.perf_counter() - start) * 1000


def volume_shown(panel: NodulesPanel, label: int) -> float:
    """Return the volume that the table shows for a label."""
    columns = panel.table._model._columns
    return float(columns["volume_mm3"][columns["label"].index(label)])


def timed(function: Callable[[], object]) -> float:
    """Return how long a call takes, ms."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    main()
