"""A folder of scans as a queue: where from, where to, how far, and the scans one by one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ctlns.plugin.scan_queue import (
    most_uncertain_first,
    next_to_correct,
    queue_in_words,
)
from napari_ctlns.plugin.teaching import TaughtScans
from napari_ctlns.plugin.views.controls import in_a_row, set_ready
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.views.path_field import PathField
from napari_ctlns.plugin.views.queue_table import QueueTable
from napari_ctlns.plugin.views.run_bar import RunBar
from napari_ctlns.plugin.views.trouble import TroubleLabel

if TYPE_CHECKING:
    from napari_ctlns.cohort.manifest import Row

_OPEN = "Open the scan of this row with its mask"
_NEXT = "Open the scan that the model is most unsure of and that nobody has corrected yet"
_FIRST = "Show the scans first that the model is most unsure of: their correction teaches most"
_ROWS = 8
_ROW_PX = 24


class QueueView(QWidget):
    """Shows a queue.

    Attributes
    ----------
    changed
        Another folder is chosen.
    opened
        A scan is to be opened (its `Row`).
    """

    changed = Signal()
    opened = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.lacks = TroubleLabel()
        self.scans = PathField(
            "folder", "Choose a folder of scans", "A folder that is searched for CT scans"
        )
        self.results = PathField(
            "folder",
            "Choose a folder for the results",
            "Where masks, tables and manifest.csv go; a queue that is there goes on",
        )
        self.table = QueueTable()
        self.counts = QLabel()
        self.counts.setWordWrap(True)
        self.open = QPushButton("Open")
        self.open_next = QPushButton("Open next")
        self.unsure_first = QCheckBox("Most uncertain first")
        self.unsure_first.setToolTip(_FIRST)
        self._rows: Sequence[Row] = ()
        self._known = TaughtScans()
        self.bar = RunBar("Find nodules in all", "Find the nodules of every scan in the folder")
        self._lay_out()
        self.scans.changed.connect(self.changed)
        self.results.changed.connect(self.changed)
        self.table.opened.connect(self.opened)
        self.table.reached.connect(self._settle_open)
        self.open.clicked.connect(self._open_current)
        self.open_next.clicked.connect(self._open_next)
        self.unsure_first.toggled.connect(self._order)
        self.show_rows(())

    def _lay_out(self) -> None:
        folders = QWidget()
        form_layout(folders, {"Scans": self.scans, "Results": self.results})
        self.table.setFixedHeight((_ROWS + 1) * _ROW_PX)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._openers = in_a_row(self.open, self.open_next)
        head = (self.lacks, folders, self.bar, self.counts)
        for widget in (*head, self.unsure_first, self.table, self._openers):
            layout.addWidget(widget)

    def show_rows(self, rows: "Sequence[Row]") -> None:
        """Show what became of each scan."""
        self._rows = rows
        self.counts.setText(queue_in_words(rows))
        for widget in (self.counts, self.unsure_first, self.table, self._openers):
            widget.setVisible(bool(rows))
        self._order()

    def show_corrected(self, known: TaughtScans) -> None:
        """Show which scans are corrected."""
        self._known = known
        self.table.show_corrected(known)
        self._settle_open()

    def let_choose(self, on: bool) -> None:
        """Let other folders be chosen."""
        self.scans.setEnabled(on)
        self.results.setEnabled(on)

    def _order(self) -> None:
        first = self.unsure_first.isChecked()
        self.table.show_rows(most_uncertain_first(self._rows) if first else self._rows)

    def _settle_open(self) -> None:
        row = self.table.current
        if row is None:
            why_not = "Choose a row first"
        else:
            why_not = "" if row.status == "done" else "This scan is not done"
        set_ready(self.open, why_not, _OPEN)
        there = next_to_correct(self._rows, self._known) is not None
        set_ready(self.open_next, "" if there else "No scan is done that is not corrected", _NEXT)

    def _open_current(self) -> None:
        if self.table.current is not None:
            self.opened.emit(self.table.current)

    def _open_next(self) -> None:
        row = next_to_correct(self._rows, self._known)
        if row is not None:
            self.table.reach(row)
            self.opened.emit(row)
