"""What is known of a scan."""

from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_ctlns.plugin.scan_facts import ScanFacts
from napari_ctlns.plugin.views.trouble import draw_trouble
from napari_ctlns.plugin.views.value_rows import ValueRows

_TOOLTIPS = {
    "Name": "The file or folder it was read from",
    "Size": "Voxels along z, y, x",
    "Extent": "Millimetres along z, y, x",
    "Spacing": "Millimetres between voxels along z, y, x",
    "Values": "Lowest and highest, padding below -1024 HU left out",
    "Format": "Of the file, and the modality",
    "Series": "Series instance UID; annotations name it",
}


class FactsView(QWidget):
    """Rows of facts, notes, and warnings drawn as trouble."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = ValueRows("About the scan", _TOOLTIPS)
        self.notes = _paragraph()
        self.warnings = _paragraph()
        draw_trouble(self.warnings, True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._rows, self.notes, self.warnings):
            layout.addWidget(widget)
        self.show_facts(None)

    def show_facts(self, facts: ScanFacts | None) -> None:
        """Show the facts of a scan, or none."""
        rows = {} if facts is None else facts.rows
        self._rows.show_values(rows)
        self._rows.explain("Series", rows.get("Series") or _TOOLTIPS["Series"])
        self._rows.explain("Name", _TOOLTIPS["Name"] if facts is None else facts.place)
        _say(self.notes, () if facts is None else facts.notes)
        _say(self.warnings, () if facts is None else facts.warnings, "Warning: ")

    def shown(self) -> dict[str, str]:
        """Return the rows as they are shown."""
        return self._rows.shown()


def _paragraph() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def _say(label: QLabel, sentences: tuple[str, ...], before: str = "") -> None:
    label.setText("\n".join(before + sentence for sentence in sentences))
    label.setVisible(bool(sentences))
