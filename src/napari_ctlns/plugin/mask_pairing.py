"""Behind the Compare panel: two labels layers, their nodules, and where they differ."""

import time
import weakref
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QFileDialog

from napari_ctlns.events import ThreadControl
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.comparing import (
    OF_DIFFERENCES,
    MaskComparison,
    compare_job,
    open_masks_job,
    pair_row,
    pairs_in_words,
)
from napari_ctlns.plugin.mask_preview import MaskPreview
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.controls import BUSY, no_scan, set_ready
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.mask_pair_view import MaskPairView
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.volume import Volume

EMPTY = (
    "Choose two labels layers of one scan: of two readers, of two versions, a model's and yours."
)
_SAME = "A and B are the same layer; choose another one"
_OTHER_SCANS = "A and B are of different scans"
_ONE = "There must be two labels layers: open another mask"
_MASKS = "Masks and readings (*.nii *.nii.gz *.mha *.mhd *.nrrd *.nhdr *.dcm *.xml);;All files (*)"
_MS_AFTER_EDIT = 800
_QUICK_S = 1.5
"""Comparisons that take longer are not begun again by themselves after an edit."""

_Pair = tuple[Labels | None, Labels | None]


class MaskPairing(QObject):
    """Lets two layers be chosen and compared, and follows their edits.

    Attributes
    ----------
    settled
        What can be done, or what is to be said of it, may have changed.
    """

    settled = Signal()

    def __init__(self, session: Session, view: MaskPairView, bar: JobBar, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._view = view
        self._bar = bar
        self._chosen: list[weakref.ref[Labels] | None] = [None, None]
        self._comparison: MaskComparison | None = None
        self._of: tuple[weakref.ref[Labels], int, weakref.ref[Labels], int] | None = None
        self._scan: Volume | None = None
        self._took = 0.0
        self._preview = MaskPreview(session, OF_DIFFERENCES, self)
        self._preview.hide()  # that of a panel which was closed
        self._preview.gone.connect(partial(view.differences.setChecked, False))
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_MS_AFTER_EDIT)
        self._soon.timeout.connect(self._again)
        view.chosen.connect(self._choose)
        view.picked.connect(self._go)
        view.open.clicked.connect(self._ask_file)
        view.differences.toggled.connect(self._show_differences)
        for signal in (session.layers_changed, session.mask_changed, session.scan_changed):
            signal.connect(self.show_layers)
        session.edited.connect(self._edited)
        self.show_layers()

    @property
    def pair(self) -> _Pair:
        """The two layers: as they were chosen, else the one worked on and one of the others."""
        there = self._session.layers_for("mask")
        chosen = [None if ref is None else ref() for ref in self._chosen]
        a, b = (layer if layer in there else None for layer in chosen)
        mask = self._session.mask
        if a is None:
            a = mask if mask is not b else next((x for x in reversed(there) if x is not b), None)
        if b is None:
            b = next((layer for layer in reversed(there) if layer is not a), None)
        return a, b

    def why_not(self) -> str:
        """Say why the two cannot be compared; nothing if they can."""
        a, b = self.pair
        if self._session.scan is None:
            return no_scan(self._session.coming)
        if a is None or b is None:
            return _ONE
        if a is b:
            return _SAME
        scans = [self._session.volume_under(layer) for layer in (a, b)]
        return "" if scans[0] is scans[1] else _OTHER_SCANS

    def stale(self) -> bool:
        """Whether one of the layers was edited since they were compared."""
        if self._of is None:
            return False
        ref_a, edits_a, ref_b, edits_b = self._of
        a, b = ref_a(), ref_b()
        edits = self._session.edits
        return bool(a and b and (edits(a), edits(b)) != (edits_a, edits_b))

    def compare(self) -> None:
        """Compare the two layers as they are now."""
        a, b = self.pair
        scan = None if a is None else self._session.volume_under(a)
        if a is None or b is None or scan is None:
            return
        now = (weakref.ref(a), self._session.edits(a), weakref.ref(b), self._session.edits(b))
        control = ThreadControl()
        job = compare_job(of.mask_of(a, scan), of.mask_of(b, scan), scan, control)
        keep = partial(self._keep, now, scan, time.monotonic())
        self._bar.follow(ThreadWork(job, control), keep)
        self.settled.emit()

    def open(self, path: Path) -> None:
        """Read a mask onto the scan as B; what is worked on stays."""
        scan = self._session.volume
        if scan is not None:
            self._bar.follow(ThreadWork(open_masks_job(path, scan)), self._opened)
            self.settled.emit()

    def show_layers(self) -> None:
        """Offer the layers that are there; a comparison of others is put away."""
        there = self._session.layers_for("mask")
        a, b = self.pair
        places = [there.index(layer) if layer in there else -1 for layer in (a, b)]
        self._view.show_layers([layer.name for layer in there], (places[0], places[1]))
        if self._of is not None and (self._of[0]() is not a or self._of[2]() is not b):
            self._comparison = self._of = None
        if self._comparison is None:
            self._view.show_rows((), EMPTY)
            self._view.differences.setChecked(False)
        self.settle()
        self.settled.emit()

    def settle(self) -> None:
        """Let be clicked what can be."""
        busy = BUSY if self._bar.working else ""
        waits = no_scan(self._session.coming) if self._session.scan is None else busy
        tooltip = "Open a mask, or the XML of LIDC's readers, onto the scan"
        set_ready(self._view.open, waits, tooltip)
        why_not = "" if self._comparison is not None else "Compare two masks first"
        tooltip = "Lay over the scan what only A has, only B has, and both"
        set_ready(self._view.differences, why_not, tooltip)

    # -- what a person does -----------------------------------------------------------

    def _choose(self, which: int, index: int) -> None:
        there = self._session.layers_for("mask")
        if index < len(there):
            for place, layer in enumerate(self.pair):  # the other one stays as it is
                self._chosen[place] = None if layer is None else weakref.ref(layer)
            self._chosen[which] = weakref.ref(there[index])
            self.show_layers()

    def _ask_file(self) -> None:
        said, _ = QFileDialog.getOpenFileName(self._view, "Open a mask to compare", "", _MASKS)
        if said:
            self.open(Path(said))

    def _go(self, row: int) -> None:
        if self._comparison is None or self._scan is None:
            return
        nodule = self._comparison.pairs.nodules[row]
        place = lps_to_canvas(self._scan.geometry, nodule.centre).tolist()
        go_to(self._session.viewer, place)
        for layer, labels in zip(self.pair, (nodule.labels_a, nodule.labels_b), strict=True):
            if layer is not None and labels:
                layer.selected_label = labels[0]

    def _show_differences(self, wanted: bool) -> None:
        if wanted and self._comparison is not None and self._scan is not None:
            drawing = self._comparison.drawing
            self._preview.show(self._scan.geometry, lambda: drawing)
        else:
            self._preview.hide()

    # -- what comes -------------------------------------------------------------------

    def _keep(self, of_layers: Any, scan: Volume, begun: float, result: dict[str, Any]) -> None:
        self._took = time.monotonic() - begun
        self._of, self._scan, self._comparison = of_layers, scan, result["comparison"]
        pairs = result["comparison"].pairs
        self._view.show_rows([pair_row(n) for n in pairs.nodules], "Neither mask has a nodule.")
        self._show_differences(self._view.differences.isChecked())
        self._bar.say(". ".join([pairs_in_words(pairs), *result["warnings"]]))
        if self.stale():
            self._soon.start()

    def _opened(self, result: dict[str, Any]) -> None:
        a, before = self.pair[0], self._session.mask
        layers = self._session.viewer.layers
        active = layers.selection.active
        added = [self._session.add(data) for data in result["layers"]]
        self._session.saved(*added)  # its file has it
        if before is not None:
            self._session.choose(before)
            layers.selection.active = active  # whoever paints goes on painting there
        if a is not None:
            self._chosen = [weakref.ref(a), weakref.ref(added[0])]
        elif len(added) > 1:
            self._chosen = [weakref.ref(layer) for layer in added[:2]]
        self.show_layers()
        names = ", ".join(layer.name for layer in added)
        self._bar.say(". ".join([f"Opened {names}", *result["warnings"]]))

    def _edited(self, layer: object) -> None:
        if self._of is not None and layer in (self._of[0](), self._of[2]()):
            if self._took < _QUICK_S:
                self._soon.start()
            self.settled.emit()

    def _again(self) -> None:
        if self.stale() and not self._bar.working and not self.why_not():
            self.compare()
