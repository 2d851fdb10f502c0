"""What a network made of one nodule after each epoch: the newest picture, and those before."""

from pathlib import Path

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QSlider, QVBoxLayout, QWidget

from napari_ctlns.plugin.views.picture import Picture

_MS_BEFORE_READING = 100
_SHAPE = QSize(680, 258)
_NONE = "After each epoch: what the network finds in one validation nodule"


class EpochPictures(QWidget):
    """Shows the newest of the pictures it is told of, or the one a slider was moved to.

    Attributes
    ----------
    picture
        The one in sight.
    slider
        Chooses among all there are; at its right end new ones are followed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._paths: list[Path] = []
        self._stale = False
        self.picture = Picture(_SHAPE)
        self.picture.setToolTip(
            "CT, truth, and what the network finds in the middle of one validation patch"
        )
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.slider.valueChanged.connect(self._on_move)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._read)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.picture)
        layout.addWidget(self.slider)
        self.clear()

    def clear(self) -> None:
        """Show that there is no picture yet."""
        self._paths = []
        self._stale = False
        self.picture.show_words(_NONE)
        self._settle_slider(follow=True)

    def add(self, path: Path) -> None:
        """Take in the picture of a further epoch.

        A run that died repeats epochs: what it made there before is forgotten.
        """
        follow = self.slider.value() == self.slider.maximum()
        if path in self._paths:
            del self._paths[self._paths.index(path) :]
        self._paths.append(path)
        self._settle_slider(follow)
        self._freshen()

    @property
    def shown(self) -> Path | None:
        """The file of the picture in sight."""
        return self._paths[self.slider.value()] if self._paths else None

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Read what came while nobody could see it."""
        super().showEvent(event)
        if self._stale:
            self._freshen()

    def _settle_slider(self, follow: bool) -> None:
        last = max(len(self._paths) - 1, 0)
        self.slider.setRange(0, last)
        if follow:
            self.slider.setValue(last)
        self.slider.setEnabled(last > 0)
        self.slider.setToolTip(self._place() if last else "Earlier epochs, once there are some")

    def _place(self) -> str:
        return f"Picture {self.slider.value() + 1} of {len(self._paths)}; the newest at the right"

    def _on_move(self) -> None:
        self.slider.setToolTip(self._place())
        self._freshen()

    def _freshen(self) -> None:
        """Read soon: a run that is watched from its beginning tells of many pictures at once."""
        self._stale = True
        if self.isVisible() and not self._timer.isActive():
            self._timer.start(_MS_BEFORE_READING)

    def _read(self) -> None:
        if self.shown is not None and self.isVisible():
            self._stale = False
            self.picture.show_file(self.shown)
