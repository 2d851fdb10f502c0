"""The table of what was measured by hand; a row is a place to go to."""

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_ctlns.plugin.ruler_rows import RulerRow

_COLUMNS = {
    "Nodule": "The label of the nodule that it was drawn on",
    "By hand\nmm": "The length of a ruler, or long x short axis, as you drew them",
    "Auto\nmm": "Automatic: long x short axis of the nodule's mask",
    "Diff.\nmm": "Difference, by hand less automatic: of the long axis, of the short axis",
}
_UID = Qt.ItemDataRole.UserRole


class RulerTable(QTableWidget):
    """Shows rulers, one a row.

    Attributes
    ----------
    picked
        A person picked a row (the uid of its ruler).
    """

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        self.setHorizontalHeaderLabels(list(_COLUMNS))
        for place, meaning in enumerate(_COLUMNS.values()):
            self.horizontalHeaderItem(place).setToolTip(meaning)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.setWordWrap(False)
        header.setHighlightSections(False)
        self.verticalHeader().setVisible(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.itemSelectionChanged.connect(self._tell)

    @property
    def uid(self) -> str:
        """The uid of the ruler that is picked; "" for none."""
        items = self.selectedItems()
        return items[0].data(_UID) if items else ""

    def show_rows(self, rows: Sequence[RulerRow]) -> None:
        """Show other rows; the one that was picked stays so."""
        picked = self.uid
        with QSignalBlocker(self):
            self.clearSelection()
            self.setRowCount(len(rows))
            for number, row in enumerate(rows):
                words = (row.nodule, row.by_hand, row.automatic, row.difference)
                for column, text in enumerate(words):
                    self.setItem(number, column, _item(text, row.uid))
                if row.uid == picked:
                    self.selectRow(number)

    def _tell(self) -> None:
        if self.uid:
            self.picked.emit(self.uid)


def _item(text: str, uid: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setData(_UID, uid)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
