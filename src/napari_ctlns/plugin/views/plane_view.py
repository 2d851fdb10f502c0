"""One plane of a scan: it draws what it is given, and tells what the mouse does on it."""

from collections.abc import Callable
from dataclasses import dataclass

from qtpy.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_ctlns.plugin.plane_geometry import Pixel, Plane, Sight
from napari_ctlns.plugin.plane_pictures import Picture
from napari_ctlns.plugin.plane_points import Disc
from napari_ctlns.volume import Triple

CROSS_COLOUR = "#56b4e9"
"""Sky blue of the Okabe-Ito palette, which stands out from grey and from annotations' orange."""
CROSS_GAP = 10.0
"""Pixels about the place itself that the lines leave free."""
_WORDS_COLOUR = "#f0f0f0"
_BRUSH_COLOUR = "#f0e442"
_NOTCH = 120  # of a wheel, in Qt's eighths of a degree
_MARGIN = 5
_NO_BUTTON = Qt.MouseButton.NoButton


@dataclass(frozen=True)
class Scene:
    """What there is to draw.

    Attributes
    ----------
    sight
        Which part of the plane is seen.
    point
        Where the lines of the cross meet, canvas millimetres (z, y, x).
    pictures
        From the bottom up.
    discs
        Over the pictures.
    cross
        Whether to draw the cross.
    brush
        The brush under the mouse: half its width and half its height, mm; None: no brush.
    letters
        Whether it is known where the patient's sides are.
    words
        For the corner.
    """

    sight: Sight
    point: Triple
    pictures: tuple[Picture, ...]
    discs: tuple[Disc, ...]
    cross: bool
    brush: float | None
    letters: bool
    words: str


class PlaneView(QWidget):
    """Shows a plane.

    Parameters
    ----------
    plane
        Which.
    scene
        Returns what there is to draw in a widget of some size; None: nothing.

    Attributes
    ----------
    pressed, dragged, released
        The left button, at a point (z, y, x); with Shift or without.
    hovered
        The mouse is over a point and no button is held; with Shift or without.
    windowed
        The right button is dragged: how far to the right and up since it was pressed, pixels,
        and whether it was pressed just now.
    moved
        The middle button drags the picture by a way in pixels.
    scrolled
        The wheel was turned by some notches.
    zoomed
        It was turned with Ctrl, at a point.
    """

    pressed = Signal(object, bool)
    dragged = Signal(object)
    released = Signal()
    hovered = Signal(object, bool)
    windowed = Signal(float, float, bool)
    moved = Signal(float, float)
    scrolled = Signal(int)
    zoomed = Signal(float, object)

    def __init__(
        self, plane: Plane, scene: Callable[[Plane, tuple[int, int]], Scene | None]
    ) -> None:
        super().__init__()
        self.plane = plane
        self._scene_of = scene
        self._sight: Sight | None = None
        self._depth = 0.0
        self._at: QPointF | None = None
        self._from: QPointF | None = None
        self._button = _NO_BUTTON
        self._turned = 0
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(80, 40)  # so that no window grows where it is docked first
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(f"{plane.name} plane")

    # -- drawing --------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the scene."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        scene = self._scene_of(self.plane, (self.width(), self.height()))
        self._sight = None if scene is None else scene.sight
        if scene is None:
            painter.setPen(QColor(_WORDS_COLOUR))
            words = f"{self.plane.name}: no scan is open"
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, words)
        else:
            self._depth = scene.point[self.plane.axis]
            _draw_pictures(painter, scene)
            _draw_discs(painter, scene)
            if scene.cross:
                self._draw_cross(painter, scene)
            if scene.brush is not None and self._at is not None:
                self._draw_brush(painter, self._at, scene.brush * scene.sight.scale)
            self._draw_words(painter, scene)
        painter.end()

    def _draw_cross(self, painter: QPainter, scene: Scene) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(QPen(QColor(CROSS_COLOUR), 1))
        x, y = (round(v) for v in scene.sight.pixel(scene.point))
        gap = round(CROSS_GAP)
        painter.drawLine(0, y, x - gap, y)
        painter.drawLine(x + gap, y, self.width(), y)
        painter.drawLine(x, 0, x, y - gap)
        painter.drawLine(x, y + gap, x, self.height())

    def _draw_brush(self, painter: QPainter, at: QPointF, radius: float) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in ((Qt.GlobalColor.black, 3), (QColor(_BRUSH_COLOUR), 1)):
            painter.setPen(QPen(colour, width))
            painter.drawEllipse(at, radius, radius)

    def _draw_words(self, painter: QPainter, scene: Scene) -> None:
        area = self.rect().adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        top, bottom = Qt.AlignmentFlag.AlignTop, Qt.AlignmentFlag.AlignBottom
        middle, centre = Qt.AlignmentFlag.AlignVCenter, Qt.AlignmentFlag.AlignHCenter
        texts = [(area, left | top, scene.words)]
        if scene.letters:
            plane = self.plane
            taken = painter.boundingRect(area, left | top, scene.words)
            reaches = taken.right() > area.center().x() - _MARGIN
            texts += [
                (area, left | middle, plane.left),
                (area, right | middle, plane.right),
                (area.adjusted(0, taken.height() if reaches else 0, 0, 0), centre | top, plane.top),
                (area, centre | bottom, plane.bottom),
            ]
        for place, where, text in texts:
            painter.setPen(QColor(0, 0, 0))  # legible on white too
            painter.drawText(place.translated(1, 1), where, text)
            painter.setPen(QColor(_WORDS_COLOUR))
            painter.drawText(place, where, text)

    # -- the mouse ------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Begin what the button is for."""
        if self._sight is None or self._button != _NO_BUTTON:
            return
        self._button, self._from = event.button(), event.position()
        self._at = event.position()
        if self._button == Qt.MouseButton.LeftButton:
            self.pressed.emit(self._point(event.position()), _shift(event))
        elif self._button == Qt.MouseButton.RightButton:
            self.windowed.emit(0.0, 0.0, True)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """Go on with it."""
        before, self._at = self._at, event.position()
        if self._sight is None or self._from is None or before is None:
            if self._sight is not None:
                self.hovered.emit(self._point(self._at), _shift(event))
            return
        if self._button == Qt.MouseButton.LeftButton:
            self.dragged.emit(self._point(self._at))
        elif self._button == Qt.MouseButton.RightButton:
            way = self._at - self._from
            self.windowed.emit(way.x(), -way.y(), False)
        elif self._button == Qt.MouseButton.MiddleButton:
            way = self._at - before
            self.moved.emit(way.x(), way.y())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802 - Qt's name
        """End it."""
        if event.button() != self._button:
            return
        left = self._button == Qt.MouseButton.LeftButton
        self._button, self._from = _NO_BUTTON, None
        if left:
            self.released.emit()

    def leaveEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Show no brush where there is no mouse."""
        super().leaveEvent(event)
        self._at = None
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 - Qt's name
        """Scroll through the slices, or zoom."""
        event.accept()
        if self._sight is None:
            return
        turned = event.angleDelta().y()
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.zoomed.emit(1.1 ** (turned / _NOTCH), self._point(event.position()))
            return
        self._turned += turned  # touchpads turn it by less than a notch
        notches = int(self._turned / _NOTCH)
        self._turned -= notches * _NOTCH
        if notches:
            self.scrolled.emit(notches)

    def _point(self, at: QPointF) -> Triple | None:
        pixel: Pixel = (at.x(), at.y())
        return None if self._sight is None else self._sight.point(pixel, self._depth)


def _shift(event: QMouseEvent) -> bool:
    return bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)


def _draw_pictures(painter: QPainter, scene: Scene) -> None:
    sight = scene.sight
    plane = sight.plane
    for picture in scene.pictures:
        painter.setOpacity(picture.opacity)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, picture.smooth)
        mode = QPainter.CompositionMode
        painter.setCompositionMode(
            mode.CompositionMode_Plus if picture.adds else mode.CompositionMode_SourceOver
        )
        corners = []
        for k in (0, 1):
            place = [0.0, 0.0, 0.0]
            place[plane.across], place[plane.down] = picture.across[k], picture.down[k]
            corners.append(QPointF(*sight.pixel((place[0], place[1], place[2]))))
        painter.drawImage(QRectF(*corners).normalized(), picture.image)
    painter.setOpacity(1.0)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_SourceOver)


def _draw_discs(painter: QPainter, scene: Scene) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for disc in scene.discs:
        painter.setOpacity(disc.opacity)
        painter.setBrush(disc.fill)
        line = QPen(disc.line, max(1.0, disc.width * scene.sight.scale))
        painter.setPen(line if disc.width > 0 else QPen(Qt.PenStyle.NoPen))
        radius = disc.radius * scene.sight.scale
        painter.drawEllipse(QPointF(*scene.sight.pixel(disc.middle)), radius, radius)
    painter.setOpacity(1.0)
