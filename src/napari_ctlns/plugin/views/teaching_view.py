"""Learning from corrections: where they are, who makes them, and the model that learned."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_ctlns.plugin.views.controls import in_a_row, set_ready
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.views.path_field import PathField
from napari_ctlns.plugin.views.trouble import TroubleLabel
from napari_ctlns.plugin.words import breakable

_LEARN = "Let the model of the Predict panel learn from these, in a run of its own"
_USE = "Predict with the new model from now on; the old one stays where it is"
_KEEP = "Go on predicting with the old model; the new one stays where it is"


class TeachingView(QWidget):
    """Shows the training set, and asks for a round of learning."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = PathField(
            "folder",
            "Choose a training set",
            "The dataset that corrected scans are added to; usually that of the model",
        )
        self.reader = QLineEdit()
        self.reader.setToolTip("Who corrects: kept with every mask that is added")
        self.known = QLabel()
        self.known.setWordWrap(True)
        self.problem = TroubleLabel()
        self.learn = QPushButton("Learn from corrections")
        form = QWidget()
        form_layout(form, {"Training set": self.folder, "Reader": self.reader})
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (form, self.known, self.problem, self.learn):
            layout.addWidget(widget)

    def show_set(self, usual: Path | None, words: str, problem: str) -> None:
        """Show where the training set is unless another is chosen, and what is in it."""
        self.folder.set_hint("" if usual is None else str(usual))
        self.known.setText(breakable(words))
        self.known.setVisible(not problem)
        self.problem.say(problem)

    def set_ready(self, why_not: str) -> None:
        """Let learning begin, or say why it cannot."""
        set_ready(self.learn, why_not, _LEARN)


class ModelOffer(QWidget):
    """Asks whether a model that has learned is to take the place of the old one.

    Attributes
    ----------
    used, kept
        The new model is wanted, or the old one.
    """

    used = Signal()
    kept = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.use = QPushButton("Use the new model")
        self.use.setToolTip(_USE)
        self.keep = QPushButton("Keep the old one")
        self.keep.setToolTip(_KEEP)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(in_a_row(self.use, self.keep))
        self.use.clicked.connect(self.used)
        self.keep.clicked.connect(self.kept)
        self.hide()
