"""The foot of a panel: what it shows of work, and what it asks of it."""

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_ctlns.events import Failed, Finished, Log, Progress, Started
from napari_ctlns.plugin.views.job_bar import JobBar, Pace
from napari_ctlns.plugin.words import duration
from napari_ctlns.plugin.work import Work


class HeldWork(Work):
    """Work that a test holds in its hands."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def pause(self) -> None:
        self.asked.append("pause")

    def go(self) -> None:
        self.asked.append("go")

    def stop(self) -> None:
        self.asked.append("stop")


@pytest.fixture
def bar(qtbot: QtBot) -> JobBar:
    bar = JobBar("Find nodules", "Run the model on the scan")
    qtbot.addWidget(bar)
    bar.show()
    return bar


def test_the_button_asks_to_start(bar: JobBar, qtbot: QtBot) -> None:
    with qtbot.waitSignal(bar.start_clicked):
        qtbot.mouseClick(bar.button, Qt.MouseButton.LeftButton)


def test_what_cannot_be_done_is_disabled_and_says_why(bar: JobBar) -> None:
    bar.set_ready("Open a scan first")
    assert not bar.button.isEnabled()
    assert bar.button.toolTip() == "Open a scan first"
    bar.set_ready()
    assert bar.button.isEnabled()
    assert bar.button.toolTip() == "Run the model on the scan"


def test_progress_is_shown_while_work_goes_on(bar: JobBar, qtbot: QtBot) -> None:
    work = HeldWork()
    bar.follow(work)
    assert not bar.button.isEnabled()
    qtbot.waitUntil(bar.cancel.isVisible)
    work.say(Started(title="Find the nodules"))
    assert bar.status.text() == "Find the nodules"
    work.say(Progress(done=3, total=9, unit="windows"))
    work.say(Log(message="runs on OpenVINO"))
    assert bar.status.text() == "runs on OpenVINO"
    with qtbot.waitSignal(bar.ended):
        work.say(Finished())
    assert not bar.cancel.isVisible()
    assert bar.button.isEnabled()


def test_short_work_does_not_flicker(bar: JobBar, qtbot: QtBot) -> None:
    work = HeldWork()
    bar.follow(work)
    work.say(Finished())
    qtbot.wait(400)
    assert not bar.cancel.isVisible()


def test_cancel_asks_once_and_then_again(bar: JobBar, qtbot: QtBot) -> None:
    work = HeldWork()
    bar.follow(work)
    qtbot.waitUntil(bar.cancel.isVisible)
    qtbot.mouseClick(bar.cancel, Qt.MouseButton.LeftButton)
    assert bar.status.text() == "Stopping after this step"
    assert bar.cancel.text() == "End now"
    qtbot.mouseClick(bar.cancel, Qt.MouseButton.LeftButton)
    assert work.asked == ["stop", "stop"]
    work.say(Finished(stopped=True))
    assert bar.status.text() == "Cancelled"


def test_failure_is_told_in_words(bar: JobBar) -> None:
    work = HeldWork()
    bar.follow(work)
    work.say(Failed(message="no such model: x; choose another", detail="Traceback"))
    assert bar.status.text() == "no such model: x; choose another"


def test_the_time_left_follows_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("napari_ctlns.plugin.views.job_bar.time.monotonic", lambda: now)
    pace = Pace().at(Progress(done=0, total=10, unit="window"))
    assert pace.seconds_left() is None
    now = 104.0
    pace = pace.at(Progress(done=2, total=10, unit="window"))
    assert pace.seconds_left() == pytest.approx(16)
    now = 105.0
    assert pace.in_words() == "2 of 10 windows, 15 s left"
    pace = pace.at(Progress(done=0, total=3, unit="scans"))
    assert pace.in_words() == "0 of 3 scans"


def test_work_that_cannot_tell_how_far_it_is_tells_how_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("napari_ctlns.plugin.views.job_bar.time.monotonic", lambda: now)
    pace = Pace()
    assert pace.in_words() == ""
    now = 112.0
    assert pace.in_words() == "12 s so far"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (59, "59 s"), (150, "2 min"), (3900, "1 h 05 min")]
)
def test_times_are_said_as_a_person_would(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_long_name_goes_on_in_the_next_line(bar: JobBar) -> None:
    line = bar.status.fontMetrics().height()
    bar.say("1.2.840.113619." * 20)
    assert bar.status.heightForWidth(280) > 4 * line
