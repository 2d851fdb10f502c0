"""A share, 0.01 to 1, chosen by a slider or typed beside it."""

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSlider, QWidget
from superqt.utils import signals_blocked

from napari_ctlns.plugin.views.controls import set_numbers

_STEPS = 100
_FIELD = 96  # pixels: room for the number and its arrows, the rest is the slider's


class ShareSlider(QWidget):
    """A slider and a field that show the same number.

    Parameters
    ----------
    tooltip
        What the number means.
    lowest
        In hundredths.

    Attributes
    ----------
    value_changed
        A person chose another number (the number).
    """

    value_changed = Signal(float)

    def __init__(self, tooltip: str, lowest: int = 1) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(lowest, _STEPS)
        self.slider.setPageStep(10)
        self.field = QDoubleSpinBox()
        set_numbers(self.field, lowest / _STEPS, 1, step=0.05, decimals=2)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.field.setMaximumWidth(_FIELD)
        row.addWidget(self.slider, 1)
        row.addWidget(self.field)
        for widget in (self, self.slider, self.field):
            widget.setToolTip(tooltip)
        self.setFocusProxy(self.slider)
        self.slider.valueChanged.connect(self._slid)
        self.field.valueChanged.connect(self._typed)

    def value(self) -> float:
        """Return the number."""
        return float(self.field.value())

    def show_value(self, value: float) -> None:
        """Show a number without a word."""
        with signals_blocked(self.slider), signals_blocked(self.field):
            self.field.setValue(value)
            self.slider.setValue(round(self.field.value() * _STEPS))

    def _slid(self, hundredths: int) -> None:
        self.show_value(hundredths / _STEPS)
        self.value_changed.emit(self.value())

    def _typed(self, value: float) -> None:
        self.show_value(value)
        self.value_changed.emit(value)
