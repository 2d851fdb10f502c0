"""A run folder as Qt signals."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from napari_ctlns.errors import RunError
from napari_ctlns.events import (
    Event,
    Failed,
    Finished,
    Log,
    Metric,
    Progress,
    Started,
    event_to_json,
)
from napari_ctlns.jobs import RunFollower
from napari_ctlns.jobs.run_folder import write_state
from napari_ctlns.plugin import run_watcher
from napari_ctlns.plugin.run_watcher import RunWatcher


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run in which this process works."""
    write_state(tmp_path, "running")
    return tmp_path


def write(run: Path, *events: Event) -> None:
    with (run / "events.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(event_to_json(event) + "\n" for event in events)


def steps(first: int, last: int) -> Iterator[Event]:
    for step in range(first, last):
        yield Metric(name="train/loss", step=step, value=1 / step)
        yield Progress(done=step, total=last, unit="step")


class Heard(list[Event]):
    """What a watcher tells."""

    def __init__(self, watcher: RunWatcher) -> None:
        watcher.came.connect(self.append)

    def of(self, kind: type) -> list[Event]:
        return [event for event in self if isinstance(event, kind)]


def test_a_run_is_told_from_its_beginning_and_as_it_goes_on(run: Path, qtbot: QtBot) -> None:
    write(run, Started(title="Train"), *steps(1, 4))
    watcher = RunWatcher(run)
    heard = Heard(watcher)
    qtbot.waitUntil(lambda: len(heard.of(Metric)) == 3)
    write(run, *steps(4, 6))
    qtbot.waitUntil(lambda: len(heard.of(Metric)) == 5)
    qtbot.waitUntil(lambda: heard.of(Progress)[-1:] == [Progress(done=5, total=6, unit="step")])
    assert len(heard.of(Progress)) <= 2  # only the newest of each look
    assert not watcher.over
    write(run, Finished(result={"steps": 5}))
    write_state(run, "finished")
    qtbot.waitUntil(lambda: watcher.over)
    assert heard[-1] == Finished(result={"steps": 5})


def test_what_a_resumed_run_said_at_its_first_end_is_no_end(run: Path, qtbot: QtBot) -> None:
    write(run, Started(title="Train"), *steps(1, 3), Finished(stopped=True))
    write(run, Started(title="Train"), *steps(3, 5))
    watcher = RunWatcher(run)
    heard = Heard(watcher)
    qtbot.waitUntil(lambda: len(heard.of(Metric)) == 4)
    assert not watcher.over
    assert heard.of(Finished) == []
    write(run, Finished())
    write_state(run, "finished")
    qtbot.waitUntil(lambda: watcher.over)
    assert heard.of(Finished) == [Finished()]


def test_a_long_run_is_read_in_slices(
    run: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 5000
    write(run, *steps(1, count + 1), Finished())
    write_state(run, "finished")
    monkeypatch.setattr(run_watcher, "_SECONDS_A_SLICE", 0)
    told: list[int] = []  # events a look
    look = RunWatcher._look

    def counted(self: RunWatcher) -> None:
        before = len(heard)
        look(self)
        told.append(len(heard) - before)

    monkeypatch.setattr(RunWatcher, "_look", counted)
    watcher = RunWatcher(run)
    heard = Heard(watcher)
    qtbot.waitUntil(lambda: watcher.over, timeout=60_000)
    assert [event.step for event in heard.of(Metric)] == list(range(1, count + 1))
    # what is long past says nothing of how fast the run is
    assert heard.of(Progress) == [Progress(done=count, total=count + 1, unit="step")]
    assert len(told) > 20
    assert max(told) < 500


def test_a_slice_ends_with_a_whole_line(run: Path) -> None:
    write(run, *steps(1, 200))
    follower = RunFollower(run)
    events = follower.poll(1000)
    assert follower.behind
    assert 5 < len(events) < 50
    while follower.behind:
        events += follower.poll(1000)
    assert events == list(steps(1, 200))
    assert follower.poll(1000) == []


def test_a_run_that_ended_is_read_to_its_end_in_slices(run: Path) -> None:
    write(run, *steps(1, 100), Failed(message="broke"))
    write_state(run, "failed")
    follower = RunFollower(run)
    events: list[Event] = []
    while not follower.ended:
        events += follower.poll(500)
    assert events[-1] == Failed(message="broke")
    assert not follower.died


def test_what_its_process_does_is_told(run: Path, qtbot: QtBot) -> None:
    watcher = RunWatcher(run)
    states: list[str] = []
    watcher.state_changed.connect(states.append)
    qtbot.waitUntil(lambda: states == ["running"])
    write_state(run, "paused")
    qtbot.waitUntil(lambda: states == ["running", "paused"])


def command(run: Path) -> str:
    path = run / "control.json"
    return json.loads(path.read_text())["command"] if path.exists() else ""


def test_verbs_are_passed_on(run: Path, qtbot: QtBot) -> None:
    watcher = RunWatcher(run)
    for verb in ("pause", "go", "stop"):
        getattr(watcher, verb)()
        assert command(run) == verb


def test_a_second_stop_ends_it_at_once(
    run: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[Path] = []
    monkeypatch.setattr(run_watcher, "kill_run", killed.append)
    watcher = RunWatcher(run)
    watcher.stop()
    assert not killed
    watcher.stop()
    assert killed == [run]
    assert watcher.killed


def test_what_another_already_stops_is_ended_at_once(
    run: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[Path] = []
    monkeypatch.setattr(run_watcher, "kill_run", killed.append)
    write_state(run, "stopping")
    watcher = RunWatcher(run)
    qtbot.waitUntil(lambda: watcher.state == "stopping")
    watcher.stop()
    assert killed == [run]


def test_what_cannot_be_done_is_said(run: Path, qtbot: QtBot) -> None:
    state = write_state(run, "running")
    elsewhere = state.worker.model_copy(update={"host": f"not-{socket.gethostname()}"})
    (run / "state.json").write_text(
        state.model_copy(update={"worker": elsewhere}).model_dump_json()
    )
    watcher = RunWatcher(run)
    heard = Heard(watcher)
    watcher.stop()
    watcher.stop()  # a process of another machine cannot be killed
    assert not watcher.killed
    (said,) = heard.of(Log)
    assert isinstance(said, Log)
    assert said.level == "warning"
    assert "end it there" in said.message


def test_a_process_that_died_is_known(run: Path, qtbot: QtBot) -> None:
    write(run, Started(title="Train"))
    state = write_state(run, "running")
    dead = state.worker.model_copy(update={"pid": 2**22 + 1})
    (run / "state.json").write_text(state.model_copy(update={"worker": dead}).model_dump_json())
    watcher = RunWatcher(run)
    heard = Heard(watcher)
    qtbot.waitUntil(lambda: watcher.over)
    assert watcher.died
    assert isinstance(heard[-1], Failed)


def test_nothing_is_told_after_leaving(run: Path, qtbot: QtBot) -> None:
    watcher = RunWatcher(run)
    heard = Heard(watcher)
    watcher.leave()
    write(run, *steps(1, 3))
    qtbot.wait(300)
    assert heard == []


def test_no_run_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run"):
        RunWatcher(tmp_path)
