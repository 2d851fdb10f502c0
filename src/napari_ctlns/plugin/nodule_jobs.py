"""What the panel of the nodules starts: measuring, and saving mask and table."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_ctlns.errors import OutputError
from napari_ctlns.events import ThreadControl
from napari_ctlns.findings import Findings
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.measuring import measure_job, save_table_job
from napari_ctlns.plugin.predicting import file_name
from napari_ctlns.plugin.saving import left_out_in_words, save_mask_job
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.views.file_dialogs import ask_save_path
from napari_ctlns.plugin.views.job_bar import JobBar, Then
from napari_ctlns.plugin.words import counted
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.volume import Volume

MASK_FILES = (
    *("NIfTI (*.nii.gz *.nii)", "MetaImage (*.mha *.mhd)", "NRRD (*.nrrd *.nhdr)"),
    "DICOM SEG (*.dcm)",
)
TABLE_FILES = ("CSV (*.csv)", "JSON (*.json)")
_JUDGED = "what you said of nodules is kept by Save project, in the Scan panel"


class NoduleJobs(QObject):
    """Lets a bar measure and save the mask that is worked on.

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

    def save_mask(self) -> None:
        """Ask where to, and save the mask without what was rejected."""
        now = self._now()
        path = self._ask_path("Save mask", "nodules.nii.gz", MASK_FILES)
        if now is not None and path is not None:
            job = save_mask_job(now.mask, now.scan, path, now.findings)
            self._work(ThreadWork(job), partial(self._mask_is_saved, now))

    def save_table(self) -> None:
        """Ask where to, and save the table without what was rejected."""
        now = self._now()
        path = self._ask_path("Save table", "nodules.csv", TABLE_FILES)
        if now is not None and path is not None:
            table, fresh = self._session.table(now.layer), not self._session.is_stale(now.layer)
            job = save_table_job(now.mask, now.scan, table, fresh, path, now.findings)
            self._work(ThreadWork(job), partial(self._table_is_saved, now))

    def _now(self) -> "_Now | None":
        layer = self._session.mask
        scan = None if layer is None else self._session.volume_under(layer)
        if layer is None or scan is None:
            return None
        mask, findings = of.mask_of(layer, scan), of.findings_of(layer)
        return _Now(layer, mask, scan, findings, self._session.edits(layer))

    def _ask_path(self, title: str, name: str, kinds: tuple[str, ...]) -> Path | None:
        layer = self._session.mask
        scan = None if layer is None else self._session.volume_under(layer)
        start = read_settings().working_folder / f"{file_name(scan.scan_id if scan else '')}_{name}"
        try:
            return ask_save_path(self._panel, title, start, kinds)
        except OutputError as error:
            self._bar.say(str(error), trouble=True)
            return None

    def _work(self, work: ThreadWork, then: Then) -> None:
        self._bar.follow(work, partial(self._use, then))
        self.began.emit()

    def _use(self, then: Then, result: dict[str, Any]) -> None:
        if not self._session.gone:  # else its window was closed meanwhile
            then(result)

    def _keep(self, then: "_Now", result: dict[str, Any]) -> None:
        self._session.keep_table(then.layer, result["table"], then.edits)
        self._bar.say("; ".join([measured_in_words(len(result["table"])), *result["warnings"]]))

    def _mask_is_saved(self, then: "_Now", result: dict[str, Any]) -> None:
        if then.findings.are_judged:
            self._say_saved(result, _JUDGED)
            return
        if self._session.edits(then.layer) == then.edits:
            self._session.saved(then.layer)
        self._say_saved(result)

    def _table_is_saved(self, then: "_Now", result: dict[str, Any]) -> None:
        self._session.keep_table(then.layer, result["table"], then.edits)
        self._say_saved(result)

    def _say_saved(self, result: dict[str, Any], more: str = "") -> None:
        left_out = left_out_in_words(result["left_out"])
        self._bar.say("; ".join(filter(None, [f"Saved {result['path']}", left_out, more])))


@dataclass(frozen=True, eq=False)
class _Now:
    """A labels layer and its scan at one moment; the mask is a view until a job copies it."""

    layer: Labels
    mask: Volume
    scan: Volume
    findings: Findings
    edits: int


def measured_in_words(nodules: int) -> str:
    """Say how many nodules were measured."""
    return f"{counted(nodules, 'nodule') if nodules else 'No nodules'} measured"
