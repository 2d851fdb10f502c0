"""A job on a terminal: a progress bar with rate and time left, and Ctrl-C.

Everything goes to standard error, because standard output is for results.
"""

import contextlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from napari_ctlns import events
from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Event, Failed, Finished, ThreadControl
from napari_ctlns.jobs.drain import Drain
from napari_ctlns.jobs.narrator import Narrator
from napari_ctlns.torchrun import rank_and_size

# Where nobody watches a bar move (a log file), a line now and then is enough.
_SECONDS_BETWEEN_LINES = 15.0
_ECHO_SECONDS = 1.0
_SHOW_CURSOR = "\x1b[?25h"
INTERRUPTED = 130


class UnexpectedError(Exception):
    """A job broke for a reason that no person's input explains: a bug."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


def run_on_console(
    drain: Drain, control: ThreadControl, record: Callable[[Event], None] = lambda _: None
) -> Finished:
    """Draw a job's progress until it ends, and return how it finished.

    The first Ctrl-C lets the job end after its current step, the second ends the
    process at once.

    Parameters
    ----------
    drain
        The running job.
    control
        What the job obeys.
    record
        Also told of every event, for example to write a log.

    Raises
    ------
    CtlnsError
        If the job failed for a reason that a person can mend.
    UnexpectedError
        If it failed for any other.
    KeyboardInterrupt
        If it stopped because of Ctrl-C.
    """

    def recorded() -> Iterator[Event]:
        for event in drain:
            record(event)
            yield event

    with stop_on_interrupt(control) as interrupted:
        try:
            finished = show(recorded())
        except BaseException:
            # if it was not the job that failed (a full disk), it must not work on unseen
            control.stop()
            for _ in drain:
                pass
            raise
    if finished.stopped and interrupted():
        raise KeyboardInterrupt
    return finished


def show(stream: Iterable[Event]) -> Finished:
    """Draw events until the last one; return it, or raise what it says went wrong."""
    last: Event | None = None
    with _display() as display:
        for last in stream:
            display.draw(last)
    if isinstance(last, Finished):
        return last
    if isinstance(last, Failed) and not last.detail:
        raise CtlnsError(last.message)
    if isinstance(last, Failed):
        raise UnexpectedError(last.message, last.detail)
    raise UnexpectedError("the job ended without a result; please report it")


@contextlib.contextmanager
def stop_on_interrupt(control: ThreadControl) -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C stop a job through its control; a second one kills this process.

    Yields
    ------
    Callable
        Whether Ctrl-C came.
    """
    interrupts, last = 0, -math.inf
    # torchrun passes on what its processes have heard from the terminal already
    echo = _ECHO_SECONDS if rank_and_size()[1] > 1 else 0.0

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupts, last
        if time.monotonic() - last < echo:
            return
        interrupts, last = interrupts + 1, time.monotonic()
        if interrupts > 1:
            _say(f"{_SHOW_CURSOR if sys.stderr.isatty() else ''}killed")
            os._exit(INTERRUPTED)
        control.stop()
        _say("stopping after this step; press Ctrl-C again to kill")

    def interrupted() -> bool:
        return interrupts > 0

    if threading.current_thread() is not threading.main_thread():
        yield interrupted  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _say(words: str) -> None:
    # not through rich, whose lock the interrupted code may hold
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), f"\n{words}\n".encode())


@contextlib.contextmanager
def _display() -> Iterator["_Bar | _Lines"]:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        _Amount(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


class _Bar:
    """A bar that follows Progress events, and lines above it for the rest."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._narrator = Narrator()
        self._newest: events.Progress | None = None

    def draw(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, events.Progress):
            self._move(event)
        for line in self._narrator.lines(event):
            self._progress.console.print(line, markup=False)

    def _move(self, event: events.Progress) -> None:
        # a new unit, or going back, is a new piece of work with a rate of its own
        newest, self._newest = self._newest, event
        if newest is None or event.unit != newest.unit or event.done < newest.done:
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            self._progress.add_task(event.unit, total=event.total)
        (task,) = self._progress.task_ids
        self._progress.update(task, completed=event.done, total=event.total)


class _Lines:
    """Plain lines, not too many, for a log file or a pipe."""

    def __init__(self) -> None:
        self._narrator = Narrator()
        self._printed = time.monotonic()

    def draw(self, event: Event) -> None:
        """Show one event, unless it is progress that came soon after a line."""
        for line in self._narrator.lines(event):
            self._print(line)
        waited = time.monotonic() - self._printed
        if isinstance(event, events.Progress) and waited > _SECONDS_BETWEEN_LINES:
            total = "" if event.total is None else f" of {event.total:g}"
            self._print(f"{event.done:g}{total} {event.unit}")

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is the display


class _Amount(ProgressColumn):
    """How much is done, in the job's own unit."""

    def render(self, task: Task) -> Text:
        total = "?" if task.total is None else f"{task.total:g}"
        return Text(f"{task.completed:g}/{total}")


class _Rate(ProgressColumn):
    """How much is done a second, or how long one takes."""

    def render(self, task: Task) -> Text:
        speed = task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each")
