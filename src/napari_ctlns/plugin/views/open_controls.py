"""Buttons and a drop target that ask for files to be opened."""

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_ctlns.plugin.views.controls import NO_SCAN, set_ready
from napari_ctlns.plugin.views.drop_target import DropTarget
from napari_ctlns.plugin.views.file_dialogs import ALL_FILES, PROJECT_FILES

_SCANS = f"Scans (*.mhd *.mha *.nii *.nii.gz *.nrrd *.dcm);;{ALL_FILES}"
_MASKS = f"Masks (*.nii.gz *.nii *.mha *.mhd *.nrrd *.dcm);;{ALL_FILES}"
_TABLES = f"Tables (*.csv);;{ALL_FILES}"


class OpenControls(QWidget):
    """Asks a person for files; says of which kind they are if a button for that was clicked.

    Attributes
    ----------
    asked
        These paths are to be opened as this kind ("scan", ...), or None to look at each.
    """

    asked = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._folder = ""
        self.scan = QPushButton("Open scan...")
        self.scan.clicked.connect(self._ask_scan)
        self.dicom = QPushButton("Open DICOM folder...")
        self.dicom.clicked.connect(self._ask_folder)
        self.other = QPushButton("Open annotations, mask or project")
        # in a narrow panel its words may be cut, those of the other two not
        self.other.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        menu = QMenu(self.other)
        menu.setToolTipsVisible(True)
        self.annotations = menu.addAction("Open annotations...", self._ask_annotations)
        self.mask = menu.addAction("Open mask...", self._ask_mask)
        self.project = menu.addAction("Open project...", self._ask_project)
        self.other.setMenu(menu)
        self.drop = DropTarget()
        self.drop.dropped.connect(self._dropped)
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.scan, 0, 0)
        grid.addWidget(self.dicom, 0, 1)
        grid.addWidget(self.other, 1, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(grid)
        layout.addWidget(self.drop)
        self.set_ready(scan_open=False)

    @property
    def ways(self) -> tuple[QWidget, ...]:
        """Where a person asks for files."""
        return (self.scan, self.dicom, self.other, self.drop)

    def set_ready(self, why_not: str = "", scan_open: bool = True) -> None:
        """Let files be asked for, or say why not; some need a scan that they lie on."""
        on_scan = why_not or ("" if scan_open else NO_SCAN)
        set_ready(self.scan, why_not, "A .mhd, .mha, .nii, .nii.gz or .nrrd file, or a DICOM slice")
        set_ready(self.dicom, why_not, "A folder with a DICOM series at or below it")
        set_ready(self.other, why_not, "What belongs to a scan, or all of it")
        set_ready(self.annotations, on_scan, "Centres and diameters of nodules, as in LUNA16's CSV")
        set_ready(self.mask, on_scan, "Labels of nodules, carried onto the grid of the scan")
        set_ready(self.project, why_not, "A .ctlns file: scan, masks, annotations and findings")
        if scan_open:
            self.drop.invite("Drop more here", small=True)
        else:
            self.drop.invite("Drop a scan, a DICOM folder, annotations or a project here")
        self.drop.set_ready(why_not)

    def _ask_scan(self) -> None:
        self._ask("scan", "Open scan", _SCANS)

    def _ask_annotations(self) -> None:
        self._ask("annotations", "Open annotations", _TABLES)

    def _ask_mask(self) -> None:
        self._ask("mask", "Open mask", _MASKS)

    def _ask_project(self) -> None:
        self._ask("project", "Open project", PROJECT_FILES)

    def _ask(self, kind: str, title: str, names: str) -> None:
        path, _ = QFileDialog.getOpenFileName(self, title, self._folder, names)
        if path:
            self._tell([Path(path)], kind)

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open DICOM folder", self._folder)
        if path:
            self._tell([Path(path)], "scan")

    def _dropped(self, paths: list[Path]) -> None:
        self._tell(paths, None)

    def _tell(self, paths: list[Path], kind: str | None) -> None:
        self._folder = str(paths[0].parent)
        self.asked.emit(paths, kind)
