"""Work in napari's activity dock, where no panel of ours shows it."""

from typing import Any

from napari import Viewer
from napari.utils import cancelable_progress
from qtpy.QtCore import QObject, QTimer

from napari_ctlns.events import Event, Finished, Progress, Started
from napari_ctlns.plugin.work import Work

_STEPS = 1000
_MS_BETWEEN_LOOKS = 300
"""What takes less time than that is not shown at all."""


class _Cancelable(cancelable_progress):
    """A bar whose button works at once; napari's own waits for the next turn of a loop."""

    def cancel(self) -> None:
        """Ask for the end."""
        super().cancel()
        self.cancel_callback()


class _ActivityBar(QObject):
    """A bar with time left and a button to cancel, for as long as the work goes on.

    napari runs the event loop whenever one of its bars changes. So it is changed by a
    timer of its own, never in the middle of hearing of the work.
    """

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._work = work
        self._title = ""
        self._share = 0.0
        self._changing = False
        self._bar: Any = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(_MS_BETWEEN_LOOKS)
        work.came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Started):
            self._title = event.title
        elif isinstance(event, Progress) and event.total:
            self._share = min(event.done / event.total, 1)
        elif isinstance(event, Finished):
            self._share = 1
        if self._work.over:
            self._timer.stop()
            self._close()

    def _look(self) -> None:
        if self._changing:
            return
        self._changing = True
        if self._bar is None:
            stop = self._work.stop
            self._bar = _Cancelable(total=_STEPS, desc=self._title, cancel_callback=stop)
        elif (more := round(_STEPS * self._share) - self._bar.n) > 0:
            self._bar.update(more)
        self._changing = False
        if self._work.over:  # it ended meanwhile
            self._close()

    def _close(self) -> None:
        if self._bar is not None and not self._changing:
            self._bar.close()
            self._bar = None


def show_in_activity_dock(work: Work, viewer: object) -> None:
    """Show a work that has just begun in the window of a viewer, if it has one."""
    if isinstance(viewer, Viewer):
        _ActivityBar(work)
