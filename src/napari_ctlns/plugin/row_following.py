"""Rows of the nodule table follow each stroke: what was edited is measured anew.

What takes less than drawing the stroke is measured at once; in a thread, beside that
drawing, it would take three times as long. The rest is measured in a thread.
"""

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.masks.components import Box
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.measuring import is_quick, rows_job, table_after
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.steps import Step, StepWatch
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

_MS_BETWEEN_LOOKS = 5

_Where = dict[int, Box]
"""Labels whose rows are old, and where they were edited since."""


@dataclass(frozen=True, eq=False)
class _Now:
    """What is being measured."""

    layer: "weakref.ref[Labels]"
    edits: int
    before: "pd.DataFrame"
    where: _Where


class RowFollower(QObject):
    """Keeps the nodule tables of a session up to date; it belongs to the session.

    It follows a layer that lies on its scan's grid and has a table. What it cannot follow
    is measured when a person asks for it: another array, or a nodule as large as a lung.

    Attributes
    ----------
    lost
        A layer cannot be followed any more until it is measured (the layer).
    """

    lost = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._behind: weakref.WeakKeyDictionary[Labels, _Where] = weakref.WeakKeyDictionary()
        self._lost: weakref.WeakSet[Labels] = weakref.WeakSet(
            layer for layer in session.layers_for("mask") if session.is_stale(layer)
        )
        self._work: ThreadWork | None = None
        self._now: _Now | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._begin)
        session.part(StepWatch).went.connect(self._note)
        session.measured.connect(self._measured)

    def follows(self, layer: Labels) -> bool:
        """Whether the rows of a layer, once it has any, are up to date or will be in a moment."""
        return layer not in self._lost and self._volumes(layer) is not None

    def _volumes(self, layer: Labels) -> tuple[Volume, Volume] | None:
        """Return what a layer shows and its scan, if they lie on one grid."""
        scan = self._session.volume_under(layer)
        if scan is None:
            return None
        mask = of.mask_of(layer, scan)
        return (mask, scan) if mask.geometry.same_grid(scan.geometry) else None

    def _note(self, layer: Labels, step: Step | None, _way: str) -> None:
        if not self._session.is_stale(layer) or not self.follows(layer):
            return  # an undone step may bring its table with it
        if step is None:
            self._lose(layer)
            return
        self._fall_behind(layer, {label: step.box for label in step.labels if label > 0})
        if step.is_in(np.asarray(layer.data)):
            self._begin()  # the canvas is drawn meanwhile, which takes longer than a nodule
        else:
            self._soon.start()

    def _measured(self, layer: Any) -> None:
        if not self._session.is_stale(layer):
            self._behind.pop(layer, None)
            self._lost.discard(layer)
        self._soon.start()  # it may have been edited while it was measured for the first time

    def _lose(self, layer: Labels) -> None:
        self._lost.add(layer)
        self._behind.pop(layer, None)
        self.lost.emit(layer)

    # -- measuring ----------------------------------------------------------------------

    def _begin(self) -> None:
        if self._session.gone:
            return
        measured = (one for one in self._behind if self._session.table(one) is not None)
        layer = next(measured, None)
        if self._work is not None or layer is None:
            return
        volumes, table = self._volumes(layer), self._session.table(layer)
        where = self._behind.pop(layer)
        if volumes is None or table is None:  # its scan is gone
            self._lose(layer)
            return
        now = _Now(weakref.ref(layer), self._session.edits(layer), table, where)
        if is_quick(table, where):
            self._keep(layer, now, table_after(*volumes, table, where))
            self._soon.start()
            return
        self._now = now
        job = rows_job(*volumes, table, where)
        self._work = ThreadWork(job, parent=self, ms_between_looks=_MS_BETWEEN_LOOKS)
        self._work.came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        now = self._now
        if not isinstance(event, Finished | Failed) or self._work is None or now is None:
            return
        self._work.deleteLater()
        self._work = self._now = None
        if self._session.gone:
            return
        self._soon.start()
        layer = now.layer()
        if layer is not None:
            self._keep(layer, now, event.result["table"] if isinstance(event, Finished) else None)

    def _keep(self, layer: Labels, now: _Now, table: "pd.DataFrame | None") -> None:
        if table is None:
            self._lose(layer)
        elif self._session.table(layer) is now.before:
            self._session.keep_table(layer, table, now.edits)
        elif self._session.is_stale(layer):  # another table came meanwhile
            self._fall_behind(layer, now.where)

    def _fall_behind(self, layer: Labels, where: _Where) -> None:
        behind = self._behind.setdefault(layer, {})
        for label, box in where.items():
            behind[label] = joined(behind.get(label, box), box)


def joined(one: Box, other: Box) -> Box:
    """Return the smallest box that holds two."""
    z, y, x = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return z, y, x


def row_follower_of(session: Session) -> RowFollower:
    """Return the follower of a session; the first call makes it."""
    return session.part(RowFollower)
