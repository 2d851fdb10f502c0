"""Everything that the labels worked on can be saved as: one menu, one dialog, one job."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_ctlns.errors import OutputError
from napari_ctlns.events import Event, ThreadControl
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.growing import growth_of
from napari_ctlns.plugin.guideline_advice import GuidelineAdvice
from napari_ctlns.plugin.measuring import save_table_job
from napari_ctlns.plugin.predicting import file_name
from napari_ctlns.plugin.reporting import Reported, candidates_job, mesh_job, page_job, sr_job
from napari_ctlns.plugin.saving import left_out_in_words, save_mask_job
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.views.controls import BUSY
from napari_ctlns.plugin.views.file_dialogs import ask_save_path
from napari_ctlns.plugin.views.job_bar import JobBar, Then
from napari_ctlns.plugin.views.save_menu import SaveEntry, SaveMenu
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.volume import Volume

MASK_FILES = (
    *("NIfTI (*.nii.gz *.nii)", "MetaImage (*.mha *.mhd)", "NRRD (*.nrrd *.nhdr)"),
    "DICOM SEG (*.dcm)",
)

ENTRIES = (
    SaveEntry("mask", "Mask…", "Save the labels on the scan's own grid, without what was rejected"),
    SaveEntry(
        "table", "Table…", "Save the table, measured again if need be, without what was rejected"
    ),
    SaveEntry(
        "report", "Report…", "Save a page with pictures and numbers of each nodule, without names"
    ),
    SaveEntry(
        "sr",
        "DICOM SR…",
        "Save the measurements as DICOM Structured Report, with the mask as DICOM SEG beside it",
    ),
    SaveEntry("mesh", "Mesh…", "Save the surfaces of the nodules, LPS millimetres"),
    SaveEntry(
        "candidates",
        "Candidates…",
        "Save places and probabilities as LUNA16's evaluation takes them",
    ),
)
_FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "mask": ("nodules.nii.gz", MASK_FILES),
    "table": ("nodules.csv", ("CSV (*.csv)", "JSON (*.json)")),
    "report": ("report.html", ("Page (*.html)",)),
    "sr": ("report.dcm", ("DICOM SR (*.dcm)",)),
    "mesh": ("nodules.stl", ("STL (*.stl)", "OBJ (*.obj)")),
    "candidates": ("candidates.csv", ("CSV (*.csv)",)),
}
"""The name that is proposed, and the filters of the dialog."""

_JUDGED = "what you said of nodules is kept by Save project, in the Scan panel"
_NO_LAYER = "There is no labels layer"
_NO_SCAN = "Open the scan first: the mask lies on its grid"
_NO_DICOM = "Open the scan as DICOM: a Structured Report refers to its images"
_NO_PROBABILITY = "Predict first: each candidate has a probability"


class Exports(QObject):
    """Saves what a person chooses from the menu, with the words and progress of a bar.

    Parameters
    ----------
    session
        Whose labels are saved.
    menu
        Of `ENTRIES`.
    bar
        Shows how far it is; while it works nothing else is saved.
    parent
        The panel.

    Attributes
    ----------
    began
        Something is being saved.
    """

    began = Signal()

    def __init__(self, session: Session, menu: SaveMenu, bar: JobBar, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._menu, self._bar, self._panel = session, menu, bar, parent
        menu.chosen.connect(self._save)
        bar.ended.connect(self.settle)
        for changed in (session.mask_changed, session.scan_changed):
            changed.connect(self.settle)
        session.measured.connect(self.settle)
        self.settle()

    def settle(self, _event: object = None) -> None:
        """Say what can be saved now, and why not the rest."""
        layer = None if self._session.gone else self._session.mask
        scan = None if layer is None else self._session.volume_under(layer)
        why_none = _NO_LAYER if layer is None else _NO_SCAN if scan is None else ""
        if self._bar.working:
            why_none = why_none or BUSY
        why_not = {}
        if scan is not None and not scan.source.slices:
            why_not["sr"] = _NO_DICOM
        if layer is None or not self._has_probabilities(layer):
            why_not["candidates"] = _NO_PROBABILITY
        self._menu.set_ready(why_none, why_not)

    def _has_probabilities(self, layer: Labels) -> bool:
        table = self._session.table(layer)
        return (
            table is not None and len(table) > 0 and bool(table["mean_probability"].notna().all())
        )

    def _save(self, key: str) -> None:
        now = self._now()
        path = self._ask_path(key)
        if now is None or path is None:
            return
        control = ThreadControl()
        then = {"mask": self._mask_is_saved, "table": self._table_is_saved}.get(key, self._is_saved)
        work = ThreadWork(now.job(key, path, control), control)
        self._bar.follow(work, partial(self._use, partial(then, now)))
        self.settle()
        self.began.emit()

    def _use(self, then: Then, result: dict[str, Any]) -> None:
        if not self._session.gone:  # else its window was closed meanwhile
            then(result)

    def _now(self) -> "_Now | None":
        layer = self._session.mask
        scan = None if layer is None else self._session.volume_under(layer)
        if layer is None or scan is None:
            return None
        table, stale = self._session.table(layer), self._session.is_stale(layer)
        what = Reported(
            of.mask_of(layer, scan),
            scan,
            of.findings_of(layer),
            table,
            self._session.part(GuidelineAdvice).circumstances,
            growth_of(self._session, layer),
        )
        return _Now(layer, what, not stale, self._session.edits(layer))

    def _ask_path(self, key: str) -> Path | None:
        layer = self._session.mask
        scan = None if layer is None else self._session.volume_under(layer)
        name, kinds = _FILES[key]
        start = read_settings().working_folder / f"{_stem(scan)}_{name}"
        title = f"Save {self._menu.actions_by_key[key].text().rstrip('…')}"
        try:
            return ask_save_path(self._panel, title, start, kinds)
        except OutputError as error:
            self._bar.say(str(error), trouble=True)
            return None

    def _mask_is_saved(self, then: "_Now", result: dict[str, Any]) -> None:
        if then.what.findings.are_judged:
            self._say_saved(result, _JUDGED)
            return
        if self._session.edits(then.layer) == then.edits:
            self._session.saved(then.layer)
        self._say_saved(result)

    def _table_is_saved(self, then: "_Now", result: dict[str, Any]) -> None:
        self._session.keep_table(then.layer, result["table"], then.edits)
        self._say_saved(result)

    def _is_saved(self, _: "_Now", result: dict[str, Any]) -> None:
        self._say_saved(result)

    def _say_saved(self, result: dict[str, Any], more: str = "") -> None:
        left_out = left_out_in_words(result["left_out"])
        self._bar.say("; ".join(filter(None, [f"Saved {result['path']}", left_out, more])))


@dataclass(frozen=True, eq=False)
class _Now:
    """A labels layer at one moment; ``fresh`` says that its table is of these labels."""

    layer: Labels
    what: Reported
    fresh: bool
    edits: int

    def job(self, key: str, path: Path, control: ThreadControl) -> Iterator[Event]:
        """Return what saves it."""
        what = self.what
        if key == "mask":
            return save_mask_job(what.mask, what.scan, path, what.findings)
        if key == "table":
            before, findings = what.before, what.findings
            return save_table_job(what.mask, what.scan, before, self.fresh, path, findings)
        if key in ("sr", "report"):
            job = sr_job if key == "sr" else page_job
            return job(what, path, control)
        return (mesh_job if key == "mesh" else candidates_job)(what, path)


def _stem(scan: Volume | None) -> str:
    return file_name(scan.scan_id if scan else "")
