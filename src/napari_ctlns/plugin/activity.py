"""Work in napari's activity dock, where no panel of ours shows it."""

from typing import Any

from napari import Viewer
from napari.utils import cancelable_progress
from qtpy.QtCore import QObject

from napari_ctlns.events import Event, Failed, Finished, Progress, Started
from napari_ctlns.plugin.work import Work

_STEPS = 1000


class _ActivityBar(QObject):
    """A bar with time left and a button to cancel, for as long as the work goes on."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._bar: Any = cancelable_progress(
            total=_STEPS, desc="Reading", cancel_callback=work.stop
        )
        work.came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Started):
            self._bar.set_description(event.title)
        elif isinstance(event, Progress) and event.total:
            share = min(event.done / event.total, 1)
            self._bar.update(max(round(_STEPS * share) - self._bar.n, 0))
        elif isinstance(event, Finished | Failed):
            self._bar.close()


def show_in_activity_dock(work: Work, viewer: object) -> None:
    """Show a work that has just begun in the window of a viewer, if it has one."""
    if isinstance(viewer, Viewer):
        _ActivityBar(work)
