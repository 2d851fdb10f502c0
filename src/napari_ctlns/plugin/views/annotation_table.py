"""The list of annotations: number, place and diameter of each."""

from collections.abc import Iterable, Sequence
from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QKeyEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDoubleSpinBox,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.views.trouble import TROUBLE_COLOUR

_HEADERS = ("x, mm", "y, mm", "z, mm", "Ø, mm")
_MEANINGS = (
    "To the patient's left (LPS)",
    "To the patient's back (LPS)",
    "To the patient's head (LPS)",
    "Diameter: double-click to change it",
)
_DIAMETER = 3
LARGEST_MM = 200.0
SMALLEST_MM = 0.1


class AnnotationModel(QAbstractTableModel):
    """Annotations as rows; of what cannot be drawn the reason is told.

    Attributes
    ----------
    resized
        Another diameter was typed (row, mm).
    """

    resized = Signal(int, float)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._rows: Sequence[Annotation] = ()
        self._troubles: Sequence[str] = ()

    def show(self, rows: Sequence[Annotation], troubles: Sequence[str]) -> None:
        """Show these annotations, and what is wrong with each (empty: nothing)."""
        if len(rows) != len(self._rows):
            self.beginResetModel()
            self._rows, self._troubles = rows, troubles
            self.endResetModel()
        elif rows:
            self._rows, self._troubles = rows, troubles
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, _DIAMETER))

    def rowCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return how many annotations there are."""
        return len(self._rows)

    def columnCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return how many facts are told of each."""
        return len(_HEADERS)

    def headerData(  # noqa: N802 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return the name of a column, or the number of a row, as its label in the mask."""
        if orientation == Qt.Orientation.Vertical:
            return section + 1 if role == Qt.ItemDataRole.DisplayRole else None
        if role == Qt.ItemDataRole.ToolTipRole:
            return _MEANINGS[section]
        return _HEADERS[section] if role == Qt.ItemDataRole.DisplayRole else None

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Let diameters be typed."""
        own = super().flags(index)
        return own | Qt.ItemFlag.ItemIsEditable if index.column() == _DIAMETER else own

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        trouble = self._troubles[index.row()]
        if trouble and role == Qt.ItemDataRole.ForegroundRole:
            return QColor(TROUBLE_COLOUR)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"Left out of the mask: {trouble}" if trouble else "Click to go there"
        value = self._value(index)
        if role == Qt.ItemDataRole.EditRole:
            return round(value, 2)
        # adding 0.0 turns -0.0 into 0.0
        return f"{round(value, 1) + 0.0:.1f}" if role == Qt.ItemDataRole.DisplayRole else None

    def setData(  # noqa: N802 - Qt's name
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Ask for another diameter."""
        if role != Qt.ItemDataRole.EditRole or float(value) == round(self._value(index), 2):
            return False
        self.resized.emit(index.row(), float(value))
        return True

    def _value(self, index: QModelIndex) -> float:
        row = self._rows[index.row()]
        return (*row.centre, row.diameter_mm)[index.column()]


class DiameterDelegate(QStyledItemDelegate):
    """Edits a diameter as millimetres."""

    def createEditor(  # noqa: N802 - Qt's name
        self, parent: QWidget, _option: QStyleOptionViewItem, _index: QModelIndex
    ) -> QWidget:
        """Return a field that takes only possible diameters."""
        field = QDoubleSpinBox(parent)
        field.setRange(SMALLEST_MM, LARGEST_MM)
        field.setDecimals(1)
        field.setFrame(False)
        return field


class AnnotationTable(QTableView):
    """The rows; they are selected here or from outside.

    Attributes
    ----------
    selected
        Other rows were selected here.
    went
        This row was clicked, or reached with the arrow keys.
    resized
        Another diameter was typed (row, mm).
    delete_pressed
        The selected rows are to go.
    """

    selected = Signal(object)
    went = Signal(int)
    resized = Signal(int, float)
    delete_pressed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._model = AnnotationModel(self)
        self._telling = True
        self.setModel(self._model)
        self._model.resized.connect(self.resized)
        self.setItemDelegate(DiameterDelegate(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.setTabKeyNavigation(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(24)
        self.setToolTip("Nodules: click one to go there, double-click its diameter to change it")
        self.selectionModel().selectionChanged.connect(self._tell)
        self.clicked.connect(self._tell_place)

    def show_rows(
        self, rows: Sequence[Annotation], troubles: Sequence[str], selected: Iterable[int]
    ) -> None:
        """Show annotations, what is wrong with each, and which are selected."""
        self._telling = False
        self._model.show(rows, troubles)
        self._telling = True
        self.select(selected)

    def select(self, rows: Iterable[int]) -> None:
        """Select rows without telling of it."""
        wanted = sorted(row for row in rows if row < self._model.rowCount())
        if wanted == self.selected_rows():
            return
        selection = QItemSelection()
        for row in wanted:
            index = self._model.index(row, 0)
            selection.select(index, index)
        self._telling = False
        flags = QItemSelectionModel.SelectionFlag
        self.selectionModel().select(selection, flags.ClearAndSelect | flags.Rows)
        self._telling = True
        if wanted:
            self.scrollTo(self._model.index(wanted[0], 0))

    def selected_rows(self) -> list[int]:
        """Return the rows selected now."""
        return sorted(index.row() for index in self.selectionModel().selectedRows())

    def _tell(self) -> None:
        if self._telling:
            self.selected.emit(self.selected_rows())

    def _tell_place(self, index: QModelIndex) -> None:
        self.went.emit(index.row())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Tell of the Delete key, and of a row that was reached with the keyboard."""
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_pressed.emit()
            return
        before = self.currentIndex()
        super().keyPressEvent(event)
        after = self.currentIndex()
        if after.isValid() and after.row() != before.row():
            self.went.emit(after.row())
