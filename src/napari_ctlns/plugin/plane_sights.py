"""Which part of each plane is seen: at the scale of napari's camera, and moved with it."""

from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin.crosshair import crosshair_of
from napari_ctlns.plugin.plane_geometry import PLANES, Pixel, Plane, Sight
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Triple

_FILLED = 0.95
_IN_SIGHT = 0.06  # a crosshair nearer to an edge than this share is as good as gone
_2D = 2


class PlaneSights(QObject):
    """What each plane shows, linked to the others and to the camera.

    Attributes
    ----------
    changed
        Something else is seen.
    same_scale
        Whether planes have the camera's scale; else the whole scan is seen, or as much of it as
        was zoomed into.
    centred
        Whether the crosshair stays in the middle of the planes.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._crosshair = crosshair_of(session)
        self.same_scale = True
        self.centred = False
        self._factor = 1.0
        self._centres: dict[int, Triple] = {}
        self._sizes: dict[int, tuple[int, int]] = {}
        self._held: Plane | None = None
        self._crosshair.moved.connect(self._follow_crosshair)
        camera = session.viewer.scene.camera
        camera.events.center.connect(self._follow_camera)
        camera.events.zoom.connect(self._tell)

    def sight(self, plane: Plane, size: tuple[int, int]) -> Sight:
        """Return what a picture of some size, pixels, shows of a plane."""
        comes = plane.axis not in self._sizes
        self._sizes[plane.axis] = size
        if comes:
            self._centres[plane.axis] = self._with_crosshair(plane, size)
        return self._sight(plane, size)

    def begin(self) -> None:
        """Look where the camera looks."""
        self._sizes.clear()
        self._centres.clear()
        if self.same_scale:
            self._follow_camera()
        else:
            self.set_same_scale(False)

    def set_same_scale(self, on: bool) -> None:
        """Take the camera's scale, or show all there is."""
        self.same_scale, self._factor = on, 1.0
        point = self._crosshair.point if on else self._middle()
        self._centres = {plane.axis: point for plane in PLANES}
        if on:
            self._follow_camera()
        self.changed.emit()

    def set_centred(self, on: bool) -> None:
        """Keep the crosshair in the middle, or leave pictures where they are."""
        self.centred = on
        self._follow_crosshair()

    def hold(self, plane: Plane | None) -> None:
        """Keep a plane in place while the mouse does something in it."""
        self._held = plane
        if plane is None and self.centred:
            self._follow_crosshair()

    def move(self, plane: Plane, pixels: Pixel) -> None:
        """Move the picture of a plane by some pixels, and what shows the same in the others."""
        size = self._sizes.get(plane.axis)
        if size is None:
            return
        right, down = self.sight(plane, size).offset(pixels)
        centre = list(self._centre(plane))
        centre[plane.across] -= right
        centre[plane.down] -= down
        self._move_all({k: centre[k] for k in (plane.across, plane.down)})
        self._move_camera()

    def zoom(self, plane: Plane, factor: float, point: Triple) -> None:
        """See more or less, with a point staying where it is seen."""
        centre = self._centre(plane)
        if self.same_scale:
            self._session.viewer.scene.camera.zoom *= factor
        else:
            self._factor = max(self._factor * factor, 0.2)
        z, y, x = (p + (c - p) / factor for p, c in zip(point, centre, strict=True))
        there = (z, y, x)
        self._move_all({k: there[k] for k in (plane.across, plane.down)})
        self._move_camera()

    # -- where ----------------------------------------------------------------------------

    def _sight(self, plane: Plane, size: tuple[int, int]) -> Sight:
        return Sight(plane, self._centre(plane), self._scale(plane, size), size)

    def _centre(self, plane: Plane) -> Triple:
        return self._centres.get(plane.axis, self._crosshair.point)

    def _scale(self, plane: Plane, size: tuple[int, int]) -> float:
        if self.same_scale:
            return max(float(self._session.viewer.scene.camera.zoom), 1e-6)
        lengths = [max(stop - start, 1e-6) for start, stop in self._ends()]
        whole = min(size[0] / lengths[plane.across], size[1] / lengths[plane.down])
        return whole * _FILLED * self._factor

    def _ends(self) -> list[tuple[float, float]]:
        """Return where what is open begins and ends on each axis; a flat picture has no depth."""
        ranges = self._session.viewer.dims.range[-3:]
        return [(0.0, 1.0)] * (3 - len(ranges)) + [(r.start, r.stop + r.step) for r in ranges]

    def _middle(self) -> Triple:
        z, y, x = (float(np.mean(pair)) for pair in self._ends())
        return z, y, x

    def _move_all(self, places: dict[int, float]) -> None:
        """Put these places on these axes in the middle of all planes that show them."""
        for plane in PLANES:
            centre = list(self._centre(plane))
            for axis, place in places.items():
                centre[axis] = place
            self._centres[plane.axis] = (centre[0], centre[1], centre[2])
        self.changed.emit()

    def _move_camera(self) -> None:
        """Let the camera look where the plane does that napari shows."""
        shown = self._shown()
        if self.same_scale and len(shown) == _2D:
            (hidden,) = {0, 1, 2} - set(shown)
            centre = self._centre(PLANES[hidden])
            self._session.viewer.scene.camera.center = (0.0, *(centre[axis] for axis in shown))

    def _shown(self) -> tuple[int, ...]:
        """Return the axes that napari's canvas shows, of the last three."""
        dims = self._session.viewer.dims
        return tuple(axis - (dims.ndim - 3) for axis in dims.displayed)

    # -- what others tell -----------------------------------------------------------------

    def _follow_camera(self, _event: Any = None) -> None:
        shown = self._shown()
        if not self.same_scale or len(shown) != _2D or min(shown) < 0:
            return
        centre = self._session.viewer.scene.camera.center[-2:]
        places = dict(zip(shown, (float(v) for v in centre), strict=True))
        point = self._crosshair.point
        if all(np.isclose(place, point[axis]) for axis, place in places.items()):
            places = dict(enumerate(point))  # somebody goes to a place: all planes do
        if self.centred:
            return
        self._move_all(places)

    def _follow_crosshair(self) -> None:
        """Have it in the middle, or at least in sight."""
        for plane in PLANES:
            size = self._sizes.get(plane.axis)
            if plane is not self._held and size is not None:
                self._centres[plane.axis] = self._with_crosshair(plane, size)
        self.changed.emit()

    def _with_crosshair(self, plane: Plane, size: tuple[int, int]) -> Triple:
        """Return the centre of a plane, moved if the crosshair is out of sight or to be there."""
        point = self._crosshair.point
        centre = list(self._centre(plane))
        pixel = self._sight(plane, size).pixel(point)
        for axis, at, pixels in zip((plane.across, plane.down), pixel, size, strict=True):
            if self.centred or not _IN_SIGHT < at / max(pixels, 1) < 1 - _IN_SIGHT:
                centre[axis] = point[axis]
        return centre[0], centre[1], centre[2]

    def _tell(self, _event: Any = None) -> None:
        self.changed.emit()


def plane_sights_of(session: Session) -> PlaneSights:
    """Return what is seen of the planes of a session; the first call makes it."""
    return session.part(PlaneSights)
