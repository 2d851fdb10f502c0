"""What the panel of the nodules starts by itself, or when asked to: measuring."""

from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakSet

from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_ctlns.events import ThreadControl
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.measuring import measure_job
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.job_bar import JobBar, Then
from napari_ctlns.plugin.words import counted
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.volume import Volume


class NoduleJobs(QObject):
    """Lets a bar measure the mask that is worked on.

    Parameters
    ----------
    session
        Whose mask it is.
    bar
        Shows how far the work is, and what came of it.
    panel
        The panel they are in.

    Attributes
    ----------
    began
        Work began.
    """

    began = Signal()

    def __init__(self, session: Session, bar: JobBar, panel: QWidget) -> None:
        super().__init__(panel)
        self._session = session
        self._bar = bar
        self._panel = panel
        self._tried: WeakSet[Labels] = WeakSet()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.measure_first_time)
        bar.start_clicked.connect(self.measure)
        bar.ended.connect(self.measure_first_time)

    def measure_soon(self) -> None:
        """Measure a layer that never was, as soon as whoever adds it has given it its table."""
        self._soon.start()

    def measure_first_time(self, _event: object = None) -> None:
        """Measure the mask if it never was, and nothing else goes on."""
        layer = None if self._session.gone else self._session.mask
        if layer is None or layer in self._tried or self._bar.working:
            return
        if self._session.table(layer) is None and self._session.volume_under(layer) is not None:
            self._tried.add(layer)
            self.measure()

    def measure(self) -> None:
        """Measure every nodule of the mask."""
        if (now := self._now()) is None:
            return
        control = ThreadControl()
        job = measure_job(now.mask, now.scan, self._session.table(now.layer), control)
        self._work(ThreadWork(job, control), partial(self._keep, now))

    def _now(self) -> "_Now | None":
        layer = self._session.mask
        scan = None if layer is None else self._session.volume_under(layer)
        if layer is None or scan is None:
            return None
        return _Now(layer, of.mask_of(layer, scan), scan, self._session.edits(layer))

    def _work(self, work: ThreadWork, then: Then) -> None:
        self._bar.follow(work, partial(self._use, then))
        self.began.emit()

    def _use(self, then: Then, result: dict[str, Any]) -> None:
        if not self._session.gone:  # else its window was closed meanwhile
            then(result)

    def _keep(self, then: "_Now", result: dict[str, Any]) -> None:
        self._session.keep_table(then.layer, result["table"], then.edits)
        self._bar.say("; ".join([measured_in_words(len(result["table"])), *result["warnings"]]))


@dataclass(frozen=True, eq=False)
class _Now:
    """A labels layer and its scan at one moment; the mask is a view until a job copies it."""

    layer: Labels
    mask: Volume
    scan: Volume
    edits: int


def measured_in_words(nodules: int) -> str:
    """Say how many nodules were measured."""
    return f"{counted(nodules, 'nodule') if nodules else 'No nodules'} measured"
