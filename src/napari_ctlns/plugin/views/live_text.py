"""Words that change while something works."""

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QLabel, QSizePolicy

_INSET = 5
"""Pixels; napari's labels have them left and right."""


class LiveText(QLabel):
    """Some lines of text that always take the same room.

    Any other label asks for a new layout with every text, and then a window with
    a canvas in it is drawn twice; this one is drawn once.
    """

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._lines = lines
        self._words = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def text(self) -> str:
        """Return what stands there."""
        return self._words

    def setText(self, text: str) -> None:  # noqa: N802 - as a label's
        """Write something else."""
        if text != self._words:
            self._words = text
            self.setAccessibleName(text)
            self.update()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for the lines."""
        return QSize(0, self._lines * self.fontMetrics().lineSpacing() + 4)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the words as a label's."""
        painter = QPainter(self)
        flags = Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft
        painter.setPen(self.palette().windowText().color())
        inside = self.contentsRect().adjusted(_INSET, 0, -_INSET, 0)
        painter.drawText(inside, int(flags | Qt.TextFlag.TextWordWrap), self._words)
        painter.end()
