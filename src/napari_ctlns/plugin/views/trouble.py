"""How trouble looks, wherever it shows: one colour, and words that are there only with it."""

from qtpy.QtWidgets import QLabel, QWidget

from napari_ctlns.plugin.words import breakable

TROUBLE_COLOUR = "#d55e00"
"""Vermillion of the Okabe-Ito palette, which stands out for colour-blind people too."""


def draw_trouble(words: QWidget, trouble: bool) -> None:
    """Draw words as trouble, or as any others."""
    words.setStyleSheet(f"color: {TROUBLE_COLOUR};" if trouble else "")


class TroubleLabel(QLabel):
    """Says what is wrong; hidden while nothing is."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        draw_trouble(self, True)
        self.hide()

    def say(self, words: str) -> None:
        """Say this; with no words nothing is wrong."""
        self.setText(breakable(words))
        self.setVisible(bool(words))
