"""A napari with our panels that begins some work, says so, and is closed in the middle of it.

``python working_window.py WORK WAY FOLDER`` writes one line of JSON as soon as the work is
under way: the process ids of its children, and how many threads of ours work. Then it ends the
way it was told to.
"""

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
import psutil
from napari import Viewer
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication

from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.panels.predict_panel import PredictPanel
from napari_ctlns.plugin.panels.scan_panel import ScanPanel
from napari_ctlns.plugin.panels.train_panel import TrainPanel
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.views.data_choice import DataChoice
from napari_ctlns.plugin.views.run_bar import RunBar
from napari_ctlns.volume import Geometry, Volume

UnderWay = Callable[[], bool]
SHAPE = (120, 220, 220)


def scan_without_file() -> Volume:
    """A scan that prediction has to write to a temporary folder first."""
    chance = np.random.default_rng(0)
    array = chance.integers(-900, -700, SHAPE).astype(np.int16)
    return Volume(array, Geometry(SHAPE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)), "ct", "noise", "who")


def reading(viewer: Viewer, folder: Path) -> UnderWay:
    """Read a large scan in a thread."""
    panel = ScanPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Scan")
    panel.open_controls.asked.emit([folder / "large.mhd"], "scan")
    return lambda: panel.job_bar.said.startswith("Reading")


def preparing(viewer: Viewer, folder: Path) -> UnderWay:
    """Prepare a dataset in the child."""
    panel = TrainPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Train")
    (data,), (bar,) = panel.findChildren(DataChoice), panel.findChildren(RunBar)
    data.scans.set_path(folder / "scans")
    data.annotations.set_path(folder / "annotations.csv")
    bar.button.click()
    return lambda: "scan" in bar.place_shown()


def predicting(viewer: Viewer, folder: Path) -> UnderWay:
    """Predict in the child."""
    panel = PredictPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Predict")
    session_of(viewer).add_scan(scan_without_file())
    session_of(viewer).choose_model(folder / "model")
    panel.whole.setChecked(True)
    panel.device.setCurrentText("cpu")
    panel.job_bar.button.click()
    return lambda: "window" in panel.job_bar._left.text()


def queueing(viewer: Viewer, folder: Path) -> UnderWay:
    """Predict many scans in workers of a child."""
    panel = PredictPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Predict")
    session_of(viewer).choose_model(folder / "model")
    panel.whole.setChecked(True)
    panel.device.setCurrentText("cpu")
    panel.queue.scans.set_path(folder / "scans")
    panel.queue.results.set_path(folder / "results")
    panel.queue.bar.button.click()
    return lambda: any(row.status == "running" for row in panel.queue.table.rows)


def measuring(viewer: Viewer, folder: Path) -> UnderWay:
    """Measure many nodules in a thread."""
    panel = NodulesPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Nodules")
    scan = scan_without_file()
    labels = np.zeros(SHAPE, np.uint16)
    for label, (z, y, x) in enumerate(np.ndindex(10, 18, 18), 1):
        labels[z * 12 : z * 12 + 8, y * 12 : y * 12 + 8, x * 12 : x * 12 + 8] = label
    session_of(viewer).add_scan(scan)
    session_of(viewer).add_mask(scan.mask(labels), "many")
    return lambda: panel.job_bar.said.startswith("Measure")


WORKS = {work.__name__: work for work in (reading, preparing, predicting, queueing, measuring)}


class End(QObject):
    """Waits until the work is under way, says so, and ends it all."""

    def __init__(self, viewer: Viewer, under_way: UnderWay, way: str) -> None:
        super().__init__()
        self._viewer, self._under_way, self._way = viewer, under_way, way
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(5)

    def _look(self) -> None:
        if not self._under_way():
            return
        self._timer.stop()
        children = [child.pid for child in psutil.Process().children(recursive=True)]
        threads = sum(thread.name == "ctlns-job" for thread in threading.enumerate())
        sys.stdout.write(json.dumps({"children": children, "threads": threads}) + "\n")
        sys.stdout.flush()
        if self._way == "close":
            self._viewer.close()
        elif self._way == "quit":
            QApplication.instance().quit()
        elif self._way == "exit":  # as a script does that runs in the window's console
            QApplication.instance().exit(0)


def main(work: str, way: str, folder: str) -> None:
    """Begin and end."""
    viewer = napari.Viewer()
    end = End(viewer, WORKS[work](viewer, Path(folder)), way)
    napari.run()
    del end


if __name__ == "__main__":
    main(*sys.argv[1:])
