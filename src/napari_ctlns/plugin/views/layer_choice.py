"""Choosing the layer that is worked on, the same one in every panel."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox

from napari_ctlns.plugin.session import Role, Session
from napari_ctlns.plugin.views.controls import let_be_narrow

_NONE = {"scan": "no scan open", "mask": "no labels layer", "annotations": "no annotations"}


class LayerChoice(QComboBox):
    """Lists the layers of one role and follows the session.

    Attributes
    ----------
    changed
        Another layer is worked on, or none.
    """

    changed = Signal()

    def __init__(self, session: Session, role: Role, tooltip: str) -> None:
        super().__init__()
        self._session = session
        self._role = role
        self.setToolTip(tooltip)
        let_be_narrow(self, letters=12)
        self.activated.connect(self._choose)
        for signal in (session.layers_changed, getattr(session, f"{role}_changed")):
            signal.connect(self._fill)
        getattr(session, f"{role}_changed").connect(self.changed)
        self._fill()

    def _fill(self) -> None:
        layers = self._session.layers_for(self._role)
        self.clear()
        self.addItems([layer.name for layer in layers] or [_NONE[self._role]])
        self.setEnabled(bool(layers))
        now = getattr(self._session, self._role)
        if now in layers:
            self.setCurrentIndex(layers.index(now))

    def _choose(self, index: int) -> None:
        layers = self._session.layers_for(self._role)
        if index < len(layers):
            self._session.choose(layers[index])
