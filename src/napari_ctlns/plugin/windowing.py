"""Which HU are drawn black and which white: the window of a CT."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from napari_ctlns.volume import AIR_HU, Volume

NARROWEST_HU = 1.0


@dataclass(frozen=True)
class Window:
    """A range of HU, from black to white."""

    low: float
    high: float

    @classmethod
    def of(cls, level: float, width: float) -> "Window":
        """Return the window of a centre and a width, HU; it is never narrower than 1 HU."""
        half = max(width, NARROWEST_HU) / 2
        return cls(level - half, level + half)

    @property
    def level(self) -> float:
        """The centre, HU."""
        return (self.low + self.high) / 2

    @property
    def width(self) -> float:
        """From black to white, HU."""
        return self.high - self.low

    def dragged(self, right: float, up: float) -> "Window":
        """Return the window after the mouse went ``right`` and ``up`` by some pixels.

        To the right it becomes wider, upwards darker (a higher level), in
        proportion to its width, so that narrow windows can be set finely.
        """
        step = max(self.width, 50.0) / 300
        return Window.of(self.level + up * step, self.width + right * step)


PRESETS: Mapping[str, Window] = MappingProxyType(
    {
        "lung": Window.of(-600, 1500),
        "mediastinum": Window.of(40, 400),
        "bone": Window.of(450, 1500),
        "soft tissue": Window.of(50, 350),
        "nodule": Window.of(-300, 1400),
    }
)
"""Windows by name; "full" (all values) and "header" (DICOM's) depend on the scan."""


def opening_window(volume: Volume, name: str) -> Window:
    """Return the window through which a scan is first seen.

    Parameters
    ----------
    volume
        The scan.
    name
        A name of `PRESETS`, "full" for all its values, or "header" for the
        window its DICOM header proposes; lung where there is no such window.
    """
    if name == "full":
        return Window(*display_range(volume))
    proposed = volume.source.window_hu
    if name == "header" and proposed is not None:
        low, high = proposed
        return Window.of((low + high) / 2, high - low)
    return PRESETS.get(name, PRESETS["lung"])


def display_range(volume: Volume) -> tuple[float, float]:
    """Return the lowest and highest HU to show."""
    low, high = float(np.nanmin(volume.array)), float(np.nanmax(volume.array))
    low = max(low, AIR_HU)
    return low, max(high, low + 1)
