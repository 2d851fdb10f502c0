"""A place to drop files and folders on."""

from pathlib import Path

from qtpy.QtCore import QEvent, QMimeData, Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_ctlns.plugin.views.controls import set_ready

_BORDER = "border: {width}px {line} {colour}; border-radius: 4px; padding: {padding}px;"
_EMPTY_PX, _SMALL_PX = 18, 4


class DropTarget(QLabel):
    """Takes what is dragged from a file manager.

    Attributes
    ----------
    dropped
        Files and folders were dropped (their paths).
    """

    dropped = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self.setWordWrap(True)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._padding = _EMPTY_PX
        self._draw()

    def invite(self, words: str, small: bool = False) -> None:
        """Say what can be dropped; small where it is not what a person needs now."""
        self.setText(words)
        self._padding = _SMALL_PX if small else _EMPTY_PX
        self._draw()

    def set_ready(self, why_not: str = "") -> None:
        """Take what is dropped, or say in the tooltip why that cannot be."""
        self.setAcceptDrops(not why_not)
        set_ready(self, why_not, "Drop one, or several at once: a scan and its annotations")

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802 - Qt's name
        """Take files and folders, nothing else."""
        if event is not None and dropped_paths(event.mimeData()):
            event.acceptProposedAction()
            self._draw(awaiting=True)

    def dragLeaveEvent(self, event: QEvent | None) -> None:  # noqa: ARG002, N802
        """Look as before."""
        self._draw()

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Tell what was dropped."""
        self._draw()
        if event is not None and (paths := dropped_paths(event.mimeData())):
            event.acceptProposedAction()
            self.dropped.emit(paths)

    def _draw(self, awaiting: bool = False) -> None:
        border = _BORDER.format(
            width=2 if awaiting else 1,
            line="solid" if awaiting else "dashed",
            colour="#56b4e9" if awaiting else "#888888",
            padding=self._padding - awaiting,  # the thicker border must not move anything
        )
        self.setStyleSheet(f"DropTarget {{ {border} }}")


def dropped_paths(data: QMimeData | None) -> list[Path]:
    """Return the files and folders of this machine that are dragged."""
    if data is None:
        return []
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
