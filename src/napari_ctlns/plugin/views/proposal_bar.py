"""What other rules would make of a mask, and whether it is to become that."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from napari_ctlns.plugin.views.controls import set_ready


class ProposalBar(QWidget):
    """A line of words, and the buttons that take a proposal or leave it.

    Attributes
    ----------
    taken
        The mask is to become what is proposed.
    left
        The mask is to stay as it is.
    """

    taken = Signal()
    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.apply = QPushButton("Apply")
        self.discard = QPushButton("Discard")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.words, 1)
        row.addWidget(self.apply)
        row.addWidget(self.discard)
        self.apply.clicked.connect(self.taken)
        self.discard.clicked.connect(self.left)
        self.say("", "Find nodules first", "Find nodules first")

    def say(self, words: str, why_not_apply: str, why_not_discard: str) -> None:
        """Say what is proposed, or why nothing can be taken or left."""
        self.words.setText(words)
        set_ready(
            self.apply,
            why_not_apply,
            "Draw this into the labels layer; what you edited stays, and Ctrl+Z takes it back",
        )
        set_ready(self.discard, why_not_discard, "Let the labels layer be as it is")
