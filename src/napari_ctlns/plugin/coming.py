"""A scan that is still being read: seen from its first slice on, worked on when it is whole."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer
from qtpy.QtCore import QTimer

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import placed
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.windowing import opening_window
from napari_ctlns.volume import Volume

_SECONDS_BETWEEN_LOOKS = 0.25
_MS_TO_DRAW = 20

SoFar = tuple[Volume, npt.NDArray[np.bool_]]


@dataclass(eq=False)
class Coming:
    """A scan that a thread reads while the window shows what there is of it.

    Attributes
    ----------
    so_far
        The scan, whose array is being filled, and which voxels of it are read (see
        `formats.scans.Partial`); others if its values turn out to need another type. The
        thread sets it.
    window_name
        Of the window through which it is shown, see `opening_window`.
    shown
        Set when it was drawn.
    """

    so_far: SoFar
    window_name: str = "lung"
    shown: threading.Event = field(default_factory=threading.Event)


class ComingLayer:
    """The layer of a scan that is being read; all of it belongs to the thread of the window.

    Parameters
    ----------
    session
        Of the viewer that shows it.
    coming
        What is shown: its first slice is there.
    """

    def __init__(self, session: Session, coming: Coming) -> None:
        self._session = session
        self._coming = coming
        self._volume, read = self._so_far = coming.so_far
        self._window = opening_window(self._volume, coming.window_name)
        self._seen: npt.NDArray[Any] | None = None
        self._looked = time.monotonic()
        self.layer: Image = Layer.create(*of.coming_tuple(self._volume, read, self._window))
        self.layer.visible = False  # until the slice that is there is the one on show
        session.viewer.add_layer(self.layer)
        show_whole(session, self.layer, int(np.argmax(read)) if len(read) > 1 else None)
        self.layer.visible = True
        QTimer.singleShot(_MS_TO_DRAW, coming.shown.set)

    @property
    def is_there(self) -> bool:
        """Whether nobody has taken the layer away."""
        return self.layer in self._session.viewer.layers

    def look(self) -> None:
        """Draw what has come of the slice on show; a few times a second is enough."""
        now = time.monotonic()
        if now - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        if self._so_far is not self._coming.so_far:
            self._volume, read = self._so_far = self._coming.so_far
            self._put(of.Filling(self._volume.array, read), self._volume)
        elif self._session.viewer.dims.ndisplay == 2:  # all of it in 3D would take seconds
            seen = self._slice_on_show()
            if self._seen is not None and not np.array_equal(seen, self._seen):
                self.layer.refresh()
            self._seen = seen

    def finish(self, data: of.LayerTuple) -> None:
        """Let the layer be what was read: a scan like any other, which is worked on from now on."""
        array, meta, _ = data
        self.layer.metadata = meta["metadata"]
        self._put(array, meta["metadata"][of.KEY].volume)
        if tuple(self.layer.contrast_limits) == (self._window.low, self._window.high):
            self.layer.contrast_limits = meta["contrast_limits"]  # nobody chose another
        self._session.adopt(self.layer)

    def give_up(self) -> None:
        """Take the layer away again, if it is no scan by now."""
        if self.is_there and of.is_coming(self.layer):
            self._session.viewer.layers.remove(self.layer)

    def _put(self, array: Any, volume: Volume) -> None:
        where = placed(volume.geometry)
        self.layer.data = array
        for name in ("scale", "translate"):
            if not np.array_equal(getattr(self.layer, name), where[name]):
                setattr(self.layer, name, where[name])

    def _slice_on_show(self) -> npt.NDArray[Any]:
        dims, shape = self._session.viewer.dims, self._volume.array.shape
        before = dims.ndim - len(shape)  # of other layers, if any has more axes
        place = np.rint(self.layer.world_to_data(dims.point[before:])).astype(int)
        place = np.clip(place, 0, np.asarray(shape) - 1)
        key = [
            slice(None) if axis + before in dims.displayed else place[axis]
            for axis in range(len(shape))
        ]
        return np.asarray(self.layer.data[tuple(key)])


def show_whole(session: Session, layer: Image, slice_: int | None = None) -> None:
    """Show one slice of a scan, its middle one unless told otherwise, whole."""
    viewer = session.viewer
    place = layer.extent.world.mean(axis=0)
    if slice_ is not None:
        place[0] = layer.data_to_world((slice_, 0, 0))[0]
    viewer.dims.set_point(range(viewer.dims.ndim), place)
    viewer.reset_view()
