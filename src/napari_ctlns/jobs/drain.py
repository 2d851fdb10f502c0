"""A job works in its own thread; its events wait here for whoever reads them.

However slow the reader is, the job never waits for it: of the Progress events
only the newest unread one is kept, every other event stays, in order.
"""

import os
import threading
import time
import traceback
from collections.abc import Iterator

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Event, Failed, Finished, Progress, Started

# Bounded waits, because on Windows an unbounded one cannot be interrupted by Ctrl-C.
_WAIT_SECONDS = 0.2


class Drain:
    """Runs a job in a thread; iterating gives its events and ends after the last one.

    The last event is always a `Finished` or a `Failed`: a `CtlnsError` becomes a
    `Failed` with its message, any other error one with its traceback as detail.

    Parameters
    ----------
    job
        The generator of events that does the work. It starts at once.
    """

    def __init__(self, job: Iterator[Event]) -> None:
        self._job = job
        self._changed = threading.Condition()
        self._waiting: dict[int, Event] = {}  # by arrival, oldest first
        self._arrivals = 0
        self._newest_progress: int | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="ctlns-job", daemon=True)
        self._thread.start()

    def say(self, event: Event) -> None:
        """Put an event among the job's own; any thread may, until the job has ended."""
        with self._changed:
            if not self._ended:
                self._put(event)

    def next_event(self, timeout_s: float) -> Event | None:
        """Return the oldest unread event, or None if none comes within ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._waiting:
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    return None
                self._changed.wait(min(left, _WAIT_SECONDS))
            arrival = next(iter(self._waiting))
            if arrival == self._newest_progress:
                self._newest_progress = None
            return self._waiting.pop(arrival)

    def join(self) -> None:
        """Wait until the job's thread has ended, whether or not its events were read."""
        self._thread.join()

    def __iter__(self) -> Iterator[Event]:
        """Give each event once; only one reader may."""
        while True:
            event = self.next_event(_WAIT_SECONDS)
            if event is not None:
                yield event
            elif self._ended and not self._waiting:
                self._thread.join()
                return

    def _put(self, event: Event) -> None:
        if isinstance(event, Progress):
            if self._newest_progress is not None:
                del self._waiting[self._newest_progress]
            self._newest_progress = self._arrivals
        self._waiting[self._arrivals] = event
        self._arrivals += 1
        self._changed.notify_all()

    def _work(self) -> None:
        last: Event = Failed(message="the job ended without a result; please report it")
        try:
            for event in self._job:
                if isinstance(event, Finished | Failed):
                    last = event
                    break
                self.say(_with_pid(event))
        except CtlnsError as error:
            last = Failed(message=str(error))
        except BaseException as error:  # noqa: BLE001 - the reader is told, whatever it was
            last = Failed(message=_unexpected(error), detail=traceback.format_exc())
        with self._changed:
            self._put(last)
            self._ended = True


def _unexpected(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    words = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return f"unexpected error ({words}); please report it"


def _with_pid(event: Event) -> Event:
    if isinstance(event, Started) and event.pid is None:
        return event.model_copy(update={"pid": os.getpid()})
    return event
