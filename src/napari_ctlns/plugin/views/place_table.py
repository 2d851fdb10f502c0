"""A table of places that a person can go to: sortable, one row selected."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

Value = str | float | None
UNKNOWN = "–"  # noqa: RUF001 - a dash, as tables have it
_SORT = Qt.ItemDataRole.UserRole
_ROOM, _ARROW = 14, 10  # pixels beside the words
_ROWS_TO_FIT = 200
_ROW = Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True)
class Column:
    """How a column is shown: its title, what it means, and digits after the point of numbers."""

    title: str
    meaning: str
    digits: int | None = None

    @property
    def is_words(self) -> bool:
        """Whether it holds no numbers."""
        return self.digits is None


class PlaceTable(QTableView):
    """Shows rows of words and numbers.

    Attributes
    ----------
    picked
        A row was clicked or reached by the arrow keys (its place among the rows given).
    """

    picked = Signal(int)

    def __init__(self, columns: Sequence[Column], tooltip: str) -> None:
        super().__init__()
        self._columns = tuple(columns)
        self._quiet = False
        self._model = QStandardItemModel(0, len(self._columns), self)
        self._model.setSortRole(_SORT)
        self.setModel(self._model)
        self.setToolTip(tooltip)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)  # Tab goes on to the next control
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSortingEnabled(True)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignCenter)
        header.setMinimumSectionSize(36)
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.sortIndicatorChanged.connect(self._fit)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)  # in the order they are given
        for section, column in enumerate(self._columns):
            item = QStandardItem(column.title)
            item.setToolTip(column.meaning)
            self._model.setHorizontalHeaderItem(section, item)
        self.selectionModel().currentRowChanged.connect(self._reached)
        self.clicked.connect(self._reached)
        self._fit()

    def show_rows(self, rows: Sequence[Sequence[Value]]) -> None:
        """Show other rows, one value for each column."""
        self._quiet = True
        self._model.setRowCount(0)
        for place, row in enumerate(rows):
            cells = zip(self._columns, row, strict=True)
            self._model.appendRow([_cell(column, value, place) for column, value in cells])
        header = self.horizontalHeader()
        if header.sortIndicatorSection() >= 0:
            self._model.sort(header.sortIndicatorSection(), header.sortIndicatorOrder())
        self._quiet = False
        self._fit()

    def texts(self) -> list[list[str]]:
        """Return what the cells show, in the order they are shown."""
        return [
            [self._model.item(row, column).text() for column in range(len(self._columns))]
            for row in range(self._model.rowCount())
        ]

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Ask for little: it takes the room there is."""
        return QSize(200, 120)

    def _fit(self) -> None:
        """Make columns as narrow as their words; Qt would keep room for an arrow in each."""
        rows, header = self.texts()[:_ROWS_TO_FIT], self.horizontalHeader()
        for section, column in enumerate(self._columns):
            words = [*column.title.split("\n"), *(row[section] for row in rows)]
            arrow = _ARROW if section == header.sortIndicatorSection() else 0
            widest = max(map(self.fontMetrics().horizontalAdvance, words))
            header.resizeSection(section, widest + _ROOM + arrow)

    def _reached(self, index: QModelIndex, _before: QModelIndex | None = None) -> None:
        if not self._quiet and index.isValid():
            self.picked.emit(index.data(_ROW))


def _cell(column: Column, value: Value, place: int) -> QStandardItem:
    words = UNKNOWN if value is None else value
    item = QStandardItem(words if isinstance(words, str) else f"{words:.{column.digits}f}")
    if not column.is_words:
        item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    # what is not known stands below all numbers, as below all words
    unknown = "" if column.is_words else -math.inf
    item.setData(unknown if value is None else value, _SORT)
    item.setData(place, _ROW)
    return item
