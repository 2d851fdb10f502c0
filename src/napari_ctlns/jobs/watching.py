"""Following a run by its folder, whoever started it and wherever it works."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_ctlns.errors import RunError
from napari_ctlns.events import Event, Failed, Finished, Metric, Progress, event_from_json
from napari_ctlns.jobs.run_folder import EVENTS_FILE, State, is_live, read_events, read_state

_SECONDS_BETWEEN_LOOKS = 0.2


class RunFollower:
    """Gives the events of a run as they come, from its beginning; never waits.

    Attributes
    ----------
    ended
        Whether the run is over: its last event is a `Finished` or a `Failed`, or
        its process died, which is then told as a `Failed`.
    died
        Whether that was so.
    behind
        Whether the last `poll` left something for the next.

    Raises
    ------
    RunError
        If the folder holds no run.
    """

    def __init__(self, run: Path) -> None:
        if not (run / EVENTS_FILE).is_file() and read_state(run) is None:
            raise RunError(f"{run} is no run; give a folder that `ctlns train` writes")
        self._run = run
        self._offset = 0
        self._last: Event | None = None
        self.ended = False
        self.died = False
        self.behind = False

    def poll(self, most_bytes: int = -1) -> list[Event]:
        """Return the events that came since the last call; with ``most_bytes``, the next few."""
        if self.ended:
            return []
        live = is_live(self._run)  # asked first: what a process wrote before its end is read below
        before = self._offset
        lines, self._offset = read_events(self._run, before, most_bytes)
        self.behind = 0 <= most_bytes <= self._offset - before
        events = [event for line in lines if (event := _event(line)) is not None]
        self._last = events[-1] if events else self._last
        if not live and not self.behind:
            self.ended = True
            self.died = not isinstance(self._last, Finished | Failed)
            if self.died:
                events.append(Failed(message=_death(self._run)))
        return events


def watch(run: Path) -> Iterator[Event]:
    """Give the events of a run, from its beginning, until it is over.

    Raises
    ------
    RunError
        If the folder holds no run.
    """
    return _followed(RunFollower(run))


def _followed(follower: RunFollower) -> Iterator[Event]:
    while not follower.ended:
        yield from follower.poll()
        if not follower.ended:
            time.sleep(_SECONDS_BETWEEN_LOOKS)


class RunStatus(BaseModel):
    """How far a run is.

    Attributes
    ----------
    state
        What its process is doing, or "died" if it ended without a word.
    progress
        The newest Progress, if any.
    metrics
        The newest value of each metric.
    message
        Why it failed or that it died; empty otherwise.
    """

    model_config = ConfigDict(frozen=True)

    state: State | Literal["died"]
    progress: Progress | None = None
    metrics: dict[str, float] = {}
    message: str = ""


def run_status(run: Path) -> RunStatus:
    """Return how far a run is now.

    Raises
    ------
    RunError
        If the folder holds no run.
    """
    follower = RunFollower(run)
    progress: Progress | None = None
    metrics: dict[str, float] = {}
    last: Event | None = None
    for last in follower.poll():
        if isinstance(last, Progress):
            progress = last
        elif isinstance(last, Metric):
            metrics[last.name] = last.value
    return RunStatus(
        state=_state(run, follower.ended, last),
        progress=progress,
        metrics=metrics,
        message=last.message if follower.ended and isinstance(last, Failed) else "",
    )


def _state(run: Path, ended: bool, last: Event | None) -> State | Literal["died"]:
    if ended and isinstance(last, Finished):
        return "stopped" if last.stopped else "finished"
    said = read_state(run)
    if ended:
        return "failed" if said is not None and said.state == "failed" else "died"
    return "running" if said is None else said.state


def _death(run: Path) -> str:
    return f"the training process ended without a word; go on with --resume --out {run}"


def _event(line: str) -> Event | None:
    """Read one line; None for what a killed process left half-written."""
    try:
        return event_from_json(line)
    except ValidationError:
        return None
