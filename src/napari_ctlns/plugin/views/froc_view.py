"""Which findings and annotations are compared, and what came of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_ctlns.plugin.views.fold import Fold
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.views.path_field import PathField
from napari_ctlns.plugin.views.place_table import Column, PlaceTable, Value

if TYPE_CHECKING:
    from napari_ctlns.plugin.views.froc_plot import FrocPlot

_TABLES = "Tables (*.csv);;All files (*)"


class FrocView(QWidget):
    """Shows what is compared, the curve, and the findings of the scan that is open.

    Attributes
    ----------
    changed
        Other tables are to be compared.
    picked
        A row was picked.
    """

    changed = Signal()
    picked = Signal(int)

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.candidates = PathField(
            "file",
            "Choose a table of candidates",
            "Findings with their probabilities, of one scan or of many; "
            "empty: the nodules of the labels layer",
            _TABLES,
        )
        self.annotations = PathField(
            "file",
            "Choose a table of annotations",
            "The nodules to be found; empty: the annotations of the scan that is open",
            _TABLES,
        )
        self.excluded = PathField(
            "file",
            "Choose a table of excluded findings",
            "Findings that are neither to be found nor false, like LUNA16's annotations_excluded",
            _TABLES,
        )
        self.scan_ids = PathField(
            "file",
            "Choose a list of scans",
            "The scans that count, those without any finding too; empty: all that are named",
            _TABLES,
        )
        self.cpm = QLabel()
        self.plot: FrocPlot | None = None
        self.table = PlaceTable(columns, "Click on a row to go there")
        self.table.picked.connect(self.picked)
        self.empty = QLabel()
        for label in (self.cpm, self.empty):
            label.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._lay_out()
        self.show_rows((), "")
        for field in (self.candidates, self.annotations, self.excluded, self.scan_ids):
            field.changed.connect(self.changed)

    def show_hints(self, candidates: str, annotations: str) -> None:
        """Say what is taken where no table is chosen."""
        self.candidates.set_hint(candidates)
        self.annotations.set_hint(annotations)

    def show_rows(self, rows: Sequence[Sequence[Value]], words: str) -> None:
        """Show findings, or say why there are none."""
        self.table.show_rows(rows)
        self.table.setVisible(bool(rows))
        self.empty.setText(words)
        self.empty.setVisible(not rows)

    def make_plot(self) -> "FrocPlot":
        """Return the plot; the first call makes it."""
        if self.plot is None:
            # pyqtgraph costs as much as the rest of the panel
            from napari_ctlns.plugin.views.froc_plot import FrocPlot

            self.plot = FrocPlot()
            layout = self.layout()
            assert isinstance(layout, QVBoxLayout)
            layout.insertWidget(layout.indexOf(self.cpm) + 1, self.plot)
        return self.plot

    def _lay_out(self) -> None:
        form, more = QWidget(), QWidget()
        form_layout(form, {"Findings": self.candidates, "Annotations": self.annotations})
        form_layout(more, {"Excluded": self.excluded, "Scans": self.scan_ids})
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 0, 8, 0)
        for widget in (form, Fold("More", more), self.cpm):
            layout.addWidget(widget)
        layout.addWidget(self.empty, 1)
        layout.addWidget(self.table, 1)
