"""The growth table: a row is a nodule at two visits, to go to."""

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem, QWidget

from napari_ctlns.plugin.growth_rows import MEANINGS, TITLES, GrowthRow

Colour = tuple[float, float, float, float]

_WORDS = (0, 4)  # the columns of words; the others are numbers
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_SWATCH = 12


class GrowthTable(QTableWidget):
    """Shows what became of nodules and says which one was picked.

    Attributes
    ----------
    picked
        A row was clicked or reached by the keyboard (its `GrowthRow`).
    """

    picked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(TITLES), parent)
        self._rows: tuple[GrowthRow, ...] = ()
        self._quiet = False
        self.setHorizontalHeaderLabels(TITLES)
        for column, meaning in enumerate(MEANINGS):
            self.horizontalHeaderItem(column).setToolTip(meaning)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)  # Tab goes on to the next control
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setIconSize(QSize(_SWATCH, _SWATCH))
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(36)
        header.setStretchLastSection(False)
        self.setToolTip("Click a row, or go up and down, to see that nodule on both scans")
        self.currentCellChanged.connect(self._reached)
        self.cellClicked.connect(self._reached)

    @property
    def rows(self) -> tuple[GrowthRow, ...]:
        """The rows that are shown."""
        return self._rows

    def show_rows(self, rows: Sequence[GrowthRow], colours: Mapping[int, Colour]) -> None:
        """Show other rows, with the colours of labels of the later scan."""
        self._quiet = True
        self._rows = tuple(rows)
        self.setRowCount(len(self._rows))
        for k, row in enumerate(self._rows):
            for column, words in enumerate(row.cells):
                self.setItem(k, column, self._cell(row, column, words))
            rgb = colours.get(row.later_label)
            colour = QColor("transparent") if rgb is None else QColor.fromRgbF(*rgb[:3])
            self.item(k, 0).setIcon(_swatch(colour))
        self.setCurrentCell(-1, -1)
        self.resizeColumnsToContents()
        self._quiet = False

    def _cell(self, row: GrowthRow, column: int, words: str) -> QTableWidgetItem:
        cell = QTableWidgetItem(words)
        cell.setToolTip(row.words)
        if column not in _WORDS:
            cell.setTextAlignment(_RIGHT)
        if row.flag:
            font = cell.font()
            font.setBold(True)
            cell.setFont(font)
        return cell

    def _reached(self, row: int, *_others: int) -> None:
        if not self._quiet and 0 <= row < len(self._rows):
            self.picked.emit(self._rows[row])


def _swatch(colour: QColor) -> QIcon:
    picture = QPixmap(_SWATCH, _SWATCH)
    picture.fill(colour)
    return QIcon(picture)
