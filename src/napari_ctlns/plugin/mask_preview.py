"""Shows what a mask would be, drawn in a thread, while a person changes what it is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer
from napari.utils import DirectLabelColormap
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.annotating import drawn_mask
from napari_ctlns.plugin.layers import KEY, Box, is_preview, preview_tuple
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.work import ThreadWork, one_step
from napari_ctlns.volume import Geometry


@dataclass(frozen=True, eq=False)
class Patch:
    """A piece of a mask, and where it lies; its voxels of 0 are other pieces' or nobody's."""

    box: Box
    labels: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Drawing:
    """What a preview is to show.

    Attributes
    ----------
    patches
        All of the mask that is not 0; of voxels that several have the last one's count.
    told
        What whoever asked for it wants to know of it.
    """

    patches: tuple[Patch, ...]
    told: Any = None


Draw = Callable[[], Drawing]
"""Makes a drawing; called in a thread."""


@dataclass(frozen=True)
class PreviewKind:
    """How a preview looks, and how it follows a person.

    Attributes
    ----------
    name
        Of its layer at first; each kind has a layer of its own.
    ms_of_calm
        How long nothing must be asked for before it is drawn.
    contour
        How wide outlines are, voxels; 0: nodules are filled.
    opacity
        From 0 to 1.
    colours
        Of its labels; None: napari's own.
    """

    name: str
    ms_of_calm: int
    contour: int
    opacity: float
    colours: Mapping[int | None, str] | None = None


OF_ANNOTATIONS = PreviewKind("preview", ms_of_calm=150, contour=0, opacity=0.4)
OF_THRESHOLD = PreviewKind("preview, threshold", ms_of_calm=0, contour=1, opacity=1.0)
"""Outlined, because it is seen over the mask that it may replace."""


def drawing_of(geometry: Geometry, annotations: tuple[Annotation, ...]) -> Drawing:
    """Draw annotations."""
    from scipy.ndimage import find_objects

    mask = drawn_mask(geometry, annotations)
    boxes = [box for box in find_objects(mask) if box is not None]
    return Drawing(tuple(Patch(box, mask[box].copy()) for box in boxes))


class MaskPreview(QObject):
    """Draws the newest of what is asked for, in a thread, into a layer of its own.

    Attributes
    ----------
    drawn
        A drawing is shown now (what it tells).
    failed
        It could not be drawn (why).
    gone
        Somebody took its layer away.
    """

    drawn = Signal(object)
    failed = Signal(str)
    gone = Signal()

    def __init__(self, session: Session, kind: PreviewKind, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._kind = kind
        self._shown = self.layer is not None
        self._wanted: tuple[Geometry, Draw] | None = None
        self._drawn: Geometry | None = None
        self._work: ThreadWork | None = None
        self._calm = QTimer(self)
        self._calm.setSingleShot(True)
        self._calm.setInterval(kind.ms_of_calm)
        self._calm.timeout.connect(self._draw)
        session.layers_changed.connect(self._look)

    @property
    def layer(self) -> Labels | None:
        """The layer of the preview; one that another panel made is adopted."""
        layers = filter(is_preview, self._session.viewer.layers)
        return next((one for one in layers if one.metadata[KEY].kind == self._kind.name), None)

    def show(self, geometry: Geometry, draw: Draw) -> None:
        """Show this drawing soon."""
        self._wanted = geometry, draw
        self._calm.start()

    def hide(self) -> None:
        """Take the preview away."""
        self._wanted = self._drawn = None
        self._calm.stop()
        self._remove()

    def _draw(self) -> None:
        if self._wanted is None or self._work is not None:
            return  # work that goes on looks again when it ends
        (self._drawn, draw), self._wanted = self._wanted, None
        self._work = ThreadWork(one_step("Drawing the preview", draw), parent=self)
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
            drawing: Drawing = event.result["value"]
            self._put(self._drawn, drawing.patches)
            self.drawn.emit(drawing.told)

    def _put(self, geometry: Geometry, patches: tuple[Patch, ...]) -> None:
        layer = self.layer
        if layer is not None and not layer.metadata[KEY].geometry.same_grid(geometry):
            self._remove()
            layer = None
        if layer is None:
            layer = self._add(geometry)
        for box in layer.metadata[KEY].boxes:
            layer.data[box] = 0
        for patch in patches:
            np.copyto(layer.data[patch.box], patch.labels, where=patch.labels != 0)
        boxes = tuple(patch.box for patch in patches)
        layer.metadata[KEY] = replace(layer.metadata[KEY], boxes=boxes)
        layer.refresh()

    def _add(self, geometry: Geometry) -> Labels:
        layers = self._session.viewer.layers
        active = layers.selection.active
        layer = Layer.create(*preview_tuple(geometry, self._kind.name))
        layer.contour, layer.opacity = self._kind.contour, self._kind.opacity
        if self._kind.colours is not None:
            colours = {None: "transparent", 0: "transparent", **self._kind.colours}
            layer.colormap = DirectLabelColormap(color_dict=colours)
        layer.editable = False
        layers.insert(_over_masks(self._session), layer)
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


def _over_masks(session: Session) -> int:
    """Return where a preview lies: below annotations, but over every mask."""
    layers, annotations = session.viewer.layers, session.annotations
    below = layers.index(annotations) if annotations in layers else len(layers)
    return max(below, *(layers.index(mask) + 1 for mask in session.layers_for("mask")), 0)
