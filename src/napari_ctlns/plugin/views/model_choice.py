"""Choosing one model, or several that look together."""

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QPushButton, QToolButton, QVBoxLayout, QWidget

from napari_ctlns.plugin.views.controls import in_a_row, let_be_narrow, set_ready

_TOOLTIP = "The model that looks for nodules: the folder that training made"


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

    def _browse(self) -> None:
        start = str(self.model or self._start)
        folder = QFileDialog.getExistingDirectory(self, "Folder of a model", start)
        if folder:
            self.show_model(Path(folder))
            self.chosen.emit()


class ModelChoices(QWidget):
    """One line for one model; more lines for those that look together with it.

    Attributes
    ----------
    chosen
        A person chose other models.
    """

    chosen = Signal()

    def __init__(self, start: Path) -> None:
        super().__init__()
        self._start = start
        self._offered: Sequence[Path] = ()
        self.first = ModelChoice(start, removable=False)
        self.others: list[ModelChoice] = []
        self.more = QToolButton()
        self.more.setText("+ another model")
        self.more.setAutoRaise(True)
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.addWidget(self.first)
        self._rows.addWidget(self.more)
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

    def _add_empty(self) -> None:
        self._add().folder.setFocus()

    def _add(self) -> ModelChoice:
        row = ModelChoice(self._start, removable=True)
        row.offer(self._offered)
        row.chosen.connect(self.chosen)
        row.removed.connect(self._remove_sender)
        self.others.append(row)
        self._rows.insertWidget(self._rows.indexOf(self.more), row)
        return row

    def _remove_sender(self) -> None:
        self._drop(self.sender())
        self.chosen.emit()

    def _drop(self, row: ModelChoice) -> None:
        self.others.remove(row)
        self._rows.removeWidget(row)
        row.hide()
        row.deleteLater()
