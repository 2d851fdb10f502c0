"""The Growth panel: the nodules of two visits paired, compared, and looked at side by side."""

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_ctlns.errors import OutputError
from napari_ctlns.events import ThreadControl
from napari_ctlns.plugin.growing import (
    Comparison,
    Comparisons,
    Visit,
    compare_job,
    days_of,
    proposed,
    visits_of,
    why_not,
)
from napari_ctlns.plugin.growth_rows import GrowthRow, growth_rows, summary
from napari_ctlns.plugin.layers import colours_of_labels
from napari_ctlns.plugin.predicting import file_name
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.side_by_side import SideBySide
from napari_ctlns.plugin.views.controls import in_a_row, let_be_narrow, set_numbers, set_ready
from napari_ctlns.plugin.views.file_dialogs import ask_save_path
from napari_ctlns.plugin.views.growth_table import GrowthTable
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.views.trouble import draw_trouble
from napari_ctlns.plugin.work import ThreadWork, one_step

if TYPE_CHECKING:
    import napari

TABLE_FILES = ("CSV (*.csv)", "JSON (*.json)")
_WIDTH = 456
_MOST_DAYS = 36525  # a hundred years
_EMPTY = (
    "Open two scans of one patient, each with the labels of its nodules; then Compare lays one "
    "on the other, pairs the nodules and says how they grew."
)
_READY = "Compare takes some ten seconds. Then click a nodule to see it on both scans."
_HINT = "Left: the later scan, as it is. Right: the earlier one, laid on it."


class GrowthPanel(Panel):
    """Says how nodules grew between two scans of a patient."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._comparisons = self._session.part(Comparisons)
        self._beside = self._session.part(SideBySide)
        self._visits: list[Visit] = []
        self._chosen_by_hand = False
        self.earlier = QComboBox()
        self.later = QComboBox()
        self.days = QDoubleSpinBox()
        self.table = GrowthTable()
        self.empty = QLabel(_EMPTY)
        self._body = QStackedWidget()
        self.signs = QLabel()
        self.leave = QPushButton("Leave side by side")
        self.save = QPushButton("Save table…")
        self.job_bar = JobBar("Compare", "Pair the nodules of both scans and say how they grew")
        self._lay_out()
        self._connect()
        self._fill()

    def _lay_out(self) -> None:
        self.setMinimumWidth(_WIDTH)
        self.earlier.setToolTip("The nodules of the earlier scan")
        self.later.setToolTip("The nodules of the later scan")
        for choice in (self.earlier, self.later):
            let_be_narrow(choice, letters=16)
            choice.setPlaceholderText("choose")
        set_numbers(self.days, 0, _MOST_DAYS, 1, 0)
        self.days.setSpecialValueText("not known")
        self.days.setSuffix(" days")
        self.days.setToolTip("Days between the scans, from their dates where the files have them")
        self.add_form({"Earlier": self.earlier, "Later": self.later, "Between": self.days})
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.empty.setContentsMargins(8, 0, 8, 0)
        self.signs.setWordWrap(True)
        table = QWidget()
        rows = QVBoxLayout(table)
        rows.setContentsMargins(8, 0, 8, 0)
        rows.addWidget(self.table)
        self._body.addWidget(self.empty)
        self._body.addWidget(table)
        self.add_body(self._body)
        self.add_foot(self.signs)
        self.add_foot(in_a_row(self.leave, self.save))
        self.add_foot(self.job_bar)

    def _connect(self) -> None:
        session = self._session
        session.layers_changed.connect(self._fill)
        session.edited.connect(self._settle)
        session.recoloured.connect(self._show)
        self._comparisons.compared.connect(self._show)
        self._beside.switched.connect(self._settle)
        for choice in (self.earlier, self.later):
            choice.activated.connect(self._choose)
        self.days.valueChanged.connect(self._settle)
        self.table.picked.connect(self._picked)
        self.leave.clicked.connect(self._beside.leave)
        self.save.clicked.connect(self._save)
        self.job_bar.start_clicked.connect(self._compare)
        self.job_bar.ended.connect(self._settle)
        self.destroyed.connect(self._beside.leave)

    # -- which visits -----------------------------------------------------------------

    def _fill(self) -> None:
        """List the visits there are; choose two, unless a person did and they are still there."""
        before = [self._visit(choice) for choice in (self.earlier, self.later)]
        self._visits = visits_of(self._session)
        layers = [visit.layer for visit in self._visits]
        for choice in (self.earlier, self.later):
            choice.clear()
            choice.addItems([visit.name for visit in self._visits] or ["no labels on a scan"])
            choice.setEnabled(bool(layers))
        self._chosen_by_hand &= all(v is not None and v.layer in layers for v in before)
        pair = before if self._chosen_by_hand else list(proposed(self._visits) or (None, None))
        for choice, visit in zip((self.earlier, self.later), pair, strict=True):
            if layers:
                choice.setCurrentIndex(-1 if visit is None else layers.index(visit.layer))
        if [v and v.layer for v in before] != [v and v.layer for v in pair]:
            self._say_days()
        self._show()

    def _visit(self, choice: QComboBox) -> Visit | None:
        index = choice.currentIndex()
        return self._visits[index] if 0 <= index < len(self._visits) else None

    def _choose(self, _index: int) -> None:
        self._chosen_by_hand = True
        self._say_days()
        self._show()

    def _say_days(self) -> None:
        earlier, later = self._visit(self.earlier), self._visit(self.later)
        days = None if earlier is None or later is None else days_of(earlier, later)
        self.days.setValue(max(days or 0, 0))

    # -- what is shown ------------------------------------------------------------------

    def _comparison(self) -> Comparison | None:
        """Return what was found of the visits that are chosen."""
        earlier, later = self._visit(self.earlier), self._visit(self.later)
        found = None if later is None else self._comparisons.of(later.layer)
        same = found is not None and earlier is not None and found.earlier.layer is earlier.layer
        return found if same else None

    def _show(self, _layer: object = None) -> None:
        found = self._comparison()
        if found is None:
            self.table.show_rows((), {})
        else:
            rows = growth_rows(found.growth.table)
            labels = [row.later_label for row in rows if row.later_label]
            self.table.show_rows(rows, colours_of_labels(found.later.layer, labels))
        self._settle()

    def _settle(self, _what: object = None) -> None:
        """Say how the comparison stands to the layers, and what can be done."""
        earlier, later = self._visit(self.earlier), self._visit(self.later)
        found = self._comparison()
        reason = why_not(earlier, later, self.days.value())
        self._body.setCurrentIndex(int(found is not None))
        self.empty.setText(_READY if not reason else f"{reason}." if self._visits else _EMPTY)
        signs = [*(found.growth.warnings if found else ())]
        if found is not None and self._edits(found.earlier, found.later) != found.edits:
            signs.append("Edited since they were compared.")
        if found is not None and reason:
            signs.append(f"{reason} to compare again.")
        if self._beside.shown:
            signs.append(_HINT)
        self.signs.setText("\n".join(f"● {words}" for words in signs))
        self.signs.setVisible(bool(signs))
        draw_trouble(self.signs, bool(found and found.growth.warnings))
        self.job_bar.button.setText("Compare" if found is None else "Compare again")
        self.job_bar.set_ready(reason)
        nothing = "" if found is not None else "Compare first"
        set_ready(self.save, nothing, "Save every column of the growth table")
        not_shown = "" if self._beside.shown else "Click a nodule in the table first"
        set_ready(self.leave, not_shown, "Show everything as it was before")

    def _edits(self, earlier: Visit, later: Visit) -> tuple[int, int]:
        return self._session.edits(earlier.layer), self._session.edits(later.layer)

    # -- what is done -------------------------------------------------------------------

    def _compare(self) -> None:
        earlier, later = self._visit(self.earlier), self._visit(self.later)
        if earlier is None or later is None:
            return
        control = ThreadControl()
        job = compare_job(earlier, later, self.days.value(), control)
        kept = partial(self._keep, earlier, later, self._edits(earlier, later))
        self.job_bar.follow(ThreadWork(job, control), kept)
        self._settle()

    def _keep(
        self, earlier: Visit, later: Visit, edits: tuple[int, int], result: dict[str, Any]
    ) -> None:
        growth = result["growth"]
        self._comparisons.keep(Comparison(growth, earlier, later, edits))
        self.job_bar.say(summary(growth.table))

    def _picked(self, row: GrowthRow) -> None:
        found = self._comparison()
        if found is None:
            return
        if row.later_label:
            found.later.layer.selected_label = row.later_label
        self._beside.show(found, row.place)

    def _save(self) -> None:
        found = self._comparison()
        if found is None:
            return
        name = f"{file_name(found.later.scan.scan_id)}_growth.csv"
        start = read_settings().working_folder / name
        try:
            path = ask_save_path(self, "Save table", start, TABLE_FILES)
        except OutputError as error:
            self.job_bar.say(str(error), trouble=True)
            return
        if path is not None:
            job = one_step(f"Save {path.name}", _write, found, path)
            self.job_bar.follow(ThreadWork(job), lambda _: self.job_bar.say(f"Saved {path}"))


def _write(found: Comparison, path: Any) -> None:
    from napari_ctlns.measurement import write_table

    write_table(found.growth.table, path)
