"""The scans of a queue: which, how long each took, and what became of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from napari_ctlns.plugin.scan_queue import (
    is_corrected,
    same_scans,
    seconds_in_words,
    status_in_words,
    uncertainty_in_words,
)
from napari_ctlns.plugin.teaching import TaughtScans
from napari_ctlns.plugin.views.trouble import TROUBLE_COLOUR

if TYPE_CHECKING:
    from napari_ctlns.cohort.manifest import Row

SCAN, TIME, UNSURE, STATUS = range(4)
_TITLES = ("Scan", "Time", "Unsure", "Status")
_MEANINGS = (
    "What its results are named after",
    "How long the work on it took",
    "How unsure the model was of what it found, 0 to 1: correct the most uncertain scan first",
    "What became of it; of a failed one also why",
)
_SHARES = (0.41, 0.15, 0.18)
"""Of the width, for scan, time and uncertainty; the status has the rest."""


class QueueModel(QAbstractTableModel):
    """The rows of a manifest for Qt."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: Sequence[Row] = ()
        self._known = TaughtScans()

    def show_corrected(self, known: TaughtScans) -> None:
        """Show which scans are corrected."""
        self._known = known
        if self.rows:
            self.dataChanged.emit(self.index(0, STATUS), self.index(len(self.rows) - 1, STATUS))

    def show(self, rows: "Sequence[Row]") -> None:
        """Show other rows, or the same scans as they are now."""
        if not same_scans(rows, self.rows):
            self.beginResetModel()
            self.rows = rows
            self.endResetModel()
            return
        changed = [
            k for k, (now, then) in enumerate(zip(rows, self.rows, strict=True)) if now != then
        ]
        self.rows = rows
        for row in changed:
            self.dataChanged.emit(self.index(row, 0), self.index(row, STATUS))

    def rowCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return how many scans there are."""
        return len(self.rows)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return how many columns there are."""
        return len(_TITLES)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        row, column = self.rows[index.row()], index.column()
        words = (
            row.scan_id,
            seconds_in_words(row),
            uncertainty_in_words(row),
            status_in_words(row, is_corrected(row, self._known)),
        )
        if role == Qt.ItemDataRole.DisplayRole:
            return words[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            place = "\n".join(filter(None, (row.scan, row.series)))
            return place if column == SCAN else words[STATUS]
        if role == Qt.ItemDataRole.ForegroundRole and row.status == "failed" and column == STATUS:
            return QColor(TROUBLE_COLOUR)
        return None

    def headerData(  # noqa: N802 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return a column's title and what it means."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _TITLES[section]
        return _MEANINGS[section] if role == Qt.ItemDataRole.ToolTipRole else None


class _CutAtTheEnd(QStyledItemDelegate):
    """Draws words whose beginning matters; of names the middle is left out."""

    def initStyleOption(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Say where words are cut."""
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideRight


class QueueTable(QTableView):
    """Shows the rows and says which one is to be opened.

    Attributes
    ----------
    opened
        A row was double-clicked, or Enter pressed on it (the `Row`).
    reached
        Another row is the current one, or none.
    """

    opened = Signal(object)
    reached = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = QueueModel(self)
        self.setModel(self._model)
        self.setToolTip(
            "Double-click a scan that is done, or press Enter, to open it with its mask"
        )
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)  # Tab goes on to the next control
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setItemDelegateForColumn(STATUS, _CutAtTheEnd(self))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.activated.connect(self._activate)
        self.selectionModel().currentRowChanged.connect(self._reach)
        self._model.modelReset.connect(self.reached)

    def show_rows(self, rows: "Sequence[Row]") -> None:
        """Show other rows, or the same scans as they are now, and stay at the current one."""
        current = self.current
        self._model.show(rows)
        if current is not None and self.current is None:
            self.reach(current)
        self.reached.emit()

    def show_corrected(self, known: TaughtScans) -> None:
        """Show which scans are corrected."""
        self._model.show_corrected(known)

    def reach(self, row: "Row") -> None:
        """Make a scan's row the current one, if it is shown."""
        files = [other.file for other in self._model.rows]
        if row.file in files:
            self.setCurrentIndex(self._model.index(files.index(row.file), SCAN))

    @property
    def rows(self) -> "Sequence[Row]":
        """What is shown."""
        return self._model.rows

    @property
    def current(self) -> "Row | None":
        """The row that a person is at."""
        index = self.currentIndex()
        return self._model.rows[index.row()] if index.isValid() else None

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Share the width out anew."""
        super().resizeEvent(event)
        width = self.viewport().width()
        for section, share in enumerate(_SHARES):
            self.setColumnWidth(section, round(share * width))

    def _activate(self, index: QModelIndex) -> None:
        self.opened.emit(self._model.rows[index.row()])

    def _reach(self, _now: QModelIndex, _before: QModelIndex) -> None:
        self.reached.emit()
