"""Values with their names before them, to read and not to change."""

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_ctlns.plugin.views.panel import form_layout

_NAME_PX = 92
_SPARE_PX = 12


class ValueRows(QWidget):
    """One row a value, under a title; what is too long is cut in its middle.

    Parameters
    ----------
    title
        What the values are about.
    tooltips
        What each value is, by its name; rows stand in this order.
    """

    def __init__(self, title: str, tooltips: Mapping[str, str]) -> None:
        super().__init__()
        self._values = {name: _value(tooltip) for name, tooltip in tooltips.items()}
        rows = QWidget()
        form = form_layout(rows, dict(self._values))
        form.setVerticalSpacing(2)
        form.setHorizontalSpacing(8)
        for value in self._values.values():
            name = form.labelForField(value)
            name.setEnabled(False)  # names step back behind values
            name.setMinimumWidth(_NAME_PX)  # so that several of these stand in line
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(2)
        heading = QLabel(f"<b>{title}</b>")
        heading.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        layout.addWidget(heading)
        layout.addWidget(rows)

    def show_values(self, values: Mapping[str, str]) -> None:
        """Show these values by name; others become empty."""
        for name, label in self._values.items():
            words = values.get(name, "")
            if words != label.text():
                label.setText(words)

    def shown(self) -> dict[str, str]:
        """Return what is shown, whole."""
        return {name: label.text() for name, label in self._values.items()}

    def explain(self, name: str, tooltip: str) -> None:
        """Give the value of this name another tooltip."""
        self._values[name].setToolTip(tooltip)


def _value(tooltip: str) -> QElidingLabel:
    label = QElidingLabel()
    label.setEllipsesWidth(_SPARE_PX)
    label.setElideMode(Qt.TextElideMode.ElideMiddle)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    label.setToolTip(tooltip)
    return label
