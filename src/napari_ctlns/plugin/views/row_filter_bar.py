"""Which findings the work list shows: by status, type, size, probability and note."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_ctlns.plugin.finding_rows import RowFilter
from napari_ctlns.plugin.views.controls import in_a_row, let_be_narrow, set_numbers

_STATUSES = {
    "Any status": "",
    "To review": "to review",
    "New": "new",
    "Edited": "edited",
    "Accepted": "accepted",
    "Rejected": "rejected",
}
_TYPES = {
    "Any type": "",
    "Solid": "solid",
    "Part-solid": "part-solid",
    "Ground-glass": "ground-glass",
    "Unknown": "unknown",
}
_LARGEST_MM = 100.0


class RowFilterBar(QWidget):
    """Two rows of choices, and how many findings they leave.

    Attributes
    ----------
    changed
        Other rows are to be shown.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.status = _choice(_STATUSES, "Show findings of this status")
        self.type = _choice(_TYPES, "Show nodules of this type, as a reader or else their HU say")
        self.words = QLineEdit()
        self.words.setPlaceholderText("in note")
        self.words.setClearButtonEnabled(True)
        self.words.setToolTip("Show findings whose note has all of these words")
        self.least_mm = _least(
            "\u2265 ", " mm", _LARGEST_MM, 0.5, 1, "Show nodules of at least this diameter"
        )
        self.least_probability = _least(
            "p \u2265 ",
            "",
            1.0,
            0.05,
            2,
            "Show findings that the model thought at least so probable",
        )
        self.count = QLabel()
        self.clear = QPushButton("Show all")
        self.clear.setToolTip("Show all findings again")
        self.clear.clicked.connect(self.show_all)
        self._lay_out()
        for signal in (
            self.status.currentIndexChanged,
            self.type.currentIndexChanged,
            self.words.textChanged,
            self.least_mm.valueChanged,
            self.least_probability.valueChanged,
        ):
            signal.connect(self.changed)

    def _lay_out(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(in_a_row(self.status, self.type, self.words))
        rows.addWidget(in_a_row(self.least_mm, self.least_probability, self.count, self.clear))

    @property
    def wanted(self) -> RowFilter:
        """What is to be shown."""
        return RowFilter(
            status=_STATUSES[self.status.currentText()],
            type=_TYPES[self.type.currentText()],
            least_mm=self.least_mm.value(),
            least_probability=self.least_probability.value(),
            words=self.words.text(),
        )

    def say(self, shown: int, there: int) -> None:
        """Say how many findings are shown."""
        self.count.setText(f"{shown} of {there} shown")
        self.clear.setEnabled(self.wanted != RowFilter())

    def show_all(self) -> None:
        """Choose nothing."""
        self.blockSignals(True)
        for choice in (self.status, self.type):
            choice.setCurrentIndex(0)
        self.words.clear()
        for field in (self.least_mm, self.least_probability):
            field.setValue(0)
        self.blockSignals(False)
        self.changed.emit()


def _choice(words: dict[str, str], tooltip: str) -> QComboBox:
    choice = QComboBox()
    choice.addItems(list(words))
    choice.setToolTip(tooltip)
    choice.setAccessibleName(tooltip)
    let_be_narrow(choice, letters=9)
    return choice


def _least(
    prefix: str, suffix: str, most: float, step: float, decimals: int, tooltip: str
) -> QDoubleSpinBox:
    field = QDoubleSpinBox()
    set_numbers(field, 0.0, most, step, decimals)
    field.setPrefix(prefix)
    field.setSuffix(suffix)
    field.setToolTip(f"{tooltip}; 0: all")
    field.setAccessibleName(tooltip)
    return field
