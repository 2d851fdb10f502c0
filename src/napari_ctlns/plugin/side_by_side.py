"""A nodule at two visits: the later scan on the left, the earlier one laid on it on the right.

napari's grid shows groups of layers beside each other with one camera and one slice, so
both must lie in one frame. It is the later scan's: its own layers stay what they are, can
be scrolled and painted in, and beside them are copies, of a box around the nodule, of the
earlier scan and its labels, carried over with all of the alignment. (Moving the user's own
layers instead would leave the turn and the breathing, and change what is saved.)
"""

import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import lps_to_canvas, placed
from napari_ctlns.plugin.growing import Comparison
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import AIR_HU, Geometry, Triple, Volume

KIND = "earlier scan"
REACH_MM = (25.0, 75.0, 75.0)
"""How far the copies reach from the nodule's place, (z, y, x); a third of a second at 0.7 mm."""
IN_SIGHT_MM = 90.0
"""How much of the scan is seen at first, along the lesser side."""


@dataclass(frozen=True, eq=False)
class _Before:
    """What the viewer showed before."""

    grid: dict[str, Any]
    visible: list[tuple["weakref.ref[Layer]", bool]]
    active: "weakref.ref[Layer] | None"
    point: tuple[float, ...]
    camera: tuple[Any, float]


class SideBySide(QObject):
    """Shows nodules at two visits beside each other; one for each session.

    Attributes
    ----------
    switched
        The view was entered or left.
    """

    switched = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = weakref.ref(session)
        self._before: _Before | None = None
        self._now: tuple[Comparison, Geometry] | None = None
        self._changing = False
        session.layers_changed.connect(self._look)

    @property
    def shown(self) -> bool:
        """Whether two visits are shown now."""
        return self._before is not None

    def show(self, comparison: Comparison, place: Triple) -> None:
        """Show both visits around a place, LPS mm on the later scan."""
        session = self._session()
        if session is None:
            return
        self._changing = True
        try:
            self._show(session, comparison, place)
        finally:
            self._changing = False
        self.switched.emit()

    def leave(self, _gone: QObject | None = None) -> None:
        """Show everything as it was before."""
        session, before = self._session(), self._before
        if session is None or session.gone or before is None:
            return
        self._before = self._now = None
        self._changing = True
        try:
            self._restore(session, before)
        finally:
            self._changing = False
        self.switched.emit()

    # -- showing ------------------------------------------------------------------------

    def _show(self, session: Session, comparison: Comparison, place: Triple) -> None:
        viewer = session.viewer
        if self._before is None:
            self._before = _what_is_shown(session)
        copies = self._copies_at(session, comparison, place)
        own = {id(comparison.later.layer), id(_scan_layer(session, comparison.later.scan))}
        for layer in viewer.layers:
            if layer not in copies:
                layer.visible = id(layer) in own
        viewer.layers.selection.active = comparison.later.layer
        grid = viewer.canvas.grid
        # the first group is all but the copies, which are on top
        grid.stride = len(viewer.layers) - len(copies)
        grid.shape = (1, 2)
        grid.enabled = True
        viewer.dims.ndisplay = 2
        go_to(viewer, lps_to_canvas(comparison.later.scan.geometry, place).tolist())
        if pixels := _pixels(viewer):
            viewer.scene.camera.zoom = pixels / IN_SIGHT_MM

    def _copies_at(self, session: Session, comparison: Comparison, place: Triple) -> list[Layer]:
        """Return the layers that show the earlier scan around a place of the later one."""
        target = _box_around(comparison.later.scan.geometry, place)
        now = comparison, target
        there = _copies_of(session)
        if there and self._now == now:
            return there
        if there and self._now is not None and self._now[0] is not comparison:
            _remove_copies(session)
            there = []
        if not there:
            there = _new_copies(session, comparison, target)
            session.viewer.layers.extend(there)
        # taking layers away and adding others takes a second, other voxels in them do not
        for layer, voxels in zip(there, _earlier_around(comparison, target), strict=True):
            layer.data = voxels
            layer.translate = placed(target)["translate"]
        self._now = now
        return there

    def _restore(self, session: Session, before: _Before) -> None:
        viewer = session.viewer
        _remove_copies(session)
        for name, value in before.grid.items():
            setattr(viewer.canvas.grid, name, value)
        for reference, visible in before.visible:
            layer = reference()
            if layer is not None:
                layer.visible = visible
        active = None if before.active is None else before.active()
        if active in viewer.layers:
            viewer.layers.selection.active = active
        if len(before.point) == viewer.dims.ndim:
            viewer.dims.point = before.point
        viewer.scene.camera.center, viewer.scene.camera.zoom = before.camera

    def _look(self) -> None:
        """Leave where layers come or go: they would lie in the wrong half."""
        session, before = self._session(), self._before
        if session is None or before is None or self._changing:
            return
        there = [layer for layer in session.viewer.layers if not _is_copy(layer)]
        if [id(layer) for layer in there] != [id(ref()) for ref, _ in before.visible]:
            self.leave()


def _what_is_shown(session: Session) -> _Before:
    viewer = session.viewer
    grid = viewer.canvas.grid
    active = viewer.layers.selection.active
    return _Before(
        grid={name: getattr(grid, name) for name in ("enabled", "stride", "shape")},
        visible=[(weakref.ref(layer), layer.visible) for layer in viewer.layers],
        active=None if active is None else weakref.ref(active),
        point=tuple(viewer.dims.point),
        camera=(viewer.scene.camera.center, viewer.scene.camera.zoom),
    )


def _is_copy(layer: Layer) -> bool:
    return of.is_preview(layer) and layer.metadata[of.KEY].kind == KIND


def _remove_copies(session: Session) -> None:
    for layer in _copies_of(session):
        session.viewer.layers.remove(layer)


def _scan_layer(session: Session, scan: Volume) -> Layer | None:
    layers = session.layers_for("scan")
    return next((layer for layer in layers if of.scan_of(layer) is scan), None)


def _pixels(viewer: Any) -> float:
    """Return the lesser side of each half of the canvas in pixels; 0 without a window."""
    window = getattr(viewer, "window", None)
    if window is None:
        return 0.0
    size = window._qt_viewer.canvas.native.size()  # noqa: SLF001 - napari has no other door
    return float(min(size.height(), size.width() / 2))


def _copies_of(session: Session) -> list[Layer]:
    return [layer for layer in session.viewer.layers if _is_copy(layer)]


def _earlier_around(
    comparison: Comparison, target: Geometry
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the earlier scan and its labels on a grid of the later scan."""
    from napari_ctlns.resampling import resample_moved

    scan = comparison.earlier.scan
    back = comparison.growth.alignment.to_earlier
    hu = resample_moved(scan.array, scan.geometry, target, back, outside=AIR_HU)
    mask = of.mask_of(comparison.earlier.layer, scan)
    labels = resample_moved(mask.array, mask.geometry, target, back, "nearest")
    # fmax, not maximum: it prefers a number to NaN
    return np.fmax(hu, np.asarray(AIR_HU, hu.dtype)), _as_later(labels, comparison)


def _new_copies(session: Session, comparison: Comparison, target: Geometry) -> list[Layer]:
    """Return layers that look as those of the later scan do, still without its voxels."""
    earlier, later = comparison.earlier, comparison.later
    known = {"metadata": {of.KEY: of.PreviewLayer(target, KIND)}, **placed(target)}
    air = np.full(target.shape, AIR_HU, earlier.scan.array.dtype)
    name = f"{KIND}: {earlier.scan.title}"
    image = Image(air, name=name, projection_mode="none", rgb=False, **known)
    like = _scan_layer(session, later.scan)
    if like is not None:
        image.colormap, image.contrast_limits = like.colormap, like.contrast_limits
    nothing = np.zeros(target.shape, np.uint16)
    labels = Labels(nothing, name=f"{KIND}: {earlier.layer.name}", **known)
    labels.colormap, labels.opacity = later.layer.colormap, later.layer.opacity
    labels.contour, labels.editable = later.layer.contour, False
    return [image, labels]


def _box_around(geometry: Geometry, place: Triple) -> Geometry:
    reach = np.asarray(REACH_MM) / geometry.spacing
    start = np.floor(geometry.world_to_index(place) - reach).astype(int)
    z, y, x = (int(n) for n in np.ceil(2 * reach))
    return geometry.cropped(start, (z, y, x))


def _as_later(labels: npt.NDArray[Any], comparison: Comparison) -> npt.NDArray[Any]:
    """Return labels numbered as on the later scan: a pair has one colour, others new ones."""
    table = comparison.growth.table
    paired = table[table["status"] == "paired"]
    number = dict(zip(paired["label"].astype(int), paired["later_label"].astype(int), strict=True))
    free = int(table["later_label"].max()) + 1 if table["later_label"].notna().any() else 1
    result = np.zeros(labels.shape, np.uint16)
    for label in np.unique(labels[labels != 0]).tolist():
        if label not in number:
            number[label], free = free, free + 1
        result[labels == label] = number[label]
    return result
