"""An offer that may also be left for later."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from napari_ctlns.plugin.views.offer import Offer


class RecoveryOffer(Offer):
    """Words, and buttons that take the offer, put it away, or leave it for later.

    Attributes
    ----------
    left_for_later
        That button was clicked.
    """

    left_for_later = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.later = QPushButton("Later")
        self.later.setToolTip("Leave the offer for another time")
        self.later.clicked.connect(self.left_for_later)
        self.buttons.addWidget(self.later)

    def offer_later(self, tooltip: str) -> None:
        """Let it be left for later, with this tooltip; "" takes the button away."""
        self.later.setVisible(bool(tooltip))
        self.later.setToolTip(tooltip)
