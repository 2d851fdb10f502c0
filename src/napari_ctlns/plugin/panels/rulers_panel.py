"""The Rulers panel: measuring by hand beside what is measured by itself, 3D, and pictures."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QPushButton, QStackedWidget

from napari_ctlns.errors import CtlnsError, OutputError
from napari_ctlns.findings import Findings
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.nodule_axes import KEY as AXES_KEY
from napari_ctlns.plugin.nodule_axes import nodule_axes_of
from napari_ctlns.plugin.pictures import save_picture
from napari_ctlns.plugin.predicting import file_name
from napari_ctlns.plugin.ruler_book import ruler_book_of
from napari_ctlns.plugin.ruler_layer import canvas_points
from napari_ctlns.plugin.ruler_rows import labels_by_uid, rows_of
from napari_ctlns.plugin.ruler_tool import KEYS, ruler_tool_of
from napari_ctlns.plugin.rulers import Kind, flat_axes, save_rulers
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.settings import read_settings
from napari_ctlns.plugin.spatial_view import KEY as SPATIAL_KEY
from napari_ctlns.plugin.spatial_view import spatial_view_of
from napari_ctlns.plugin.surface_layers import ColourBy
from napari_ctlns.plugin.views.controls import NO_SCAN, in_a_row, set_ready
from napari_ctlns.plugin.views.file_dialogs import ask_save_path
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.panel import Panel
from napari_ctlns.plugin.views.ruler_table import RulerTable
from napari_ctlns.plugin.work import Work

if TYPE_CHECKING:
    import napari

_TOOLS: dict[Kind, tuple[str, str]] = {
    "ruler": ("Ruler", "Drag from one place to another; drag an end to change it"),
    "axes": (
        "Long + short axis",
        "Drag along the long axis, then across it: the short one snaps to a right angle",
    ),
}
_EMPTY = {
    None: "Nothing measured by hand yet: choose a tool and drag over the picture.",
    "ruler": "Drag over the picture. Drag an end to change it, Ctrl+Z takes it back.",
    "axes": "Drag along the long axis of a nodule, then across it for the short one.",
}
_COLOUR_BY: dict[str, ColourBy] = {"Status": "status", "Type": "type", "Label": "label"}
_WIDTH = 350  # the columns side by side
_NOTHING = "Nothing was measured by hand in this scan yet"
_PICK = "Pick a row first"


class RulersPanel(Panel):
    """Measures by hand, shows axes and surfaces, and saves what is seen."""

    def __init__(self, napari_viewer: "napari.viewer.Viewer") -> None:
        super().__init__()
        self._session = session = session_of(napari_viewer)
        self._book, self._tool = ruler_book_of(session), ruler_tool_of(session)
        self._axes, self._spatial = nodule_axes_of(session), spatial_view_of(session)
        for part in (self._axes, self._spatial):
            part.bind_key()
        self._tool.bind_keys()
        self.tools = {kind: QPushButton(words) for kind, (words, _) in _TOOLS.items()}
        self.table, self.empty = RulerTable(), QLabel()
        self._body = QStackedWidget()
        self.undo, self.delete = QPushButton("Undo"), QPushButton("Delete")
        self.save = QPushButton("Save CSV…")
        self.show_axes = QCheckBox("Show long and short axis of the nodule")
        self.scale_bar = QCheckBox("Show a scale bar")
        self.colour_by = QComboBox()
        self.picture = QPushButton("Save picture…")
        self.job_bar = JobBar("Show in 3D", self._words_of_3d())
        self._lay_out()
        self._connect()
        self._settle()

    def _lay_out(self) -> None:
        self.setMinimumWidth(_WIDTH)
        for button in self.tools.values():
            button.setCheckable(True)
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._body.addWidget(self.empty)
        self._body.addWidget(self.table)
        self._body.setMinimumHeight(110)
        self.show_axes.setToolTip(
            "On the slice where they were measured, after each stroke anew "
            f"(key {AXES_KEY.replace('-', '+')})"
        )
        self.show_axes.setChecked(self._axes.on)
        self.scale_bar.setToolTip("Pictures that are saved have one in any case")
        self.scale_bar.setChecked(self._session.viewer.canvas.overlays.scale_bar.visible)
        self.colour_by.addItems(list(_COLOUR_BY))
        self.colour_by.setToolTip("What the colours of nodules say in 3D")
        names = {by: name for name, by in _COLOUR_BY.items()}
        self.colour_by.setCurrentText(names[self._spatial.colour_by])
        self.add(in_a_row(*self.tools.values()))
        self.add(self._body, 1)
        self.add(in_a_row(self.undo, self.delete, self.save))
        self.add(self.show_axes)
        self.add(self.scale_bar)
        self.add(self.picture)
        self.add_form({"Colours in 3D": self.colour_by})
        self.add_foot(self.job_bar)

    def _connect(self) -> None:
        session = self._session
        for signal in (
            *(self._book.changed, self._tool.switched, self._spatial.switched),
            *(session.mask_changed, session.scan_changed, session.measured),
        ):
            signal.connect(self._settle)
        for kind, button in self.tools.items():
            button.clicked.connect(partial(self._use, kind))
        self.table.picked.connect(self._go_to)
        self.undo.clicked.connect(self._book.undo)
        self.delete.clicked.connect(self._delete)
        self.save.clicked.connect(self._save)
        self.picture.clicked.connect(self._save_picture)
        self.show_axes.toggled.connect(self._axes.switch)
        self._axes.switched.connect(self.show_axes.setChecked)
        self.scale_bar.toggled.connect(self._show_scale_bar)
        self.colour_by.currentTextChanged.connect(self._colour)
        self.job_bar.start_clicked.connect(self._spatial.toggle)
        self.job_bar.ended.connect(self._settle)
        self._spatial.working.connect(self._follow)
        self.destroyed.connect(self._tool.release)

    # -- what is shown ------------------------------------------------------------------

    def _settle(self, _what: object = None) -> None:
        rulers, mask = self._book.rulers, self._session.mask
        table = None if mask is None else self._session.table(mask)
        self.table.show_rows(rows_of(rulers, self._findings(), table))
        self._body.setCurrentIndex(int(bool(rulers)))
        self.empty.setText(_EMPTY[self._tool.kind])
        for kind, button in self.tools.items():
            words = f"{_TOOLS[kind][1]} (key {KEYS[kind].replace('-', '+')})"
            set_ready(button, self._tool.why_not(), words)
            button.setChecked(kind == self._tool.kind)
        undone = "" if self._book.can_undo else "There is nothing to take back"
        set_ready(self.undo, undone, "Take the last change back (Ctrl+Z while a tool is on)")
        why_not = "" if self.table.uid else _PICK if rulers else _NOTHING
        set_ready(self.delete, why_not, "Delete the one that is picked; Undo brings it back")
        set_ready(self.save, "" if rulers else _NOTHING, "Save ends in LPS mm and lengths")
        set_ready(
            self.picture,
            self._why_no_picture(),
            "Save the picture with its marks and a scale bar as PNG",
        )
        self.job_bar.button.setText("Back to slices" if self._spatial.on else "Show in 3D")
        self.job_bar.set_ready("" if self._spatial.on else self._spatial.why_not())

    def _why_no_picture(self) -> str:
        if self._window() is None:
            return "There is no window to take a picture of"
        return "" if self._session.scan is not None else NO_SCAN

    def _words_of_3d(self) -> str:
        return (
            "Nodules as surfaces in translucent lungs, and back to the slice you looked at "
            f"(key {SPATIAL_KEY.replace('-', '+')})"
        )

    def _findings(self) -> Findings:
        mask = self._session.mask
        return Findings() if mask is None else of.findings_of(mask)

    def _window(self) -> Viewer | None:
        viewer = self._session.viewer
        return viewer if isinstance(viewer, Viewer) else None

    # -- what is done -------------------------------------------------------------------

    def _use(self, kind: Kind, _checked: bool = False) -> None:
        self._tool.toggle(kind)

    def _go_to(self, uid: str) -> None:
        """Show the slice of a ruler, in the plane that it was drawn in."""
        geometry = self._book.geometry
        ruler = next((one for one in self._book.rulers if one.uid == uid), None)
        if ruler is None or geometry is None:
            return
        points, dims = canvas_points(ruler, geometry), self._session.viewer.dims
        planes, hidden = flat_axes(points), self._book.hidden_axis
        if hidden is not None and planes and hidden not in planes:
            first = dims.ndim - 3
            turned = [planes[0], *(axis for axis in range(3) if axis != planes[0])]
            dims.order = (*range(first), *(first + axis for axis in turned))
        go_to(self._session.viewer, points.reshape(-1, 3).mean(axis=0).tolist())
        self._settle()

    def _delete(self) -> None:
        self._book.remove(self.table.uid)

    def _show_scale_bar(self, shown: bool) -> None:
        self._session.viewer.canvas.overlays.scale_bar.visible = shown

    def _colour(self, name: str) -> None:
        self._spatial.set_colours(_COLOUR_BY[name])

    def _follow(self, work: Work) -> None:
        self.job_bar.follow(work)

    def _save(self) -> None:
        path = self._ask_path("Save rulers", "rulers.csv", "CSV (*.csv)")
        if path is not None:
            try:
                save_rulers(self._book.rulers, labels_by_uid(self._findings()), path)
            except CtlnsError as error:
                self.job_bar.say(str(error), trouble=True)
            else:
                self.job_bar.say(f"Saved {path}")

    def _save_picture(self) -> None:
        path = self._ask_path("Save picture", "picture.png", "PNG (*.png)")
        window = self._window()
        if path is not None and window is not None:
            try:
                save_picture(window, path)
            except CtlnsError as error:
                self.job_bar.say(str(error), trouble=True)
            else:
                self.job_bar.say(f"Saved {path}")

    def _ask_path(self, title: str, name: str, kind: str) -> Path | None:
        scan = self._session.volume
        stem = file_name(scan.scan_id if scan is not None else "")
        try:
            start = read_settings().working_folder / f"{stem}_{name}"
            return ask_save_path(self, title, start, (kind,))
        except OutputError as error:
            self.job_bar.say(str(error), trouble=True)
            return None
