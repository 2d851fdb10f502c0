"""A queue of scans while it is worked on, and the rows of its manifest as they change."""

from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Failed, Finished, Log, Started
from napari_ctlns.plugin.scan_queue import rows_at_rest, rows_now
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.words import in_the_panel
from napari_ctlns.plugin.work import ThreadWork, Work, one_step
from napari_ctlns.specs import CohortSpec

_MS_BETWEEN_LOOKS = 1000
_SCAN_FAILED = " failed: "
_IF_CLOSED = (
    "That stops with napari. What is done stays: choose the same folders in the Predict panel, "
    "and it goes on with the rest."
)


class ScanQueue(Work):
    """The cohort job in a child process of its own, so that no other work waits for it.

    It belongs to the session: the panel that started it may be closed. Stopped, or ended
    with the window, what is done stays, and the same folders go on from there.

    Parameters
    ----------
    session
        Whose window it belongs to.
    spec
        What is to be done.

    Attributes
    ----------
    spec
        The same.
    """

    def __init__(self, session: Session, spec: CohortSpec) -> None:
        super().__init__(session)
        self.spec = spec
        name = Path(spec.scans[0]).name
        self.before_closing = (f"The scans of {name} are still worked on.", _IF_CLOSED)
        self._child = session.new_child()
        self._work = self._child.start("cohort", spec)
        self._work.came.connect(self._hear)

    def pause(self) -> None:
        """Let no other scan begin."""
        self._work.pause()

    def go(self) -> None:
        """Let it go on after a pause."""
        self._work.go()

    def stop(self) -> None:
        """Let it end after the current steps; asked again, it is ended at once."""
        self._work.stop()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Started):
            event = Started(title="Starting; loading the libraries takes some seconds")
        elif isinstance(event, Failed):
            event = event.model_copy(update={"message": in_the_panel(event.message)})
        elif isinstance(event, Log):
            # which scans failed, and why, is kept in sight by their rows
            level = "info" if _SCAN_FAILED in event.message else event.level
            event = Log(message=in_the_panel(event.message), level=level)
        self.say(event)
        if self.over:
            QTimer.singleShot(0, self._leave)  # the child tells of it just now

    def _leave(self) -> None:
        self._child.close()
        self._child.deleteLater()
        self.setParent(None)


class QueueWatch(QObject):
    """Reads the manifest of a queue in a thread, again and again while it is worked on.

    Attributes
    ----------
    came
        The rows as they are now.
    failed
        They cannot be read, in words; there are none then.
    """

    came = Signal(object)
    failed = Signal(str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._out: Path | None = None
        self._live = False
        self._look: ThreadWork | None = None
        self._again = False
        self._timer = QTimer(self)
        self._timer.setInterval(_MS_BETWEEN_LOOKS)
        self._timer.timeout.connect(self._begin)

    def watch(self, out: Path | None, live: bool) -> None:
        """Read what became of the scans in a folder, ``live`` while somebody works there."""
        self._out, self._live = out, live
        if live:
            self._timer.start()
        else:
            self._timer.stop()
        self._begin()

    def _begin(self) -> None:
        if self._look is not None:
            self._again = not self._live  # it will be looked again anyway while it is live
            return
        if self._out is None:
            self.came.emit(())
            return
        job = one_step("Look", rows_now if self._live else rows_at_rest, self._out)
        self._look = ThreadWork(job, parent=self)
        self._asked = self._out, self._live
        self._look.came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        if not isinstance(event, Finished | Failed):
            return
        if self._look is not None:
            self._look.deleteLater()
            self._look = None
        if self._again or self._asked != (self._out, self._live):
            self._again = False
            self._begin()
        else:
            self._tell(event)

    def _tell(self, event: Finished | Failed) -> None:
        if isinstance(event, Failed):
            self.came.emit(())
            self.failed.emit(in_the_panel(event.message))
            return
        rows: Any = event.result["value"]
        self.came.emit(rows)
