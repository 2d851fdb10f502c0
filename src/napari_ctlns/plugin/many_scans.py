"""The queue of a panel: it begins, is watched, and its scans are opened one by one."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from superqt.utils import signals_blocked

from napari_ctlns.events import Failed, Finished
from napari_ctlns.plugin.opener import opener_of
from napari_ctlns.plugin.predicting import Choice
from napari_ctlns.plugin.queue_work import QueueWatch, ScanQueue
from napari_ctlns.plugin.scan_queue import (
    end_in_words,
    mask_of,
    queue_spec,
    queue_why_not,
    results_folder,
    why_no_queues,
)
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.training_set import TrainingSet
from napari_ctlns.plugin.views.queue_view import QueueView
from napari_ctlns.plugin.work import Work, under_way

if TYPE_CHECKING:
    from napari_ctlns.cohort.manifest import Row


class ManyScans(QObject):
    """Keeps a view at the queue of a session.

    Parameters
    ----------
    session
        Whose queue it is.
    view
        Shows it.
    choice
        Returns what is chosen for a prediction now; None while there is no model.
    parent
        The panel.

    Attributes
    ----------
    reads
        A scan is being opened (the work); it may be shown by whoever has room for it.
    """

    reads = Signal(object)

    def __init__(
        self,
        session: Session,
        view: QueueView,
        choice: Callable[[], Choice | None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._view = view
        self._choice = choice
        self._lacks = why_no_queues()
        self._watch = QueueWatch(self)
        self._watch.came.connect(view.show_rows)
        self._watch.failed.connect(partial(view.bar.say, trouble=True))
        self._set = session.part(TrainingSet)
        self._set.changed.connect(self._show_corrected)
        view.changed.connect(self._follow_folders)
        view.opened.connect(self._open)
        view.bar.start_clicked.connect(self._start)
        view.bar.ended.connect(self._ended)
        view.lacks.say(self._lacks)
        view.let_choose(not self._lacks)
        self._show_corrected()
        self._take_up()

    def settle(self) -> None:
        """Say what lacks before the queue can begin."""
        why_not = self._lacks or queue_why_not(self._view.scans.path, self._out())
        if not why_not and self._choice() is None:
            why_not = "Choose a model first"
        self._view.bar.set_ready(why_not)

    # -- inside -------------------------------------------------------------------

    def _out(self) -> Path | None:
        scans = self._view.scans.path
        if self._view.results.path is not None or scans is None:
            return self._view.results.path
        return results_folder(scans, read_settings().working_folder)

    def _follow_folders(self) -> None:
        """Show what is in the folder of the results already."""
        scans = self._view.scans.path
        hint = "" if scans is None else str(results_folder(scans, read_settings().working_folder))
        self._view.results.set_hint(hint)
        self._view.bar.say("")
        self._watch.watch(self._out(), live=False)
        self.settle()

    def _show_corrected(self) -> None:
        self._view.show_corrected(self._set.known)

    def _start(self) -> None:
        scans, out, choice = self._view.scans.path, self._out(), self._choice()
        if scans is not None and out is not None and choice is not None:
            self._follow(ScanQueue(self._session, queue_spec(scans, out, choice)))

    def _take_up(self) -> None:
        """Show a queue that goes on already."""
        queue = under_way(self._session, ScanQueue)
        if queue is not None:
            self._follow(queue)
        self.settle()

    def _follow(self, queue: ScanQueue) -> None:
        view = self._view
        view.let_choose(False)
        with signals_blocked(view):
            view.scans.set_path(Path(queue.spec.scans[0]))
            view.results.set_path(queue.spec.out)
        view.bar.follow(queue, partial(self._say_end, queue.spec.out))
        self._watch.watch(queue.spec.out, live=True)

    def _say_end(self, out: Path, result: dict[str, Any]) -> None:
        self._view.bar.say(end_in_words(result, out), trouble=not result["done"])

    def _ended(self, event: Finished | Failed) -> None:
        if isinstance(event, Finished) and event.stopped:
            self._view.bar.say("Stopped. What is done stays; start again to go on")
        self._view.let_choose(True)
        self._watch.watch(self._out(), live=False)
        self.settle()

    def _open(self, row: "Row") -> None:
        out = self._out()
        mask = None if out is None else mask_of(row, out)
        if row.status != "done":
            self._view.bar.say("Only a scan that is done can be opened")
        elif mask is None:
            self._view.bar.say(f"The mask of {row.scan_id} is gone; start again", trouble=True)
        else:
            self._read(row, mask)

    def _read(self, row: "Row", mask: Path) -> None:
        opener = opener_of(self._session)
        if row.series:
            opener.open_scan(row.file)
            opener.open([mask])
        else:
            opener.open([row.file.path, mask])
        work: Work | None = opener.work
        if work is not None:
            self.reads.emit(work)
