"""A folder of scans as a queue: where from, where to, how far, and the scans one by one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ctlns.plugin.scan_queue import queue_in_words
from napari_ctlns.plugin.views.controls import set_ready
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.views.path_field import PathField
from napari_ctlns.plugin.views.queue_table import QueueTable
from napari_ctlns.plugin.views.run_bar import RunBar
from napari_ctlns.plugin.views.trouble import TroubleLabel

if TYPE_CHECKING:
    from napari_ctlns.cohort.manifest import Row

_OPEN = "Open the scan of this row with its mask"
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
        self.bar = RunBar("Find nodules in all", "Find the nodules of every scan in the folder")
        self._lay_out()
        self.scans.changed.connect(self.changed)
        self.results.changed.connect(self.changed)
        self.table.opened.connect(self.opened)
        self.table.reached.connect(self._settle_open)
        self.open.clicked.connect(self._open_current)
        self.show_rows(())

    def _lay_out(self) -> None:
        folders = QWidget()
        form_layout(folders, {"Scans": self.scans, "Results": self.results})
        self.table.setFixedHeight((_ROWS + 1) * _ROW_PX)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.lacks, folders, self.bar, self.counts, self.table, self.open):
            layout.addWidget(widget)

    def show_rows(self, rows: "Sequence[Row]") -> None:
        """Show what became of each scan."""
        self.table.show_rows(rows)
        self.counts.setText(queue_in_words(rows))
        for widget in (self.counts, self.table, self.open):
            widget.setVisible(bool(rows))
        self._settle_open()

    def let_choose(self, on: bool) -> None:
        """Let other folders be chosen."""
        self.scans.setEnabled(on)
        self.results.setEnabled(on)

    def _settle_open(self) -> None:
        row = self.table.current
        if row is None:
            why_not = "Choose a row first"
        else:
            why_not = "" if row.status == "done" else "This scan is not done"
        set_ready(self.open, why_not, _OPEN)

    def _open_current(self) -> None:
        if self.table.current is not None:
            self.opened.emit(self.table.current)
