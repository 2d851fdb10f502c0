"""Choosing one scan of a folder that holds several."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from napari_ctlns.formats import ScanFile

_MOST_ROWS = 6
_UID_END = 6
_GAP_PX = 2


class ScanChoice(QWidget):
    """A list of scans, there only while one is to be chosen.

    Attributes
    ----------
    chosen
        This scan is to be opened (the `ScanFile`).
    put_away
        None of them is to be opened.
    """

    chosen = Signal(object)
    put_away = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._scans: list[ScanFile] = []
        self._title = QLabel()
        self._title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.list = QListWidget()
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.list.setSpacing(_GAP_PX)
        self.list.setToolTip("The scans in this folder")
        self._title.setBuddy(self.list)
        self.open = QPushButton("Open this one")
        self.open.setToolTip("Read the scan chosen in the list")
        self.close_list = QPushButton("Not now")
        self.close_list.setToolTip("Put the list away")
        buttons = QHBoxLayout()
        buttons.addWidget(self.open)
        buttons.addWidget(self.close_list)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._title)
        layout.addWidget(self.list)
        layout.addLayout(buttons)
        self.open.clicked.connect(self._choose)
        self.list.itemActivated.connect(self._choose)
        self.close_list.clicked.connect(self.put_away)
        self.hide()

    def offer(self, scans: Sequence["ScanFile"]) -> None:
        """Show these scans; put the list away if there are none."""
        self._scans = list(scans)
        self._title.setText(f"{len(scans)} scans there: which one?")
        self.list.clear()
        for scan in scans:
            item = QListWidgetItem(_title(scan))
            item.setToolTip("\n".join(filter(None, (str(scan.path), scan.series))))
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        rows = min(len(scans), _MOST_ROWS)
        row = max(self.list.sizeHintForRow(0), 1) + 2 * _GAP_PX
        self.list.setFixedHeight(row * rows + 2 * (self.list.frameWidth() + _GAP_PX))
        self.setVisible(bool(scans))
        if scans:
            self.list.setFocus()

    def _choose(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._scans):
            self.chosen.emit(self._scans[row])


def _title(scan: "ScanFile") -> str:
    if scan.series is None:
        return scan.path.name
    called, _, more = (scan.title or scan.path.name).partition("\n")
    if "." in scan.series:  # a UID: series of one examination often have one description
        called += f", ...{scan.series[-_UID_END:]}"
    return f"{called}\n{more}" if more else called
