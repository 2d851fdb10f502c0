"""Work in a thread, as Qt signals."""

import threading
from collections.abc import Iterator

from pytestqt.qtbot import QtBot

from napari_ctlns.errors import ScanError
from napari_ctlns.events import Event, Failed, Finished, Log, Started, ThreadControl
from napari_ctlns.plugin.work import ThreadWork, Work, one_step


def heard(qtbot: QtBot, work: Work) -> list[Event]:
    """Return the events of a work when it is over."""
    events: list[Event] = []
    work.came.connect(events.append)
    qtbot.waitUntil(lambda: work.over, timeout=10_000)
    return events


def test_a_function_answers_from_another_thread(qtbot: QtBot) -> None:
    events = heard(qtbot, ThreadWork(one_step("Counting", lambda: threading.current_thread())))
    assert events[0].title == "Counting"
    assert events[-1].result["value"] is not threading.current_thread()


def test_an_error_that_a_person_can_mend_comes_as_words(qtbot: QtBot) -> None:
    def read() -> None:
        raise ScanError("no such file: x.mhd; check the name")

    assert heard(qtbot, ThreadWork(one_step("Reading", read)))[-1] == Failed(
        message="no such file: x.mhd; check the name"
    )


def test_a_job_is_stopped_between_its_steps(qtbot: QtBot) -> None:
    control = ThreadControl()

    def job() -> Iterator[Event]:
        yield Started(title="Waiting")
        while not control.stop_requested():
            control.wait_while_paused()
        yield Finished(stopped=True)

    work = ThreadWork(job(), control)
    work.pause()
    work.go()
    work.stop()
    assert heard(qtbot, work)[-1] == Finished(stopped=True)


def test_nothing_is_told_after_the_end(qtbot: QtBot) -> None:
    work = ThreadWork(one_step("Counting", len, ()))
    events = heard(qtbot, work)
    work.say(Log(message="too late"))
    assert isinstance(events[-1], Finished)
