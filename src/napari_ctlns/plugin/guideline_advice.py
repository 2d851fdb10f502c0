"""What guidelines advise for the nodules of a mask, in the circumstances that a person names."""

import weakref
from typing import TYPE_CHECKING

from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.detailing import Detailing
from napari_ctlns.plugin.session import Session

if TYPE_CHECKING:
    import pandas as pd

    from napari_ctlns.findings import Findings
    from napari_ctlns.measurement.guidelines import Advice, Circumstances


class GuidelineAdvice(QObject):
    """Asks the guidelines; it belongs to the session.

    Attributes
    ----------
    changed
        Other circumstances, or another growth, are known.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._details = session.part(Detailing)
        self._circumstances: Circumstances | None = None
        self._growth: weakref.WeakKeyDictionary[Layer, pd.DataFrame] = weakref.WeakKeyDictionary()

    def suppose(self, circumstances: "Circumstances") -> None:
        """Let advice be for these circumstances from now on."""
        self._circumstances = circumstances
        self.changed.emit()

    def keep_growth(self, layer: Labels, growth: "pd.DataFrame") -> None:
        """Remember what became of a layer's nodules since an earlier scan.

        The table is that of `measurement.growth`; the layer's scan is the later one.
        """
        self._growth[layer] = growth
        self.changed.emit()

    def why_not(self, layer: Layer | None) -> str:
        """Say why nothing can be advised for a layer's nodules yet; "" if it can."""
        if layer is None or self._session.table(layer) is None:
            return "No nodule is measured yet."
        details = self._details.table(layer)
        if details is None or self._details.stale(layer) or self._session.is_stale(layer):
            return "Being measured…"
        return ""

    def of_nodule(self, layer: Labels, label: int) -> "tuple[Advice, ...]":
        """Return what guidelines advise for a nodule; nothing where it has none.

        What was rejected is no nodule, and what a reader says of a type goes before its HU.
        """
        table, details = self._session.table(layer), self._details.table(layer)
        if table is None or details is None or self.why_not(layer):
            return ()
        from napari_ctlns.measurement.guidelines import Circumstances, advise

        nodules = as_read(table.merge(details, on="label"), of.findings_of(layer))
        circumstances = self._circumstances or Circumstances()
        return advise(nodules, circumstances, self._growth.get(layer)).get(label, ())


def as_read(nodules: "pd.DataFrame", findings: "Findings") -> "pd.DataFrame":
    """Return measured nodules as a reader sees them: without what was rejected, of the type set."""
    read = nodules[~nodules["label"].isin(list(findings.rejected_labels))].copy()
    said = {f.label: f.type for f in findings.items if f.type != "unknown"}
    types = zip(read["label"], read["type"], strict=True)
    read["type"] = [said.get(int(label), kind) for label, kind in types]
    return read
