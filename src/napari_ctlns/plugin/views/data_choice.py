"""What a training learns from: a folder with a CSV, a dataset, or the layers now open."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from napari_ctlns.plugin.training import Data, FolderData, LayerData, PreparedData
from napari_ctlns.plugin.views.controls import let_be_narrow
from napari_ctlns.plugin.views.file_dialogs import ALL_FILES
from napari_ctlns.plugin.views.panel import form_layout
from napari_ctlns.plugin.views.path_field import PathField

_FOLDER, _LAYERS = 0, 2
_LAYERS_HELP = "Every open scan with the labels layer that belongs to it"


class DataChoice(QWidget):
    """Chooses among the three ways.

    Attributes
    ----------
    changed
        Something else was chosen.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._open = LayerData(())
        self._chosen = False
        self.way = QComboBox()
        let_be_narrow(self.way, letters=10)
        self.way.addItems(["Folder and CSV", "Prepared dataset", "Open layers"])
        self.way.setToolTip("What the network learns from")
        self.scans = PathField(
            "folder", "Choose the folder of scans", "A folder that is searched for CT scans"
        )
        self.annotations = PathField(
            "file",
            "Choose the annotations",
            "Nodules as in LUNA16: seriesuid, coordX, coordY, coordZ, diameter_mm",
            f"Tables (*.csv);;{ALL_FILES}",
        )
        self.dataset = PathField(
            "folder", "Choose a dataset", "A folder that was prepared before: it holds dataset.json"
        )
        self._layers = QLabel()
        self._layers.setWordWrap(True)
        self._pages = (
            _form({"Scans": self.scans, "Annotations": self.annotations}),
            _form({"Dataset": self.dataset}),
            _form({"Layers": self._layers}),
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(_form({"Data": self.way}))
        for page in self._pages:
            layout.addWidget(page)
        self.way.currentIndexChanged.connect(self._show_page)
        self.way.activated.connect(self._on_choice)
        for field in (self.scans, self.annotations, self.dataset):
            field.changed.connect(self.changed)
        self.show_open(self._open)
        self._show_page(_FOLDER)

    def data(self) -> Data:
        """Return what is chosen."""
        return (
            FolderData(self.scans.path, self.annotations.path),
            PreparedData(self.dataset.path),
            self._open,
        )[self.way.currentIndex()]

    def show_open(self, layers: LayerData) -> None:
        """Show which open layers could be learned from; choose them if nothing else was chosen."""
        self._open = layers
        touched = self._chosen or any(
            field.path for field in (self.scans, self.annotations, self.dataset)
        )
        if not touched and not layers.why_not():
            self.way.setCurrentIndex(_LAYERS)
        self._layers.setText(layers.in_words())
        self._layers.setToolTip("\n".join((_LAYERS_HELP, *layers.names)))
        if self.way.currentIndex() == _LAYERS:
            self.changed.emit()

    def _on_choice(self) -> None:
        """Remember that a person chose, with the mouse or keys."""
        self._chosen = True

    def _show_page(self, shown: int) -> None:
        for index, page in enumerate(self._pages):
            page.setVisible(index == shown)
        self.changed.emit()


def _form(rows: dict[str, QWidget]) -> QWidget:
    box = QWidget()
    form_layout(box, rows)
    return box
