"""A job on a terminal, or where a terminal should be."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import napari_ctlns
from napari_ctlns.errors import CtlnsError, OutputError, ScanError
from napari_ctlns.events import Finished, Log, Metric, Progress, Saved, Started, ThreadControl
from napari_ctlns.jobs import Drain
from napari_ctlns.jobs.console import INTERRUPTED, UnexpectedError, run_on_console, show

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
COUNT = """
import sys
from fake_jobs import CountSpec, count
from napari_ctlns.events import ThreadControl
from napari_ctlns.jobs import Drain
from napari_ctlns.jobs.console import run_on_console
control = ThreadControl()
spec = CountSpec(steps=100, seconds=float(sys.argv[1]))
try:
    run_on_console(Drain(count(spec, control)), control)
except KeyboardInterrupt:
    print("stopped with a checkpoint")
    sys.exit(130)
"""


def job():
    yield Started(title="look at windows")
    for done in range(2000):
        yield Progress(done=done + 1, total=2000, unit="windows")
    yield Metric(name="train/loss", step=9, value=0.5)
    yield Metric(name="val/loss", step=9, value=0.25)
    yield Metric(name="val/dice", step=9, value=0.75)
    yield Log(message="the slices are uneven", level="warning")
    yield Saved(path=Path("mask.nii.gz"))
    yield Finished(result={"nodules": 2})


def test_without_a_terminal_lines_are_few(capsys):
    assert show(job()) == Finished(result={"nodules": 2})
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "look at windows",
        "step 9: val/loss 0.25, val/dice 0.75",
        "warning: the slices are uneven",
        "saved mask.nii.gz",
    ]


def test_on_a_terminal_there_is_a_bar_and_standard_output_stays_clean(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    show(job())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "2000/2000" in captured.err
    assert "warning: the slices are uneven" in captured.err


def test_a_mistake_and_a_bug_are_raised_apart():
    def mistaken():
        yield Started(title="read")
        raise ScanError("no such scan; give another")

    def broken():
        yield Started(title="read")
        raise ZeroDivisionError

    with pytest.raises(CtlnsError, match="no such scan"):
        run_on_console(Drain(mistaken()), ThreadControl())
    with pytest.raises(UnexpectedError, match="ZeroDivisionError") as caught:
        run_on_console(Drain(broken()), ThreadControl())
    assert "Traceback" in caught.value.detail


def test_a_job_whose_events_cannot_be_recorded_is_stopped():
    control = ThreadControl()

    def endless():
        yield Started(title="go on")
        while not control.stop_requested():
            yield Progress(done=1, total=None, unit="steps")
        yield Finished(stopped=True)

    def record(event):
        raise OutputError("cannot write events.jsonl: disk full; make room")

    with pytest.raises(OutputError, match="disk full"):
        run_on_console(Drain(endless()), control, record)
    assert control.stop_requested()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
@pytest.mark.parametrize("kill", [False, True], ids=["once", "twice"])
def test_interrupts(kill):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(SOURCE), str(HERE)))}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", COUNT, "60" if kill else "0.3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    with process:
        assert process.stderr.readline() == "count\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == "\n"
        assert "stopping after this step; press Ctrl-C again" in process.stderr.readline()
        if kill:
            process.send_signal(signal.SIGINT)
        output = process.stdout.read()
        assert process.wait(10) == INTERRUPTED
    assert output == ("" if kill else "stopped with a checkpoint\n")
