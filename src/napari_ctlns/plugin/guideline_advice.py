"""What guidelines advise for the nodules of a mask, in the circumstances that a person names."""

from typing import TYPE_CHECKING

from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.detailing import Detailing
from napari_ctlns.plugin.finding_rows import as_read
from napari_ctlns.plugin.growing import Comparisons, growth_of
from napari_ctlns.plugin.session import Session

if TYPE_CHECKING:
    from napari_ctlns.measurement.guidelines import Advice, Circumstances


class GuidelineAdvice(QObject):
    """Asks the guidelines; it belongs to the session.

    Attributes
    ----------
    circumstances
        What a person said; None: nothing.
    changed
        Other circumstances, or another growth, are known.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._details = session.part(Detailing)
        self.circumstances: Circumstances | None = None
        session.part(Comparisons).compared.connect(self._compared)

    def suppose(self, circumstances: "Circumstances") -> None:
        """Let advice be for these circumstances from now on."""
        self.circumstances = circumstances
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
        circumstances = self.circumstances or Circumstances()
        growth = growth_of(self._session, layer)
        return advise(nodules, circumstances, growth).get(label, ())

    def _compared(self, _layer: Layer) -> None:
        self.changed.emit()
