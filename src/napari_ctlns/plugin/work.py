"""Long work as Qt signals, wherever it runs: a thread, the child process, a run.

Whatever does the work, its events come as one signal, the last of them a
`Finished` or a `Failed`, so that one view can show all of it.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Failed, Finished, Started, ThreadControl
from napari_ctlns.jobs.drain import Drain

_MS_BETWEEN_LOOKS = 40
_Kind = TypeVar("_Kind", bound="Work")


class Work(QObject):
    """A piece of work that goes on outside the event loop.

    Attributes
    ----------
    came
        Emitted with every event, in order; the last is a `Finished` or a `Failed`.
    over
        Whether the last event has come.
    before_closing
        What a person is asked before the window closes on it, and what becomes of it then;
        nothing: nobody is asked.
    """

    came = Signal(object)
    before_closing: tuple[()] | tuple[str, str] = ()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.over = False

    def say(self, event: Event) -> None:
        """Tell of an event; nothing is told after the last one."""
        if self.over:
            return
        self.over = isinstance(event, Finished | Failed)
        self.came.emit(event)

    def pause(self) -> None:
        """Let it wait before its next step."""
        raise NotImplementedError

    def go(self) -> None:
        """Let it go on after a pause."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ask it to end after its current step; asked again, it is ended at once if it can be."""
        raise NotImplementedError


class ThreadWork(Work):
    """A job in a thread of this process: for reading, drawing and measuring.

    Parameters
    ----------
    job
        It starts at once.
    control
        By which it is paused and stopped.
    parent
        Whom it belongs to.
    ms_between_looks
        How often what it tells is looked at; less for what a person waits for.
    """

    def __init__(
        self,
        job: Iterator[Event],
        control: ThreadControl | None = None,
        parent: QObject | None = None,
        ms_between_looks: int = _MS_BETWEEN_LOOKS,
    ) -> None:
        super().__init__(parent)
        self._control = control or ThreadControl()
        self._drain = Drain(job)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(ms_between_looks)

    def pause(self) -> None:
        """Let the job wait before its next step."""
        self._control.pause()

    def go(self) -> None:
        """Let a paused job go on."""
        self._control.go()

    def stop(self) -> None:
        """Let the job end after its current step."""
        self._control.stop()

    def join(self) -> None:
        """Wait until the job has ended; for another thread than the window's."""
        self._drain.join()

    def _look(self) -> None:
        while not self.over and (event := self._drain.next_event(0)) is not None:
            self.say(event)
        if self.over:
            self._timer.stop()


def under_way(owner: QObject, kind: type[_Kind]) -> _Kind | None:
    """Return the work of a kind that belongs to ``owner`` and goes on, whoever started it."""
    return next((work for work in owner.findChildren(kind) if not work.over), None)


def one_step(
    title: str, function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Iterator[Event]:
    """Return a function call as a job; what it returns is ``result["value"]``."""
    yield Started(title=title)
    yield Finished(result={"value": function(*args, **kwargs)})
