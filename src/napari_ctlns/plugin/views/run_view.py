"""A run to look at: its curves, and below them what the network makes of one nodule."""

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ctlns.plugin.views.epoch_pictures import EpochPictures
from napari_ctlns.plugin.views.loss_plot import LossPlot


class RunView(QWidget):
    """Lays out both.

    Attributes
    ----------
    plot
        The curves.
    pictures
        What the network makes of the nodule.
    """

    def __init__(self) -> None:
        super().__init__()
        self.plot = LossPlot()
        self.pictures = EpochPictures()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.plot)
        layout.addWidget(self.pictures)
        layout.addStretch(1)
