"""The findings of a labels layer as a work list: look, judge, correct, measure again, save."""

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QCheckBox, QLabel, QStackedWidget

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.adding import Adding
from napari_ctlns.plugin.advising import Advising
from napari_ctlns.plugin.autosave import Autosave
from napari_ctlns.plugin.detailing import Detailing
from napari_ctlns.plugin.exports import ENTRIES, Exports
from napari_ctlns.plugin.finding_rows import overview, rows_of
from napari_ctlns.plugin.judging import judging_of
from napari_ctlns.plugin.nodule_jobs import NoduleJobs
from napari_ctlns.plugin.rejected_look import RejectedLook
from napari_ctlns.plugin.review_keys import KEYS, bind_keys
from napari_ctlns.plugin.reviewing import review_of
from napari_ctlns.plugin.row_following import row_follower_of
from napari_ctlns.plugin.saved_sign import kept_words
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.thumbnail_store import ThumbnailStore
from napari_ctlns.plugin.views.controls import in_a_column, in_a_row, set_ready
from napari_ctlns.plugin.views.finding_list import FindingList
from napari_ctlns.plugin.views.fold import Fold
from napari_ctlns.plugin.views.guideline_view import GuidelineView
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.layer_choice import LayerChoice
from napari_ctlns.plugin.views.nodule_pictures import NodulePictures
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.views.review_bar import ReviewBar
from napari_ctlns.plugin.views.save_menu import SaveMenu
from napari_ctlns.plugin.words import capitalised

if TYPE_CHECKING:
    import napari

_WIDTH = 390  # the usual columns side by side
_NO_LAYER = "No labels layer yet: click on a nodule, predict, or add one to paint in."
_NO_SCAN = "Open the scan first: HU are measured in it"
_EMPTY = "No nodules yet: click on one, paint one, predict, or make a mask from annotations."


class NodulesPanel(Panel):
    """Shows the findings of the labels layer that is worked on, and lets a reader judge them."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        session = self._session = session_of(napari_viewer)
        self._follower = row_follower_of(session)
        self._autosave = session.part(Autosave)
        self._review, self._judging = review_of(session), judging_of(session)
        self._details, self._store = session.part(Detailing), session.part(ThumbnailStore)
        session.part(RejectedLook)
        bind_keys(session)
        self._make_widgets()
        self._adding = Adding(session, self.teach, self)
        self._jobs = NoduleJobs(session, self.job_bar, self)
        self._exports = Exports(session, self.save, self.job_bar, self)
        self._lay_out()
        self._connect()
        self._show_layer()

    # -- layout ---------------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.labels = LayerChoice(self._session, "mask", "The labels layer whose nodules are shown")
        self.list = FindingList()
        self.table, self.filter = self.list.table, self.list.filter
        self.table.draw_with(NodulePictures(self._store.picture).of_label)
        self.empty = QLabel()
        self._body = QStackedWidget()
        self.all_columns = QCheckBox("All columns")
        self.all_columns.setToolTip("Show every column; the lungs are looked for, some seconds")
        self.only = QCheckBox("Only the selected nodule")
        self.review = ReviewBar(KEYS)
        self.guideline = GuidelineView()
        self.signs = QLabel()
        self.save = SaveMenu("Save…", "Save the mask, or what is known of it", ENTRIES)
        self.job_bar = JobBar("Measure", "Measure every nodule of the labels layer")
        self.teach = JobBar(
            "Add to training set", "Store the scan with this mask, for the model to learn from"
        )

    def _lay_out(self) -> None:
        for label in (self.empty, self.signs):
            label.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.empty.setContentsMargins(8, 0, 8, 0)
        self.setMinimumWidth(_WIDTH)
        self.add_form({"Labels": self.labels})
        self.fold = Fold("Guideline", self.guideline)
        self._advising = Advising(self._session, self.fold, self.guideline, self)
        more = in_a_row(self.all_columns, self.only)
        body = in_a_column(self.list, more, self.review, self.fold)
        body.setContentsMargins(8, 0, 8, 0)
        for widget in (self.empty, body):
            self._body.addWidget(widget)
        self.add_body(self._body)
        out = in_a_row(self.save, self.teach.button)
        self.add_foot(in_a_column(self.signs, out, self.teach, self.job_bar))

    def _connect(self) -> None:
        session, table = self._session, self.table
        session.mask_changed.connect(self._show_layer)
        for signal in (session.scan_changed, session.unsaved_changed, self._autosave.changed):
            signal.connect(self._settle)
        session.edited.connect(self._edited)
        for signal in (session.measured, session.recoloured, self._details.changed):
            signal.connect(self._measured)
        session.label_picked.connect(self._picked_in_canvas)
        self._follower.lost.connect(self._edited)
        self._store.came.connect(table.redraw)
        table.picked.connect(self._review.go)
        table.chosen.connect(self._chosen)
        self.list.reordered.connect(self._reordered)
        table.noted.connect(self._review.set_note)
        self.all_columns.toggled.connect(self._show_all)
        self.only.toggled.connect(self._show_only)
        self.review.stepped.connect(self._step)
        self.review.typed.connect(self._review.set_type)
        self.review.noted.connect(self._note)
        self._review.said.connect(self._say)
        self._judging.changed.connect(self._show_finding)
        for began in (self._jobs.began, self._exports.began):
            began.connect(self._settle)
        self.job_bar.ended.connect(self._settle)
        self.destroyed.connect(self._review.forget_rows)

    # -- what is shown ----------------------------------------------------------------

    def _show_layer(self) -> None:
        """Show the findings of the layer worked on; one never measured is measured soon."""
        layer = self._session.mask
        table = None if layer is None else self._session.table(layer)
        if layer is None or table is None:
            self.table.show_nodules({}, {})
        else:
            labels = [int(label) for label in table["label"]]
            columns = rows_of(table, of.findings_of(layer), self._details.table(layer))
            self.table.show_nodules(columns, of.colours_of_labels(layer, labels))
            if not self.table.chosen_uids:
                self.table.select_label(layer.selected_label)
        self._show_finding()
        self._settle()
        self._jobs.measure_soon()

    def _settle(self, _event: object = None) -> None:
        """Say how the table stands to the layer, and what can be done."""
        layer = None if self._session.gone else self._session.mask
        table = None if layer is None else self._session.table(layer)
        self._body.setCurrentIndex(int(self.table.count > 0))
        self.empty.setText(self._words(layer, table))
        self.signs.setText("\n".join(self._signs(layer)))
        self.signs.setVisible(bool(self.signs.text()))
        self.job_bar.button.setText("Measure" if table is None else "Measure again")
        self.job_bar.set_ready(self._why_not(layer))
        self._exports.settle()

    def _words(self, layer: Labels | None, table: Any) -> str:
        if layer is not None and table is None:
            return self._why_not(layer) or "Not measured yet."
        return _NO_LAYER if layer is None else _EMPTY

    def _signs(self, layer: Labels | None) -> list[str]:
        if layer is None:
            return []
        signs = []
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
            self._advising.show()

    def _measured(self, layer: object) -> None:
        if layer is self._session.mask:
            self._show_layer()

    # -- the rows -----------------------------------------------------------------------

    def _reordered(self) -> None:
        self._review.order = list(self.table.uids)
        self._show_finding()

    def _chosen(self, uids: list[str]) -> None:
        self._review.chosen = uids
        self._show_finding()

    def _picked_in_canvas(self, layer: Labels) -> None:
        mask = self._session.mask
        if mask is not None and mask is layer:
            self.table.select_label(mask.selected_label)
            self._show_finding()

    def _show_all(self, wanted: bool) -> None:
        self.table.show_all(wanted)
        if wanted:
            self._details.look_for_lungs()

    def _show_only(self, wanted: bool) -> None:
        if self._session.mask is not None:
            self._session.mask.show_selected_label = wanted

    # -- the finding at hand --------------------------------------------------------------

    def _show_finding(self) -> None:
        """Show what is said of the finding at hand, and how far the review is."""
        layer, finding = self._session.mask, self._review.current
        more = len(self._review.at_hand) - 1
        note = "" if finding is None else finding.note
        why_not = "" if finding is not None else "Pick a nodule first: click its row"
        self.review.show_finding(None if finding is None else finding.type, note, why_not, more)
        words = overview(self.table.columns.get("status", ()))
        can_go = bool(self._review.order)
        self.review.show_progress(words, can_go, self._judging.can_undo(layer))
        with QSignalBlocker(self.only):
            self.only.setChecked(layer is not None and layer.show_selected_label)
        set_ready(self.only, "" if layer is not None else _NO_LAYER, "Hide all other labels")
        self._advising.show()

    def _step(self, name: str) -> None:
        getattr(self._review, name)()

    def _note(self, note: str) -> None:
        finding = self._review.current
        if finding is not None:
            self._review.set_note(finding.uid, note)

    def _say(self, words: str, trouble: bool) -> None:
        if not self.job_bar.working:
            self.job_bar.say(capitalised(words), trouble)
