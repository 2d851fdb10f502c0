"""A picture from a file, as large as there is room for it."""

from pathlib import Path

from qtpy.QtCore import QPoint, QSize, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent, QPixmap
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_ctlns.plugin.words import breakable

_LEAST = QSize(120, 40)


class Picture(QLabel):
    """Shows a picture in one scale for both sides, or words while there is none.

    Parameters
    ----------
    shape
        Width and height that room is kept for while there is no picture.
    """

    def __init__(self, shape: QSize) -> None:
        super().__init__()
        self._shape = shape
        self._whole = QPixmap()
        self._scaled = QPixmap()
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    @property
    def has_picture(self) -> bool:
        """Whether a picture is shown, not words."""
        return not self._whole.isNull()

    def show_words(self, words: str) -> None:
        """Show words in place of a picture."""
        self._whole = self._scaled = QPixmap()
        self.setText(breakable(words))
        self.setAccessibleName(words)

    def show_file(self, path: Path) -> bool:
        """Show a picture as it is in its file now; return whether it could be read."""
        whole = QPixmap.fromImage(QImage(str(path)))  # Qt would keep one that is read as a pixmap
        if whole.isNull():
            self.show_words(f"No picture at {path}")
            return False
        reshaped = whole.width() * self._shape.height() != whole.height() * self._shape.width()
        self._whole, self._shape, self._scaled = whole, whole.size(), QPixmap()
        self.setAccessibleName(path.stem)
        if reshaped:  # else a window with a canvas in it would be drawn twice
            self.updateGeometry()
        self.update()
        return True

    def hasHeightForWidth(self) -> bool:  # noqa: N802 - Qt's name
        """Whether its height follows from its width."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Return the height at which the picture is as wide as that."""
        return round(width * self._shape.height() / max(self._shape.width(), 1))

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the picture's own size."""
        return self._shape

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a size at which something can still be seen."""
        return _LEAST

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the picture, scaled once for each size, pixel by pixel of the screen."""
        if self._whole.isNull():
            super().paintEvent(event)
            return
        ratio = self.devicePixelRatioF()
        keep = Qt.AspectRatioMode.KeepAspectRatio
        size = self._whole.size().scaled(self.size() * ratio, keep)
        if self._scaled.size() != size:
            smooth = Qt.TransformationMode.SmoothTransformation
            self._scaled = self._whole.scaled(size, keep, smooth)
            self._scaled.setDevicePixelRatio(ratio)
        painter = QPainter(self)
        left = round((self.width() - size.width() / ratio) / 2)
        painter.drawPixmap(QPoint(left, 0), self._scaled)
        painter.end()
