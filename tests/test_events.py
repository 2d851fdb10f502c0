"""Events survive JSON, and a control is obeyed."""

import math
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_ctlns.events import (
    Failed,
    Finished,
    Log,
    Metric,
    Preview,
    Progress,
    Saved,
    Started,
    ThreadControl,
    Uncontrolled,
    event_from_json,
    event_to_json,
)

numbers = st.floats(allow_nan=False)
words = st.text()
paths = st.sampled_from([Path("mask.nii.gz"), Path("/data/a b/ü.mhd")])
events = st.one_of(
    st.builds(Started, title=words, pid=st.none() | st.integers(min_value=0)),
    st.builds(Progress, done=numbers, total=st.none() | numbers, unit=words),
    st.builds(Metric, name=words, step=st.integers(), value=numbers),
    st.builds(Preview, path=paths, step=st.none() | st.integers()),
    st.builds(Saved, path=paths, kind=words),
    st.builds(Log, message=words, level=st.sampled_from(["info", "warning"])),
    st.builds(
        Finished,
        result=st.dictionaries(words, words | st.integers() | st.lists(st.booleans())),
        stopped=st.booleans(),
    ),
    st.builds(Failed, message=words, detail=words),
)


@given(events)
def test_an_event_survives_json_on_one_line(event):
    line = event_to_json(event)
    assert "\n" not in line
    assert event_from_json(line) == event
    assert event_from_json(line.encode()) == event


def test_a_loss_that_is_no_number_survives_too():
    event = event_from_json(event_to_json(Metric(name="loss", step=1, value=math.nan)))
    assert isinstance(event, Metric)
    assert math.isnan(event.value)


def test_what_a_later_version_adds_is_left_out():
    line = '{"event": "log", "message": "x", "level": "info", "colour": "red"}'
    assert event_from_json(line) == Log(message="x")


@pytest.mark.parametrize("line", ["", "x", "{}", '{"event": "dance"}', '{"event": "log"}', "[1]"])
def test_what_is_no_event_is_refused(line):
    with pytest.raises(ValidationError):
        event_from_json(line)


def test_a_pause_holds_until_told_to_go_on_or_to_stop():
    for verb in ("go", "stop"):
        control = ThreadControl()
        control.pause()
        thread = threading.Thread(target=control.wait_while_paused, daemon=True)
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
        getattr(control, verb)()
        thread.join(5)
        assert not thread.is_alive()
        assert control.stop_requested() == (verb == "stop")


def test_uncontrolled_never_waits_and_never_stops():
    control = Uncontrolled()
    control.wait_while_paused()
    assert not control.stop_requested()
