"""Behind the Compare panel: findings against annotations, their curve and what was missed."""

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_ctlns.events import ThreadControl
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.froc_work import (
    Drawn,
    FrocComparison,
    FrocSources,
    froc_in_words,
    froc_job,
)
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.controls import no_scan
from napari_ctlns.plugin.views.froc_view import FrocView
from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.volume import Volume

EMPTY = (
    "Compare the nodules of the labels layer, or a table of candidates, with annotations: "
    "which are found, which are missed, at how many false positives."
)
_NOTHING_HERE = "Nothing of it lies in the scan that is open."
_NO_SCAN_OPEN = "Open one of the scans to go to its nodules."


class FrocComparing(QObject):
    """Lets findings be compared with annotations.

    Attributes
    ----------
    settled
        What can be done may have changed.
    drawn
        There is another curve, perhaps the first one.
    """

    settled = Signal()
    drawn = Signal()

    def __init__(self, session: Session, view: FrocView, bar: JobBar, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._view = view
        self._bar = bar
        self._comparison: FrocComparison | None = None
        self._scan: Volume | None = None
        view.show_rows((), EMPTY)
        view.changed.connect(self.settled)
        view.picked.connect(self._go)
        for signal in (
            *(session.mask_changed, session.annotations_changed, session.scan_changed),
            session.layers_changed,
        ):
            signal.connect(self.show_layers)
        self.show_layers()

    def show_layers(self) -> None:
        """Say which layers are taken where no table is chosen."""
        mask, annotations = self._session.mask, self._session.annotations
        self._view.show_hints(
            "no labels layer" if mask is None else f"nodules of {mask.name}",
            "no annotations open" if annotations is None else annotations.name,
        )
        self.settled.emit()

    def why_not(self) -> str:
        """Say why nothing can be compared; nothing if it can."""
        candidates, annotations = self._view.candidates.path, self._view.annotations.path
        if candidates is None and self._session.mask is None:
            return "There is no labels layer: choose a table of candidates"
        if annotations is None and self._session.annotations is None:
            return "There are no annotations: open or choose a table of them"
        if (candidates is None or annotations is None) and self._scan_now() is None:
            return no_scan(self._session.coming)
        return ""

    def compare(self) -> None:
        """Compare findings and annotations as they are now."""
        scan, mask, points = self._scan_now(), self._session.mask, self._session.annotations
        findings: Drawn | Path | None = self._view.candidates.path
        if findings is None and mask is not None:
            findings = Drawn(of.mask_of(mask, scan), of.findings_of(mask))
        nodules: Any = self._view.annotations.path
        if nodules is None and points is not None:
            nodules = of.annotations_of_layer(points, scan)
        if findings is None or nodules is None:
            return
        sources = FrocSources(
            scan, findings, nodules, self._view.excluded.path, self._view.scan_ids.path
        )
        control = ThreadControl()
        self._scan = scan
        self._bar.follow(ThreadWork(froc_job(sources, control), control), self._keep)
        self.settled.emit()

    def _scan_now(self) -> Volume | None:
        """Return the scan that is compared, or in which findings are shown."""
        session = self._session
        for path, layer in (
            (self._view.candidates.path, session.mask),
            (self._view.annotations.path, session.annotations),
        ):
            if path is None and layer is not None:
                return session.volume_under(layer)
        return session.volume

    def _keep(self, result: dict[str, Any]) -> None:
        from napari_ctlns.metrics.luna_froc import RATES, cpm_in_words, sensitivities

        self._comparison = comparison = result["comparison"]
        curve, bands = comparison.curve, comparison.bands
        self._view.cpm.setText(cpm_in_words(curve, bands))
        self._view.make_plot().show_curve(
            bands.rates,
            sensitivities(curve, bands.rates),
            (bands.low, bands.high),
            (np.array(RATES), sensitivities(curve)),
        )
        words = _NO_SCAN_OPEN if self._scan is None else _NOTHING_HERE
        self._view.show_rows([place.row for place in comparison.places], words)
        self._bar.say(froc_in_words(comparison))
        self.drawn.emit()

    def _go(self, row: int) -> None:
        if self._comparison is not None and self._scan is not None:
            centre = self._comparison.places[row].centre
            place = lps_to_canvas(self._scan.geometry, centre).tolist()
            go_to(self._session.viewer, place)
