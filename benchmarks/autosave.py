"""How calm the window stays while what is painted is kept against a crash.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/autosave.py [--seconds 20]

Somebody paints without a break into one of three masks of a 300x512x512 scan, of which one fills
the lungs. A 10 ms timer beats in napari's event loop; its gaps tell how long the window could not
answer. It is measured with nothing kept, as in napari itself, and with autosave; then how long one
look at all that is open takes in the window's thread, and how old the newest stroke on the disk is.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from napari import Viewer
from qtpy.QtCore import Qt, QTimer

from event_loop import wait
from napari_ctlns.plugin.autosave import Autosave
from napari_ctlns.plugin.moments import MomentTaker
from napari_ctlns.plugin.recovery_folder import read_state, states
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Geometry, Volume

SHAPE = (300, 512, 512)
BEAT_MS, DAB_MS = 10, 40
LOOKS = 50


def main() -> None:
    """Measure without and with autosave, print a table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="heartbeat of each state")
    options = parser.parse_args()
    viewer = Viewer()
    session = Session(viewer)  # not the viewer's own, which would keep from the beginning
    fill(session)
    wait(3)
    print(f"{'painting':20} {'median':>8} {'p99':>8} {'max':>8}   ms between beats of 10 ms")
    alone = measure("nothing is kept", session, options.seconds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "mine"
        session.part(Autosave).begin(folder)
        wait(3)
        beside = measure("with autosave", session, options.seconds)
        age = time.time() - read_state(states(folder)[0]).written.timestamp()
        taker, took = MomentTaker(session), []
        for _ in range(LOOKS):
            start = time.perf_counter()
            taker.take(session.unsaved_layers)
            took.append((time.perf_counter() - start) * 1000)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        print(f"a look in the window's thread: median {np.median(took):.1f} ms")
        print(f"kept {age:.1f} s before painting ended, {size:.1f} MiB")
        session.close()
    again = measure("nothing, again", session, options.seconds)
    print(f"ratio: {(alone + again) / 2 / beside:.2f}")


def fill(session: Session) -> None:
    """Open a scan, three masks and annotations."""
    random = np.random.default_rng(0)
    scan = Volume(
        random.integers(-1000, 400, SHAPE, dtype=np.int16), Geometry(SHAPE, (1, 0.7, 0.7)), "ct"
    )
    session.add_scan(scan)
    lungs = np.zeros(SHAPE, np.uint8)
    lungs[40:260, 120:400, 60:240] = 1
    lungs[40:260, 120:400, 280:460] = 2
    session.add_mask(scan.mask(lungs), "lungs")
    session.add_mask(scan.mask(np.zeros(SHAPE, np.uint16)), "other reader")
    session.add_mask(scan.mask(np.zeros(SHAPE, np.uint8)), "painted").brush_size = 12


def measure(name: str, session: Session, seconds: float) -> float:
    """Print a row of the table; return the 99th percentile of the gaps, ms."""
    beats: list[float] = []
    beat, dab = QTimer(), QTimer()
    beat.setTimerType(Qt.TimerType.PreciseTimer)
    beat.timeout.connect(lambda: beats.append(time.perf_counter()))
    random = np.random.default_rng(1)
    shape = np.asarray(SHAPE)

    def paint() -> None:
        plane = int(session.viewer.dims.current_step[0])
        row, column = random.integers(0, shape[1:])
        session.mask.paint((plane, row, column), int(random.integers(1, 20)))

    dab.timeout.connect(paint)
    beat.start(BEAT_MS)
    dab.start(DAB_MS)
    wait(seconds)
    beat.stop()
    dab.stop()
    gaps = np.diff(beats) * 1000
    median, p99 = np.percentile(gaps, [50, 99])
    print(f"{name:20} {median:8.1f} {p99:8.1f} {gaps.max():8.1f}")
    return float(p99)


if __name__ == "__main__":
    main()
