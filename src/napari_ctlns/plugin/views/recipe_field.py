"""One value of a recipe as a widget, made from what its field says of itself."""

import json
import tomllib
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit, SpinBox
from magicgui.widgets.bases import ValueWidget
from pydantic.fields import FieldInfo
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QWidget

from napari_ctlns.errors import RecipeError
from napari_ctlns.plugin.views.trouble import TROUBLE_COLOUR

_WRITTEN = {"optimisation.ema_decay"}
"""Numbers whose differences are too small for arrows: 0.999 and 0.9999."""
_DECIMALS = 3
_LARGEST = 2**53


class RecipeField(QObject):
    """A value of a recipe, shown and changed.

    Truth values, whole numbers, numbers between two bounds and words of a list
    have a control of their own; everything else is written as in a recipe's
    TOML file, nothing meaning that it is left out.

    Parameters
    ----------
    key
        Where it stands: ``"optimisation.epochs"``.
    info
        What the recipe says of it.
    """

    def __init__(self, key: str, info: FieldInfo, parent: QObject) -> None:
        super().__init__(parent)
        self.key = key
        self._plain = info.annotation is str
        self._help = "\n".join(filter(None, (info.description, key)))
        self._widget = LineEdit() if key in _WRITTEN else _control(info)
        self._is_toml = isinstance(self._widget, LineEdit)
        self._value: Any = None
        self._shown: Any = None
        self.native: QWidget = self._widget.native
        self.native.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.native.installEventFilter(self)
        self.changed = self._widget.changed
        self._problem = ""
        self.native.setToolTip(self._help)

    @property
    def name(self) -> str:
        """What it is called in a form."""
        return field_name(self.key.rpartition(".")[2])

    def show_value(self, value: Any) -> None:
        """Show a value of the recipe."""
        self._value = value
        self._widget.value = self._text(value) if self._is_toml else self._within(value)
        self._shown = self._widget.value
        if self._is_toml:
            self.native.setCursorPosition(0)

    def is_changed(self) -> bool:
        """Whether something else stands there than was shown last."""
        return bool(self._widget.value != self._shown)

    def value(self) -> Any:
        """Return what stands there; untouched, exactly the value that was shown last."""
        if not self.is_changed():
            return self._value
        return self._parsed(self._widget.value) if self._is_toml else self._widget.value

    def mark(self, problem: str) -> None:
        """Show that the value is not allowed, and why; an empty text shows that it is."""
        if problem == self._problem:
            return
        self._problem = problem
        self.native.setToolTip(f"{problem}\n\n{self._help}" if problem else self._help)
        self.native.setProperty("problem", bool(problem))
        self.native.setStyleSheet(f"border: 1px solid {TROUBLE_COLOUR};" if problem else "")

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Let the wheel scroll the panel, unless one is about to change this value."""
        if event.type() == QEvent.Type.Wheel and not self.native.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def _within(self, value: Any) -> Any:
        """Return what a control with bounds can show of a value that comes nearer to them."""
        if isinstance(self._widget, FloatSpinBox):
            return min(max(value, self._widget.min), self._widget.max)
        return value

    def _text(self, value: Any) -> str:
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value)

    def _parsed(self, text: str) -> Any:
        text = text.strip()
        if self._plain or not text:
            return text if self._plain else None
        for toml in (text, f"[{text}]"):  # brackets may be left out: 64, 64, 64
            try:
                return tomllib.loads(f"value = {toml}")["value"]
            except tomllib.TOMLDecodeError:
                continue
        return text


def field_name(key: str) -> str:
    """Return a key of a recipe as words: ``min_diameter_mm`` as "Min diameter, mm"."""
    words, _, unit = key.rpartition("_")
    if unit in _UNITS and words:
        return f"{words.replace('_', ' ').capitalize()}, {_UNITS[unit]}"
    return key.replace("_", " ").capitalize()


_UNITS = {"mm": "mm", "hu": "HU", "deg": "°", "voxels": "voxels"}


def fields_named_in(error: RecipeError, fields: list[RecipeField]) -> list[RecipeField]:
    """Return the fields that an error is about: by their whole key, else by section and name."""
    words = str(error)
    whole = [field for field in fields if field.key in words]
    if whole:
        return whole
    section = words.partition(":")[0]
    return [
        field
        for field in fields
        if field.key.startswith(f"{section}.") and field.key.rpartition(".")[2] in words
    ]


def _control(info: FieldInfo) -> ValueWidget:
    kind = info.annotation
    low, high = _bounds(info)
    if kind is bool:
        return CheckBox(text="")
    if get_origin(kind) is Literal:
        return ComboBox(choices=get_args(kind))
    if kind is int:
        least = -_LARGEST if low is None else int(low)
        return SpinBox(value=least, min=least, max=_LARGEST if high is None else int(high))
    if kind is float and low is not None and high is not None:
        control = FloatSpinBox(value=low, min=low, max=high, step=0.05)
        control.native.setDecimals(_DECIMALS)
        return control
    # numbers without bounds too: a learning rate of 3e-4 is nothing for arrows
    return LineEdit()


def _bounds(info: FieldInfo) -> tuple[float | None, float | None]:
    """Return the lowest and highest allowed number, None where there is none."""
    low: Any = None
    high: Any = None
    least = 1 if info.annotation is int else 10**-_DECIMALS
    for rule in info.metadata:
        if isinstance(rule, Ge):
            low = rule.ge
        elif isinstance(rule, Gt):
            low = rule.gt + least  # type: ignore[operator]
        elif isinstance(rule, Le):
            high = rule.le
        elif isinstance(rule, Lt):
            high = rule.lt - least  # type: ignore[operator]
    return low, high
