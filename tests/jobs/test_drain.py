"""A job never waits for its reader, and its reader misses nothing but old progress."""

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.errors import ScanError
from napari_ctlns.events import Failed, Finished, Log, Metric, Progress, Started
from napari_ctlns.jobs import Drain


def steps(n, ended):
    yield Started(title="steps")
    for step in range(n):
        yield Progress(done=step + 1, total=n, unit="steps")
        yield Metric(name="loss", step=step, value=float(step))
    yield Finished()
    ended.set()


def test_a_slow_reader_does_not_slow_the_job_and_misses_no_metric():
    ended = threading.Event()

    def job():
        yield from steps(1000, ended)

    drain = Drain(job())
    reader = iter(drain)
    first = next(reader)
    assert isinstance(first, Started)
    time.sleep(0.3)  # the reader is busy; the job comes to its end meanwhile
    events = list(reader)
    metrics = [event for event in events if isinstance(event, Metric)]
    progress = [event for event in events if isinstance(event, Progress)]
    assert [metric.step for metric in metrics] == list(range(1000))
    assert len(progress) < 1000
    assert progress[-1].done == 1000
    assert isinstance(events[-1], Finished)


kinds = st.lists(st.sampled_from(["progress", "metric", "log"]), max_size=30)


@given(kinds)
def test_unread_events_keep_their_order_and_one_progress(asked):
    made = [
        {
            "progress": Progress(done=i, total=None, unit="x"),
            "metric": Metric(name="m", step=i, value=0),
            "log": Log(message=str(i)),
        }[kind]
        for i, kind in enumerate(asked)
    ]
    done = threading.Event()

    def job():
        yield from made
        done.set()
        yield Finished()

    drain = Drain(job())
    assert done.wait(5)
    read = list(drain)[:-1]
    newest = [event for event in made if isinstance(event, Progress)][-1:]
    assert read == [e for e in made if not isinstance(e, Progress) or e in newest]


def test_a_mistake_of_the_person_is_told_in_its_own_words():
    def job():
        yield Started(title="read")
        raise ScanError("no such scan; give another")

    *_, last = Drain(job())
    assert last == Failed(message="no such scan; give another")


def test_a_bug_is_told_with_its_traceback():
    def job():
        yield Started(title="divide")
        yield Progress(done=1 / 0, total=None, unit="x")

    *_, last = Drain(job())
    assert isinstance(last, Failed)
    assert last.message.startswith("unexpected error (ZeroDivisionError: division by zero)")
    assert "Traceback" in last.detail


def test_a_job_without_a_result_is_a_bug():
    def job():
        yield Started(title="vanish")

    *_, last = Drain(job())
    assert isinstance(last, Failed)
    assert "without a result" in last.message


def test_others_can_say_something_until_the_job_ended():
    go = threading.Event()

    def job():
        yield Started(title="wait")
        go.wait(5)
        yield Finished()

    drain = Drain(job())
    drain.say(Log(message="stopping"))
    go.set()
    events = list(drain)
    drain.say(Log(message="too late"))
    assert [event.event for event in events] == ["started", "log", "finished"]
    assert list(drain) == []
    assert events[0].pid is not None
