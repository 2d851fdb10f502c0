"""napari is closed, or ends some other way, in the middle of work: nothing of it stays."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from pytestqt.qtbot import QtBot

import napari_ctlns
from napari_ctlns.atomic import write_text
from napari_ctlns.events import Control, Event, Finished, Progress
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import write_annotations, write_volume
from napari_ctlns.plugin import training_start
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.training import Copies, plan_training
from napari_ctlns.plugin.training_start import TrainingStart, open_layers
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import PrepareSpec, TrainSpec
from napari_ctlns.volume import Geometry, Volume

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
SECONDS = 20
MODEL = """
import sys
from pathlib import Path
from models import brightness_model
brightness_model(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real, tiny one."""
    folder = tmp_path_factory.mktemp("models") / "model"
    paths = os.pathsep.join((str(SOURCE), str(HERE.parent / "inference")))
    environment = {**os.environ, "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", MODEL, str(folder)], check=True, env=environment)
    return folder


class Window:
    """A napari in a process of its own, in the middle of its work."""

    def __init__(self, work: str, way: str, folder: Path, temporary: Path) -> None:
        temporary.mkdir()
        home = folder / "home"
        home.mkdir()
        self.temporary = temporary
        self.errors = (folder / "errors.txt").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "working_window.py"), work, way, str(folder)],
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={
                **os.environ,
                **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
                **dict.fromkeys(("HOME", "USERPROFILE"), str(home)),
                "PYTHONPATH": str(SOURCE),
                "CTLNS_CACHE": str(folder / "cache"),
            },
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.words()
        said = json.loads(line)
        self.children = [one for pid in said["children"] if (one := _process(pid)) is not None]
        self.began = len(said["children"]), said["threads"]

    def words(self) -> str:
        """What it said in trouble."""
        self.errors.seek(0)
        return self.errors.read()

    def end(self) -> int:
        """Wait until it has ended by itself, and its children too; return its exit status."""
        status = self.process.wait(timeout=SECONDS)
        _, alive = psutil.wait_procs(self.children, timeout=SECONDS)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
        return status

    def kill(self) -> None:
        """Leave nothing behind of a test that failed."""
        for process in (*self.children, self.process):
            if isinstance(process, psutil.Process) or process.poll() is None:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, str], Window]]:
    """Begin work in a window that ends the given way."""
    windows: list[Window] = []

    def start_(work: str, way: str) -> Window:
        windows.append(Window(work, way, tmp_path, tmp_path / "temporary"))
        return windows[-1]

    yield start_
    for window in windows:
        window.kill()


Start = Callable[[str, str], Window]


def judge(window: Window) -> None:
    assert window.end() == 0, window.words()
    assert "Traceback" not in window.words()
    assert "QThread" not in window.words()
    assert list(window.temporary.iterdir()) == []


def scan_of(slices: int, width: int) -> Volume:
    shape = (slices, width, width)
    geometry = Geometry(shape, (1.5, 0.7, 0.7), (0.0, 0.0, 0.0))
    return Volume(np.full(shape, -800, np.int16), geometry, "ct")


def test_while_it_reads(start: Start, tmp_path: Path) -> None:
    write_volume(scan_of(300, 512), tmp_path / "large.mhd")
    window = start("reading", "close")
    assert window.began == (0, 1)
    judge(window)


def test_while_it_measures(start: Start) -> None:
    window = start("measuring", "close")
    assert window.began in {(0, 1), (0, 2)}  # it may be keeping the mask against a crash, too
    judge(window)


def test_while_it_prepares(start: Start, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for name in "abc":
        write_volume(scan_of(100, 256), tmp_path / "scans" / f"{name}.mhd")
    rows = [Annotation(name, 80.0, 80.0, 70.0, 9.0) for name in "abc"]
    write_annotations(tmp_path / "annotations.csv", rows)
    window = start("preparing", "close")
    assert window.began == (1, 0)
    judge(window)


def test_a_file_is_written_to_its_end_before_the_child_ends(
    tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(SOURCE), str(HERE))))
    child = ChildProcess(command=(sys.executable, str(HERE / "fake_prepare.py")))
    out = tmp_path / "dataset"
    spec = PrepareSpec(source=tmp_path, out=out, recipe=load_recipe("ct-lns"), annotations=tmp_path)
    work = child.start("prepare", spec)
    with qtbot.waitSignal(work.came, check_params_cb=lambda e: isinstance(e, Progress)):
        pass
    pid = child.pid
    child.close()
    assert not psutil.pid_exists(pid)
    assert [path.name for path in out.iterdir()] == ["scan.npy"]
    assert (out / "scan.npy").read_text("utf-8") == "both halves"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["close", "quit", "exit"])
def test_while_it_predicts(start: Start, tmp_path: Path, model: Path, way: str) -> None:
    (tmp_path / "model").symlink_to(model)
    window = start("predicting", way)
    assert window.began == (1, 0)
    judge(window)


@pytest.mark.slow
def test_when_napari_is_killed_while_it_predicts(start: Start, tmp_path: Path, model: Path) -> None:
    (tmp_path / "model").symlink_to(model)
    window = start("predicting", "never")
    assert window.began == (1, 0)
    window.process.kill()
    assert window.end() != 0


@pytest.mark.slow
@pytest.mark.parametrize("way", ["exit", "never"])
def test_while_it_works_through_a_queue(
    start: Start, tmp_path: Path, model: Path, way: str
) -> None:
    (tmp_path / "model").symlink_to(model)
    for name in "ab":
        write_volume(scan_of(200, 256), tmp_path / "scans" / f"{name}.mhd")
    window = start("queueing", way)
    assert window.began[0] > 1  # the child and its workers
    if way == "never":
        window.process.kill()
    assert (window.end() == 0) == (way == "exit"), window.words()
    assert "Traceback" not in window.words()


class Started:
    """A training that was just asked for, of an open scan and its mask."""

    def __init__(self, session: Session, folder: Path) -> None:
        scan = scan_of(8, 16)
        session.add_scan(scan)
        session.add_mask(scan.mask(np.ones(scan.array.shape, np.uint8)), "mask")
        recipe = load_recipe("ct-lns")
        self.plan = plan_training(open_layers(session), recipe, "cpu", folder)
        self.work = TrainingStart(self.plan, session)
        self.may_go_on = threading.Event()


def test_copies_of_open_layers_go_with_the_window(
    model_session: Session, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(model_session, tmp_path)
    assert started.plan.copies is not None
    folder = started.plan.copies.folder

    def slowly(copies: Copies, _control: Control) -> Iterator[Event]:
        yield Progress(done=0, total=1, unit="scan")
        started.may_go_on.wait(SECONDS)
        write_text(copies.folder / "last.csv", "written after the window was closed")
        yield Finished()

    monkeypatch.setattr(training_start, "write_copies", slowly)
    folder.mkdir(parents=True)
    started.work.begin()
    model_session.close()
    assert started.work.over
    writing = started.work._writing
    assert writing is not None
    started.may_go_on.set()
    writing.join()
    qtbot.waitUntil(lambda: not folder.exists(), timeout=1000 * SECONDS)
    assert model_session.run is None


def test_a_training_that_just_starts_is_stopped(
    model_session: Session, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started(model_session, tmp_path)
    plan = replace(started.plan, prepare=None, copies=None)
    told: list[tuple[Path, str]] = []

    def slowly(_spec: TrainSpec) -> int:
        started.may_go_on.wait(SECONDS)
        told.append((plan.train.out, "start"))
        return 1

    monkeypatch.setattr(training_start, "start_training", slowly)
    monkeypatch.setattr(training_start, "control_run", lambda run, verb: told.append((run, verb)))
    work = TrainingStart(plan, model_session)
    work.begin()
    model_session.close()
    started.may_go_on.set()
    out = plan.train.out
    qtbot.waitUntil(lambda: told == [(out, "start"), (out, "stop")], timeout=1000 * SECONDS)
    assert model_session.run is None
