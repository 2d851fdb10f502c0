"""Choosing which HU are black and which white."""

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QAbstractButton,
    QButtonGroup,
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import signals_blocked

from napari_ctlns.plugin.views.controls import NO_SCAN, set_numbers, set_ready
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.windowing import NARROWEST_HU, PRESETS, Window

_ROWS = (("lung", "mediastinum", "bone"), ("soft tissue", "nodule"), ("full", "header"))
_COLUMNS = 6
_LEVELS_HU = 100_000.0
_TOGGLE_SHORTCUT = "Ctrl+Shift+L"


class WindowControls(QWidget):
    """Presets, level and width, and the switch of the right-drag.

    Attributes
    ----------
    chosen
        Another window is wanted (the window).
    drag_switched
        Dragging with the right button is to change the window, or no longer.
    """

    chosen = Signal(object)
    drag_switched = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._window: Window | None = None
        self._presets: dict[str, Window | None] = {**PRESETS, "full": None, "header": None}
        self._why_not: dict[str, str] = {}
        self.preset_buttons = {name: _button(name) for name in self._presets}
        self.level = _number("Centre of the window: what is middle grey", -_LEVELS_HU)
        self.width = _number("From black to white", NARROWEST_HU)
        self.drag = _switch()
        self._tooltips = {w: w.toolTip() for w in (self.level, self.width, self.drag)}
        self._lay_out()
        self._buttons = QButtonGroup(self)
        self._buttons.setExclusive(False)
        for button in self.preset_buttons.values():
            self._buttons.addButton(button)
        self._buttons.buttonClicked.connect(self._take_preset)
        self.level.valueChanged.connect(self._take_level)
        self.width.valueChanged.connect(self._take_width)
        self.drag.toggled.connect(self.drag_switched)
        self.show_window(None)

    def offer(self, presets: Mapping[str, Window | None], why_not: Mapping[str, str]) -> None:
        """Set the windows of presets; one that is None cannot be chosen, for the reason given."""
        self._presets.update(presets)
        self._why_not = dict(why_not)
        self._settle()

    def show_window(self, window: Window | None) -> None:
        """Show the window that the scan is drawn through; None if there is no scan."""
        self._window = window
        values = (0.0, 0.0) if window is None else (window.level, window.width)
        for field, value in zip((self.level, self.width), values, strict=True):
            with signals_blocked(field):
                field.setValue(value)
            if window is None:
                field.clear()
        self._settle()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        grid = QGridLayout()
        grid.setSpacing(4)
        for row, names in enumerate(_ROWS):
            span = _COLUMNS // len(names)
            for place, name in enumerate(names):
                grid.addWidget(self.preset_buttons[name], row, place * span, 1, span)
        layout.addLayout(grid)
        fields = QWidget()
        form_layout(fields, {"Level, HU": self.level, "Width, HU": self.width})
        layout.addWidget(fields)
        layout.addWidget(self.drag)

    def _settle(self) -> None:
        """Let everything be as the window and the presets are."""
        there = self._window is not None
        for widget, tooltip in self._tooltips.items():
            set_ready(widget, "" if there else NO_SCAN, tooltip)
        for name, button in self.preset_buttons.items():
            preset = self._presets[name]
            button.setEnabled(there and preset is not None)
            button.setChecked(there and preset is not None and _alike(preset, self._window))
            button.setToolTip(self._about(name, preset))

    def _about(self, name: str, preset: Window | None) -> str:
        if self._window is None:
            return NO_SCAN
        if preset is None:
            return self._why_not.get(name, "")
        return f"{_words(name)}: {_in_words(preset)}"

    def _take_preset(self, clicked: QAbstractButton) -> None:
        name = next(n for n, button in self.preset_buttons.items() if button is clicked)
        preset = self._presets[name]
        if preset is not None:
            self.chosen.emit(preset)
        self._settle()  # a click on the preset in force would let its button go

    def _take_level(self, level: float) -> None:
        if self._window is not None:
            self.chosen.emit(Window.of(level, self._window.width))

    def _take_width(self, width: float) -> None:
        if self._window is not None:
            self.chosen.emit(Window.of(self._window.level, width))


_NAMES = {"full": "All values", "header": "From the header"}


def _words(name: str) -> str:
    return _NAMES.get(name, name.capitalize())


def _button(name: str) -> QPushButton:
    button = QPushButton(_words(name))
    button.setCheckable(True)
    return button


def _switch() -> QCheckBox:
    switch = QCheckBox("Right-drag changes the window")
    switch.setShortcut(_TOGGLE_SHORTCUT)
    keys = switch.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
    switch.setToolTip(
        "In the canvas, drag with the right button: across for the width, "
        f"up and down for the level ({keys})"
    )
    return switch


def _number(tooltip: str, lowest: float) -> QDoubleSpinBox:
    field = QDoubleSpinBox()
    set_numbers(field, lowest, _LEVELS_HU, step=10, decimals=0)
    field.setToolTip(f"{tooltip}; the arrow keys change it by 10")
    return field


def _alike(one: Window, other: Window | None) -> bool:
    return other is not None and max(abs(one.low - other.low), abs(one.high - other.high)) < 0.5


def _in_words(window: Window) -> str:
    ends = f"{window.low:.0f} to {window.high:.0f} HU"
    return f"{ends}, level {window.level:.0f}, width {window.width:.0f}"
