"""The rulers of a session: which there are on the scan that is worked on, changed and undone."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from app_model.types import KeyCode, KeyMod
from napari.layers import Labels, Layer, Shapes
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.ruler_layer import (
    canvas_points,
    draw,
    is_rulers,
    rulers_tuple,
    set_width,
)
from napari_ctlns.plugin.rulers import Ruler
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Geometry

_MS_AFTER_ZOOM = 40
_2D = 2
_Rulers = tuple[Ruler, ...]


@dataclass
class _History:
    before: list[_Rulers] = field(default_factory=list)
    after: list[_Rulers] = field(default_factory=list)


class RulerBook(QObject):
    """Keeps the rulers of the scan that is worked on, in a layer of its own; see `ruler_layer`.

    Attributes
    ----------
    changed
        There are other rulers now, or those of another scan.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._histories: weakref.WeakKeyDictionary[Layer, _History] = weakref.WeakKeyDictionary()
        self._in_step = False
        viewer = session.viewer
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self._tell)
        for name in ("order", "ndisplay", "ndim"):
            getattr(viewer.dims.events, name).connect(self._redraw)
        viewer.scene.camera.events.zoom.connect(self._zoomed)
        session.scan_changed.connect(self._tell)
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(_MS_AFTER_ZOOM)
        self._calm.timeout.connect(self._widen)
        for layer in viewer.layers:
            self._adopt(layer)

    # -- what there is ------------------------------------------------------------------

    @property
    def layer(self) -> Shapes | None:
        """The layer of the rulers of the scan that is worked on; None while there are none."""
        scan = self._session.volume
        for layer in reversed(self._session.viewer.layers):
            if is_rulers(layer) and scan is not None:
                known = layer.metadata[of.KEY]
                if known.scan_id == scan.scan_id and known.geometry.same_grid(scan.geometry):
                    return layer
        return None

    @property
    def rulers(self) -> _Rulers:
        """The rulers of the scan that is worked on, the oldest first."""
        layer = self.layer
        return () if layer is None else layer.metadata[of.KEY].rulers

    @property
    def geometry(self) -> Geometry | None:
        """The grid of the scan that is worked on."""
        scan = self._session.volume
        return None if scan is None else scan.geometry

    @property
    def hidden_axis(self) -> int | None:
        """The axis of the canvas (0 is z) that has a slider now; None in 3D and without a scan."""
        dims = self._session.viewer.dims
        if self.geometry is None or dims.ndisplay != _2D:
            return None
        axis = dims.order[-3] - (dims.ndim - 3)
        return axis if axis >= 0 else None

    # -- changing them ------------------------------------------------------------------

    def put(self, ruler: Ruler) -> None:
        """Add a ruler, or change the one that has its uid."""
        known = [ruler if one.uid == ruler.uid else one for one in self.rulers]
        self._keep(tuple(known if ruler in known else [*known, ruler]))

    def remove(self, uid: str) -> None:
        """Remove a ruler; it can be undone."""
        self._keep(tuple(one for one in self.rulers if one.uid != uid))

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Let what is changed inside be undone together, and not at all if nothing is."""
        before, self._in_step = self.rulers, True
        try:
            yield
        finally:
            self._in_step = False
            layer = self.layer
            if layer is not None and self.rulers != before:
                self._note(layer, before)
                self._session.not_saved(layer)

    def undo(self) -> None:
        """Take back the last change."""
        if (layer := self.layer) is not None:
            history = self._history(layer)
            self._go(layer, history.before, history.after)

    def redo(self) -> None:
        """Make the change again that was undone last."""
        if (layer := self.layer) is not None:
            history = self._history(layer)
            self._go(layer, history.after, history.before)

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        layer = self.layer
        return layer is not None and bool(self._history(layer).before)

    def finding_at(self, ruler: Ruler) -> str:
        """Return the uid of the nodule that most of a ruler's middle lies on; "" for none."""
        mask, scan = self._session.mask, self._session.volume
        if mask is None or scan is None:
            return ""
        label = _label_under(mask, canvas_points(ruler, scan.geometry))
        found = (f.uid for f in of.findings_of(mask).items if label and f.label == label)
        return next(found, "")

    # -- inside ---------------------------------------------------------------------------

    def layer_for_new(self) -> Shapes | None:
        """Return the layer of rulers, made if there is none; None without a scan."""
        scan = self._session.volume
        if (layer := self.layer) is None and scan is not None:
            layers = self._session.viewer.layers
            active = layers.selection.active
            layer = Layer.create(*rulers_tuple((), scan.geometry, scan.scan_id))
            self._session.viewer.add_layer(layer)
            layers.selection.active = active
        return layer

    def _keep(self, rulers: _Rulers) -> None:
        before, layer = self.rulers, self.layer_for_new()
        if layer is None or rulers == before:
            return
        self._write(layer, rulers)
        if not self._in_step:
            self._note(layer, before)
            self._session.not_saved(layer)

    def _write(self, layer: Shapes, rulers: _Rulers) -> None:
        layer.metadata[of.KEY] = replace(layer.metadata[of.KEY], rulers=rulers)
        self._draw(layer)
        self.changed.emit()

    def _note(self, layer: Layer, before: _Rulers) -> None:
        history = self._history(layer)
        history.before.append(before)
        history.after.clear()

    def _history(self, layer: Layer) -> _History:
        return self._histories.setdefault(layer, _History())

    def _go(self, layer: Shapes, there: list[_Rulers], back: list[_Rulers]) -> None:
        if there:
            back.append(layer.metadata[of.KEY].rulers)
            self._write(layer, there.pop())
            self._session.not_saved(layer)

    def _draw(self, layer: Shapes) -> None:
        hidden = self.hidden_axis
        if hidden is not None:
            draw(layer, hidden, self._session.viewer.scene.camera.zoom)

    def _redraw(self, _event: Any = None) -> None:
        for layer in filter(is_rulers, self._session.viewer.layers):
            self._draw(layer)

    def _zoomed(self, _event: Any = None) -> None:
        self._calm.start()

    def _widen(self) -> None:
        if not self._session.gone:
            for layer in filter(is_rulers, self._session.viewer.layers):
                set_width(layer, self._session.viewer.scene.camera.zoom)

    def _inserted(self, event: Any) -> None:
        self._adopt(event.value)

    def _adopt(self, layer: Layer) -> None:
        if is_rulers(layer):
            layer.bind_key(KeyMod.CtrlCmd | KeyCode.KeyZ, self._undo_key, overwrite=True)
            layer.bind_key(
                KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ, self._redo_key, overwrite=True
            )
            self._draw(layer)
            self.changed.emit()

    def _undo_key(self, _layer: Shapes) -> None:
        self.undo()

    def _redo_key(self, _layer: Shapes) -> None:
        self.redo()

    def _tell(self, _event: Any = None) -> None:
        self.changed.emit()


def _label_under(mask: Labels, points: Any) -> int:
    """Return the label that most voxels under a line have, from a quarter to three of it."""
    import numpy as np

    start, end = points[0]
    share = np.linspace(0.25, 0.75, 21)[:, None]
    places = start + share * (end - start)
    index = np.rint((places - mask.translate) / mask.scale).astype(int)
    inside = ((index >= 0) & (index < mask.data.shape)).all(axis=1)
    labels = np.asarray([mask.data[tuple(at)] for at in index[inside]], int)
    labels = labels[labels > 0]
    return int(np.bincount(labels).argmax()) if len(labels) else 0


def ruler_book_of(session: Session) -> RulerBook:
    """Return the rulers of a session; the first call makes their book."""
    return session.part(RulerBook)
