"""Asking a run to pause, go on or stop, by a file in its folder."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

from napari_ctlns.atomic import write_text
from napari_ctlns.errors import OutputError
from napari_ctlns.events import ThreadControl

Verb = Literal["go", "pause", "stop"]
CONTROL_FILE = "control.json"
# Stop is to be acknowledged within 0.3 s.
_SECONDS_BETWEEN_LOOKS = 0.1


def obey(control: ThreadControl, verb: Verb) -> str:
    """Pass a verb on to a job, and return in words what will happen."""
    if verb == "stop":
        control.stop()
        return "stopping after this step"
    if verb == "pause":
        control.pause()
        return "pausing after this step"
    control.go()
    return "going on"


def write_verb(run: Path, verb: Verb) -> None:
    """Ask the run in folder ``run`` for something."""
    write_text(run / CONTROL_FILE, json.dumps({"command": verb}) + "\n")


def read_verb(run: Path) -> Verb | None:
    """Return what the run was last asked for; None where that cannot be read."""
    try:
        content = json.loads((run / CONTROL_FILE).read_text("utf-8"))
        verb: Verb = content["command"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return verb if verb in get_args(Verb) else None


@contextlib.contextmanager
def follow_control_file(
    run: Path, control: ThreadControl, heard: Callable[[Verb, str], None]
) -> Iterator[None]:
    """Obey the run's control file for as long as the context lasts.

    The file is looked at by a thread of its own, so that an answer comes at once
    even in the middle of a long step.

    Parameters
    ----------
    run
        The run folder.
    control
        What the job obeys.
    heard
        Told of each new verb, with words for the person.
    """
    over = threading.Event()

    def look() -> None:
        last: Verb = "go"
        while not over.is_set():
            # a stop may also have come by Ctrl-C
            verb = "stop" if control.stop_requested() else read_verb(run)
            if verb is not None and verb != last:
                last = verb
                words = obey(control, verb)
                with contextlib.suppress(OutputError):  # the job itself will meet a full disk
                    heard(verb, words)
            over.wait(_SECONDS_BETWEEN_LOOKS)

    thread = threading.Thread(target=look, name="ctlns-control", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
