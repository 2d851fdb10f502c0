"""The child process, over its real pipes."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import napari_ctlns
from napari_ctlns.events import Failed, Finished, Log, Metric, event_from_json
from napari_ctlns.jobs.registry import JOBS
from napari_ctlns.jobs.run_folder import pid_alive
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import PrepareSpec

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
SERVE = """
from fake_jobs import CountSpec
from napari_ctlns.jobs.child import serve
from napari_ctlns.jobs.registry import JobKind
serve({name: JobKind("fake_jobs", name, CountSpec) for name in ("count", "noisy", "broken")})
"""


class Child:
    """A child process and the lines it says, each with the time it came."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(SOURCE), str(HERE)))},
        )
        self.lines = queue.SimpleQueue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        with self.process.stdout as answers:
            for line in answers:
                self.lines.put(line)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.lines.get(timeout=30)
        return json.loads(line)["id"], event_from_json(line)

    def answers_to_end(self):
        """Read until a job's last event; give (id, event) pairs."""
        answers = []
        while not answers or not isinstance(answers[-1][1], Finished | Failed):
            answers.append(self.answer())
        return answers


@pytest.fixture
def child():
    child = Child("-c", SERVE)
    yield child
    if child.process.poll() is None:
        child.process.kill()
    child.process.wait(10)
    child.reader.join(10)
    child.process.stdin.close()
    child.process.stderr.close()


def test_one_warm_child_does_several_jobs(child):
    child.ask(id=1, job="count", spec={"steps": 3})
    child.ask(id="two", job="count", spec={"steps": 4})
    first, second = child.answers_to_end(), child.answers_to_end()
    assert {answer[0] for answer in first} == {1}
    assert {answer[0] for answer in second} == {"two"}
    assert [e.step for _, e in second if isinstance(e, Metric)] == [0, 1, 2, 3]
    assert second[-1][1] == Finished(result={"steps": 4})
    assert first[0][1].pid == second[0][1].pid == child.process.pid


def test_stray_prints_do_not_reach_the_protocol(child):
    child.ask(id=1, job="noisy", spec={"steps": 1})
    assert child.answers_to_end()[-1][1] == Finished(result={"steps": 1})
    child.process.stdin.close()
    child.process.wait(10)
    errors = child.process.stderr.read()
    assert b"bytes from a native library" in errors


def test_stop_is_acknowledged_at_once_and_ends_after_the_step(child):
    child.ask(id=1, job="count", spec={"steps": 50, "seconds": 1.0})
    assert child.answer()[1].event == "started"
    asked = time.monotonic()
    child.ask(id=1, control="stop")
    heard = child.answer()
    assert time.monotonic() - asked < 0.3
    assert heard == (1, Log(message="stopping after this step"))
    last = child.answers_to_end()[-1][1]
    assert last.stopped
    assert time.monotonic() - asked < 5


def test_a_paused_job_waits_until_told_to_go_on(child):
    child.ask(id=1, job="count", spec={"steps": 20, "seconds": 0.05})
    child.answer()
    child.ask(id=1, control="pause")
    time.sleep(0.5)
    before = child.lines.qsize()
    time.sleep(0.5)
    assert child.lines.qsize() == before
    child.ask(id=1, control="go")
    assert child.answers_to_end()[-1][1] == Finished(result={"steps": 20})


def test_a_job_stopped_before_its_turn_never_starts(child):
    child.ask(id=1, job="count", spec={"steps": 10, "seconds": 0.05})
    child.ask(id=2, job="count", spec={"steps": 10})
    child.ask(id=2, control="stop")
    events = [child.answer() for _ in range(2)]
    while not any(number == 2 and isinstance(event, Finished) for number, event in events):
        events.append(child.answer())
    of_second = [event for number, event in events if number == 2]
    assert [event.event for event in of_second] == ["log", "finished"]
    assert of_second[-1].stopped


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"id": 1, "job": "dance"}, "no job dance"),
        ({"id": 1, "job": "count", "spec": {"steps": "many"}}, "cannot count: steps"),
        ({"id": 1}, "not a request"),
        ({"id": 1, "job": "broken"}, "unexpected error (ZeroDivisionError"),
    ],
)
def test_a_bad_request_is_answered_and_survived(child, request_, words):
    child.ask(**request_)
    assert words in child.answers_to_end()[-1][1].message
    child.ask(id=2, job="count")
    assert child.answers_to_end()[-1] == (2, Finished(result={"steps": 5}))


def test_it_ends_when_its_input_closes_even_within_a_job(child):
    child.ask(id=1, job="count", spec={"steps": 100, "seconds": 0.2})
    child.answer()
    child.process.stdin.close()
    assert child.process.wait(5) == 0
    assert not pid_alive(child.process.pid)


def test_the_real_child_knows_the_jobs_and_imports_no_torch():
    child = Child("-X", "importtime", "-m", "napari_ctlns.jobs.child")
    child.ask(id=1, job="no such job")
    number, answer = child.answer()
    child.process.stdin.close()
    with child.process.stderr as messages:
        errors = messages.read()
    assert child.process.wait(20) == 0
    child.reader.join(10)
    assert number == 1
    assert answer.message == f"no job no such job; there are {', '.join(JOBS)}"
    assert b"napari_ctlns.jobs" in errors
    for heavy in (b" torch", b" monai", b" openvino", b" qtpy", b" napari\n"):
        assert heavy not in errors


def test_the_real_child_prepares_without_torch(tmp_path):
    child = Child("-m", "napari_ctlns.jobs.child")
    recipe = load_recipe("ct-lns")
    spec = PrepareSpec(
        source=tmp_path / "nowhere", out=tmp_path / "out", recipe=recipe, annotations=tmp_path / "a"
    )
    child.ask(id=1, job="prepare", spec=spec.model_dump(mode="json"))
    last = child.answers_to_end()[-1][1]
    assert isinstance(last, Failed)
    assert "nowhere" in last.message
    assert last.detail == ""
    child.process.stdin.close()
    child.process.stderr.close()
    assert child.process.wait(20) == 0
    child.reader.join(10)
