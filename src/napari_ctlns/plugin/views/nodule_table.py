"""The nodule table: a few calm columns, or all of them; a row is a nodule to go to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

Colour = tuple[float, float, float, float]

_UNKNOWN = "–"  # noqa: RUF001 - a dash, as tables have it
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_SORT = Qt.ItemDataRole.UserRole
_ROOM, _ARROW = 12, 10  # pixels beside the words
_ROWS_TO_FIT = 200


@dataclass(frozen=True)
class Column:
    """How a column is shown: its title, what it means, and digits after the point."""

    title: str
    meaning: str
    digits: int = 1


SHOWN = (
    "label",
    "mean_diameter_mm",
    "long_axis_mm",
    "volume_mm3",
    "mean_hu",
    "probability",
    "status",
)
"""The columns that are shown unless all are wanted."""

COLUMNS: Mapping[str, Column] = {
    "label": Column("Label", "Its number and colour in the labels layer", 0),
    "mean_diameter_mm": Column(
        "Diam.\nmm",
        "Diameter: mean of long and short axis, unrounded",
    ),
    "long_axis_mm": Column("Long\nmm", "Long axis: longest diameter on any axial slice (RECIST)"),
    "volume_mm3": Column("Volume\nmm³", "Voxels times the volume of one", 0),
    "mean_hu": Column("Mean\nHU", "Mean of the HU inside", 0),
    "probability": Column(
        "Prob.", "Probability: what the model thought of it on average when it found it", 2
    ),
    "status": Column(
        "Status",
        "New, edited since it was found, accepted or rejected; of a new one also whether it has "
        "the shape of a vessel or of the lung wall, and so may be no nodule",
    ),
    "short_axis_mm": Column(
        "Short\nmm", "Short axis: longest diameter at right angles to the long axis, on its slice"
    ),
    "max_3d_diameter_mm": Column("3D\nmm", "Longest distance between two surface points"),
    "equivalent_diameter_mm": Column("Equiv.\nmm", "Diameter of the sphere of its volume"),
    "voxels": Column("Voxels", "How many voxels it has", 0),
    "mesh_volume_mm3": Column("Mesh\nmm³", "Volume inside its surface mesh (IBSI RNU0)", 0),
    "surface_area_mm2": Column("Surface\nmm²", "Area of its surface mesh (IBSI C0JK)", 0),
    "sphericity": Column("Sphericity", "1 is a sphere (IBSI QCFX)", 2),
    "sd_hu": Column("SD\nHU", "Standard deviation of the HU inside", 0),
    "min_hu": Column("Lowest\nHU", "Lowest HU inside", 0),
    "max_hu": Column("Highest\nHU", "Highest HU inside", 0),
    "centroid_x_mm": Column("Centre x\nmm", "Mean of its voxels, LPS: towards the left"),
    "centroid_y_mm": Column("Centre y\nmm", "Mean of its voxels, LPS: towards the back"),
    "centroid_z_mm": Column("Centre z\nmm", "Mean of its voxels, LPS: towards the head"),
    "touches_border": Column("At border", "Whether it reaches the border of the scan"),
    "mean_probability": Column(
        "Mean\nprob.", "Mean of the model's probability over it; not known once it was edited", 2
    ),
}
"""How each column of the nodule table is shown, and what findings add to it."""


def in_words(name: str, value: Any) -> str:
    """Return a value of the table as a person reads it."""
    if value is None or value != value:  # NaN
        return _UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{value:.{COLUMNS[name].digits}f}"


class NoduleModel(QAbstractTableModel):
    """The rows of a nodule table for Qt."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names = tuple(COLUMNS)
        self._columns: Mapping[str, Sequence[Any]] = {}
        self._colours: Mapping[int, QColor] = {}

    def show(self, columns: Mapping[str, Sequence[Any]], colours: Mapping[int, Colour]) -> None:
        """Show other rows: columns by name, of equal length, and the colours of labels.

        Where the nodules are the same ones, only what is said of them changes: the table
        stays where it was scrolled to.
        """
        same = [int(label) for label in columns.get("label", ())] == self.labels
        if not same:
            self.beginResetModel()
        self._columns = columns
        self._colours = {label: QColor.fromRgbF(*rgba) for label, rgba in colours.items()}
        if not same:
            self.endResetModel()
        elif self.labels:
            last = self.index(self.rowCount() - 1, self.columnCount() - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    @property
    def labels(self) -> list[int]:
        """The label of each row."""
        return [int(label) for label in self._columns.get("label", ())]

    def rowCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return how many nodules there are."""
        return len(self._columns.get("label", ()))

    def columnCount(self, _parent: QModelIndex | None = None) -> int:  # noqa: N802 - Qt's name
        """Return how many columns there can be."""
        return len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows."""
        name = self._names[index.column()]
        values = self._columns.get(name)
        value = None if values is None else values[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return in_words(name, value)
        if role == Qt.ItemDataRole.ToolTipRole and name == "status":
            return in_words(name, value)  # the widest words, of the last column
        if role == _SORT:
            return float("-inf") if value is None or value != value else value
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _LEFT if name in ("label", "status") else _RIGHT
        if role == Qt.ItemDataRole.DecorationRole and name == "label":
            return self._colours.get(int(value or 0))
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


class NoduleTable(QTableView):
    """Shows the nodules of a mask and says which one was picked.

    Attributes
    ----------
    picked
        A row was clicked or reached by the keyboard (its label).
    """

    picked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._quiet = False
        self._model = NoduleModel(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(_SORT)
        self.setModel(self._sorted)
        self.setToolTip("Click a row, or go up and down, to go to that nodule")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)  # Tab goes on to the next control
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setIconSize(QSize(12, 12))
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignCenter)
        header.setMinimumSectionSize(36)
        header.setHighlightSections(False)
        header.sortIndicatorChanged.connect(self._fit)
        self.selectionModel().currentRowChanged.connect(self._reached)
        self.clicked.connect(self._reached)
        self.show_all(False)

    def show_all(self, wanted: bool) -> None:
        """Show all columns, or only those that people look at."""
        for section, name in enumerate(COLUMNS):
            self.setColumnHidden(section, not wanted and name not in SHOWN)
        self._fit()

    def show_nodules(
        self, columns: Mapping[str, Sequence[Any]], colours: Mapping[int, Colour]
    ) -> None:
        """Show other rows: columns by name, of equal length, and the colours of labels."""
        self._quiet = True
        self._model.show(columns, colours)
        self._quiet = False
        self._fit()

    def select_label(self, label: int) -> None:
        """Select the row of a label without a word; none if no row has it."""
        rows = self._model.labels
        if label not in rows:
            self.clearSelection()
            return
        index = self._sorted.mapFromSource(self._model.index(rows.index(label), 0))
        self._quiet = True
        self.selectionModel().setCurrentIndex(
            index,
            QItemSelectionModel.SelectionFlag.ClearAndSelect
            | QItemSelectionModel.SelectionFlag.Rows,
        )
        self._quiet = False

    def _fit(self) -> None:
        """Make columns as narrow as their words; Qt would keep room for an arrow in each."""
        header = self.horizontalHeader()
        for section in range(self._model.columnCount()):
            if not self.isColumnHidden(section):
                arrow = _ARROW if section == header.sortIndicatorSection() else 0
                header.resizeSection(section, self._widest(section) + arrow)

    def _widest(self, section: int) -> int:
        orientation = Qt.Orientation.Horizontal
        words = str(self._model.headerData(section, orientation)).split("\n")
        rows = min(self._model.rowCount(), _ROWS_TO_FIT)
        words += [str(self._model.data(self._model.index(row, section))) for row in range(rows)]
        swatch = self.iconSize().width() if section == 0 else 0
        metrics = self.fontMetrics()
        return max(metrics.horizontalAdvance(word) for word in words) + swatch + _ROOM

    def _reached(self, index: QModelIndex, _before: QModelIndex | None = None) -> None:
        if not self._quiet and index.isValid():
            self.picked.emit(self._model.labels[self._sorted.mapToSource(index).row()])
