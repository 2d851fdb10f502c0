"""The rows of the work list for Qt: what each cell shows, and which rows are shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QObject, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QColor, QFont, QIcon, QPixmap
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from napari_ctlns.plugin.finding_rows import Columns, RowFilter
from napari_ctlns.plugin.layers import Colour
from napari_ctlns.plugin.views.nodule_columns import COLUMNS, in_words

Picture = Callable[[int, Colour], QPixmap | None]
"""Returns the picture of a label, outlined in a colour; None while there is none."""

_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_CENTRE = Qt.AlignmentFlag.AlignCenter
_WORDS = ("label", "status", "type", "note", "reader", "time", "side")
_ELIDED = ("status", "note", "type")
SORT = Qt.ItemDataRole.UserRole
_FAINT = QColor(133, 133, 133)
"""For what no reader said, and for what was rejected: readable on light and dark."""
_NO_COLOUR: Colour = (0.0, 0.0, 0.0, 0.0)


class NoduleModel(QAbstractTableModel):
    """The rows of the work list.

    Attributes
    ----------
    noted
        A note was typed (the uid; the note).
    """

    noted = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._names = tuple(COLUMNS)
        self._columns: Columns = {}
        self._colours: Mapping[int, Colour] = {}
        self.picture: Picture = lambda _label, _colour: None

    def show(self, columns: Columns, colours: Mapping[int, Colour]) -> None:
        """Show other rows: columns by name, of equal length, and the colours of labels.

        Where the nodules are the same ones, only what is said of them changes: the table
        stays where it was scrolled to.
        """
        same = list(columns.get("uid", ())) == self.uids
        if not same:
            self.beginResetModel()
        self._columns, self._colours = columns, colours
        if not same:
            self.endResetModel()
        else:
            self.redraw()

    def redraw(self) -> None:
        """Let every cell be drawn anew."""
        if self.uids:
            last = self.index(self.rowCount() - 1, self.columnCount() - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    @property
    def columns(self) -> Columns:
        """What is shown."""
        return self._columns

    @property
    def uids(self) -> list[str]:
        """The finding of each row."""
        return list(self._columns.get("uid", ()))

    @property
    def labels(self) -> list[int | None]:
        """The label of each row; None where it has no voxels."""
        return list(self._columns.get("label", ()))

    def rowCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return how many findings there are."""
        return len(self._columns.get("uid", ()))

    def columnCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return how many columns there can be."""
        return len(self._names)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Let notes be typed."""
        own = super().flags(index)
        is_note = self._names[index.column()] == "note"
        return own | Qt.ItemFlag.ItemIsEditable if is_note else own

    def setData(  # noqa: N802 - Qt's name
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Ask for another note."""
        if role != Qt.ItemDataRole.EditRole or value == self.value(index.row(), "note"):
            return False
        self.noted.emit(self.uids[index.row()], str(value))
        return True

    def value(self, row: int, name: str) -> Any:
        """Return a value of a row; None if it is not known."""
        values = self._columns.get(name)
        return None if values is None else values[row]

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        name, row = self._names[index.column()], index.row()
        value = self.value(row, name)
        if role == Qt.ItemDataRole.DisplayRole:
            return "" if name == "picture" else in_words(name, value)
        if role == Qt.ItemDataRole.DecorationRole:
            return self._decoration(name, value)
        if role == SORT:
            return _sortable(name, value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _CENTRE if name == "picture" else _LEFT if name in _WORDS else _RIGHT
        if role == Qt.ItemDataRole.ForegroundRole:
            return _FAINT if self._is_faint(row, name) else None
        if role == Qt.ItemDataRole.FontRole:
            return self._font(row, name)
        if role == Qt.ItemDataRole.EditRole:
            return value or ""
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tooltip(row, name)
        if role == Qt.ItemDataRole.AccessibleTextRole and name == "picture":
            return f"Picture of nodule {value}"
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
        column = COLUMNS[self._names[section]]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.meaning
        return None

    # -- how it looks -------------------------------------------------------------------

    def _decoration(self, name: str, value: Any) -> QColor | QPixmap | None:
        colour = self._colours.get(int(value)) if value and name in ("label", "picture") else None
        if name == "label" and colour is not None:
            return QColor.fromRgbF(*colour)
        return (
            self.picture(int(value), colour or _NO_COLOUR) if name == "picture" and value else None
        )

    def _is_faint(self, row: int, name: str) -> bool:
        computed = name == "type" and not self.value(row, "own_type")
        return computed or self.value(row, "status") == "rejected"

    def _font(self, row: int, name: str) -> QFont | None:
        if name != "type" or self.value(row, "own_type") or not self.value(row, "type"):
            return None
        font = QFont()
        font.setItalic(True)
        return font

    def _tooltip(self, row: int, name: str) -> str | None:
        words = in_words(name, self.value(row, name))
        if name == "type" and self.value(row, "type"):
            own = self.value(row, "own_type")
            return f"{words}, {'as a reader says' if own else 'by its HU; no reader has set it'}"
        if name == "label" and self.value(row, "label") is None:
            return "It has no voxels any more"
        if name == "status" and self.value(row, "reader"):
            return f"{words}, {self.value(row, 'reader')}, {self.value(row, 'time')}"
        return words if name in _ELIDED else None


def _sortable(name: str, value: Any) -> Any:
    if value is None or value != value:
        return "" if name in _WORDS and name != "label" else float("-inf")
    return value


class PictureDelegate(QStyledItemDelegate):
    """Draws pictures and colours as they are, in a selected row too: Qt would tint them."""

    def initStyleOption(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Take the same picture for all states."""
        super().initStyleOption(option, index)
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        if isinstance(picture, QColor):
            swatch = QPixmap(option.decorationSize)
            swatch.fill(picture)
            picture = swatch
        if picture is not None:
            icon = QIcon(picture)
            icon.addPixmap(picture, QIcon.Mode.Selected)
            option.icon = icon


class ShownRows(QSortFilterProxyModel):
    """The rows that a filter shows, in the order a person chose."""

    def __init__(self, model: NoduleModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._filter = RowFilter()
        self.setSourceModel(model)
        self.setSortRole(SORT)

    def show_only(self, wanted: RowFilter) -> None:
        """Show the rows that a filter shows."""
        if wanted != self._filter:
            self._filter = wanted
            self.invalidate()

    def filterAcceptsRow(self, row: int, _parent: QModelIndex) -> bool:  # noqa: N802 - Qt's name
        """Whether a row is shown."""
        return self._filter.shows(self._model.columns, row)

    @property
    def uids(self) -> Sequence[str]:
        """The findings that are shown, from the top down."""
        known = self._model.uids
        return [known[self.mapToSource(self.index(k, 0)).row()] for k in range(self.rowCount())]
