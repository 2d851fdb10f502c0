"""A line of words with what can be done about it: it waits, and nothing stands still meanwhile."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ctlns.plugin.words import breakable


class Offer(QWidget):
    """Words, a button that takes the offer, and one that puts it away; hidden until it is made.

    Attributes
    ----------
    taken, put_away
        One of the buttons was clicked.
    """

    taken = Signal()
    put_away = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._words = QLabel()
        self._words.setWordWrap(True)
        self.take = QPushButton()
        self.leave = QPushButton()
        self.take.setToolTip("Do what is offered")
        self.leave.setToolTip("Put the offer away")
        self.take.clicked.connect(self.taken)
        self.leave.clicked.connect(self.put_away)
        self.buttons = QHBoxLayout()
        self.buttons.addWidget(self.take)
        self.buttons.addWidget(self.leave)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._words)
        layout.addLayout(self.buttons)
        self.hide()

    @property
    def said(self) -> str:
        """The words that are shown; "" while nothing is offered."""
        return self._words.text() if self.isVisibleTo(self.parentWidget()) else ""

    def make(self, words: str, take: tuple[str, str], leave: tuple[str, str]) -> None:
        """Offer something.

        Parameters
        ----------
        words
            What it is about.
        take, leave
            The words on the two buttons, and their tooltips.
        """
        self._words.setText(breakable(words))
        for button, (label, tooltip) in ((self.take, take), (self.leave, leave)):
            button.setText(label)
            button.setToolTip(tooltip)
        self.show()
