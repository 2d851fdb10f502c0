"""How soon the mask of a clicked nodule is on the screen, in a real window.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/click_window.py [--slices 300]

A phantom chest of 512x512x300 voxels with nodules of 4 to 30 mm is open in napari with the Click
and Nodules panels. Each nodule is clicked on with the mouse, in its middle; the time
runs from the release of the button until the canvas has been painted with the mask. Beside it: the
computation alone, and how long until its row stands in the table.
"""

import argparse
import time

import numpy as np
from napari import Viewer
from qtpy.QtCore import QEvent, QPointF, Qt

from event_loop import send, wait, wait_until
from napari_ctlns.errors import ClickError
from napari_ctlns.masks.click import Clicks, click_mask
from napari_ctlns.phantom import PhantomSpec, make_phantom
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.click_tool import click_tool_of
from napari_ctlns.plugin.clicking import clicking_of
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.panels.click_panel import ClickPanel
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.session import session_of

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
ZOOM = 3.0


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--nodules", type=int, default=24)
    args = parser.parse_args()
    spec = PhantomSpec(
        spacing=(1.0, 0.7, 0.7),
        extent_mm=(float(args.slices), 358.4, 358.4),
        n_nodules=args.nodules,
        diameter_mm=(4, 30),
    )
    phantom = make_phantom(spec)
    scan = phantom.volume
    print(f"{scan.geometry.shape[::-1]} voxels, {args.nodules} nodules of 4 to 30 mm")
    viewer = Viewer()
    viewer.window.resize(1500, 900)
    click, nodules = ClickPanel(viewer), NodulesPanel(viewer)
    viewer.window.add_dock_widget(click, name="Click", area="left")
    viewer.window.add_dock_widget(nodules, name="Nodules", area="right")
    session = session_of(viewer)
    session.add_scan(scan)
    click_tool_of(session).switch(True)
    viewer.scene.camera.zoom = ZOOM
    wait(2)
    stopwatch = Stopwatch(viewer)
    alone: list[float] = []
    took: list[dict[str, float]] = []
    missed = 0
    for nodule in phantom.nodules:
        centre = nodule.annotation.centre
        go_to(viewer, lps_to_canvas(scan.geometry, centre).tolist())
        wait(0.4)
        start = time.perf_counter()
        try:
            click_mask(scan, Clicks((centre,)))
        except ClickError:
            missed += 1
            continue
        alone.append(1000 * (time.perf_counter() - start))
        if times := stopwatch.click():
            took.append(times)
        else:
            missed += 1
    print(f"{missed} of {args.nodules} clicks were refused")
    print(f"{'ms':34} {'median':>8} {'p95':>8} {'max':>8} {'first':>8}")
    for name, times in (
        ("the computation alone", alone),
        ("release to mask in the layer", [times["edited"] for times in took]),
        ("release to mask on screen", [times["swapped"] for times in took]),
        ("release to row in the table", [times["row"] for times in took]),
    ):
        line = (np.median(times), np.percentile(times, 95), max(times), times[0])
        print(f"{name:34} " + " ".join(f"{value:8.0f}" for value in line))
    viewer.close()


class Stopwatch:
    """Times a click from the release of the button."""

    def __init__(self, viewer: Viewer) -> None:
        self._canvas = viewer.window._qt_viewer.canvas
        self._session = session_of(viewer)
        self._clicking = clicking_of(self._session)
        self._session.edited.connect(self._edited)
        self._session.measured.connect(self._measured)
        self._canvas.events.draw.connect(self._drawn, position="last")
        self._canvas.native.frameSwapped.connect(self._swapped)
        self._at: dict[str, float] = {}

    def click(self) -> dict[str, float] | None:
        """Click on the middle of the canvas; return when mask and row were there, ms.

        None: the click was refused.
        """
        native = self._canvas.native
        at = QPointF(native.width() / 2, native.height() / 2)
        send(native, QEvent.Type.MouseMove, at, NONE, NONE)
        send(native, QEvent.Type.MouseButtonPress, at, LEFT, LEFT)
        wait(0.1)
        before = self._clicking.current()
        self._at = {}
        start = time.perf_counter()
        send(native, QEvent.Type.MouseButtonRelease, at, LEFT, NONE)
        wait_until(lambda: not self._clicking.busy, 20)
        if self._clicking.current() == before:
            return None
        wait_until(lambda: "swapped" in self._at and "row" in self._at, 20)
        return {name: 1000 * (then - start) for name, then in self._at.items()}

    def _edited(self, _layer: object) -> None:
        self._at.setdefault("edited", time.perf_counter())

    def _drawn(self, _event: object) -> None:
        if "edited" in self._at:
            self._at.setdefault("drawn", time.perf_counter())

    def _swapped(self) -> None:
        if "drawn" in self._at:
            self._at.setdefault("swapped", time.perf_counter())

    def _measured(self, layer: object) -> None:
        if "edited" in self._at and not self._session.is_stale(layer):
            self._at["row"] = time.perf_counter()


if __name__ == "__main__":
    main()
