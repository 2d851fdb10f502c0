"""The Scan panel: opening, the HU window, what lies under the cursor, facts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtWidgets import QLabel

from napari_ctlns.errors import OutputError
from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.plugin.opener import opener_of
from napari_ctlns.plugin.project import snapshot
from napari_ctlns.plugin.project_file import write_project_file
from napari_ctlns.plugin.reader_offer import ReaderOffer
from napari_ctlns.plugin.readout import cursor_readout_of
from napari_ctlns.plugin.recovering import Recoveries
from napari_ctlns.plugin.recovery_offers import RecoveryOffers
from napari_ctlns.plugin.saved_sign import SavedSign
from napari_ctlns.plugin.scan_facts import ScanFacts, facts_of
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.views.bad_rows import offer_to_leave_out
from napari_ctlns.plugin.views.controls import no_scan
from napari_ctlns.plugin.views.facts import FactsView
from napari_ctlns.plugin.views.file_dialogs import PROJECT_FILES, ask_save_path
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.layer_choice import LayerChoice
from napari_ctlns.plugin.views.offer import Offer
from napari_ctlns.plugin.views.open_controls import OpenControls
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.views.recovery_offer import RecoveryOffer
from napari_ctlns.plugin.views.scan_choice import ScanChoice
from napari_ctlns.plugin.views.value_rows import ValueRows
from napari_ctlns.plugin.views.window_controls import WindowControls
from napari_ctlns.plugin.window_tool import scan_window_of, window_tool_of
from napari_ctlns.plugin.words import capitalised
from napari_ctlns.plugin.work import ThreadWork, Work, one_step
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import napari

_UNDER_THE_CURSOR = {
    "Value": "HU of the voxel under the cursor",
    "LPS xyz, mm": "Where in the patient: to the left, to the back, to the head, as in the CSV",
    "Voxel zyx": "Slice, row and column of the voxel, counted from 0",
    "Label": "Of the mask that is worked on",
}
_READING = "Wait until what is being read is there, or cancel it"


class ScanPanel(Panel):
    """Opens scans and what belongs to them, and shows them through a window of HU."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._opener = opener_of(self._session)
        self._saving: ThreadWork | None = None
        self._facts_work: ThreadWork | None = None
        self._being_saved: list[Layer] = []
        self.open_controls = OpenControls()
        self.reader_offer = Offer()
        ReaderOffer(self.reader_offer)
        self._recoveries = self._session.part(Recoveries)
        self.recovery_offer = RecoveryOffer()
        RecoveryOffers(self._recoveries, self.recovery_offer)
        self.saved_sign = QLabel()
        SavedSign(self._session, self.saved_sign)
        self.scan_choice = ScanChoice()
        self.bad_rows = Offer()
        self.window_controls = WindowControls()
        self.cursor = ValueRows("Under the cursor", _UNDER_THE_CURSOR)
        self.facts = FactsView()
        self.job_bar = JobBar("Save project...", "Write scan, masks, annotations and findings")
        self._lay_out()
        self._connect()
        self._scan_changed()
        self._show_questions()
        self._follow(self._opener.work)

    def _lay_out(self) -> None:
        self.add(self.recovery_offer)
        self.add(self.open_controls)
        self.add(self.scan_choice)
        self.add(self.bad_rows)
        self.add(self.reader_offer)
        tooltip = "The scan that all panels are about"
        self.add_form({"Scan": LayerChoice(self._session, "scan", tooltip)})
        for view in (self.window_controls, self.cursor, self.facts):
            self.add(view)
        self.add_foot(self.saved_sign)
        self.add_foot(self.job_bar)

    def _connect(self) -> None:
        opener = self._opener
        opener.show_in(self)
        opener.began.connect(self._follow)
        opener.asks.connect(self._show_questions)
        self._recoveries.show_in(self)
        self._recoveries.asks.connect(self._show_recoveries)
        self._recoveries.began.connect(self._follow_recovery)
        opener.warming.watch(*self.open_controls.ways)
        self.open_controls.asked.connect(opener.open)
        self.scan_choice.chosen.connect(opener.open_scan)
        self.scan_choice.put_away.connect(opener.put_choices_away)
        self.bad_rows.taken.connect(opener.leave_bad_rows_out)
        self.bad_rows.put_away.connect(opener.put_bad_tables_away)
        self.job_bar.start_clicked.connect(self._save_project)
        self.job_bar.ended.connect(self._ended)
        self._window = scan_window_of(self._session)
        self._window.changed.connect(self._window_changed)
        self.window_controls.chosen.connect(self._window.choose)
        tool = window_tool_of(self._session)
        tool.switched.connect(self.window_controls.drag.setChecked)
        self.window_controls.drag.setChecked(tool.on)
        self.window_controls.drag_switched.connect(tool.switch)
        self.destroyed.connect(tool.release)
        readout = cursor_readout_of(self._session)
        readout.changed.connect(self.cursor.show_values)
        self.cursor.show_values(readout.rows())
        self._session.scan_changed.connect(self._scan_changed)
        self._session.layers_changed.connect(self._settle)
        self._session.edited.connect(self._edited)

    # -- opening ------------------------------------------------------------------

    def _follow(self, work: Work | None) -> None:
        """Show a reading, whoever asked for it."""
        if work is not None and not self.job_bar.working:
            self.job_bar.follow(work, self._opened)
        self._settle()

    def _opened(self, _result: dict[str, Any]) -> None:
        outcome = self._opener.outcome
        self.job_bar.say(outcome.sentences, trouble=bool(outcome.problems))
        self._say_choose()

    def _show_questions(self) -> None:
        opener = self._opener
        self.scan_choice.offer(opener.choices)
        offer_to_leave_out(self.bad_rows, opener.bad_tables)
        if opener.choices or opener.bad_tables:
            self._say_choose()
            self.come_to_front()

    def _say_choose(self) -> None:
        if self._opener.choices and not self._opener.outcome.problems:
            self.job_bar.say("Choose a scan in the list above")

    def _show_recoveries(self) -> None:
        if self._recoveries.found:
            self.come_to_front()

    def _follow_recovery(self, work: Work) -> None:
        if not self.job_bar.working:
            self.job_bar.follow(work, lambda _result: self.job_bar.say("Recovered, not saved yet"))
        self._settle()

    def _ended(self, event: Finished | Failed) -> None:
        if isinstance(event, Failed):
            self._say("", [event.message])
        if self._saving is not None and self._saving.over:
            self._saving.deleteLater()
            self._saving = None
            self._being_saved = []
            self._follow(self._opener.work)  # it may have begun meanwhile
        self._settle()

    def _say(self, words: str, problems: Sequence[str]) -> None:
        sentences = [capitalised(sentence) for sentence in (words, *problems)]
        said = ". ".join(filter(None, sentences))
        self.job_bar.say(said, trouble=bool(problems))

    # -- saving -------------------------------------------------------------------

    def _save_project(self) -> None:
        try:
            before = self._session.project or ""
            path = ask_save_path(self, "Save project", before, (PROJECT_FILES,))
        except OutputError as error:
            self._say("", [str(error)])
            return
        if path is None:
            return
        project, self._being_saved = snapshot(self._session)
        job = one_step(f"Saving {path.name}", write_project_file, project, path)
        self._saving = ThreadWork(job, parent=self)
        self.job_bar.follow(self._saving, partial(self._saved, path, project.warnings))
        self._settle()

    def _saved(self, path: Path, left_out: Sequence[str], _result: dict[str, Any]) -> None:
        self._session.saved(*self._being_saved)
        self._session.project = path
        self._say("Project saved", left_out)

    def _edited(self, layer: Layer) -> None:
        """Keep in mind that an edit made while the project is written is not in it."""
        self._being_saved = [other for other in self._being_saved if other is not layer]

    # -- the scan -----------------------------------------------------------------

    def _scan_changed(self) -> None:
        volume = self._session.volume
        self._show_facts(None)
        if volume is not None:
            self._facts_work = ThreadWork(one_step("Looking", _about, volume), parent=self)
            self._facts_work.came.connect(self._facts_came)
        self._window_changed()
        self._settle()

    def _facts_came(self, event: Event) -> None:
        if isinstance(event, Finished):
            volume, facts = event.result["value"]
            if volume is self._session.volume:
                self._show_facts(facts)
        if self._facts_work is not None and self._facts_work.over:
            self._facts_work.deleteLater()
            self._facts_work = None

    def _show_facts(self, facts: ScanFacts | None) -> None:
        self.facts.show_facts(facts)
        self.window_controls.offer(
            {
                "full": None if facts is None else facts.full,
                "header": None if facts is None else facts.header,
            },
            {
                "full": "Looking for the lowest and highest value",
                "header": "The header of this scan proposes no window",
            },
        )

    def _window_changed(self) -> None:
        self.window_controls.show_window(self._window.window)

    def _settle(self) -> None:
        scan_open, coming = self._session.volume is not None, self._session.coming
        busy = _READING if self.job_bar.working else ""
        self.open_controls.set_ready(busy, scan_open)
        self.scan_choice.setEnabled(not busy)
        self.job_bar.set_ready("" if scan_open else no_scan(coming))
        for view in (self.cursor, self.facts):
            view.setVisible(scan_open)


def _about(volume: Volume) -> tuple[Volume, ScanFacts]:
    return volume, facts_of(volume)
