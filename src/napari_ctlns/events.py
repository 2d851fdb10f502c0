"""What a job says while it works, and how it is told to pause or stop.

A job is a plain generator ``job(spec, control) -> Iterator[Event]``. Events are
frozen and survive JSON, one object a line, so that a job can be watched from
another process, another machine, or later.
"""

import threading
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class Started(_Event):
    """The job has begun; ``title`` says in words what it does."""

    event: Literal["started"] = "started"
    title: str
    pid: int | None = None


class Progress(_Event):
    """``done`` of ``total`` ``unit`` are finished (``total`` None: unknown)."""

    event: Literal["progress"] = "progress"
    done: float
    total: float | None
    unit: str


class Metric(_Event):
    """A number worth plotting: ``name`` had ``value`` at ``step``."""

    event: Literal["metric"] = "metric"
    name: str
    step: int
    value: float


class Preview(_Event):
    """A picture of the work so far lies at ``path``."""

    event: Literal["preview"] = "preview"
    path: Path
    step: int | None = None


class Saved(_Event):
    """A result lies, whole, at ``path``."""

    event: Literal["saved"] = "saved"
    path: Path
    kind: str = "file"


class Log(_Event):
    """Words for the person; a ``warning`` is worth their attention."""

    event: Literal["log"] = "log"
    message: str
    level: Literal["info", "warning"] = "info"


class Finished(_Event):
    """The job ended as it should; ``stopped`` if somebody asked it to end early."""

    event: Literal["finished"] = "finished"
    result: dict[str, Any] = Field(default_factory=dict)
    stopped: bool = False


class Failed(_Event):
    """The job cannot go on; ``message`` is for the person, ``detail`` for a bug report."""

    event: Literal["failed"] = "failed"
    message: str
    detail: str = ""


Event = Annotated[
    Started | Progress | Metric | Preview | Saved | Log | Finished | Failed,
    Field(discriminator="event"),
]
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


def event_to_json(event: Event) -> str:
    """Return one event as one line of JSON, without the line end."""
    return event.model_dump_json()


def event_from_json(line: str | bytes) -> Event:
    """Return the event that a line of JSON holds.

    Raises
    ------
    pydantic.ValidationError
        If the line is no event.
    """
    return _EVENT.validate_json(line)


class Control(Protocol):
    """How the outside asks a job to pause or stop; a job asks between its steps."""

    def stop_requested(self) -> bool:
        """Whether the job should end after the current step."""
        ...

    def wait_while_paused(self) -> None:
        """Return at once, or, while paused, when told to go on or to stop."""
        ...


class Uncontrolled:
    """A Control that never pauses and never stops."""

    def stop_requested(self) -> bool:
        """Return False."""
        return False

    def wait_while_paused(self) -> None:
        """Return at once."""


class ThreadControl:
    """A Control for the same process: any thread may call its verbs."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._going = threading.Event()
        self._going.set()

    def pause(self) -> None:
        """Let the job wait before its next step."""
        self._going.clear()

    def go(self) -> None:
        """Let a paused job go on."""
        self._going.set()

    def stop(self) -> None:
        """Let the job end after its current step."""
        self._stop.set()
        self._going.set()

    def stop_requested(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def wait_while_paused(self) -> None:
        """Block while paused."""
        self._going.wait()
