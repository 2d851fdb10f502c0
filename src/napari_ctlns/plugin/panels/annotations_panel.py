"""The Annotations panel: a table of nodules, marked by mouse, saved, and drawn as a mask."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Points
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QLabel,
    QPushButton,
)

from napari_ctlns.errors import OutputError
from napari_ctlns.events import ThreadControl
from napari_ctlns.findings import Annotation, Findings
from napari_ctlns.plugin.annotating import TableRows, drawn_mask, fit_job, rows_of_scan
from napari_ctlns.plugin.annotation_tools import Tool, annotation_tools_of
from napari_ctlns.plugin.layers import annotations_of_layer
from napari_ctlns.plugin.mask_preview import OF_ANNOTATIONS, MaskPreview, drawing_of
from napari_ctlns.plugin.saving import save_rows
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.views.annotation_table import LARGEST_MM, SMALLEST_MM, AnnotationTable
from napari_ctlns.plugin.views.bad_rows import offer_to_leave_out
from napari_ctlns.plugin.views.controls import BUSY, in_a_row, no_scan, set_numbers, set_ready
from napari_ctlns.plugin.views.file_dialogs import ALL_FILES, ask_save_path
from napari_ctlns.plugin.views.job_bar import JobBar, Then
from napari_ctlns.plugin.views.layer_choice import LayerChoice
from napari_ctlns.plugin.views.offer import Offer
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.views.trouble import draw_trouble
from napari_ctlns.plugin.words import counted
from napari_ctlns.plugin.work import ThreadWork, one_step
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import napari

_TABLES = ("Tables (*.csv *.tsv *.txt)", ALL_FILES)
_NO_ROWS = "Load annotations first, or begin new ones"


class AnnotationsPanel(Panel):
    """Loads, marks, moves and saves annotations, and makes a mask of them."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session_of(napari_viewer)
        self._tools = annotation_tools_of(self._session)
        self._preview = MaskPreview(self._session, OF_ANNOTATIONS, self)
        self._to_consent: Callable[[], None] | None = None
        self._make_widgets()
        self._lay_out()
        self._connect()
        self._show_all()

    # -- layout ---------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.scan = LayerChoice(self._session, "scan", "The scan in which nodules are marked")
        self.layer = LayerChoice(self._session, "annotations", "The annotations to work on")
        self.load = _button("Load…", "Load this scan's rows of a table, as in LUNA16")
        self.new = _button("New", "Begin annotations of this scan")
        self.save = _button("Save…", "Save these annotations as a table, as in LUNA16")
        self.add_tool = _button(
            "Add", "Click in the scan to add a nodule; drag from its centre to size it", tool=True
        )
        self.select_tool = _button(
            "Move", "Click a nodule to select it, drag it to move it (Shift: several)", tool=True
        )
        self.delete = _button("Delete", "Delete the selected nodules (Delete key)")
        self.undo = _button(
            "Undo", "Take the last change back (Ctrl+Z; Ctrl+Shift+Z makes it again)"
        )
        self.diameter = QDoubleSpinBox()
        set_numbers(self.diameter, SMALLEST_MM, LARGEST_MM, step=0.5, decimals=1)
        self.diameter.setKeyboardTracking(False)
        self.diameter.setToolTip("Of the next nodule, and of those selected")
        self.bad_rows = Offer()
        self.table = AnnotationTable()
        self.summary = QLabel()
        self.preview = QCheckBox("Preview mask")
        self.preview.setChecked(self._preview.layer is not None)
        self.fit = QCheckBox("Fit to the scan")
        self.fit.setToolTip(
            "Find each nodule's own border, at most 1.5 times as wide as annotated; else: spheres"
        )
        self.job_bar = JobBar(
            "Make mask", "Draw the nodules into a labels layer that can be painted on"
        )

    def _lay_out(self) -> None:
        self.add_form({"Scan": self.scan, "Annotations": self.layer})
        self.add(in_a_row(self.load, self.new, self.save))
        self.add(self.bad_rows)
        self.add(in_a_row(self.add_tool, self.select_tool, self.delete, self.undo))
        self.add_form({"Diameter, mm": self.diameter})
        self.table.setMinimumHeight(150)
        self.add(self.table, 1)
        self.add(self.summary)
        self.add(in_a_row(self.preview, self.fit))
        self.add_foot(self.job_bar)

    def _connect(self) -> None:
        session, tools = self._session, self._tools
        session.scan_changed.connect(self._show_ready)
        session.layers_changed.connect(self._show_ready)
        session.unsaved_changed.connect(self._show_summary)
        tools.changed.connect(self._show_all)
        tools.tool_changed.connect(self._show_tool)
        tools.diameter_changed.connect(self._show_diameter)
        tools.selection_changed.connect(self._show_selection)
        self.load.clicked.connect(self._load)
        self.bad_rows.taken.connect(self._leave_out)
        self.bad_rows.put_away.connect(self.bad_rows.hide)
        self.new.clicked.connect(self._begin)
        self.save.clicked.connect(self._save)
        self.add_tool.clicked.connect(self._use_add)
        self.select_tool.clicked.connect(self._use_select)
        self.delete.clicked.connect(tools.delete)
        self.undo.clicked.connect(tools.undo)
        self.diameter.valueChanged.connect(tools.set_diameter)
        self.table.selected.connect(tools.select)
        self.table.went.connect(tools.go)
        self.table.resized.connect(tools.resize)
        self.table.delete_pressed.connect(tools.delete)
        self.preview.toggled.connect(self._switch_preview)
        self._preview.gone.connect(self._uncheck_preview)
        self._preview.failed.connect(self._say_trouble)
        self.job_bar.start_clicked.connect(self._make_mask)
        self.job_bar.ended.connect(self._show_ready)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Undo and redo by keyboard, where no field undoes its own typing."""
        if event.matches(QKeySequence.StandardKey.Undo):
            self._tools.undo()
        elif event.matches(QKeySequence.StandardKey.Redo):
            self._tools.redo()
        else:
            super().keyPressEvent(event)

    # -- what is shown ----------------------------------------------------------------

    def _show_all(self) -> None:
        tools = self._tools
        self.table.show_rows(tools.rows, tools.troubles, tools.selected)
        self._show_tool()
        self._show_diameter()
        self._show_selection()
        self._show_summary()
        self._show_ready()
        self._show_preview()

    def _show_selection(self) -> None:
        self.table.select(self._tools.selected)
        _enable(self.delete, "" if self._tools.selected else "Select nodules first")

    def _show_tool(self) -> None:
        tool, why_not = self._tools.tool, self._tools.why_not_add()
        _enable(self.add_tool, why_not)
        _enable(self.select_tool, "" if self._tools.rows else "There is no nodule to move")
        self.add_tool.setChecked(tool == "add" and not why_not)
        self.select_tool.setChecked(tool == "select")

    def _show_diameter(self) -> None:
        self.diameter.setEnabled(self._tools.layer is not None)
        self.diameter.blockSignals(True)
        self.diameter.setValue(self._tools.diameter)
        self.diameter.blockSignals(False)

    def _show_summary(self) -> None:
        layer, rows = self._tools.layer, self._tools.rows
        unsaved = layer is not None and self._session.is_unsaved(layer)
        self.summary.setText(f"{counted(len(rows), 'nodule')}{', not saved' if unsaved else ''}")
        draw_trouble(self.summary, unsaved)
        self.summary.setVisible(layer is not None)
        _enable(self.undo, "" if self._tools.can_undo else "There is nothing to take back")

    def _show_ready(self) -> None:
        why_not = self._why_not_mask()
        self.job_bar.set_ready(why_not)
        self.preview.setEnabled(not why_not or self.preview.isChecked())
        self.preview.setToolTip(why_not or "See the mask while nodules are added and moved")
        busy = BUSY if self.job_bar.working else ""
        nothing = "" if self._session.volume is not None else no_scan(self._session.coming)
        _enable(self.load, nothing or busy)
        _enable(self.new, nothing)
        _enable(self.save, busy if self._tools.layer is not None else _NO_ROWS)

    def _why_not_mask(self) -> str:
        if self._tools.layer is None:
            here = self._session
            return _NO_ROWS if here.volume is not None else no_scan(here.coming)
        if self._tools.volume is None:
            return "Open the scan of these annotations first"
        if not self._tools.rows:
            return "Add a nodule first"
        return "" if "" in self._tools.troubles else "No nodule lies inside the scan"

    def _show_preview(self) -> None:
        volume = self._tools.volume
        if self.preview.isChecked() and volume is not None:
            draw = partial(drawing_of, volume.geometry, self._tools.rows)
            self._preview.show(volume.geometry, draw)
        elif self.preview.isChecked():
            self._preview.hide()

    def _switch_preview(self, on: bool) -> None:
        if on:
            self._show_preview()
        else:
            self._preview.hide()
            self._show_ready()

    def _uncheck_preview(self) -> None:
        self.preview.setChecked(False)

    def _say_trouble(self, words: str) -> None:
        self.job_bar.say(words, trouble=True)

    # -- tools ------------------------------------------------------------------------

    def _use_add(self, on: bool) -> None:
        self._use("add" if on else "")

    def _use_select(self, on: bool) -> None:
        self._use("select" if on else "")

    def _use(self, tool: Tool) -> None:
        self._tools.use(tool)
        self._show_tool()

    # -- files ------------------------------------------------------------------------

    def _begin(self) -> None:
        volume = self._session.volume
        if volume is not None:
            self._session.add_annotations((), volume)
            self._use("add")

    def _load(self) -> None:
        volume = self._session.volume
        chosen, _ = QFileDialog.getOpenFileName(
            self, "Load annotations", self._folder(), ";;".join(_TABLES)
        )
        if chosen and volume is not None:
            path = Path(chosen)
            self.bad_rows.hide()
            then = partial(self._loaded, path, volume)
            self._start(f"Reading {path.name}", then, rows_of_scan, path, volume)

    def _loaded(self, path: Path, volume: Volume, result: dict[str, Any]) -> None:
        table: TableRows = result["value"]
        if table.bad:
            self._to_consent = partial(self._add, path, volume, table)
            offer_to_leave_out(self.bad_rows, {path: table.bad})
            self._say_trouble(f"{table.bad[0]} in {path.name}")
        else:
            self._add(path, volume, table)

    def _leave_out(self) -> None:
        self.bad_rows.hide()
        if self._to_consent is not None:
            self._to_consent()

    def _add(self, path: Path, volume: Volume, table: TableRows) -> None:
        if not table.rows:
            self._say_trouble(f"no rows in {path.name}; load another table, or begin with New")
            return
        self._session.add_annotations(table.rows, volume, path.stem)
        here = f"{len(table.rows)} of {table.total} rows in {path.name} are of this scan"
        if table.bad:
            here += f"; {counted(len(table.bad), 'bad row')} left out"
        self._say_with_troubles(here)

    def _save(self) -> None:
        layer, rows = self._tools.layer, self._tools.rows
        if layer is None:
            return
        proposed = Path(self._folder()) / f"{layer.name}.csv"
        try:
            path = ask_save_path(self, "Save annotations", proposed, _TABLES)
        except OutputError as error:
            self._say_trouble(str(error))
            return
        if path is not None:
            then = partial(self._saved, path, layer, rows)
            self._start(f"Writing {path.name}", then, save_rows, path, rows)

    def _saved(
        self, path: Path, layer: Points, rows: tuple[Annotation, ...], _result: dict[str, Any]
    ) -> None:
        if annotations_of_layer(layer) == rows:  # not edited meanwhile
            self._session.saved(layer)
        self.job_bar.say(f"Saved {counted(len(rows), 'nodule')} to {path.name}")

    def _folder(self) -> str:
        volume = self._session.volume
        path = None if volume is None else volume.source.path
        return str(path.parent) if path is not None else ""

    # -- mask -------------------------------------------------------------------------

    def _make_mask(self) -> None:
        volume, rows = self._tools.volume, self._tools.rows
        if volume is not None:
            then = partial(self._made, volume)
            if self.fit.isChecked():
                control = ThreadControl()
                job = fit_job(volume, rows, control)
                self.job_bar.follow(ThreadWork(job, control, parent=self), then)
                self._show_ready()
            else:
                self._start("Drawing the mask", then, drawn_mask, volume.geometry, rows)

    def _made(self, volume: Volume, result: dict[str, Any]) -> None:
        self.preview.setChecked(False)
        drawn = self._tools.troubles.count("")
        mask = volume.mask(result["value"])
        findings = Findings(scan_id=mask.scan_id).follow(mask.array, "annotation")
        layer = self._session.add_mask(mask, "nodules", findings)
        words = f"Drew {counted(drawn, 'nodule')} into the layer {layer.name}"
        if spheres := result.get("spheres"):
            words += f"; no border was found, so a sphere: row {', '.join(map(str, spheres))}"
        self._say_with_troubles(words)

    # -- work -------------------------------------------------------------------------

    def _start(self, title: str, then: Then, function: Callable[..., Any], *args: Any) -> None:
        """Do something in a thread, and ``then`` something with what it returned."""
        self.job_bar.follow(ThreadWork(one_step(title, function, *args), parent=self), then)
        self._show_ready()

    def _say_with_troubles(self, words: str) -> None:
        left_out = [str(row) for row, trouble in enumerate(self._tools.troubles, 1) if trouble]
        if left_out:
            words += f"; left out of the mask: row {', '.join(left_out)}"
        self.job_bar.say(words, trouble=bool(left_out))


def _button(words: str, tooltip: str, tool: bool = False) -> QPushButton:
    button = QPushButton(words)
    button.setCheckable(tool)
    button.setToolTip(tooltip)
    button.setProperty("tooltip", tooltip)
    return button


def _enable(button: QPushButton, why_not: str) -> None:
    set_ready(button, why_not, button.property("tooltip"))
