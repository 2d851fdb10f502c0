"""The nodules of a labels layer as a table: look, go there, correct, measure again, save."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from napari.layers import Labels
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QLabel,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_ctlns.errors import OutputError
from napari_ctlns.events import ThreadControl
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.adding import Adding
from napari_ctlns.plugin.autosave import Autosave
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.measuring import (
    measure_job,
    save_table_job,
    shown_columns,
)
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.predicting import file_name
from napari_ctlns.plugin.row_following import row_follower_of
from napari_ctlns.plugin.saved_sign import kept_words
from napari_ctlns.plugin.saving import save_mask_job
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.views.controls import BUSY, in_a_row, set_ready
from napari_ctlns.plugin.views.file_dialogs import ask_save_path
from napari_ctlns.plugin.views.job_bar import JobBar, Then
from napari_ctlns.plugin.views.layer_choice import LayerChoice
from napari_ctlns.plugin.views.nodule_table import NoduleTable
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.words import counted
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import napari

MASK_FILES = (
    *("NIfTI (*.nii.gz *.nii)", "MetaImage (*.mha *.mhd)", "NRRD (*.nrrd *.nhdr)"),
    "DICOM SEG (*.dcm)",
)
TABLE_FILES = ("CSV (*.csv)", "JSON (*.json)")
_WIDTH = 390  # the usual columns side by side
_NO_LAYER = "No labels layer yet: click on a nodule, predict, or add one to paint in."
_NO_SCAN = "Open the scan first: HU are measured in it"
_EMPTY = "No nodules yet: click on one, paint one, predict, or make a mask from annotations."


class NodulesPanel(Panel):
    """Shows and keeps the nodule table of the labels layer that is worked on."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._follower = row_follower_of(self._session)
        self._autosave = self._session.part(Autosave)
        self._tried: WeakSet[Labels] = WeakSet()
        self.labels = LayerChoice(self._session, "mask", "The labels layer whose nodules are shown")
        self.table = NoduleTable()
        self.empty = QLabel()
        self._body = QStackedWidget()
        self.all_columns = QCheckBox("All columns")
        self.signs = QLabel()
        self.signs.setWordWrap(True)
        self.save_mask = QPushButton("Save mask…")
        self.save_table = QPushButton("Save table…")
        self.job_bar = JobBar("Measure", "Measure every nodule of the labels layer")
        self.teach = JobBar(
            "Add to training set", "Store the scan with this mask, for the model to learn from"
        )
        self._adding = Adding(self._session, self.teach, self)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._measure_first_time)
        self._lay_out()
        self._connect()
        self._show_layer()

    def _lay_out(self) -> None:
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.empty.setContentsMargins(8, 0, 8, 0)
        self.all_columns.setToolTip("Show every column that is saved, not only the usual ones")
        self.setMinimumWidth(_WIDTH)
        self.add_form({"Labels": self.labels})
        table = QWidget()
        rows = QVBoxLayout(table)
        rows.setContentsMargins(8, 0, 8, 0)
        rows.addWidget(self.table)
        rows.addWidget(self.all_columns)
        self._body.addWidget(self.empty)
        self._body.addWidget(table)
        self.add_body(self._body)
        self.add_foot(self.signs)
        self.add_foot(in_a_row(self.save_mask, self.save_table))
        self.add_foot(self.teach)
        self.add_foot(self.job_bar)

    def _connect(self) -> None:
        session = self._session
        session.mask_changed.connect(self._show_layer)
        session.scan_changed.connect(self._settle)
        session.unsaved_changed.connect(self._settle)
        self._autosave.changed.connect(self._settle)
        session.edited.connect(self._edited)
        session.measured.connect(self._measured)
        session.label_picked.connect(self._picked_in_canvas)
        session.recoloured.connect(self._measured)
        self._follower.lost.connect(self._edited)
        self.table.picked.connect(self._picked_in_table)
        self.all_columns.toggled.connect(self.table.show_all)
        self.save_mask.clicked.connect(self._save_mask)
        self.save_table.clicked.connect(self._save_table)
        self.job_bar.start_clicked.connect(self._measure)
        self.job_bar.ended.connect(self._ended)

    # -- what is shown ----------------------------------------------------------------

    def _show_layer(self) -> None:
        """Show the table of the layer worked on; one that was never measured is measured soon."""
        layer = self._session.mask
        table = None if layer is None else self._session.table(layer)
        if layer is None or table is None:
            self.table.show_nodules({}, {})
        else:
            labels = [int(label) for label in table["label"]]
            columns = shown_columns(table, of.findings_of(layer))
            self.table.show_nodules(columns, of.colours_of_labels(layer, labels))
            self.table.select_label(layer.selected_label)
        self._settle()
        self._soon.start()  # whoever adds a layer with its table does so now, after the layer

    def _settle(self) -> None:
        """Say how the table stands to the layer, and what can be done."""
        layer = self._session.mask
        table = None if layer is None else self._session.table(layer)
        filled = table is not None and len(table) > 0
        self._body.setCurrentIndex(int(filled))
        self.empty.setText(self._words(layer, table))
        self.signs.setText("\n".join(self._signs(layer)))
        self.signs.setVisible(bool(self.signs.text()))
        self.job_bar.button.setText("Measure" if table is None else "Measure again")
        why_not = self._why_not(layer)
        self.job_bar.set_ready(why_not)
        busy = BUSY if self.job_bar.working else ""
        for button, tooltip in (
            (self.save_mask, "Save the labels on the scan's own grid"),
            (self.save_table, "Save every column of the table, measured again if need be"),
        ):
            set_ready(button, why_not or busy, tooltip)

    def _words(self, layer: Labels | None, table: Any) -> str:
        if layer is None:
            return _NO_LAYER
        if table is None:
            return self._why_not(layer) or "Not measured yet."
        return _EMPTY

    def _signs(self, layer: Labels | None) -> list[str]:
        signs: list[str] = []
        if layer is None:
            return signs
        measured = self._session.table(layer) is not None
        if measured and self._session.is_stale(layer) and not self._follower.follows(layer):
            signs.append("● Edited since it was measured.")
        if self._session.is_unsaved(layer):
            signs.append(f"● Not saved.{kept_words(self._autosave)}")
        return signs

    def _why_not(self, layer: Labels | None) -> str:
        if layer is None:
            return "There is no labels layer"
        return "" if self._session.volume_under(layer) is not None else _NO_SCAN

    def _edited(self, layer: object) -> None:
        if layer is self._session.mask:
            self._settle()

    def _measured(self, layer: object) -> None:
        if layer is self._session.mask:
            self._show_layer()

    # -- from row to nodule and back ----------------------------------------------------

    def _picked_in_table(self, label: int) -> None:
        layer = self._session.mask
        table = None if layer is None else self._session.table(layer)
        if layer is None or table is None:
            return
        row = table[table["label"] == label].iloc[0]
        centre = [row[f"centroid_{axis}_mm"] for axis in "xyz"]
        scan = self._session.volume_under(layer)
        if scan is not None:
            go_to(self._session.viewer, lps_to_canvas(scan.geometry, centre).tolist())
        layer.selected_label = label

    def _picked_in_canvas(self, layer: Any) -> None:
        mask = self._session.mask
        if mask is not None and mask is layer:
            self.table.select_label(mask.selected_label)

    # -- measuring and saving -----------------------------------------------------------

    def _measure_first_time(self) -> None:
        layer = self._session.mask
        if layer is None or layer in self._tried or self.job_bar.working:
            return
        if self._session.table(layer) is None and self._session.volume_under(layer) is not None:
            self._tried.add(layer)
            self._measure()

    def _measure(self) -> None:
        if (now := self._now()) is None:
            return
        control = ThreadControl()
        job = measure_job(now.mask, now.scan, self._session.table(now.layer), control)
        self._work(ThreadWork(job, control), partial(self._keep, now))

    def _save_mask(self) -> None:
        now = self._now()
        path = self._ask_path("Save mask", "nodules.nii.gz", MASK_FILES)
        if now is not None and path is not None:
            job = save_mask_job(now.mask, now.scan, path, of.findings_of(now.layer))
            self._work(ThreadWork(job), partial(self._mask_is_saved, now))

    def _save_table(self) -> None:
        now = self._now()
        path = self._ask_path("Save table", "nodules.csv", TABLE_FILES)
        if now is not None and path is not None:
            table, fresh = self._session.table(now.layer), not self._session.is_stale(now.layer)
            job = save_table_job(now.mask, now.scan, table, fresh, path)
            self._work(ThreadWork(job), partial(self._table_is_saved, now))

    def _now(self) -> "_Now | None":
        layer = self._session.mask
        scan = None if layer is None else self._session.volume_under(layer)
        if layer is None or scan is None:
            return None
        return _Now(layer, of.mask_of(layer, scan), scan, self._session.edits(layer))

    def _ask_path(self, title: str, name: str, kinds: tuple[str, ...]) -> Path | None:
        layer = self._session.mask
        scan = None if layer is None else self._session.volume_under(layer)
        start = read_settings().working_folder / f"{file_name(scan.scan_id if scan else '')}_{name}"
        try:
            return ask_save_path(self, title, start, kinds)
        except OutputError as error:
            self.job_bar.say(str(error), trouble=True)
            return None

    def _work(self, work: ThreadWork, then: Then) -> None:
        self.job_bar.follow(work, then)
        self._settle()

    def _ended(self) -> None:
        self._settle()
        self._measure_first_time()

    def _keep(self, then: "_Now", result: dict[str, Any]) -> None:
        self._session.keep_table(then.layer, result["table"], then.edits)
        self.job_bar.say("; ".join([measured_in_words(len(result["table"])), *result["warnings"]]))

    def _mask_is_saved(self, then: "_Now", result: dict[str, Any]) -> None:
        if self._session.edits(then.layer) == then.edits:
            self._session.saved(then.layer)
        self.job_bar.say(f"Saved {result['path']}")

    def _table_is_saved(self, then: "_Now", result: dict[str, Any]) -> None:
        self._session.keep_table(then.layer, result["table"], then.edits)
        self.job_bar.say(f"Saved {result['path']}")


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
