"""The place that all planes go through: napari's own point, moved without drawing too much."""

from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Triple

_REST_MS = 150


class Crosshair(QObject):
    """A point of the canvas that follows the viewer's ``dims.point``, and moves it.

    napari cuts and draws every layer again for each change of its point, even along the axes
    that it shows whole (measured: 20 of 50 ms). So those are told to it only when the mouse rests.

    Attributes
    ----------
    moved
        It is somewhere else now.
    """

    moved = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._seen = self._point = self._of_dims()
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._tell_dims)
        session.viewer.dims.events.point.connect(self._follow)
        session.viewer.dims.events.ndim.connect(self._follow)

    @property
    def point(self) -> Triple:
        """Where it is, canvas millimetres (z, y, x)."""
        return self._point

    @property
    def is_somewhere(self) -> bool:
        """Whether something is open that has three axes."""
        return self._session.viewer.dims.ndim >= 3

    def go(self, point: Triple) -> None:
        """Go to a point of the canvas, or where the scan is nearest to it."""
        dims = self._session.viewer.dims
        first = dims.ndim - 3
        if first < 0:
            return
        z, y, x = (
            min(max(float(place), dims.range[first + k].start), dims.range[first + k].stop)
            for k, place in enumerate(point)
        )
        before, self._point = self._point, (z, y, x)
        hidden = [k for k in range(3) if first + k in dims.not_displayed]
        gone = [k for k in hidden if self._point[k] != before[k]]
        if gone:
            dims.set_point([first + k for k in gone], [self._point[k] for k in gone])
        if self._point != self._of_dims():
            self._rest.start()
        if self._point != before:
            self.moved.emit()

    def _tell_dims(self) -> None:
        if self._session.gone:
            return
        dims = self._session.viewer.dims
        if dims.ndim >= 3:
            dims.set_point(range(dims.ndim - 3, dims.ndim), self._point)

    def _of_dims(self) -> Triple:
        z, y, x = (0.0, 0.0, 0.0, *self._session.viewer.dims.point)[-3:]
        return float(z), float(y), float(x)

    def _follow(self, _event: Any = None) -> None:
        """Go where somebody else moved the viewer's point, along the axes it was moved on."""
        before, self._seen = self._seen, self._of_dims()
        z, y, x = (
            there if there != was else here
            for here, was, there in zip(self._point, before, self._seen, strict=True)
        )
        if (z, y, x) != self._point:
            self._point = (z, y, x)
            self.moved.emit()


def crosshair_of(session: Session) -> Crosshair:
    """Return the crosshair of a session; the first call makes it."""
    return session.part(Crosshair)
