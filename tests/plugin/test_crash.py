"""napari is killed while somebody paints: next to nothing is lost, and no file is unreadable."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import napari_ctlns
from napari_ctlns.formats import write_volume
from napari_ctlns.plugin.recovery_file import Recovered, read_recovery
from napari_ctlns.plugin.recovery_folder import find_work, read_state, states
from napari_ctlns.volume import Geometry, Volume

from .painting_window import oldest_loss

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
MOST_SECONDS_LOST = 5
SECONDS_TO_START = 60


class Painting:
    """A napari in a process of its own in which somebody paints."""

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        folder.mkdir()
        self.root, self.log = folder / "kept", folder / "log"
        chance = np.random.default_rng(0)
        voxels = chance.integers(-900, -700, shape, dtype=np.int16)
        scan = Volume(voxels, Geometry(shape, (1.5, 0.7, 0.7)), "ct")
        write_volume(scan, folder / "scan.mha")
        self.errors = (folder / "errors.txt").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "painting_window.py"), folder / "scan.mha", self.log],
            stderr=self.errors,
            env={**os.environ, "PYTHONPATH": str(SOURCE), "CTLNS_RECOVERY": str(self.root)},
        )

    def wait_for_strokes(self) -> None:
        """Wait until something was painted."""
        began = time.monotonic()
        while not (self.log.exists() and self.log.stat().st_size):
            assert self.process.poll() is None, self.words()
            assert time.monotonic() - began < SECONDS_TO_START
            time.sleep(0.05)

    def words(self) -> str:
        """What it said in trouble."""
        self.errors.seek(0)
        return self.errors.read()

    def kill(self) -> float:
        """End it as a crash does; return when that was."""
        self.process.kill()
        ended = time.time()
        self.process.wait()
        return ended

    def copy_as_it_is(self, to: Path) -> float:
        """Copy what is on the disk at one moment, at which it stands still; return when it was."""
        self.process.send_signal(signal.SIGSTOP)
        stopped = time.time()
        shutil.copytree(self.root, to)
        self.process.send_signal(signal.SIGCONT)
        return stopped


@pytest.fixture
def paint(tmp_path: Path) -> Iterator[Callable[..., Painting]]:
    """Begin painting in a scan of some shape."""
    there: list[Painting] = []

    def begin(*shape: int) -> Painting:
        there.append(Painting(tmp_path / f"painting {len(there)}", (shape[0], shape[1], shape[2])))
        return there[-1]

    yield begin
    for one in there:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        one.errors.close()


def judge(folder: Path, log: Path, ended: float) -> tuple[float, Recovered]:
    """Read all that was kept; return how many seconds are lost."""
    newest, *_ = kept = [read_state(path) for path in states(folder)]
    assert 1 <= len(kept) <= 2
    recovered = read_recovery(folder)
    assert recovered.state == newest
    assert recovered.project.warnings == ()
    assert [volume.array.shape for volume in recovered.project.scans.values()] == [
        newest.contents.layers[0].geometry.shape
    ]
    return oldest_loss(recovered, log, ended), recovered


def test_at_most_five_seconds_are_lost(paint: Callable[..., Painting], tmp_path: Path) -> None:
    """Two moments at which the process stands still, and its end."""
    painting = paint(40, 96, 96)
    painting.wait_for_strokes()
    stopped = []
    for number in range(2):
        time.sleep(random.uniform(1.5, 2.5))
        stopped.append(painting.copy_as_it_is(tmp_path / f"copy {number}"))
    assert find_work(painting.root) == []  # it lives
    time.sleep(random.uniform(1.5, 2.5))
    ended = painting.kill()
    (found,) = find_work(painting.root)
    lost, recovered = judge(found.folder, painting.log, ended)
    assert lost <= MOST_SECONDS_LOST
    assert recovered.state.contents.view is not None
    assert found.words.startswith("1 mask, ")
    assert "Traceback" not in painting.words()
    for number, then in enumerate(stopped):
        (folder,) = (tmp_path / f"copy {number}").iterdir()
        assert judge(folder, painting.log, then)[0] <= MOST_SECONDS_LOST
    found.lock.release()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_of_painting_in_a_whole_chest(
    paint: Callable[..., Painting], capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how much was lost each time."""
    rows = []
    for _ in range(20):
        painting = paint(300, 512, 512)
        painting.wait_for_strokes()
        began = time.time()
        time.sleep(random.uniform(0, 12))
        ended = painting.kill()
        rows.append((ended - began, *lost_of(painting, ended)))
        (painting.root.parent / "scan.mha").unlink()  # 150 MB each
    lines = [f"{after:16.2f} {lost:8.2f} {strokes:13d}" for after, lost, strokes in rows]
    with capsys.disabled():
        head = f"{'killed after, s':>16} {'lost, s':>8} {'strokes kept':>13}"
        sys.stdout.write("\n".join(["", head, *lines, ""]))
    assert max(lost for _, lost, _ in rows) <= MOST_SECONDS_LOST


def lost_of(painting: Painting, ended: float) -> tuple[float, int]:
    """Return how many seconds are lost, and how many strokes are there."""
    for found in find_work(painting.root):
        lost, recovered = judge(found.folder, painting.log, ended)
        found.lock.release()
        return lost, int(max(array.max() for array in recovered.arrays.values()))
    first = json.loads(painting.log.read_text("utf-8").splitlines()[0])
    return ended - first["time"], 0  # it was killed before anything was kept
