"""Two masks to choose, and how their nodules agree."""

from collections.abc import Mapping, Sequence
from functools import partial

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_ctlns.plugin.views.controls import in_a_row, let_be_narrow
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.views.place_table import Column, PlaceTable

_NONE = "no labels layer"


class MaskPairView(QWidget):
    """Shows which two labels layers are compared, and what came of it.

    Attributes
    ----------
    chosen
        A person chose another layer: which of the two (0 or 1), and its place in the list.
    picked
        A nodule was picked (its row).
    table, empty
        The nodules, or words while there are none.
    """

    chosen = Signal(int, int)
    picked = Signal(int)

    def __init__(self, columns: Sequence[Column], colours: Mapping[int | None, str]) -> None:
        super().__init__()
        self.choices = (QComboBox(), QComboBox())
        for which, (choice, letter) in enumerate(zip(self.choices, "AB", strict=True)):
            choice.setToolTip(f"Labels layer {letter}: a reader's, a version's, a model's")
            let_be_narrow(choice, letters=12)
            choice.activated.connect(partial(self.chosen.emit, which))
        self.open = QPushButton("Open mask…")
        self.table = PlaceTable(columns, "Click on a nodule to go there")
        self.table.picked.connect(self.picked)
        self.differences = QCheckBox("Show differences")
        self.legend = QLabel(_legend(colours))
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.empty = QLabel()
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        form = QWidget()
        form_layout(form, {"A": self.choices[0], "B": self.choices[1]})
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 0)
        layout.addWidget(form)
        layout.addWidget(self.open)
        layout.addWidget(self.empty, 1)
        layout.addWidget(self.table, 1)
        layout.addWidget(in_a_row(self.differences, self.legend))
        self.show_rows((), "")

    def show_layers(self, names: Sequence[str], now: tuple[int, int]) -> None:
        """Offer these layers; ``now`` are the places of those that are chosen, -1 for none."""
        for choice, index in zip(self.choices, now, strict=True):
            with QSignalBlocker(choice):
                choice.clear()
                choice.addItems(list(names) or [_NONE])
                choice.setCurrentIndex(index if names else 0)
                choice.setEnabled(bool(names))

    def show_rows(self, rows: Sequence[Sequence[str | float | None]], words: str) -> None:
        """Show nodules, or say why there are none."""
        self.table.show_rows(rows)
        self.table.setVisible(bool(rows))
        self.empty.setText(words)
        self.empty.setVisible(not rows)


def _legend(colours: Mapping[int | None, str]) -> str:
    names = ("only A", "only B", "both")
    return "&nbsp; ".join(
        f'<span style="color: {colour[:7]}">&#9632;</span>&nbsp;{name}'
        for colour, name in zip(colours.values(), names, strict=True)
    )
