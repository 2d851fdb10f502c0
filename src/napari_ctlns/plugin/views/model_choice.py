"""Choosing one model, or several that look together."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_ctlns.inference.foreign import Maker
from napari_ctlns.plugin.importing import NAMES
from napari_ctlns.plugin.views.controls import in_a_row, let_be_narrow, set_ready
from napari_ctlns.plugin.views.drop_target import dropped_paths
from napari_ctlns.plugin.views.file_dialogs import ALL_FILES

_TOOLTIP = (
    "The model that looks for nodules: the folder that training made. A model of others can be "
    "chosen or dropped here too; it is imported then"
)
_ONNX_FILES = f"ONNX files (*.onnx);;{ALL_FILES}"


class ModelChoice(QWidget):
    """A folder that is typed, taken from a list or browsed for.

    Attributes
    ----------
    chosen
        A person chose another folder, or none.
    removed
        A person wants this row away.
    """

    chosen = Signal()
    removed = Signal()

    def __init__(self, start: Path, removable: bool) -> None:
        super().__init__()
        self._start = start
        self.folder = QComboBox()
        self.folder.setEditable(True)
        self.folder.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        let_be_narrow(self.folder, letters=6)
        self.folder.lineEdit().setPlaceholderText("a folder")
        self.folder.setToolTip(_TOOLTIP)
        self.folder.lineEdit().setAcceptDrops(False)  # it would take the text of a URL
        self.setAcceptDrops(True)
        self.browse = QPushButton("Browse…")
        self.browse.setToolTip("Choose the folder of a model")
        self.remove = QToolButton()
        self.remove.setText("✕")
        self.remove.setToolTip("Look without this model")
        row = QVBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        inside = in_a_row(self.folder, self.browse, self.remove)
        inside.layout().setStretchFactor(self.folder, 1)
        row.addWidget(inside)
        if not removable:
            self.remove.hide()
        self.setFocusProxy(self.folder)
        self.setToolTip(_TOOLTIP)
        self.folder.activated.connect(self.chosen)
        self.folder.lineEdit().editingFinished.connect(self.chosen)
        self.browse.clicked.connect(self._browse)
        self.remove.clicked.connect(self.removed)

    @property
    def model(self) -> Path | None:
        """The folder; None if there is none."""
        text = self.folder.currentText().strip()
        return Path(text).expanduser() if text else None

    def show_model(self, model: Path | None) -> None:
        """Show a folder."""
        self.folder.setEditText("" if model is None else str(model))

    def offer(self, models: Sequence[Path]) -> None:
        """Let these be taken from the list."""
        text = self.folder.currentText()
        self.folder.blockSignals(True)
        self.folder.clear()
        self.folder.addItems([str(model) for model in models])
        self.folder.setEditText(text)
        self.folder.blockSignals(False)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Take one file or folder."""
        if len(dropped_paths(event.mimeData())) == 1:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Choose it."""
        event.acceptProposedAction()
        self._choose(str(dropped_paths(event.mimeData())[0]))

    def _browse(self) -> None:
        start = str(self.model or self._start)
        self._choose(QFileDialog.getExistingDirectory(self, "Folder of a model", start))

    def _choose(self, folder: str) -> None:
        if folder:
            self.show_model(Path(folder))
            self.chosen.emit()


class ModelChoices(QWidget):
    """One line for one model; more lines for those that look together with it.

    Attributes
    ----------
    chosen
        A person chose other models.
    to_import
        A person chose a model of others (its path, and whose it is to be).
    """

    chosen = Signal()
    to_import = Signal(object, object)

    def __init__(self, start: Path) -> None:
        super().__init__()
        self._start = start
        self._offered: Sequence[Path] = ()
        self.first = ModelChoice(start, removable=False)
        self.others: list[ModelChoice] = []
        self.more = QToolButton()
        self.more.setText("+ another model")
        self.more.setAutoRaise(True)
        self.bring = QToolButton()
        self.bring.setText("Import…")
        self.bring.setAutoRaise(True)
        self.bring.setToolTip("Take a model that was trained elsewhere: nnU-Net v2, MONAI, ONNX")
        # its arrow would be drawn over the words
        self.bring.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.bring.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.kinds = QMenu(self.bring)
        for maker, name in NAMES.items():
            self.kinds.addAction(f"{name}…").triggered.connect(partial(self._ask_for, maker))
        self.bring.setMenu(self.kinds)
        self._ways = in_a_row(self.more, self.bring)
        self._ways.layout().setAlignment(Qt.AlignmentFlag.AlignLeft)
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.addWidget(self.first)
        self._rows.addWidget(self._ways)
        self.setFocusProxy(self.first)
        self.setToolTip(_TOOLTIP)
        self._let_add(False)
        self.first.chosen.connect(self.chosen)
        self.more.clicked.connect(self._add_empty)

    @property
    def model(self) -> Path | None:
        """The folder of the first model."""
        return self.first.model

    @property
    def more_models(self) -> tuple[Path, ...]:
        """The folders of the others."""
        return tuple(row.model for row in self.others if row.model is not None)

    def show_models(self, model: Path | None, more: Sequence[Path]) -> None:
        """Show other folders."""
        self.first.show_model(model)
        if tuple(more) != self.more_models:
            for row in tuple(self.others):
                self._drop(row)
            for folder in more:
                self._add().show_model(folder)
        self._let_add(model is not None)

    def offer(self, models: Sequence[Path]) -> None:
        """Let these be taken from the lists."""
        self._offered = models
        for row in (self.first, *self.others):
            row.offer(models)

    def _let_add(self, there_is_one: bool) -> None:
        tooltip = "Let several models look and average what they say; takes longer"
        set_ready(self.more, "" if there_is_one else "Choose a first model first", tooltip)

    def _ask_for(self, maker: Maker, _checked: bool = False) -> None:
        title = f"{NAMES[maker]} to import"
        start = str(self._start)
        if maker == "onnx":
            path = QFileDialog.getOpenFileName(self, title, start, _ONNX_FILES)[0]
        else:
            path = QFileDialog.getExistingDirectory(self, title, start)
        if path:
            self.to_import.emit(Path(path), maker)

    def _add_empty(self) -> None:
        self._add().folder.setFocus()

    def _add(self) -> ModelChoice:
        row = ModelChoice(self._start, removable=True)
        row.offer(self._offered)
        row.chosen.connect(self.chosen)
        row.removed.connect(self._remove_sender)
        self.others.append(row)
        self._rows.insertWidget(self._rows.indexOf(self._ways), row)
        return row

    def _remove_sender(self) -> None:
        self._drop(self.sender())
        self.chosen.emit()

    def _drop(self, row: ModelChoice) -> None:
        self.others.remove(row)
        self._rows.removeWidget(row)
        row.hide()
        row.deleteLater()
