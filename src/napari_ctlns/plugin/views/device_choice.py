"""Where a network is to run."""

from typing import get_args

from qtpy.QtWidgets import QComboBox

from napari_ctlns.specs import Device


class DeviceChoice(QComboBox):
    """Chooses a device.

    Parameters
    ----------
    device
        What is chosen at first.
    """

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.addItems(get_args(Device))
        self.setCurrentText(device)
        self.setToolTip("Where the network runs; auto takes the fastest there is")

    @property
    def device(self) -> Device:
        """What is chosen."""
        device: Device = self.currentText()
        return device
