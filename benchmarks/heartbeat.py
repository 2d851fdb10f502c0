"""How calm the window stays while a network is trained: detached run beside a thread.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/heartbeat.py [--seconds 20]

A 10 ms timer beats in napari's event loop over a 300x512x512 scan, without scrolling; its gaps tell
how long the window could not answer. Then slices are stepped through and drawn. Both are measured
idle, while `ctlns train` works detached with the Train panel closed and open, and, as the peers do
it, while the same training works in a thread of napari's own process. Last, Stop is clicked.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from napari import Viewer
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton

from event_loop import wait, wait_until
from napari_ctlns.dataset.folder import DatasetCard, ScanCard, SourceNote, write_card
from napari_ctlns.dataset.revisions import add_scan
from napari_ctlns.events import Log, Metric, ThreadControl
from napari_ctlns.jobs import start_training
from napari_ctlns.jobs.run_folder import is_live
from napari_ctlns.plugin.panels.train_panel import TrainPanel
from napari_ctlns.plugin.run_watcher import RunWatcher
from napari_ctlns.plugin.session import session_of
from napari_ctlns.recipe import Preparation, Recipe, load_recipe
from napari_ctlns.specs import TrainSpec
from napari_ctlns.volume import Geometry, Volume

SCAN = (300, 512, 512)
PREPARED = (128, 160, 160)
DRAWS = 80
BEAT_MS = 10


def main() -> None:
    """Measure all states, print a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="heartbeat of each state")
    options = parser.parse_args()
    viewer = Viewer()
    viewer.window.resize(1500, 900)
    random = np.random.default_rng(0)
    hu = random.integers(-1000, 400, SCAN, dtype=np.int16)
    session_of(viewer).add_scan(Volume(hu, Geometry(SCAN, (1.0, 0.7, 0.7)), scan_id="noise"))
    wait(3)
    print(f"{'':28} {'median':>8} {'p99':>8} {'max':>8} {'slice draw':>11}   ms")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = write_dataset(folder / "dataset")
        idle = measure("idle", viewer, options.seconds)
        run = folder / "run"
        recipe = load_recipe("ct-lns").with_changes({"patches.per_scan": 100_000})
        start_training(TrainSpec(dataset=dataset, out=run, recipe=recipe))
        wait_for_steps(run)
        closed = measure("training, panel closed", viewer, options.seconds)
        opened, stop = with_panel(viewer, run, options.seconds)
        wait_until(lambda: not is_live(run), 60)
        idle_again = measure("idle again", viewer, options.seconds)
        peer = in_thread(viewer, dataset, folder / "thread", recipe, options.seconds)
    quiet = (idle + idle_again) / 2
    print(f"Stop: said by the panel after {stop[0]:.0f} ms, by the training after {stop[1]:.0f} ms")
    print(f"slice draw, training / idle: {closed / quiet:.2f} closed, {opened / quiet:.2f} open")
    print(f"ratio: {peer / closed:.2f}")


def write_dataset(folder: Path) -> Path:
    """Write a dataset of two scans of noise with balls."""
    for seed, name in enumerate(("a", "b")):
        random = np.random.default_rng(seed)
        hu = random.normal(-850, 30, PREPARED).astype(np.int16)
        mask = np.zeros(PREPARED, np.uint8)
        mask[60:70, 60:70, 60:70] = 1
        hu[mask > 0] = 40
        note = SourceNote(path=Path("none"))
        geometry = Geometry(PREPARED)
        card = ScanCard(scan_id=name, patient_id=name, source=note, geometry=geometry)
        add_scan(folder / name, card, hu, mask)
    split = {"a": "train", "b": "val"}
    write_card(
        folder / "dataset.json",
        DatasetCard(preparation=Preparation(), scans=("a", "b"), split=split),
    )
    return folder


def measure(name: str, viewer: Viewer, seconds: float) -> float:
    """Print a row of the table; return the median time to draw a slice, ms."""
    gaps = heartbeat(seconds)
    draw = slice_draws(viewer)
    median, p99 = np.percentile(gaps, [50, 99])
    print(f"{name:28} {median:8.1f} {p99:8.1f} {gaps.max():8.1f} {np.median(draw):11.1f}")
    return float(np.median(draw))


def heartbeat(seconds: float) -> np.ndarray:
    """Return the gaps between beats of the event loop, ms."""
    beats: list[float] = []
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: beats.append(time.perf_counter()))
    timer.start(BEAT_MS)
    wait(seconds)
    timer.stop()
    return np.diff(beats) * 1000


def slice_draws(viewer: Viewer) -> np.ndarray:
    """Return how long single slices took to be cut and drawn, ms."""
    canvas = viewer.window._qt_viewer.canvas.native
    took = []
    for step in range(DRAWS):
        start = time.perf_counter()
        viewer.dims.set_current_step(0, 20 + step * 3 % 250)
        canvas.repaint()
        took.append((time.perf_counter() - start) * 1000)
        wait(0.05)
    return np.array(took[5:])


def with_panel(viewer: Viewer, run: Path, seconds: float) -> tuple[float, tuple[float, float]]:
    """Measure with the Train panel open, then click Stop; return the draw and both answers, ms."""
    session = session_of(viewer)
    panel = TrainPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Train", area="right")
    session.watch_run(run)
    wait(5)
    draw = measure("training, panel open", viewer, seconds)
    heard: list[float] = []
    watcher = RunWatcher(run)
    wait(1)
    watcher.came.connect(
        lambda event: (
            heard.append(time.perf_counter())
            if isinstance(event, Log) and "stopping" in event.message
            else None
        )
    )
    (stop,) = [b for b in panel.findChildren(QPushButton) if b.text() == "Stop"]
    start = time.perf_counter()
    QTest.mouseClick(stop, Qt.MouseButton.LeftButton)
    said = time.perf_counter()
    wait_until(lambda: bool(heard), 10)
    viewer.window.remove_dock_widget(panel)
    return draw, ((said - start) * 1000, (heard[0] - start) * 1000)


def in_thread(viewer: Viewer, dataset: Path, out: Path, recipe: Recipe, seconds: float) -> float:
    """Measure while the same training works in a thread of this process."""
    from napari_ctlns.learning import train

    control = ThreadControl()
    steps = 0

    def work() -> None:
        nonlocal steps
        for event in train(TrainSpec(dataset=dataset, out=out, recipe=recipe), control):
            steps += isinstance(event, Metric)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: steps > 6, 120)
    draw = measure("training in a thread", viewer, seconds)
    control.stop()
    wait_until(lambda: not thread.is_alive(), 60)
    return draw


def wait_for_steps(run: Path) -> None:
    """Wait until a training has done its first steps."""
    seen: list[object] = []
    watcher = RunWatcher(run)
    watcher.came.connect(lambda event: seen.append(event) if isinstance(event, Metric) else None)
    wait_until(lambda: len(seen) > 6, 120)
    watcher.leave()


if __name__ == "__main__":
    main()
