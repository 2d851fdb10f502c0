"""A napari in which somebody paints without a break, to be killed in the middle of it.

``python painting_window.py SCAN LOG`` opens the scan and writes a line of JSON for each thing that
was done: when, and what. Stroke N paints label N, so that of every voxel it can be told how old it
is. Some strokes go on for seconds before the button is let go. `oldest_loss` judges what is left.
"""

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_ctlns.formats import read_scan
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.recovery_file import Recovered
from napari_ctlns.plugin.session import session_of

MS_BETWEEN_DABS = 30
BRUSH = 6


class Painter(QObject):
    """Paints, adds annotations and scrolls, by a timer of the window."""

    def __init__(self, viewer: napari.Viewer, scan: Path, log: Path) -> None:
        super().__init__()
        self._viewer = viewer
        self._log = log.open("a", encoding="utf-8")
        self._chance = random.Random(time.time_ns())
        session = session_of(viewer)
        volume = read_scan(scan)
        session.add_scan(volume)
        self.mask = session.add_mask(
            volume.mask(np.zeros(volume.geometry.shape, np.uint16)), "painted"
        )
        self.mask.brush_size = BRUSH
        self.points = session.add_annotations((), volume)
        self._label = self._dabs_left = 0
        self._where = np.zeros(3)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._do)
        self._timer.start(MS_BETWEEN_DABS)

    def say(self, **what: Any) -> None:
        """Tell what was done; the line is there even if the next moment is the last."""
        self._log.write(json.dumps({"time": time.time(), **what}) + "\n")
        self._log.flush()

    def _do(self) -> None:
        if self._dabs_left == 0:
            self._begin_stroke()
        shape = np.asarray(self.mask.data.shape)
        step = [0, self._chance.randint(-4, 4), self._chance.randint(-4, 4)]
        self._where = np.clip(self._where + step, 0, shape - 1)
        self.mask.paint(tuple(int(v) for v in self._where), self._label)
        self.say(dab=[int(v) for v in self._where], label=self._label)
        self._dabs_left -= 1
        if self._dabs_left == 0:
            self.mask._commit_stroke()
            self._viewer.dims.set_current_step(0, int(self._where[0]))
        if self._chance.random() < 0.1:
            self.points.add(self._where / 2)
            self.say(points=len(self.points.data))

    def _begin_stroke(self) -> None:
        self._label += 1
        self._dabs_left = self._chance.choice((1, 5, 20, 250))
        self._where = np.array([self._chance.randrange(n) for n in self.mask.data.shape])
        self.mask.selected_label = self._label
        self.mask._begin_stroke()


def oldest_loss(recovered: Recovered, log: Path, ended: float) -> float:
    """Return how long before its end something was done that is lost; 0 if nothing is.

    Raises
    ------
    AssertionError
        If there is a voxel that nobody ever painted.
    """
    done = [json.loads(line) for line in log.read_text("utf-8").splitlines() if line[-1:] == "}"]
    (painted,) = (a for a in recovered.arrays.values() if a.dtype == np.uint16)
    rows = next(
        len(layer.rows)
        for layer in recovered.project.contents.layers
        if layer.kind == "annotations"
    )
    ages = [0.0]
    truth = np.zeros_like(painted)
    for one in done:
        age = ended - one["time"]
        if "points" in one:
            ages.append(age if one["points"] > rows else 0)
            continue
        box = _dab_box(one["dab"], painted.shape)
        # a voxel that was painted over since has a higher label
        ages.append(age if (painted[box] < one["label"]).any() else 0)
        truth[box] = one["label"]
    assert not (painted > _around(truth)).any(), "a voxel is labelled that nobody painted"
    return max(ages)


def _dab_box(centre: list[int], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return some voxels that are surely within a dab of the brush: its middle."""
    z, y, x = centre
    return (slice(z, z + 1), slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2))


def _around(truth: np.ndarray) -> np.ndarray:
    """Return the highest label within reach of the brush of each voxel."""
    from scipy.ndimage import maximum_filter

    return maximum_filter(truth, size=(1, 2 * BRUSH + 1, 2 * BRUSH + 1))


def main(scan: str, log: str) -> None:
    """Paint until it is killed."""
    viewer = napari.Viewer()
    painter = Painter(viewer, Path(scan), Path(log))
    assert of.scan_of(viewer.layers[0]) is not None
    napari.run()
    del painter


if __name__ == "__main__":
    main(*sys.argv[1:])
