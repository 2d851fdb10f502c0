"""The child process: jobs asked for by lines of JSON, their events as lines of JSON.

``python -m napari_ctlns.jobs.child`` reads requests from standard input::

    {"id": 1, "job": "predict", "spec": {...}}
    {"id": 1, "control": "stop"}            (or "pause", "go")

and answers on standard output with events that bear the request's id::

    {"id": 1, "event": "progress", "done": 3, "total": 9, "unit": "windows"}

Jobs run one after the other, in one warm process. It ends when its standard
input closes, even in the middle of a job.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from napari_ctlns.events import Event, Failed, Finished, Log, ThreadControl, event_to_json
from napari_ctlns.jobs.control_file import Verb, obey
from napari_ctlns.jobs.drain import Drain
from napari_ctlns.jobs.priority import lower_priority
from napari_ctlns.jobs.registry import JOBS, JobKind, start_job
from napari_ctlns.recipe import first_problem

_NICENESS = 5
# How long a job may take over its last step when nobody is there any more.
_GRACE_SECONDS = 10.0

RequestId = int | str


class Request(BaseModel):
    """One line to the child: a job to do, or a verb for a job asked for before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: RequestId
    job: str | None = None
    spec: dict[str, Any] | None = None
    control: Verb | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.job is None) == (self.control is None):
            raise ValueError("give either a job or a control")
        return self


class _Child:
    """Requests come in by one thread, jobs are done and answered by another."""

    def __init__(
        self, jobs: Mapping[str, JobKind], requests: IO[bytes], answers: IO[bytes]
    ) -> None:
        self._jobs = jobs
        self._requests = requests
        self._answers = answers
        self._answering = threading.Lock()
        self._todo: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._controls: dict[RequestId, ThreadControl] = {}
        self._running: tuple[RequestId, Drain] | None = None
        self._closed = threading.Event()

    def serve(self) -> None:
        """Do jobs until the requests end."""
        threading.Thread(target=self._listen, name="ctlns-requests", daemon=True).start()
        while (request := self._todo.get()) is not None and not self._closed.is_set():
            for event in self._events(request):
                self._answer(request.id, event)
            del self._controls[request.id]

    def _listen(self) -> None:
        for line in self._requests:
            if line.strip():
                self._hear(line)
        self._close()

    def _close(self) -> None:
        """Nobody is there any more: stop what runs, do nothing new, then go."""
        self._closed.set()
        for control in tuple(self._controls.values()):
            control.stop()
        self._todo.put(None)
        last_resort = threading.Timer(_GRACE_SECONDS, os._exit, args=(1,))
        last_resort.daemon = True
        last_resort.start()

    def _hear(self, line: bytes) -> None:
        try:
            request = Request.model_validate_json(line)
        except ValidationError as error:
            self._answer(None, Failed(message=f"not a request: {first_problem(error)}"))
            return
        if request.control is not None:
            self._obey(request)
        elif request.id in self._controls:
            self._answer(request.id, Failed(message=f"id {request.id} is in use; take another"))
        else:
            self._controls[request.id] = ThreadControl()
            self._todo.put(request)

    def _obey(self, request: Request) -> None:
        """Pass a verb on and say so at once; a job that has just ended needs none."""
        control = self._controls.get(request.id)
        if control is None:
            return
        heard = Log(message=obey(control, request.control or "go"))
        running = self._running
        if running is not None and running[0] == request.id:
            running[1].say(heard)  # so that it never comes after the job's last event
        else:
            self._answer(request.id, heard)

    def _events(self, request: Request) -> Iterator[Event]:
        control = self._controls[request.id]
        kind = self._jobs.get(str(request.job))
        if kind is None:
            known = ", ".join(self._jobs)
            yield Failed(message=f"no job {request.job}; there are {known}")
            return
        if control.stop_requested():
            yield Finished(stopped=True)
            return
        try:
            spec = kind.spec.model_validate(request.spec or {})
        except ValidationError as error:
            yield Failed(message=f"cannot {request.job}: {first_problem(error)}")
            return
        drain = Drain(start_job(kind, spec, control))
        self._running = (request.id, drain)
        yield from drain
        self._running = None

    def _answer(self, request_id: RequestId | None, event: Event) -> None:
        line = f'{{"id":{json.dumps(request_id)},{event_to_json(event)[1:]}\n'
        try:
            with self._answering:
                self._answers.write(line.encode())
                self._answers.flush()
        except (OSError, ValueError):  # the reader is gone
            self._close()


def serve(jobs: Mapping[str, JobKind] = JOBS) -> None:
    """Do jobs for whoever started this process, until its standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who started us
    lower_priority(os.getpid(), _NICENESS)
    # Libraries print what they like: their output goes to standard error, and
    # nothing but us reads the requests.
    answers = os.fdopen(os.dup(1), "wb")
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _Child(jobs, requests, answers).serve()
    sys.stderr.flush()
    # A job's threads (torch, OpenVINO) must not hold up the end.
    os._exit(0)


if __name__ == "__main__":
    serve()
