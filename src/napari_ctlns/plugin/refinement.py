"""A prediction by other rules: previewed while they change, applied in one step, undone in one."""

import weakref
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Failed, Finished, Started
from napari_ctlns.findings import Findings
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.mask_preview import OF_THRESHOLD, Drawing, MaskPreview, Patch
from napari_ctlns.plugin.refining import (
    Change,
    Nodules,
    Predicted,
    Proposal,
    State,
    change,
    propose,
    same_rules,
)
from napari_ctlns.plugin.refining_history import AppliedSteps, Step
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.work import ThreadWork, Work, one_step
from napari_ctlns.recipe import Inference
from napari_ctlns.volume import Volume

_MS_AFTER_A_STROKE = 300

_There = tuple[int, Nodules]
"""How often a mask was edited, and its nodules then."""


class Refinement(QObject):
    """What can be made of the predicted mask that is worked on; it belongs to the session.

    Attributes
    ----------
    changed
        There is something else to refine, another proposal, or none any more.
    put_back
        The rules are again those of the mask.
    failed
        A preview could not be drawn (why).
    began
        Work began that takes a while (the work).
    wanted
        Rules that are previewed or will be soon.
    proposal
        What they make of the mask, as it is shown.
    work
        What goes on now: a search for lower islands, or an application of rules.
    """

    changed = Signal()
    put_back = Signal()
    failed = Signal(str)
    began = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._known: weakref.WeakKeyDictionary[Labels, Predicted] = weakref.WeakKeyDictionary()
        self._steps: weakref.WeakKeyDictionary[Labels, AppliedSteps] = weakref.WeakKeyDictionary()
        self._there: weakref.WeakKeyDictionary[Labels, _There] = weakref.WeakKeyDictionary()
        self._writing: Labels | None = None
        self.wanted: Inference | None = None
        self.proposal: Proposal | None = None
        self.work: Work | None = None
        self._soon = QTimer(self)  # strokes come many a second, and each costs a look at the scan
        self._soon.setSingleShot(True)
        self._soon.setInterval(_MS_AFTER_A_STROKE)
        self._soon.timeout.connect(self._draw)
        # the session's, not a part of this part: what is two steps below a session must not hold
        # it, or PySide6 deletes this twice (once for the collector, once for the session)
        self._preview = MaskPreview(session, OF_THRESHOLD, session)
        self._preview.drawn.connect(self._show_proposal)
        self._preview.failed.connect(self.failed)
        self._preview.gone.connect(self.discard)
        session.mask_changed.connect(self.discard)
        session.edited.connect(self._edited)

    # -- what there is ----------------------------------------------------------------

    def begin(self, layer: Labels, known: Predicted) -> None:
        """Let a mask that a model has just drawn be refined."""
        self._known[layer] = known
        self._there[layer] = self._session.edits(layer), known.nodules
        self._steps[layer] = AppliedSteps()
        self.discard()

    @property
    def known(self) -> Predicted | None:
        """What is known of the mask that is worked on; None if no model drew it."""
        layer = self._session.mask
        return None if layer is None else self._known.get(layer)

    # -- the preview ------------------------------------------------------------------

    def show(self, rules: Inference) -> None:
        """Preview other rules; those of the mask need none."""
        known = self.known
        if known is None:
            return
        if same_rules(rules, known.rules):
            self.discard()
            return
        self.wanted = rules
        if rules.threshold >= known.islands.floor:
            self._draw()
        elif self.work is None:
            self._look_lower(rules.threshold)

    def discard(self) -> None:
        """Let the mask be as it is."""
        self.wanted = self.proposal = None
        self._preview.hide()
        self.put_back.emit()
        self.changed.emit()

    def _draw(self) -> None:
        layer, known, rules = self._session.mask, self.known, self.wanted
        if layer is None or known is None or rules is None:
            return
        if rules.threshold < known.islands.floor:
            return  # what looks for lower islands draws when it has them
        edits, (then, nodules) = self._session.edits(layer), self._there[layer]
        there = nodules if then == edits else None
        findings = of.findings_of(layer)
        array = np.asarray(layer.data)
        draw = partial(_drawing, array, there, known, findings, rules, edits)
        self._preview.show(known.islands.geometry, draw)

    def _show_proposal(self, told: tuple[int, Proposal]) -> None:
        edits, self.proposal = told
        if self._session.mask is not None:
            self._there[self._session.mask] = edits, self.proposal.there
        self.changed.emit()

    def _look_lower(self, threshold: float) -> None:
        layer, known = self._session.mask, self.known
        if layer is None or known is None:
            return
        work = ThreadWork(one_step("Look lower", known.reaching, threshold), parent=self)
        self._follow(work)
        work.came.connect(partial(self._looked_lower, weakref.ref(layer)))  # may begin the next

    def _looked_lower(self, of_layer: "weakref.ref[Labels]", event: Event) -> None:
        layer = of_layer()
        if isinstance(event, Finished) and layer in self._known:
            self._known[layer] = event.result["value"]
            if self.wanted is not None:
                self.show(self.wanted)  # which may be lower still by now

    # -- applying ---------------------------------------------------------------------

    def apply(self) -> None:
        """Let the mask become what is previewed, in one step that can be undone."""
        layer, rules = self._session.mask, self.wanted
        if layer is not None and rules is not None and self.work is None:
            self._follow(Application(self, layer, rules))

    def undo(self) -> None:
        """Take the last change of the mask back."""
        if self._session.mask is not None:
            self._session.mask.undo()

    def redo(self) -> None:
        """Make the change again that was undone last."""
        if self._session.mask is not None:
            self._session.mask.redo()

    def state(self, layer: Labels) -> State:
        """Return what goes with the voxels of a mask now."""
        table = self._session.table(layer)
        fresh = table is not None and not self._session.is_stale(layer)
        return State(self._known[layer], of.findings_of(layer), table, fresh)

    def write(self, layer: Labels, done: Change) -> None:
        """Write a change into a mask."""
        values = done.values.astype(layer.data.dtype)
        if values.size:
            old = layer.data[done.where]
            self._writing = layer  # napari tells of it before it is done
            layer.data_setitem(done.where, values)
            self._writing = None
            self._steps[layer].add(Step(done.where, old, values, done.before, done.after))
        self._put(layer, done.after)
        self._there[layer] = self._session.edits(layer), done.after.known.nodules
        self.discard()
        self._session.viewer.layers.selection.active = layer  # where Ctrl+Z takes it back

    def scan_of(self, layer: Labels) -> Volume | None:
        """Return the scan in which the nodules of a mask are measured, if it is open."""
        scan, own = self._session.volume_under(layer), self._known[layer].probability
        if scan is None or scan.scan_id != own.scan_id:
            return None
        return scan if scan.geometry.same_grid(own.geometry) else None

    def edits(self, layer: Labels) -> int:
        """Return how often a mask was edited."""
        return self._session.edits(layer)

    def _put(self, layer: Labels, state: State) -> None:
        self._known[layer] = state.known
        self._session.put_findings(layer, state.findings, state.table, state.fresh)

    def _follow(self, work: Work) -> None:
        self.work = work
        work.came.connect(self._hear)
        self.began.emit(work)
        self.changed.emit()

    def _hear(self, event: Event) -> None:
        if isinstance(event, Finished | Failed):
            self.work = None
            self.changed.emit()

    # -- what a person does meanwhile -----------------------------------------------------

    def _edited(self, layer: Any) -> None:
        steps = self._steps.get(layer) if isinstance(layer, Labels) else None
        if steps is None or layer is self._writing:
            return
        state = steps.moved_to(np.asarray(layer.data))
        if state is not None:
            findings = of.findings_of(layer).put_back(state.findings)
            # islands that were looked for since are no worse
            known = replace(state.known, islands=self._known[layer].islands)
            self._put(layer, replace(state, known=known, findings=findings))
            if layer is self._session.mask:
                self.discard()
        elif layer is self._session.mask and self.wanted is not None:
            self._soon.start()


class Application(Work):
    """Rules that become a mask: worked out in a thread, written when nobody painted meanwhile.

    Its `Finished` has ``nodules``, ``new``, ``gone`` and ``kept``: how many.
    """

    def __init__(self, refinement: Refinement, layer: Labels, rules: Inference) -> None:
        super().__init__(refinement)
        self._refinement, self._layer, self._rules = refinement, layer, rules
        self._stopping = False
        self._begin()

    def stop(self) -> None:
        """Let it end without a change."""
        self._stopping = True

    def _begin(self) -> None:
        here, layer = self._refinement, self._layer
        self._edits, self._before = here.edits(layer), here.state(layer)
        mask = of.mask_of(layer)
        job = one_step("Apply", change, mask, self._before, self._rules, here.scan_of(layer))
        self._thread = ThreadWork(job, parent=self)
        self._thread.came.connect(self._hear)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Failed | Started):
            self.say(event)
        elif isinstance(event, Finished) and self._stopping:
            self.say(Finished(stopped=True))
        elif isinstance(event, Finished) and self._is_old():
            self._begin()
        elif isinstance(event, Finished):
            self._write(event.result["value"])

    def _is_old(self) -> bool:
        here, layer = self._refinement, self._layer
        same = of.findings_of(layer) is self._before.findings
        return here.edits(layer) != self._edits or not same

    def _write(self, done: Change) -> None:
        self._refinement.write(self._layer, done)
        nodules = len(done.after.findings.labels)
        told = {"nodules": nodules, "new": done.new, "gone": done.gone, "kept": done.kept}
        self.say(Finished(result=told))


def _drawing(
    labels: npt.NDArray[Any],
    there: Nodules | None,
    known: Predicted,
    findings: Findings,
    rules: Inference,
    edits: int,
) -> Drawing:
    """Draw what other rules would make of a mask; tells the proposal and how old it is."""
    proposal = propose(labels, there, known, findings, rules)
    patches = tuple(
        Patch(part.box, part.inside * np.uint16(label))
        for label, part in proposal.wanted.nodules.items()
    )
    return Drawing(patches, (edits, proposal))


def refinement_of(session: Session) -> Refinement:
    """Return the refinement of a session; the first call makes it."""
    return session.part(Refinement)
