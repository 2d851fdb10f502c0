"""The work list: a few calm columns, or all of them; a row is a finding to go to."""

from collections.abc import Mapping, Sequence

from qtpy.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSize,
    Qt,
    Signal,
)
from qtpy.QtGui import QKeyEvent, QResizeEvent
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_ctlns.plugin.finding_rows import Columns, RowFilter
from napari_ctlns.plugin.layers import Colour
from napari_ctlns.plugin.thumbnails import PIXELS
from napari_ctlns.plugin.views.nodule_columns import COLUMNS, SHOWN
from napari_ctlns.plugin.views.nodule_model import NoduleModel, Picture, PictureDelegate, ShownRows

_ROOM, _ARROW = 12, 10  # pixels beside the words
_ROWS_TO_FIT = 200
_SWATCH = 12
_WIDEST: Mapping[str, int] = {"status": 76, "type": 86}
"""Columns whose longest words are cut, with all of them in the tooltip."""
_LEAST_NOTE = 60
_NAMES = tuple(COLUMNS)
_FLAGS = QItemSelectionModel.SelectionFlag


class NoduleTable(QTableView):
    """Shows the findings of a mask and says which was picked, and which are selected.

    Attributes
    ----------
    picked
        A row was clicked or reached by the keyboard (its uid).
    chosen
        Other rows are selected (their uids, from the top down).
    reordered
        Other rows are shown, or in another order.
    noted
        A note was typed (the uid; the note).
    """

    picked = Signal(str)
    chosen = Signal(object)
    reordered = Signal()
    noted = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._quiet = False
        self._all = False
        self._model = NoduleModel(self)
        self._rows = ShownRows(self._model, self)
        self.setModel(self._rows)
        self._set_up()
        self._rows.layoutChanged.connect(self.reordered)
        self._model.noted.connect(self.noted)
        self.horizontalHeader().sortIndicatorChanged.connect(self._fit)
        self.selectionModel().currentRowChanged.connect(self._reached)
        self.selectionModel().selectionChanged.connect(self._tell_chosen)
        self.clicked.connect(self._reached)
        self.show_all(False)

    def _set_up(self) -> None:
        self.setAccessibleName("Findings")
        self.setToolTip("Click a row, or go up and down, to go to that nodule; Ctrl+click for more")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        triggers = QAbstractItemView.EditTrigger
        self.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
        self.setTabKeyNavigation(False)  # Tab goes on to the next control
        self.setShowGrid(False)
        self._pictures = PictureDelegate(self)
        for name in ("label", "picture"):
            self.setItemDelegateForColumn(_NAMES.index(name), self._pictures)
        self.setWordWrap(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setIconSize(QSize(_SWATCH, _SWATCH))  # pictures have a size of their own
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(PIXELS + 4)
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignCenter)
        header.setMinimumSectionSize(36)
        header.setHighlightSections(False)

    # -- what is shown ------------------------------------------------------------------

    def draw_with(self, picture: Picture) -> None:
        """Take pictures of nodules from there."""
        self._model.picture = picture

    def show_all(self, wanted: bool) -> None:
        """Show all columns, or only those that people look at."""
        self._all = wanted
        for section, name in enumerate(COLUMNS):
            self.setColumnHidden(section, not wanted and name not in SHOWN)
        self._fit()

    def show_nodules(self, columns: Columns, colours: Mapping[int, Colour]) -> None:
        """Show other rows: columns by name, of equal length, and the colours of labels."""
        chosen, self._quiet = self.chosen_uids, True
        self._model.show(columns, colours)
        self._select(chosen)
        self._quiet = False
        self._fit()
        self.reordered.emit()
        if self.chosen_uids != chosen:
            self._tell_chosen()

    def show_only(self, wanted: RowFilter) -> None:
        """Show only the rows that a filter shows."""
        self._quiet = True
        self._rows.show_only(wanted)
        self._quiet = False
        self.reordered.emit()
        self._tell_chosen()

    def redraw(self) -> None:
        """Draw what is in sight anew: there are other pictures."""
        self.viewport().update()

    @property
    def columns(self) -> Columns:
        """What is known of all rows, those that are not shown too."""
        return self._model.columns

    @property
    def uids(self) -> Sequence[str]:
        """The findings shown, from the top down."""
        return self._rows.uids

    @property
    def count(self) -> int:
        """How many rows there are, those that are not shown too."""
        return self._model.rowCount()

    # -- which are selected ----------------------------------------------------------------

    @property
    def chosen_uids(self) -> list[str]:
        """The findings whose rows are selected, from the top down."""
        known = self._model.uids
        rows = (self._rows.mapToSource(index).row() for index in self._selected())
        return [known[row] for row in rows if row < len(known)]

    def _selected(self) -> list[QModelIndex]:
        return sorted(self.selectionModel().selectedRows(), key=lambda index: index.row())

    def select_label(self, label: int) -> None:
        """Select the row of a label without going there; none if no row has it.

        If it is one of several that are selected, all of them stay so.
        """
        if self._quiet:
            return
        labels = self._model.labels
        wanted = [self._model.uids[labels.index(label)]] if label in labels else []
        if not wanted or wanted[0] not in self.chosen_uids:
            self._quiet = True
            self._select(wanted)
            self._quiet = False
            self._tell_chosen()

    def _select(self, uids: Sequence[str]) -> None:
        selection, shown = QItemSelection(), {uid: row for row, uid in enumerate(self.uids)}
        rows = [self._rows.index(shown[uid], 0) for uid in uids if uid in shown]
        for index in rows:
            selection.select(index, index)
        flags = _FLAGS.ClearAndSelect | _FLAGS.Rows
        if rows and self.currentIndex().row() not in {index.row() for index in rows}:
            self.selectionModel().setCurrentIndex(rows[0], _FLAGS.NoUpdate)
        self.selectionModel().select(selection, flags)
        if rows:
            self.scrollTo(self._rows.index(rows[0].row(), self._first_shown()))

    def _first_shown(self) -> int:
        return next(k for k in range(len(_NAMES)) if not self.isColumnHidden(k))

    def _tell_chosen(self) -> None:
        if not self._quiet:
            self.chosen.emit(self.chosen_uids)

    def _reached(self, index: QModelIndex, _before: QModelIndex | None = None) -> None:
        if not self._quiet and index.isValid():
            self._quiet = True  # going there picks its label, which would select it alone
            self.picked.emit(self._model.uids[self._rows.mapToSource(index).row()])
            self._quiet = False

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Leave letters and signs to the window, where they are the keys of the review."""
        plain = not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier
        if plain and event.text().strip() and event.text().isprintable():
            event.ignore()
            return
        super().keyPressEvent(event)

    # -- how wide ---------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Show notes where there is room for them, and keep in sight what is selected."""
        super().resizeEvent(event)
        self._fit_note()
        if self.currentIndex().isValid():
            self.scrollTo(self._rows.index(self.currentIndex().row(), self._first_shown()))

    def _fit(self) -> None:
        """Make columns as narrow as their words; Qt would keep room for an arrow in each."""
        header = self.horizontalHeader()
        for section in range(self._model.columnCount()):
            if not self.isColumnHidden(section):
                arrow = _ARROW if section == header.sortIndicatorSection() else 0
                header.resizeSection(section, self._widest(section) + arrow)
        self._fit_note()

    def _fit_note(self) -> None:
        note = _NAMES.index("note")
        taken = sum(self.columnWidth(_NAMES.index(name)) for name in SHOWN)
        room = self.viewport().width() - taken
        if not self._all:
            self.setColumnHidden(note, room < _LEAST_NOTE)
            status = _NAMES.index("status")
            if 0 < room < _LEAST_NOTE:
                self.setColumnWidth(status, self.columnWidth(status) + room)
        if not self.isColumnHidden(note):
            self.setColumnWidth(note, max(room, 2 * _LEAST_NOTE if self._all else _LEAST_NOTE))

    def _widest(self, section: int) -> int:
        name = _NAMES[section]
        if name == "picture":
            return PIXELS + 6
        title = str(self._model.headerData(section, Qt.Orientation.Horizontal)).split("\n")
        rows = range(min(self._model.rowCount(), _ROWS_TO_FIT))
        words = {str(self._model.data(self._model.index(row, section))) for row in rows}
        swatch = _SWATCH if name == "label" else 0
        metrics = self.fontMetrics()
        widest = max(metrics.horizontalAdvance(word) for word in [*title, *words]) + swatch + _ROOM
        return min(widest, _WIDEST.get(name, widest))
