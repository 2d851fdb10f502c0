"""The FROC curve with its seven points and its band, in the colours of the window."""

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QGraphicsView

from napari_ctlns.volume import FloatArray

_HEIGHT = 210
_AXIS_WIDTH, _AXIS_HEIGHT = 62, 40
_ROOM = 0.06
"""Share of an axis beyond its ends: what is named there is shown only if all of it is in sight."""
_ON_LIGHT, _ON_DARK = "#0072b2", "#56b4e9"
"""Blues of the Okabe-Ito palette."""
_BAND_ALPHA = 60


class FrocPlot(pg.GraphicsLayoutWidget):
    """Draws sensitivity against false positives a scan, on an axis of octaves."""

    def __init__(self) -> None:
        super().__init__()
        self.setAntialiasing(True)
        # left to itself, it asks for a second drawing in the middle of the first
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.NoViewportUpdate)
        self.setFixedHeight(_HEIGHT)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setToolTip("Share of the nodules that are found, at so many false positives a scan")
        self.ci.layout.setContentsMargins(0, 8, 10, 0)
        self._plot = self.addPlot()
        self._plot.setMenuEnabled(False)
        self._plot.hideButtons()
        self._plot.setMouseEnabled(x=False, y=False)  # the wheel scrolls the panel
        self._plot.disableAutoRange()
        self._plot.showGrid(x=True, y=True, alpha=0.15)
        self._plot.setLabel("left", "Nodules found")
        self._plot.setLabel("bottom", "False positives a scan")
        self._plot.setYRange(0, 1, padding=_ROOM)
        self._plot.getAxis("left").setTicks([[(v / 4, f"{25 * v} %") for v in range(5)]])
        self._plot.getAxis("left").setWidth(_AXIS_WIDTH)
        self._plot.getAxis("bottom").setHeight(_AXIS_HEIGHT)
        self._low, self._high, self._line = (self._plot.plot() for _ in range(3))
        self._points = self._plot.plot(pen=None, symbol="o", symbolSize=6, symbolPen=None)
        self._band = pg.FillBetweenItem(self._low, self._high)
        self._plot.addItem(self._band)
        self.set_colours("#ffffff", "#000000")

    def show_curve(
        self,
        rates: FloatArray,
        sensitivity: FloatArray,
        band: tuple[FloatArray, FloatArray],
        points: tuple[FloatArray, FloatArray],
    ) -> None:
        """Draw a curve.

        Parameters
        ----------
        rates, sensitivity
            Of the line.
        band
            The lowest and highest sensitivity at each rate; NaN where they are not known.
        points
            Rates and sensitivities that are marked; the rates have ticks.
        """
        octaves = np.log2(rates)
        known = bool(np.isfinite(band[0]).all())
        self._line.setData(octaves, sensitivity)
        for edge, values in zip((self._low, self._high), band, strict=True):
            edge.setData(octaves, values if known else sensitivity)
        self._band.setVisible(known)
        self._points.setData(np.log2(points[0]), points[1])
        self._plot.setXRange(octaves[0], octaves[-1], padding=_ROOM)
        ticks = [(np.log2(r), f"1/{round(1 / r)}" if r < 1 else f"{r:g}") for r in points[0]]
        self._plot.getAxis("bottom").setTicks([ticks])
        self.viewport().update()

    def set_colours(self, background: str, text: str) -> None:
        """Take the colours of a theme."""
        self.setBackground(background)
        colour = QColor(_ON_DARK if QColor(background).lightness() < 128 else _ON_LIGHT)
        self._line.setPen(pg.mkPen(colour, width=1.5))
        self._points.setSymbolBrush(colour)
        shade = QColor(colour)
        shade.setAlpha(_BAND_ALPHA)
        self._band.setBrush(shade)
        for edge in (self._low, self._high):
            edge.setPen(None)
        for side in ("left", "bottom"):
            axis = self._plot.getAxis(side)
            axis.setPen(text)
            axis.setTextPen(text)
        self.viewport().update()

    def points(self) -> list[QPointF]:
        """Return the marked points: octaves and sensitivities."""
        x, y = self._points.getOriginalDataset()
        return [] if x is None else [QPointF(*p) for p in zip(x, y, strict=True)]
