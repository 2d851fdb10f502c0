"""Keeps the small pictures of nodules: drawn in a thread when they are asked for, and kept."""

import weakref

from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.masks.components import Box
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.measuring import LARGEST_FOLLOWED, reach_box, voxels_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.steps import Step, StepWatch
from napari_ctlns.plugin.thumbnails import Thumbnail, thumbnails_job
from napari_ctlns.plugin.work import ThreadWork

_AT_ONCE = 16
_MS_BETWEEN_LOOKS = 10


class ThumbnailStore(QObject):
    """Draws the nodules that are asked for, and again those that were edited since.

    It belongs to the session. Until a nodule is drawn again its old picture stands.

    Attributes
    ----------
    came
        There are pictures of a layer that were not there before (the layer).
    """

    came = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._drawn: weakref.WeakKeyDictionary[Layer, dict[int, Thumbnail]] = (
            weakref.WeakKeyDictionary()
        )
        self._fresh: weakref.WeakKeyDictionary[Layer, set[int]] = weakref.WeakKeyDictionary()
        self._wanted: dict[int, None] = {}
        self._work: ThreadWork | None = None
        self._layer: weakref.ref[Labels] | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._begin)
        session.part(StepWatch).went.connect(self._follow)
        session.mask_changed.connect(self._wanted.clear)
        session.scan_changed.connect(self._forget)

    def picture(self, label: int) -> Thumbnail | None:
        """Return the newest picture of a nodule of the mask worked on; a fresh one may follow."""
        layer = self._session.mask
        if layer is None:
            return None
        if label not in self._fresh.get(layer, set()):
            self._wanted[label] = None
            self._soon.start()
        return self._drawn.get(layer, {}).get(label)

    def _follow(self, layer: Labels, step: Step | None, _way: str) -> None:
        fresh = self._fresh.get(layer)
        if fresh is None:
            return
        if step is None:
            fresh.clear()
        else:
            fresh -= step.labels

    def _forget(self) -> None:
        """Draw all of them anew: on another scan."""
        self._fresh.clear()
        self._drawn.clear()

    def _begin(self) -> None:
        layer = None if self._session.gone else self._session.mask
        if layer is None or self._work is not None or not self._wanted:
            return
        scan = self._session.volume_under(layer)
        mask = None if scan is None else of.mask_of(layer, scan)
        if scan is None or mask is None or not mask.geometry.same_grid(scan.geometry):
            return
        # what is not in the table yet is asked for again when it is
        labels = list(self._wanted)[:_AT_ONCE]
        for label in labels:
            del self._wanted[label]
        boxes = {label: box for label in labels if (box := self._box(layer, label)) is not None}
        self._fresh.setdefault(layer, set()).update(boxes)  # an edit takes them out again
        if boxes:
            self._layer = weakref.ref(layer)
            job = thumbnails_job(mask, scan, boxes)
            self._work = ThreadWork(job, parent=self, ms_between_looks=_MS_BETWEEN_LOOKS)
            self._work.came.connect(self._hear)

    def _box(self, layer: Labels, label: int) -> Box | None:
        """Return a box that holds a nodule, unless it was edited since or is very large."""
        table = self._session.table(layer)
        if table is None or self._session.is_stale(layer):
            return None
        box = reach_box(table, label, of.mask_of(layer, self._session.volume_under(layer)).geometry)
        return box if box is not None and voxels_of(box) <= LARGEST_FOLLOWED else None

    def _hear(self, event: Event) -> None:
        if not isinstance(event, Finished | Failed) or self._work is None:
            return
        self._work.deleteLater()
        self._work = None
        layer = None if self._layer is None else self._layer()
        if self._session.gone:
            return
        if layer is not None and isinstance(event, Finished):
            self._drawn.setdefault(layer, {}).update(event.result["thumbnails"])
            self.came.emit(layer)
        self._soon.start()
