"""A small window with the patches that a training will see."""

from pathlib import Path
from typing import Any

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QDialog, QVBoxLayout, QWidget

from napari_ctlns.plugin.views.job_bar import JobBar
from napari_ctlns.plugin.views.picture import Picture
from napari_ctlns.plugin.work import Work

_SHAPE = QSize(640, 480)


class PatchesWindow(QDialog):
    """Shows a sheet of patches, and asks for that of another epoch.

    Attributes
    ----------
    picture
        The sheet.
    bar
        Its button asks for the next sheet.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._out = Path()
        self.setModal(False)
        self.picture = Picture(_SHAPE)
        self.picture.setToolTip("Patches after their random changes; outlined: what masks mark")
        self.bar = JobBar("Next", "Show how the patches of another epoch are drawn and changed")
        layout = QVBoxLayout(self)
        layout.addWidget(self.picture, 1)
        layout.addWidget(self.bar)
        self.resize(820, 710)

    def follow(self, work: Work, title: str, out: Path) -> None:
        """Show what this work draws, once it is drawn.

        Parameters
        ----------
        title
            What the sheet shows.
        out
            Where it will lie.
        """
        self._out = out
        self.setWindowTitle(title)
        self.picture.show_words("")
        self.bar.follow(work, self._show)

    def _show(self, _result: dict[str, Any]) -> None:
        if self.picture.show_file(self._out):
            self.bar.say("")
