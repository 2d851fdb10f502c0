"""What a person says of findings: accepted or rejected, of which type, a note; and taking it back.

Voxels are not touched: a rejected nodule stays in its layer and is left out of what is saved
from it. So a judgement and a stroke can each be undone without the other.
"""

import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari.layers import Labels, Layer
from napari.utils.key_bindings import KeyCode, KeyMod
from qtpy.QtCore import QObject, Signal

from napari_ctlns.findings import Finding, NoduleType, Status, now
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.steps import MOST_STEPS, Step, StepWatch
from napari_ctlns.plugin.training_set import TrainingSet

_UNDO = KeyMod.CtrlCmd | KeyCode.KeyZ
_REDO = KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ
_SAID = ("status", "type", "note", "reader", "time")
"""What a judgement changes."""

Change = Callable[[Finding], dict[str, str]]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What was said at once of some findings of a layer, and what had been said before."""

    before: tuple[Finding, ...]
    after: tuple[Finding, ...]


class _Journal:
    """Judgements and strokes of one layer in the order in which they were made."""

    def __init__(self) -> None:
        self.done: deque[Judgement | Step] = deque(maxlen=2 * MOST_STEPS)
        self.undone: list[Judgement | Step] = []

    def make(self, judgement: Judgement) -> None:
        self.done.append(judgement)
        # strokes that were undone before can still be made again: they are napari's
        self.undone = [one for one in self.undone if isinstance(one, Step)]

    def follow(self, step: Step | None, way: str) -> None:
        """Follow a stroke that was made, undone or redone; None: no stroke is known any more."""
        if step is None:
            kept = [one for one in self.done if isinstance(one, Judgement)]
            self.done, self.undone = deque(kept, maxlen=self.done.maxlen), []
        elif way == "made":
            self.done.append(step)
            self.undone.clear()
        else:
            here, there = (self.done, self.undone) if way == "undone" else (self.undone, self.done)
            if step in here:
                here.remove(step)
            there.append(step)


class Judging(QObject):
    """Keeps what a person says of the findings of a session's masks; it belongs to the session.

    Attributes
    ----------
    changed
        Something was said, or taken back.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._training_set = session.part(TrainingSet)
        self._journals: weakref.WeakKeyDictionary[Layer, _Journal] = weakref.WeakKeyDictionary()
        self._bound: weakref.WeakSet[Layer] = weakref.WeakSet()
        session.part(StepWatch).went.connect(self._follow)
        session.layers_changed.connect(self._bind_undo)
        self._bind_undo()

    @property
    def reader(self) -> str:
        """Under whose name judgements are kept."""
        return self._training_set.reader

    # -- saying -------------------------------------------------------------------------

    def accept(self, layer: Labels, uids: Sequence[str]) -> None:
        """Say of findings that they are nodules."""
        self._say(layer, uids, lambda _: {"status": "accepted"})

    def reject(self, layer: Labels, uids: Sequence[str]) -> None:
        """Say of findings that they are no nodules."""
        self._say(layer, uids, lambda _: {"status": "rejected"})

    def reopen(self, layer: Labels, uids: Sequence[str]) -> None:
        """Say of findings that they are to be looked at again."""
        self._say(layer, uids, lambda finding: {"status": _open_status(finding)})

    def set_type(self, layer: Labels, uids: Sequence[str], kind: NoduleType) -> None:
        """Say of which type nodules are; "unknown": what is measured tells it."""
        self._say(layer, uids, lambda _: {"type": kind})

    def set_note(self, layer: Labels, uids: Sequence[str], note: str) -> None:
        """Write a note on findings."""
        self._say(layer, uids, lambda _: {"note": note.strip()})

    def _say(self, layer: Labels, uids: Sequence[str], change: Change) -> None:
        findings = of.findings_of(layer)
        who = {"reader": self.reader, "time": now()}
        before, after = [], []
        for finding in findings.items:
            if finding.uid in uids:
                new = finding.model_copy(update={**change(finding), **who})
                before.append(finding)
                after.append(new)
        if after:
            self._journals.setdefault(layer, _Journal()).make(
                Judgement(tuple(before), tuple(after))
            )
            self._put(layer, after)

    # -- taking back ----------------------------------------------------------------------

    def can_undo(self, layer: Layer | None) -> bool:
        """Whether something was said of a layer's findings that can be taken back."""
        journal = None if layer is None else self._journals.get(layer)
        return journal is not None and any(isinstance(one, Judgement) for one in journal.done)

    def undo_last(self, layer: Labels) -> None:
        """Take back what was said last, whatever was painted since."""
        journal = self._journals.get(layer)
        done = () if journal is None else journal.done
        last = next((one for one in reversed(done) if isinstance(one, Judgement)), None)
        if journal is not None and last is not None:
            journal.done.remove(last)
            journal.undone.append(last)
            self._put(layer, last.before)

    def undo(self, layer: Labels) -> None:
        """Take back what was done last: said, or painted."""
        journal = self._journals.get(layer)
        if journal is not None and journal.done and isinstance(journal.done[-1], Judgement):
            self.undo_last(layer)
        else:
            layer.undo()

    def redo(self, layer: Labels) -> None:
        """Do again what was taken back last."""
        journal = self._journals.get(layer)
        last = journal.undone[-1] if journal is not None and journal.undone else None
        if journal is not None and isinstance(last, Judgement):
            journal.done.append(journal.undone.pop())
            self._put(layer, last.after)
        else:
            layer.redo()

    def _put(self, layer: Labels, said: Sequence[Finding]) -> None:
        """Let findings be said of as these are; their voxels may be others by now."""
        words = {one.uid: {name: getattr(one, name) for name in _SAID} for one in said}
        findings = of.findings_of(layer)
        for finding in findings.items:
            if finding.uid in words:
                new = words[finding.uid]
                if new["status"] in ("new", "edited"):
                    new["status"] = _open_status(finding)
                findings = findings.change(finding.uid, **new)
        self._session.say_of_findings(layer, findings)
        self.changed.emit()

    # -- in order with strokes --------------------------------------------------------------

    def _follow(self, layer: Labels, step: Step | None, way: str) -> None:
        if layer in self._journals:
            self._journals[layer].follow(step, way)
            self.changed.emit()

    def _bind_undo(self) -> None:
        """Let Ctrl+Z take back judgements too, where the mask is the layer that is selected."""
        if self._session.gone:
            return
        mine = weakref.ref(self)
        for layer in self._session.layers_for("mask"):
            if layer not in self._bound:
                self._bound.add(layer)
                for keys, way in ((_UNDO, "undo"), (_REDO, "redo")):
                    layer.bind_key(keys, _going(mine, way), overwrite=True)


def _going(mine: "weakref.ref[Judging]", way: str) -> Callable[[Labels], None]:
    def go(layer: Labels) -> None:  # napari asks what keys do for its name
        judging = mine()
        if judging is None:  # the layer outlived its window
            getattr(layer, way)()
        else:
            getattr(judging, way)(layer)

    return go


def _open_status(finding: Finding) -> Status:
    return "edited" if finding.edited else "new"


def judging_of(session: Session) -> Judging:
    """Return what keeps the judgements of a session; the first call makes it."""
    return session.part(Judging)
