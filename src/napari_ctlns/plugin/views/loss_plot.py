"""The curves of a training, drawn as they grow: loss, Dice, learning rate."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QColor, QShowEvent
from qtpy.QtWidgets import QGraphicsView, QLabel, QVBoxLayout, QWidget

from napari_ctlns.plugin.curves import (
    EPOCH_LOSS,
    LEARNING_RATE,
    STEP_LOSS,
    VALIDATION_DICE,
    VALIDATION_LOSS,
    Curve,
    RunCurves,
)
from napari_ctlns.plugin.views.live_text import LiveText

MS_BETWEEN_REDRAWS = 1000
_HEIGHT = 228
_AXIS_WIDTH, _AXIS_HEIGHT = 46, 36
_MOST_MARKED = 50
"""Epochs up to which each is a point too, so that the first can be seen at all."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Look:
    """How a curve is drawn: its colours are of the Okabe-Ito palette."""

    plot: int
    on_light: str
    on_dark: str
    alpha: int = 255
    marked: bool = True


_LOOKS: Mapping[str, _Look] = MappingProxyType(
    {
        STEP_LOSS: _Look(0, "#0072b2", "#56b4e9", alpha=110, marked=False),
        EPOCH_LOSS: _Look(0, "#0072b2", "#56b4e9"),
        VALIDATION_LOSS: _Look(0, "#d55e00", "#e69f00"),
        VALIDATION_DICE: _Look(1, "#d55e00", "#e69f00"),
        LEARNING_RATE: _Look(2, "#009e73", "#009e73", marked=False),
    }
)
_LEGEND = {"training": EPOCH_LOSS, "its steps": STEP_LOSS, "validation": VALIDATION_LOSS}


class LossPlot(QWidget):
    """Three plots over one axis of steps, and the last epoch in numbers.

    It is drawn once a second at most, only after something new came, and not
    while nobody can see it.

    Attributes
    ----------
    drawn
        A new picture was made.
    canvas
        The picture.
    words
        The last epoch in numbers.
    """

    drawn = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._curves = RunCurves()
        self._stale = True
        self._drawn_at = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._redraw)
        self._legend = QLabel()
        self._legend.setTextFormat(Qt.TextFormat.RichText)
        self.words = LiveText(2)
        self.words.setToolTip("What the last whole epoch came to")
        self.canvas = pg.GraphicsLayoutWidget()
        self.canvas.setAntialiasing(False)
        # left to itself, it asks for a second drawing in the middle of the first
        self.canvas.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.NoViewportUpdate)
        self.canvas.setFixedHeight(_HEIGHT)
        self.canvas.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.canvas.setToolTip("Loss (smaller is better), Dice (1 is best) and learning rate")
        self.canvas.ci.layout.setContentsMargins(0, 6, 0, 6)  # axes reach a little beyond
        self.canvas.ci.layout.setSpacing(2)
        self._plots = [self._plot(row, name) for row, name in enumerate(("Loss", "Dice", "Rate"))]
        self._lines = {name: self._plots[look.plot].plot() for name, look in _LOOKS.items()}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for widget in (self._legend, self.canvas, self.words):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.set_colours("#ffffff", "#000000")

    def show_curves(self, curves: RunCurves) -> None:
        """Draw these from now on."""
        self._curves = curves
        self.freshen()

    def freshen(self) -> None:
        """Draw again, soon: something new came."""
        self._stale = True
        if self._timer.isActive() or not self.isVisible():
            return
        since = (time.monotonic() - self._drawn_at) * 1000
        self._timer.start(max(round(MS_BETWEEN_REDRAWS - since), 0))

    def set_colours(self, background: str, text: str) -> None:
        """Take the colours of a theme."""
        self.canvas.setBackground(background)
        dark = QColor(background).lightness() < 128
        for name, look in _LOOKS.items():
            self._lines[name].setPen(pg.mkPen(_colour(look, dark), width=1))
        for plot in self._plots:
            for side in ("left", "bottom"):
                axis = plot.getAxis(side)
                axis.setPen(text)
                axis.setTextPen(text)
        swatches = (
            f'<span style="color: {_colour(_LOOKS[name], dark).name()}">&#9644;</span> {words}'
            for words, name in _LEGEND.items()
            if name != STEP_LOSS
        )
        self._legend.setText("&nbsp;&nbsp; ".join(swatches) + "&nbsp;&nbsp; faint: each step")
        self._dark = dark
        self.canvas.viewport().update()
        self.freshen()

    def points(self, name: str) -> int:
        """Return how many points of a metric are drawn."""
        steps, _ = self._lines[name].getOriginalDataset()
        return 0 if steps is None else len(steps)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Draw what came while nobody could see it."""
        super().showEvent(event)
        if self._stale:
            self.freshen()

    def _plot(self, row: int, name: str) -> pg.PlotItem:
        plot = self.canvas.addPlot(row=row, col=0)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setMouseEnabled(x=False, y=False)  # the wheel scrolls the panel
        plot.disableAutoRange()  # it finds ranges only while drawing, and has to draw again
        plot.setLabel("left", name)
        plot.getAxis("left").setWidth(_AXIS_WIDTH)
        for side in ("left", "bottom"):
            plot.getAxis(side).enableAutoSIPrefix(False)
            plot.getAxis(side).setStyle(maxTickLevel=0)
        if row:
            plot.setXLink(self.canvas.getItem(0, 0))
        if row < 2:
            plot.getAxis("bottom").setStyle(showValues=False)
        else:
            plot.setLabel("bottom", "Step")
            plot.getAxis("bottom").setHeight(_AXIS_HEIGHT)
        if row == 1:
            plot.setYRange(0, 1)
            plot.getAxis("left").setTicks([[(0, "0"), (0.5, "0.5"), (1, "1")]])
        return plot

    def _redraw(self) -> None:
        if not self.isVisible():
            return
        curves = {name: self._curves.curve(name) for name in _LOOKS}
        self._set_ranges(curves)
        for name, look in _LOOKS.items():
            steps, values = curves[name].steps, curves[name].values
            self._lines[name].setData(
                steps,
                _logarithms(values) if name == LEARNING_RATE else values,
                connect="finite",
                symbol="o" if look.marked and values.size <= _MOST_MARKED else None,
                symbolSize=4,
                symbolPen=None,
                symbolBrush=_colour(look, self._dark),
            )
        self.words.setText(self._curves.last_epoch_in_words())
        self.canvas.viewport().update()
        self._stale = False
        self._drawn_at = time.monotonic()
        self.drawn.emit()

    def _set_ranges(self, curves: Mapping[str, Curve]) -> None:
        loss, _, rate = self._plots
        last = max((c.steps[-1] for c in curves.values() if c.steps.size), default=1.0)
        loss.setXRange(0, last, padding=0.02)
        low, high = _bounds(
            [curves[name].values for name in (STEP_LOSS, EPOCH_LOSS, VALIDATION_LOSS)]
        )
        loss.setYRange(low, high, padding=0.05)
        low, high = _bounds([_logarithms(curves[LEARNING_RATE].values)])
        low, high = np.floor(low), np.ceil(high)
        margin = 0.15 * (high - low) or 0.5
        rate.setYRange(low - margin, high + margin, padding=0)
        decades = np.arange(low, high + 1, max(1, round((high - low) / 3)), dtype=int)
        rate.getAxis("left").setTicks([[(int(k), f"1e{k}") for k in decades]])


def _bounds(values: list[_Array]) -> tuple[float, float]:
    """Return the smallest and largest number; 0 and 0 where there is none."""
    finite = np.concatenate(values)
    finite = finite[np.isfinite(finite)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _logarithms(rates: _Array) -> _Array:
    """Return decimal logarithms; of zero, where a cosine ends, no number."""
    logarithms = np.full(rates.shape, np.nan)
    np.log10(rates, out=logarithms, where=rates > 0)
    return logarithms


def _colour(look: _Look, dark: bool) -> QColor:
    colour = QColor(look.on_dark if dark else look.on_light)
    colour.setAlpha(look.alpha)
    return colour
