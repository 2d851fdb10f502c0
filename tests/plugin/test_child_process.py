"""The child process through its Qt signals, with jobs made for the purpose."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from pytestqt.qtbot import QtBot

import napari_ctlns
from napari_ctlns.events import Event, Failed, Finished, Log, Metric, Started
from napari_ctlns.jobs.run_folder import pid_alive
from napari_ctlns.plugin.child_process import ChildProcess
from napari_ctlns.plugin.work import Work

SOURCE = Path(napari_ctlns.__file__).parents[1]
FAKES = Path(__file__).parents[1] / "jobs"
SERVE = """
from fake_jobs import CountSpec
from napari_ctlns.jobs.child import serve
from napari_ctlns.jobs.registry import JobKind
names = ("count", "noisy", "broken", "die")
serve({name: JobKind("fake_jobs", name, CountSpec) for name in names})
"""
LONG = 60_000


class Count(BaseModel):
    """How long a fake job lasts."""

    steps: int = 3
    seconds: float = 0.0


SLOW = Count(steps=1000, seconds=0.05)


class Heard:
    """The events of a work, from its beginning."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.events: list[Event] = []
        work.came.connect(self.events.append)

    @property
    def last(self) -> Event:
        return self.events[-1]

    @property
    def began(self) -> bool:
        return any(isinstance(event, Started) for event in self.events)

    def is_over(self) -> bool:
        return self.work.over


@pytest.fixture
def child(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildProcess]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(SOURCE), str(FAKES))))
    child = ChildProcess(command=(sys.executable, "-c", SERVE))
    yield child
    child.close()


def test_jobs_are_done_one_after_the_other_by_one_process(
    qtbot: QtBot, child: ChildProcess
) -> None:
    first = Heard(child.start("count", Count(steps=3)))
    second = Heard(child.start("noisy", Count(steps=4)))
    qtbot.waitUntil(second.is_over, timeout=LONG)
    assert first.last == Finished(result={"steps": 3})
    assert second.last == Finished(result={"steps": 4})
    assert [e.step for e in second.events if isinstance(e, Metric)] == [0, 1, 2, 3]
    pids = {e.pid for heard in (first, second) for e in heard.events if isinstance(e, Started)}
    assert pids == {child.pid}


def test_a_job_that_breaks_is_told_in_words_and_the_next_one_works(
    qtbot: QtBot, child: ChildProcess
) -> None:
    broken = Heard(child.start("broken", Count()))
    good = Heard(child.start("count", Count()))
    qtbot.waitUntil(good.is_over, timeout=LONG)
    assert isinstance(broken.last, Failed)
    assert "unexpected error" in broken.last.message
    assert isinstance(good.last, Finished)


def test_stop_ends_a_job_after_its_step(qtbot: QtBot, child: ChildProcess) -> None:
    heard = Heard(child.start("count", SLOW))
    qtbot.waitUntil(lambda: heard.began, timeout=LONG)
    heard.work.stop()
    qtbot.waitUntil(heard.is_over, timeout=LONG)
    assert isinstance(heard.last, Finished)
    assert heard.last.stopped
    assert child.pid


def test_a_second_stop_kills_and_is_no_failure(qtbot: QtBot, child: ChildProcess) -> None:
    heard = Heard(child.start("count", Count(steps=2, seconds=600)))
    waiting = Heard(child.start("count", Count(steps=2)))
    qtbot.waitUntil(lambda: heard.began, timeout=LONG)
    pid = child.pid
    heard.work.stop()
    heard.work.stop()
    qtbot.waitUntil(heard.is_over, timeout=LONG)
    assert heard.last == Finished(stopped=True)
    qtbot.waitUntil(lambda: not pid_alive(pid), timeout=LONG)
    qtbot.waitUntil(waiting.is_over, timeout=LONG)
    assert waiting.last == Finished(result={"steps": 2})


def test_stopping_a_job_that_waits_leaves_the_one_before_it_alone(
    qtbot: QtBot, child: ChildProcess
) -> None:
    busy = Heard(child.start("count", Count(steps=40, seconds=0.05)))
    waiting = Heard(child.start("count", Count()))
    qtbot.waitUntil(lambda: busy.began, timeout=LONG)
    qtbot.waitUntil(lambda: bool(waiting.events), timeout=LONG)
    assert waiting.last == Log(message="Waits for work that was started before")
    waiting.work.stop()
    assert waiting.last == Finished(stopped=True)
    waiting.work.stop()
    qtbot.waitUntil(busy.is_over, timeout=LONG)
    assert busy.last == Finished(result={"steps": 40})
    again = Heard(child.start("count", Count()))
    qtbot.waitUntil(again.is_over, timeout=LONG)
    assert not waiting.began


@pytest.mark.parametrize("how", ["by itself", "from outside"])
def test_a_child_that_dies_is_told_in_words_and_what_waited_goes_on(
    qtbot: QtBot, child: ChildProcess, how: str
) -> None:
    heard = Heard(child.start("die" if how == "by itself" else "count", SLOW))
    waiting = Heard(child.start("count", Count(steps=2)))
    qtbot.waitUntil(lambda: heard.began, timeout=LONG)
    pid = child.pid
    if how == "from outside":
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    qtbot.waitUntil(heard.is_over, timeout=LONG)
    assert isinstance(heard.last, Failed)
    assert "the process that does the work ended" in heard.last.message
    qtbot.waitUntil(waiting.is_over, timeout=LONG)
    assert waiting.last == Finished(result={"steps": 2})
    assert child.pid != pid


def test_a_child_that_never_begins_fails_all_jobs_once(qtbot: QtBot) -> None:
    child = ChildProcess(command=(sys.executable, "-c", "raise SystemExit('no library')"))
    works = [Heard(child.start("count", Count())) for _ in range(2)]
    qtbot.waitUntil(lambda: all(heard.is_over() for heard in works), timeout=LONG)
    for heard in works:
        assert isinstance(heard.last, Failed)
        assert "no library" in heard.last.detail
    child.close()


def test_a_program_that_is_not_there_is_told_in_words(qtbot: QtBot, tmp_path: Path) -> None:
    child = ChildProcess(command=(str(tmp_path / "python"),))
    heard = Heard(child.start("count", Count()))
    qtbot.waitUntil(heard.is_over, timeout=LONG)
    assert isinstance(heard.last, Failed)
    assert heard.last.message == "cannot start python; reinstall napari-ctlns"


def test_closing_leaves_no_process_and_no_open_work(qtbot: QtBot, child: ChildProcess) -> None:
    heard = Heard(child.start("count", SLOW))
    qtbot.waitUntil(lambda: heard.began, timeout=LONG)
    pid = child.pid
    child.close()
    assert not pid_alive(pid)
    assert heard.last == Finished(stopped=True)
    again = Heard(child.start("count", Count()))
    qtbot.waitUntil(again.is_over, timeout=LONG)
    assert again.last == Finished(result={"steps": 3})
