"""A file or folder: written, chosen in a dialog, or dropped."""

from pathlib import Path
from typing import Literal

from qtpy.QtCore import Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QToolButton, QWidget

_LEAST_WIDTH = 60


class PathField(QWidget):
    """A line for a path, and a button that opens a file dialog.

    Parameters
    ----------
    kind
        Whether a folder or a file is wanted.
    title
        Of the dialog.
    tooltip
        What the path is for.
    file_filter
        Which files the dialog shows, as Qt writes it: ``"Tables (*.csv)"``.

    Attributes
    ----------
    changed
        Another path stands there.
    """

    changed = Signal()

    def __init__(
        self, kind: Literal["folder", "file"], title: str, tooltip: str, file_filter: str = ""
    ) -> None:
        super().__init__()
        self._kind = kind
        self._title = title
        self._filter = file_filter
        self.setToolTip(tooltip)
        self.line = QLineEdit()
        self.line.setToolTip(tooltip)
        self.line.setMinimumWidth(_LEAST_WIDTH)
        self.line.setAcceptDrops(False)  # it would take the text of a URL
        self.line.textChanged.connect(self.changed)
        self.browse = QToolButton()
        self.browse.setText("…")
        self.browse.setToolTip(title)
        self.browse.setAccessibleName(title)
        self.browse.clicked.connect(self._browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line, 1)
        layout.addWidget(self.browse)
        self.setFocusProxy(self.line)
        self.setAcceptDrops(True)

    @property
    def path(self) -> Path | None:
        """What stands there, or None for nothing."""
        text = self.line.text().strip().strip('"')
        if not text:
            return None
        try:
            return Path(text).expanduser()
        except RuntimeError:  # "~" of nobody that this machine knows
            return Path(text)

    def set_path(self, path: Path | None) -> None:
        """Write a path there."""
        self.line.setText("" if path is None else str(path))

    def set_hint(self, hint: str) -> None:
        """Show what is taken when nothing stands there."""
        self.line.setPlaceholderText(hint)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 - Qt's name
        """Take one local file or folder."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 - Qt's name
        """Write its path."""
        self.set_path(Path(event.mimeData().urls()[0].toLocalFile()))
        event.acceptProposedAction()

    def _browse(self) -> None:
        start = str(self.path or "")
        if self._kind == "folder":
            chosen = QFileDialog.getExistingDirectory(self, self._title, start)
        else:
            chosen = QFileDialog.getOpenFileName(self, self._title, start, self._filter)[0]
        if chosen:
            self.set_path(Path(chosen))
