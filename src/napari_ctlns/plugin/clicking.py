"""Clicks become nodules: each one's mask is worked out in a thread and written in one step."""

from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from napari_ctlns.errors import ClickError, CtlnsError, MaskError
from napari_ctlns.events import Event, Failed, Finished
from napari_ctlns.findings import Findings
from napari_ctlns.masks.click import Clicks, click_mask
from napari_ctlns.masks.islands import Part
from napari_ctlns.masks.redrawing import redrawn
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import canvas_to_lps
from napari_ctlns.plugin.click_model import click_model_of
from napari_ctlns.plugin.click_nodules import (
    Clicked,
    ClickedNodules,
    free_label,
    label_at,
    label_of,
    uid_of,
)
from napari_ctlns.plugin.click_plans import Doing, Plan, Wish, scan_for, target_on, with_wish
from napari_ctlns.plugin.click_words import kind_of, size_in_words
from napari_ctlns.plugin.corrections import write_correction
from napari_ctlns.plugin.learned_clicking import method_in_words
from napari_ctlns.plugin.row_following import row_follower_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.steps import Step, StepWatch, Way
from napari_ctlns.plugin.words import capitalised
from napari_ctlns.plugin.work import ThreadWork, Work, one_step
from napari_ctlns.volume import Volume

Segmenter = Callable[[Volume, Clicks], Part]
"""What makes a mask of clicks; it raises `ClickError` where there is nothing like a nodule."""
NEW_LAYER = "nodules"
TIGHTNESS_STEP = 0.1
_MS_BETWEEN_LOOKS = 5
_MOST_HIDDEN = 0.5  # of what is found, where other nodules are already


class Clicking(QObject):
    """Makes nodules of clicks in the scan that is worked on; it belongs to the session.

    Wishes are met one after the other, each as things are when its turn comes. What the
    mask is made by is a model where there is one that takes clicks, else `segmenter`.

    Attributes
    ----------
    changed
        Another nodule is worked on, or its tightness is another.
    said
        How it went (the words; whether it is trouble).
    missed
        A click was on nothing like a nodule (where on the canvas, None if it is not known).
    segmenter
        What makes masks of clicks without a model.
    model
        The model that makes them where it is there, and wanted.
    nodules
        Those that clicks made.
    tightness
        Of the next nodule, and of the one worked on: -1, loose, to 1, tight.
    """

    changed = Signal()
    said = Signal(str, bool)
    missed = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.segmenter: Segmenter = click_mask
        self.model = click_model_of(session)
        self.model.changed.connect(self.changed)
        self.tightness = 0.0
        self.nodules = ClickedNodules()
        self._wishes: deque[Wish] = deque()
        self._plan: Plan | None = None
        self._ready = False
        self._awaited: str | None = None  # what is to be said beside the size, once it is known
        self._work: Work | None = None
        self._steps = session.part(StepWatch)
        self._steps.went.connect(self._follow)
        row_follower_of(session)
        session.measured.connect(self._measured)
        session.mask_changed.connect(self.changed)
        session.closed.connect(self._wishes.clear)

    # -- what there is --------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a mask is being worked out."""
        return self._plan is not None

    @property
    def method(self) -> str:
        """What makes masks of clicks, in words."""
        return method_in_words(self.model.used)

    def current(self) -> int:
        """Return the label of the nodule that further clicks correct; 0 for none."""
        layer = self._session.mask
        return 0 if layer is None else label_of(layer, self.nodules.last(layer))

    # -- what a person wants --------------------------------------------------------------

    def click(
        self,
        doing: Doing,
        canvas_mm: Any,
        diameter_mm: float | None = None,
        pixel: tuple[float, float] | None = None,
    ) -> None:
        """Begin a nodule at a place on the canvas (z, y, x; mm), or correct one by it."""
        scan = self._session.volume
        if scan is not None:
            x, y, z = canvas_to_lps(scan.geometry, np.asarray(canvas_mm, float)[-3:]).tolist()
            self._wish(Wish(doing, (x, y, z), diameter_mm, pixel))

    def set_tightness(self, tightness: float) -> None:
        """Draw the nodule that is worked on, and the next ones, looser or tighter."""
        tightness = round(min(max(tightness, -1.0), 1.0), 2)
        if tightness == self.tightness:
            return
        self.tightness = tightness
        self.changed.emit()
        if self.current() and not any(wish.doing == "redraw" for wish in self._wishes):
            self._wish(Wish("redraw"))

    def _wish(self, wish: Wish) -> None:
        self._wishes.append(wish)
        if not self.busy:
            self._begin()

    # -- one after the other --------------------------------------------------------------

    def get_ready(self) -> None:
        """Import meanwhile what the first click would wait for."""
        if not self._ready:
            self._ready = True
            names = ("napari_ctlns.measurement", "skimage.measure")
            job = one_step("Get ready", lambda: [import_module(name) for name in names])
            ThreadWork(job, parent=self)
            self.model.look()

    def _begin(self) -> None:
        while self._wishes and not self.busy:
            wish = self._wishes.popleft()
            try:
                self._plan = self._plan_for(wish)
                self._work = None if self._plan is None else self._worked_out(self._plan)
            except CtlnsError as error:
                self._plan = None
                self._refuse(wish, str(error))
        if self._work is not None:
            self._work.came.connect(self._hear)

    def _worked_out(self, plan: Plan) -> Work:
        """Let a mask be worked out by what is in use now."""
        if self.model.used is not None:
            return self.model.work(plan.scan, plan.clicks, self.model.used)
        job = one_step("Click", self.segmenter, plan.scan, plan.clicks)
        return ThreadWork(job, parent=self, ms_between_looks=_MS_BETWEEN_LOOKS)

    def _hear(self, event: Event) -> None:
        plan, work = self._plan, self._work
        if not isinstance(event, Finished | Failed) or plan is None or work is None:
            return
        self._plan = self._work = None
        work.deleteLater()
        if self._session.gone:
            return
        if isinstance(event, Failed):
            self._refuse(plan.wish, event.message)
        elif not event.stopped:
            try:
                self._draw(plan, event.result["value"])
            except (ClickError, MaskError) as error:
                self._refuse(plan.wish, str(error))
        self._begin()

    def _refuse(self, wish: Wish, words: str) -> None:
        self._say(words, trouble=True)
        if wish.place is not None:
            self.missed.emit(wish.pixel)

    def _say(self, words: str, trouble: bool = False) -> None:
        if trouble:
            self._awaited = None
        self._session.viewer.status = capitalised(words)  # for who works with the panel closed
        self.said.emit(words, trouble)

    # -- from a wish to clicks ------------------------------------------------------------

    def _plan_for(self, wish: Wish) -> Plan | None:
        """Return which clicks to make a mask of, None if another nodule was only picked.

        Raises
        ------
        ClickError
            If what is wanted cannot be.
        """
        scan = scan_for(self._session, wish)
        layer = target_on(self._session, scan)
        here = 0 if layer is None or wish.place is None else label_at(layer, scan, wish.place)
        if wish.doing == "new" and wish.place is not None:
            if layer is not None and here:
                self._pick(layer, here)
                return None
            clicks = Clicks((wish.place,), (), wish.diameter_mm, self.tightness)
            return Plan(wish, scan, layer, "", clicks)
        if layer is None:
            raise ClickError("no nodule was clicked yet: click on one first")
        known = self.nodules.of(layer)
        uid = uid_of(layer, here) if uid_of(layer, here) in known else self.nodules.last(layer)
        if uid not in known or not label_of(layer, uid):
            what = "the nodule is gone" if uid else "no nodule was clicked yet"
            raise ClickError(f"{what}: click on one first")
        if uid != self.nodules.last(layer):
            self._work_on(layer, uid)
        return Plan(wish, scan, layer, uid, with_wish(known[uid].clicks, wish, self.tightness))

    def _pick(self, layer: Labels, label: int) -> None:
        """Work on a nodule that is there already."""
        layer.selected_label = label
        uid = uid_of(layer, label)
        if uid not in self.nodules.of(layer):
            raise ClickError(f"nodule {label} is here already; Correct or the brush change it")
        self._work_on(layer, uid)
        self._say(f"Nodule {label}: Shift+click adds to it, Ctrl+click takes away")

    def _work_on(self, layer: Labels, uid: str) -> None:
        self.nodules.work_on(layer, uid)
        if (nodule := self.nodules.of(layer).get(uid)) is not None:
            self.tightness = nodule.clicks.tightness
        self.changed.emit()

    # -- from a mask to the layer ---------------------------------------------------------

    def new_layer(self) -> Labels | None:
        """Add an empty labels layer on the scan's grid, and work on it."""
        scan = self._session.volume
        if scan is None:
            return None
        from napari_ctlns.measurement import measure_nodules

        empty = scan.mask(np.zeros(scan.geometry.shape, np.uint8))
        layer = self._session.add_mask(empty, NEW_LAYER, Findings(scan_id=scan.scan_id))
        # nothing has to be looked for in it: rows come with the nodules
        self._session.keep_table(layer, measure_nodules(empty, scan, {}))
        return layer

    def _draw(self, plan: Plan, found: Part) -> None:
        """Write a mask that was found.

        Raises
        ------
        ClickError, MaskError
            If it cannot be.
        """
        if plan.scan is not self._session.volume:
            raise ClickError("another scan is worked on now; click again")
        layer = self.new_layer() if plan.layer is None else plan.layer
        if layer is None or layer not in self._session.viewer.layers:
            raise ClickError("the labels layer is gone; click again")
        label = label_of(layer, plan.uid) if plan.uid else self._free_label(layer)
        if not label:
            raise ClickError("the nodule is gone: click on one first")
        before = self.nodules.of(layer).get(plan.uid)
        redrawing = redrawn(layer.data, label, None if before is None else before.drawn, found)
        if before is None and redrawing.drawn.voxels <= _MOST_HIDDEN * found.voxels:
            raise ClickError("other nodules are here already; Shift+click adds to the last one")
        steps = self._steps.done(layer)[-1:]
        if not layer.visible:
            layer.visible = True
        write_correction(self._session, layer, redrawing.correction)
        uid = plan.uid or self._own(layer, label)
        after = Clicked(plan.clicks, redrawing.drawn)
        made = self._steps.done(layer)[-1:]
        self.nodules.keep(layer, uid, after, made[0] if made and made != steps else None)
        layer.selected_label = label
        self.nodules.work_on(layer, uid)
        self.changed.emit()
        self._awaited = "; your strokes stay" if redrawing.by_hand else ""
        voxels = np.count_nonzero(layer.data[after.drawn.box] == label)
        volume = voxels * plan.scan.geometry.voxel_volume
        self._say(size_in_words(label, volume) + self._awaited)
        self._measured(layer)  # of a small nodule the row is there already

    def _free_label(self, layer: Labels) -> int:
        # an up to date table knows all labels, which is faster than to look for them
        table = None if self._session.is_stale(layer) else self._session.table(layer)
        return free_label(layer, None if table is None else table["label"].tolist())

    def _own(self, layer: Labels, label: int) -> str:
        """Remember that a finding came of a click; return its uid."""
        findings = of.findings_of(layer)
        uid = findings.of_label(label).uid
        mask = of.mask_of(layer, self._session.volume_under(layer))
        of.keep_findings(layer, findings.change(uid, origin="click"), mask)
        return uid

    # -- what is said, and what goes back and forth ---------------------------------------

    def _measured(self, layer: Any) -> None:
        """Say diameter and kind too, once the row of what was drawn last is there."""
        table = None if layer is not self._session.mask else self._session.table(layer)
        note, label, scan = self._awaited, self.current(), self._session.volume
        if note is None or table is None or scan is None or self.busy:
            return
        if self._session.is_stale(layer):
            return
        row = table[table["label"] == label]
        nodule = self.nodules.of(layer).get(self.nodules.last(layer))
        if nodule is not None and len(row):
            size = float(row["volume_mm3"].iloc[0]), float(row["mean_diameter_mm"].iloc[0])
            self._awaited = None
            self._say(size_in_words(label, *size, kind_of(scan, nodule.drawn)) + note)

    def _follow(self, layer: Labels, step: Step | None, way: Way) -> None:
        if self.nodules.follow(layer, step, way):
            self._work_on(layer, self.nodules.last(layer))
            self._awaited = None
            self._say("Taken back" if way == "undone" else "Made again")


def clicking_of(session: Session) -> Clicking:
    """Return what makes nodules of the clicks of a session; the first call makes it."""
    return session.part(Clicking)
