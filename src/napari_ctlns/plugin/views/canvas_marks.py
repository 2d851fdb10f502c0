"""Marks on the canvas that no layer holds: what is being dragged, and a cross that fades."""

from qtpy.QtCore import QPointF, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

_COLOUR = "#f0e442"
"""Yellow of the Okabe-Ito palette."""
_MISSED_COLOUR = "#d55e00"
_LINE, _ARM = 2.0, 7.0  # pixels
_FADE_MS, _FADE_STEPS = 60, 15

Pixel = tuple[float, float]


class CanvasMarks(QWidget):
    """Lies over the canvas and lets the mouse through; hidden while there is nothing to see.

    It is only as large as what it shows: what lies over OpenGL is slow to draw.
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self._kind = ""
        self._strength = 1.0
        self._timer = QTimer(self)
        self._timer.setInterval(_FADE_MS)
        self._timer.timeout.connect(self._fade)
        self.hide()

    def show_circle(self, middle: Pixel, edge: Pixel) -> None:
        """Show a circle about a place, through another one."""
        away = QPointF(*edge) - QPointF(*middle)
        radius = QPointF.dotProduct(away, away) ** 0.5
        self._show("circle", QRectF(*middle, 0, 0).adjusted(-radius, -radius, radius, radius))

    def show_box(self, corner: Pixel, other: Pixel) -> None:
        """Show the box between two corners."""
        self._show("box", QRectF(QPointF(*corner), QPointF(*other)).normalized())

    def show_missed(self, place: Pixel) -> None:
        """Show where a click met nothing, for about a second."""
        self._show("missed", QRectF(*place, 0, 0).adjusted(-_ARM, -_ARM, _ARM, _ARM))
        self._timer.start()

    def clear(self) -> None:
        """Show nothing, but a cross until it has faded."""
        if self._kind != "missed":
            self.hide()

    def _show(self, kind: str, where: QRectF) -> None:
        self._timer.stop()
        self._kind, self._strength = kind, 1.0
        self.setGeometry(where.adjusted(-_LINE, -_LINE, _LINE, _LINE).toAlignedRect())
        self.show()
        self.update()

    def _fade(self) -> None:
        self._strength -= 1 / _FADE_STEPS
        if self._strength <= 0:
            self._timer.stop()
            self._kind = ""
            self.hide()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw what there is."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setOpacity(max(self._strength, 0.0))
        missed = self._kind == "missed"
        painter.setPen(QPen(QColor(_MISSED_COLOUR if missed else _COLOUR), _LINE))
        area = QRectF(self.rect()).adjusted(_LINE, _LINE, -_LINE, -_LINE)
        if self._kind == "circle":
            painter.drawEllipse(area)
        elif self._kind == "box":
            painter.drawRect(area)
        elif missed:
            painter.drawLine(area.topLeft(), area.bottomRight())
            painter.drawLine(area.topRight(), area.bottomLeft())
        painter.end()
