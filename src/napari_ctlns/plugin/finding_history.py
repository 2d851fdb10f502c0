"""Findings go with their voxels: through strokes, corrections, undo and redo.

Whatever tool changes labels, it is read off the voxels what became of nodules. A finding
keeps its uid, status and note when its label is another one now; a part that gets a label
of its own is its child; what is painted over whole is merged.
"""

import weakref
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer
from qtpy.QtCore import QObject

from napari_ctlns.findings import Finding, Findings
from napari_ctlns.plugin.layers import KEY, MaskLayer
from napari_ctlns.plugin.steps import MOST_STEPS, Step, StepWatch, Way

if TYPE_CHECKING:
    import pandas as pd

    from napari_ctlns.plugin.session import Session


def after_step(findings: Findings, labels: npt.NDArray[Any], step: Step) -> Findings:
    """Return what becomes of findings by a step that is being made.

    Parameters
    ----------
    findings
        As they were before it.
    labels
        The mask (z, y, x), with the step in it or just before.
    step
        What changes.
    """
    edited = findings
    for label in sorted(step.labels & findings.labels):
        edited = edited.mark_edited(label)
    gained = sorted({new for _, new in step.changes if new > 0})
    for new in gained:
        edited = _gained(edited, labels, step, new)
    return edited


def _gained(findings: Findings, labels: npt.NDArray[Any], step: Step, new: int) -> Findings:
    """Follow voxels that became ``new``."""
    of_old = {old: n for (old, to), n in step.changes.items() if to == new and old > 0}
    whole = [
        old for old in sorted(of_old) if old in findings.labels and _is_gone(labels, step, old)
    ]
    if new not in findings.labels:
        voxels = sum(n for (_, to), n in step.changes.items() if to == new)
        origin = max(of_old, key=lambda old: of_old[old], default=0)
        if whole:
            findings = findings.relabel({whole.pop(0): new})
        elif origin in findings.labels and 2 * of_old[origin] > voxels:
            findings = findings.split(origin, new)
        else:
            findings = findings.add(Finding(label=new, origin="hand"))
    for old in whole:
        findings = findings.merge(new, old)
    return findings


def _is_gone(labels: npt.NDArray[Any], step: Step, label: int) -> bool:
    """Whether a label has no voxels after a step."""
    if any(new == label for _, new in step.changes):
        return False
    taken = sum(n for (old, _), n in step.changes.items() if old == label)
    left = 0 if step.is_in(labels) else taken
    if np.count_nonzero(labels[step.box] == label) > left:
        return False
    return sum(int(np.count_nonzero(plane == label)) for plane in labels) == left


@dataclass(frozen=True, eq=False)
class _Moment:
    """What went with the voxels of a mask at one moment; no table if it was not up to date."""

    findings: Findings
    table: "pd.DataFrame | None"


class _Moments:
    """What went with a mask before each step that can be undone, and after those undone."""

    def __init__(self) -> None:
        self.before: deque[_Moment] = deque(maxlen=MOST_STEPS)
        self.after: deque[_Moment] = deque(maxlen=MOST_STEPS)

    def go(self, now: _Moment, way: Way) -> _Moment | None:
        """Return what went with the voxels that are there again; None: they are new."""
        if way == "made":
            self.before.append(now)
            self.after.clear()
            return None
        here, there = (self.after, self.before) if way == "undone" else (self.before, self.after)
        here.append(now)
        return there.pop() if there else None


class FindingHistory(QObject):
    """Lets the findings of a session's masks go with their voxels.

    It belongs to the session and is the first to hear of a step: whoever writes voxels and
    knows better what became of findings puts them into the layer afterwards.
    """

    def __init__(self, session: "Session", steps: StepWatch) -> None:
        super().__init__(session)
        self._session = session
        self._moments: weakref.WeakKeyDictionary[Layer, _Moments] = weakref.WeakKeyDictionary()
        self._fresh: weakref.WeakKeyDictionary[Layer, pd.DataFrame] = weakref.WeakKeyDictionary()
        steps.went.connect(self._follow)
        session.measured.connect(self._measured)

    def _measured(self, layer: Any) -> None:
        self._fresh.pop(layer, None)
        table = self._session.table(layer)
        if table is not None and not self._session.is_stale(layer):
            self._fresh[layer] = table

    def _follow(self, layer: Labels, step: Step | None, way: Way) -> None:
        known = layer.metadata.get(KEY)
        table = self._fresh.pop(layer, None)
        if not isinstance(known, MaskLayer) or step is None:
            self._moments.pop(layer, None)
            return
        now = _Moment(known.findings, table)
        then = self._moments.setdefault(layer, _Moments()).go(now, way)
        if then is not None:
            self._put_back(layer, now.findings, then)
        elif way == "made":
            findings = after_step(known.findings, np.asarray(layer.data), step)
            layer.metadata[KEY] = replace(known, findings=findings)

    def _put_back(self, layer: Labels, now: Findings, then: _Moment) -> None:
        findings, fresh = now.put_back(then.findings), then.table is not None
        table = then.table if fresh else self._session.table(layer)
        self._session.put_findings(layer, findings, table, fresh)
