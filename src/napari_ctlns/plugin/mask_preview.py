"""Shows the mask that annotations would give, while they are edited."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.annotating import drawn_mask
from napari_ctlns.plugin.layers import KEY, Box, PreviewLayer, is_preview, preview_tuple
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.work import ThreadWork, one_step
from napari_ctlns.volume import Geometry

_MS_OF_CALM = 150


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of a mask, and where it lies."""

    box: Box
    labels: npt.NDArray[Any]


def patches_of(geometry: Geometry, annotations: tuple[Annotation, ...]) -> list[Patch]:
    """Draw annotations; return the pieces of the mask that hold something."""
    from scipy.ndimage import find_objects

    mask = drawn_mask(geometry, annotations)
    boxes = [box for box in find_objects(mask) if box is not None]
    return [Patch(box, mask[box].copy()) for box in boxes]


class MaskPreview(QObject):
    """Draws in a thread, once annotations have been left alone for a moment.

    Attributes
    ----------
    failed
        It could not be drawn (why).
    gone
        Somebody took its layer away.
    """

    failed = Signal(str)
    gone = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._shown = self.layer is not None
        self._wanted: tuple[Geometry, tuple[Annotation, ...]] | None = None
        self._drawn: Geometry | None = None
        self._work: ThreadWork | None = None
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(_MS_OF_CALM)
        self._calm.timeout.connect(self._draw)
        session.layers_changed.connect(self._look)

    @property
    def layer(self) -> Labels | None:
        """The layer of the preview; one that another panel made is adopted."""
        return next((layer for layer in self._session.viewer.layers if is_preview(layer)), None)

    def show(self, geometry: Geometry, annotations: tuple[Annotation, ...]) -> None:
        """Show the mask of these annotations soon."""
        self._wanted = geometry, annotations
        self._calm.start()

    def hide(self) -> None:
        """Take the preview away."""
        self._wanted = self._drawn = None
        self._calm.stop()
        self._remove()

    def _draw(self) -> None:
        if self._wanted is None or self._work is not None:
            return  # work that goes on looks again when it ends
        (self._drawn, annotations), self._wanted = self._wanted, None
        job = one_step("Drawing the preview", patches_of, self._drawn, annotations)
        self._work = ThreadWork(job, parent=self)
        self._work.came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        if not isinstance(event, Finished | Failed):
            return
        self._work = None
        if self._wanted is not None:
            self._calm.start()
        if isinstance(event, Failed):
            self.failed.emit(event.message)
        elif self._drawn is not None:  # it was not hidden meanwhile
            self._put(self._drawn, event.result["value"])

    def _put(self, geometry: Geometry, patches: list[Patch]) -> None:
        layer = self.layer
        if layer is not None and not layer.metadata[KEY].geometry.same_grid(geometry):
            self._remove()
            layer = None
        if layer is None:
            layer = self._add(geometry)
        for box in layer.metadata[KEY].boxes:
            layer.data[box] = 0
        for patch in patches:
            layer.data[patch.box] = patch.labels
        boxes = tuple(patch.box for patch in patches)
        layer.metadata[KEY] = PreviewLayer(geometry, boxes)
        layer.refresh()

    def _add(self, geometry: Geometry) -> Labels:
        layers = self._session.viewer.layers
        active = layers.selection.active
        layer = Layer.create(*preview_tuple(geometry))
        layer.editable = False
        layers.insert(_below_annotations(self._session), layer)
        layers.selection.active = active  # whoever adds nodules goes on adding
        self._shown = True
        return layer

    def _remove(self) -> None:
        layer = self.layer
        self._shown = False
        if layer is not None:
            self._session.viewer.layers.remove(layer)

    def _look(self) -> None:
        if self._shown and self.layer is None:
            self._shown = False
            self.gone.emit()


def _below_annotations(session: Session) -> int:
    layers, annotations = session.viewer.layers, session.annotations
    return layers.index(annotations) if annotations in layers else len(layers)
