"""The work list with what chooses its rows above it."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_ctlns.plugin.views.nodule_table import NoduleTable
from napari_ctlns.plugin.views.row_filter_bar import RowFilterBar

_NO_HIT = "No finding is like that: ask for less above, or click Show all."
_LEAST_HEIGHT = 90


class FindingList(QWidget):
    """A table, a filter, and words where the filter leaves nothing.

    Attributes
    ----------
    reordered
        Other rows are shown, or in another order.
    """

    reordered = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.filter = RowFilterBar()
        self.table = NoduleTable()
        self.table.setMinimumHeight(_LEAST_HEIGHT)
        self.no_hit = QLabel(_NO_HIT)
        self.no_hit.setWordWrap(True)
        self.no_hit.hide()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(self.filter)
        rows.addWidget(self.no_hit)
        rows.addWidget(self.table, 1)
        self.filter.changed.connect(self._choose)
        self.table.reordered.connect(self._say)

    def _choose(self) -> None:
        self.table.show_only(self.filter.wanted)

    def _say(self) -> None:
        shown, there = len(self.table.uids), self.table.count
        self.filter.say(shown, there)
        self.no_hit.setVisible(shown == 0 < there)
        self.reordered.emit()
