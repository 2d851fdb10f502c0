"""What lies under the cursor: HU, label, and where in the patient."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin.canvas import canvas_to_lps
from napari_ctlns.plugin.layers import mask_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import AIR_HU, Geometry, Triple, Volume


@dataclass(frozen=True)
class Readout:
    """What there is at a point.

    Attributes
    ----------
    lps
        Millimetres (x, y, z).
    voxel
        The voxel (z, y, x) of the scan; None outside it.
    hu
        Its value, padding counted as -1024 HU; None outside the scan.
    label
        The label of the mask there, 0 for background; None without a mask there.
    """

    lps: Triple
    voxel: tuple[int, int, int] | None
    hu: float | None
    label: int | None

    def rows(self) -> dict[str, str]:
        """Return it in words, by what it is."""
        x, y, z = self.lps
        inside = self.voxel is not None
        labels = {None: "", 0: "background"}
        return {
            "Value": f"{self.hu:g} HU" if inside else "outside the scan",
            "LPS xyz, mm": f"{x:.1f}, {y:.1f}, {z:.1f}",
            "Voxel zyx": ", ".join(map(str, self.voxel or ())),
            "Label": labels.get(self.label, str(self.label)),
        }


NOTHING = dict.fromkeys(("Value", "LPS xyz, mm", "Voxel zyx", "Label"), "")
"""The rows of `Readout.rows` where there is nothing to tell."""


def read_at(canvas: npt.ArrayLike, volume: Volume, mask: Volume | None = None) -> Readout:
    """Read a scan, and a mask on any grid, at a point of the canvas in millimetres (z, y, x)."""
    world = canvas_to_lps(volume.geometry, canvas)
    x, y, z = (float(v) for v in world)
    voxel = _voxel_at(volume.geometry, world)
    hu = None if voxel is None else _hu(volume, voxel)
    label = None
    if mask is not None and (at := _voxel_at(mask.geometry, world)) is not None:
        label = int(mask.array[at])
    return Readout((x, y, z), voxel, hu, label)


def _voxel_at(geometry: Geometry, world: npt.NDArray[Any]) -> tuple[int, int, int] | None:
    if not geometry.contains(world):
        return None
    z, y, x = (int(i) for i in np.floor(geometry.world_to_index(world) + 0.5))
    return z, y, x


def _hu(volume: Volume, voxel: tuple[int, int, int]) -> float:
    return float(np.fmax(volume.array[voxel], AIR_HU))  # fmax prefers a number to NaN


class CursorReadout(QObject):
    """Tells what lies under the cursor of a viewer, whenever that changes.

    Attributes
    ----------
    changed
        Emitted with the rows to show.
    """

    changed = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        session.viewer.cursor.events.position.connect(self._look)
        session.viewer.dims.events.ndisplay.connect(self._look)
        for signal in (session.scan_changed, session.mask_changed):
            signal.connect(self._look)
        session.edited.connect(self._look)

    def rows(self) -> dict[str, str]:
        """Return what lies under the cursor now, in words."""
        viewer, volume = self._session.viewer, self._session.volume
        if volume is None or len(viewer.cursor.position) != volume.array.ndim:
            return NOTHING
        if viewer.dims.ndisplay != 2:
            return {**NOTHING, "Value": "read in 2D only"}
        layer = self._session.mask
        mask = None if layer is None else mask_of(layer, volume)
        return read_at(viewer.cursor.position, volume, mask).rows()

    def _look(self, _what: object = None) -> None:
        self.changed.emit(self.rows())


def cursor_readout_of(session: Session) -> CursorReadout:
    """Return the readout of a session; the first call makes it."""
    return session.part(CursorReadout)
