"""What the controls of all panels have in common."""

from qtpy.QtGui import QAction
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

NO_SCAN = "Open a scan first"
"""Why much cannot be done yet."""
SCAN_COMING = "Wait until the scan is read"
"""Why much cannot be done yet, where its first slices are shown already."""
BUSY = "Wait until the work below has ended"
"""Why much cannot be done just now."""


def no_scan(coming: bool) -> str:
    """Say why nothing can be done to a scan, where there is none or one that is being read."""
    return SCAN_COMING if coming else NO_SCAN


def set_ready(control: QWidget | QAction, why_not: str, tooltip: str) -> None:
    """Let a control be used, or say in its tooltip why it cannot be."""
    control.setEnabled(not why_not)
    control.setToolTip(why_not or tooltip)


def in_a_row(*widgets: QWidget) -> QWidget:
    """Lay out widgets side by side."""
    box = QWidget()
    row = QHBoxLayout(box)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    return box


def in_a_column(*widgets: QWidget) -> QWidget:
    """Lay out widgets closely, one above the other; the first has the room that is left."""
    box = QWidget()
    column = QVBoxLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    for place, widget in enumerate(widgets):
        column.addWidget(widget, 1 if place == 0 else 0)
    return box


def let_be_narrow(choice: QComboBox, letters: int) -> None:
    """Let a choice be as narrow as some letters, however long its words are."""
    choice.setMinimumContentsLength(letters)
    choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)


def set_numbers(
    field: QDoubleSpinBox, lowest: float, highest: float, step: float, decimals: int
) -> None:
    """Set which numbers a field takes, and by how much its arrows change them."""
    field.setDecimals(decimals)  # first: it rounds the bounds
    field.setRange(lowest, highest)
    field.setSingleStep(step)
