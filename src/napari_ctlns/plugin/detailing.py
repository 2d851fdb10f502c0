"""More of each nodule than the nodule table has, measured in a thread beside the work list.

Axes with their slice and ends, type by HU, solid part, contrast: see `measurement.details`.
It takes longer than the table, so it comes a moment after it, and after an edit only for
the nodules that were edited.
"""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Control, Event, Failed, Finished, Started, ThreadControl
from napari_ctlns.masks.components import Box
from napari_ctlns.masks.label_box import box_of
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.measuring import LARGEST_FOLLOWED, reach_box, voxels_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.steps import Step, StepWatch
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

_MS_AFTER_EDIT = 200
_AT_ONCE = 50  # nodules; then what is known is shown


def details_job(
    mask: Volume,
    scan: Volume,
    table: "pd.DataFrame",
    labels: Sequence[int],
    lungs: Volume | None,
    control: Control,
) -> Iterator[Event]:
    """Measure some nodules of a mask in detail.

    Parameters
    ----------
    mask, scan
        On one grid; the mask is read as it is, and may be painted on meanwhile.
    table
        The nodule table, which knows where they lie.
    labels
        Which of them.
    lungs
        The lungs on that grid, for the distance to the pleura; None: it is not known.

    Yields
    ------
    Event
        `Finished` has ``details``, None if there is no nodule to measure.
    """
    yield Started(title="Measure details")
    if control.stop_requested():
        yield Finished(stopped=True)
        return
    boxes = _boxes(mask, table, labels)
    if not boxes:
        yield Finished(result={"details": None})
        return
    from napari_ctlns.measurement.details import measure_details

    yield Finished(result={"details": measure_details(mask, scan, boxes, lungs)})


def lungs_job(scan: Volume) -> Iterator[Event]:
    """Find the lungs of a scan; `Finished` has ``lungs``."""
    from napari_ctlns.masks.lungs import lung_mask

    yield Started(title="Find the lungs")
    yield Finished(result={"lungs": lung_mask(scan)})


def _boxes(mask: Volume, table: "pd.DataFrame", labels: Sequence[int]) -> Mapping[int, Box]:
    boxes = {}
    for label in labels:
        within = reach_box(table, label, mask.geometry)
        box = None if within is None else box_of(mask.array, label, within)
        if box is not None and voxels_of(box) <= LARGEST_FOLLOWED:
            boxes[label] = box
    return boxes


@dataclass(frozen=True, eq=False)
class _Now:
    """What is being measured."""

    layer: "weakref.ref[Labels]"
    labels: frozenset[int]


class Detailing(QObject):
    """Keeps the details of a session's masks; it belongs to the session.

    Attributes
    ----------
    changed
        There are other details of a layer (the layer).
    """

    changed = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._known: weakref.WeakKeyDictionary[Layer, pd.DataFrame] = weakref.WeakKeyDictionary()
        self._tried: weakref.WeakKeyDictionary[Layer, set[int]] = weakref.WeakKeyDictionary()
        self._lungs: weakref.WeakKeyDictionary[Image, Volume | None] = weakref.WeakKeyDictionary()
        self._with_lungs = False
        self._work: ThreadWork | None = None
        self._now: _Now | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._begin)
        session.part(StepWatch).went.connect(self._follow)
        session.measured.connect(self._look)
        session.mask_changed.connect(self._look)
        self._look()

    def table(self, layer: Layer) -> "pd.DataFrame | None":
        """Return the newest details of a layer, also of nodules edited since they were measured."""
        return self._known.get(layer)

    def stale(self, layer: Layer) -> frozenset[int]:
        """Return the labels of a measured layer whose details are old or not there yet."""
        table = self._session.table(layer)
        labels = frozenset() if table is None else frozenset(int(k) for k in table["label"])
        return labels - self._tried.get(layer, set())

    def long_axis_slice(self, layer: Layer, label: int) -> int | None:
        """Return the slice of the layer with a nodule's long axis; None while it is not known."""
        known = self._known.get(layer)
        if known is None or label in self.stale(layer):
            return None
        row = known[known["label"] == label]
        return None if row.empty else int(row["long_axis_slice"].iloc[0])

    def look_for_lungs(self) -> None:
        """Find the lungs too, which takes some seconds: how far nodules are from the pleura."""
        if not self._with_lungs:
            self._with_lungs = True
            self._look()

    # -- what is old ----------------------------------------------------------------------

    def _follow(self, layer: Labels, step: Step | None, _way: str) -> None:
        tried = self._tried.get(layer)
        if tried is None:
            return
        if step is None:
            tried.clear()
        else:
            tried -= step.labels

    def _look(self, _layer: object = None) -> None:
        if not self._session.gone:
            self._soon.start(_MS_AFTER_EDIT)

    # -- measuring ------------------------------------------------------------------------

    def _begin(self) -> None:
        layer = None if self._session.gone else self._session.mask
        if layer is None or self._work is not None or self._session.is_stale(layer):
            return  # it is called again when the table is up to date
        scan, table = self._session.volume_under(layer), self._session.table(layer)
        if scan is None or table is None:
            return
        mask = of.mask_of(layer, scan)
        if not mask.geometry.same_grid(scan.geometry):
            return
        labels = sorted(self.stale(layer))[:_AT_ONCE]
        if labels:
            self._tried.setdefault(layer, set()).update(labels)  # an edit takes them out again
            self._now = _Now(weakref.ref(layer), frozenset(labels))
            control = ThreadControl()
            lungs = self._lungs_of(scan)
            self._start(details_job(mask, scan, table, labels, lungs, control), control)
        elif self._with_lungs and (shown := self._scan_layer(scan)) not in self._lungs:
            self._lungs[shown] = None  # if they cannot be found, it is not tried again
            self._now = _Now(weakref.ref(layer), frozenset())
            self._start(lungs_job(scan), ThreadControl())

    def _start(self, job: Iterator[Event], control: ThreadControl) -> None:
        self._work = ThreadWork(job, control, parent=self)
        self._work.came.connect(self._hear)

    def _scan_layer(self, scan: Volume) -> Image:
        return next(
            layer
            for layer in self._session.layers_for("scan")
            if isinstance(layer, Image) and of.scan_of(layer) is scan
        )

    def _lungs_of(self, scan: Volume) -> Volume | None:
        return self._lungs.get(self._scan_layer(scan))

    def _hear(self, event: Event) -> None:
        now = self._now
        if not isinstance(event, Finished | Failed) or self._work is None or now is None:
            return
        self._work.deleteLater()
        self._work = self._now = None
        layer = now.layer()
        if self._session.gone or layer is None:
            return
        if isinstance(event, Finished) and "lungs" in event.result:
            self._keep_lungs(layer, event.result["lungs"])
        elif isinstance(event, Finished) and event.result.get("details") is not None:
            self._keep(layer, event.result["details"])
        self._soon.start(0)

    def _keep_lungs(self, layer: Labels, lungs: Volume) -> None:
        scan = self._session.volume_under(layer)
        if scan is not None and scan.geometry.same_grid(lungs.geometry):
            self._lungs[self._scan_layer(scan)] = lungs
            self._tried.pop(layer, None)

    def _keep(self, layer: Labels, details: "pd.DataFrame") -> None:
        import pandas as pd

        known = self._known.get(layer)
        if known is not None:
            old = known[~known["label"].isin(details["label"].tolist())]
            details = pd.concat([old, details], ignore_index=True) if len(old) else details
        self._known[layer] = details.sort_values("label", ignore_index=True)
        self.changed.emit(layer)
