"""The HU window of the scan that is worked on: one signal, and the right-drag that changes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.windowing import Window

_RIGHT_BUTTON = 2


class ScanWindow(QObject):
    """Follows the contrast limits of the scan that is worked on, whoever changes them.

    Attributes
    ----------
    changed
        The window is another now, or that of another scan.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._followed: Image | None = None
        session.scan_changed.connect(self._follow)
        self._follow()

    @property
    def window(self) -> Window | None:
        """The window now; None without a scan."""
        layer = self._session.scan
        return None if layer is None else Window(*map(float, layer.contrast_limits))

    def choose(self, window: Window) -> None:
        """Draw the scan through this window."""
        if self._session.scan is not None:
            self._session.scan.contrast_limits = (window.low, window.high)

    def _follow(self) -> None:
        if self._followed is not None:
            self._followed.events.contrast_limits.disconnect(self._tell)
        self._followed = self._session.scan
        if self._followed is not None:
            self._followed.events.contrast_limits.connect(self._tell)
        self.changed.emit()

    def _tell(self, _event: Any = None) -> None:
        self.changed.emit()


class WindowTool(QObject):
    """While on, dragging with the right button changes width (across) and level (up and down).

    Attributes
    ----------
    switched
        The tool went on or off.
    """

    switched = Signal(bool)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._callbacks = session.viewer.mouse_drag_callbacks
        self._window = scan_window_of(session)

    @property
    def on(self) -> bool:
        """Whether the right button belongs to the window now."""
        return self._drag in self._callbacks

    def switch(self, on: bool) -> None:
        """Take the right button, or give it back to napari."""
        if on == self.on:
            return
        if on:
            self._callbacks.append(self._drag)
        else:
            self._callbacks.remove(self._drag)
        self.switched.emit(on)

    def release(self, _gone: QObject | None = None) -> None:
        """Go off; for the panel that is no more."""
        self.switch(False)

    def _drag(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        before = self._window.window
        if event.button != _RIGHT_BUTTON or event.modifiers or before is None:
            return
        x, y = event.pos
        with canvas_at_rest(viewer):
            yield from _without_layer_tools(viewer)
            while True:
                right, down = event.pos[0] - x, event.pos[1] - y
                # from where it began: the way back brings back the window
                self._window.choose(before.dragged(float(right), float(-down)))
                if event.type != "mouse_move":
                    return
                yield


@contextmanager
def canvas_at_rest(viewer: ViewerModel) -> Iterator[None]:
    """Keep the camera from panning and zooming."""
    camera = viewer.scene.camera
    camera.mouse_pan = False
    try:
        yield
    finally:
        active = viewer.layers.selection.active
        camera.mouse_pan = True if active is None else active.mouse_pan


def _without_layer_tools(viewer: ViewerModel) -> Iterator[None]:
    """Let the active layer miss this press: with its right button a brush would fill."""
    active = viewer.layers.selection.active
    if active is None:
        yield
        return
    callbacks = cast(list[Any], active.mouse_drag_callbacks)
    taken = callbacks[:]
    callbacks.clear()
    try:
        yield
    finally:
        callbacks[:0] = taken


def scan_window_of(session: Session) -> ScanWindow:
    """Return the window of a session; the first call makes it."""
    return session.part(ScanWindow)


def window_tool_of(session: Session) -> WindowTool:
    """Return the tool of a session; the first call makes it."""
    return session.part(WindowTool)
