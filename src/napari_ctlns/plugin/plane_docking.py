"""Where the Planes panel is docked, and the key that opens and closes it."""

from typing import TYPE_CHECKING, Any

from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_ctlns.plugin.keys import taken_keys
from napari_ctlns.plugin.settings import PLUGIN

if TYPE_CHECKING:
    from napari import Viewer

KEY = "Shift-O"
"""Opens and closes the panel; none of napari's."""
PANEL = "Planes"
_SHARE_OF_WIDTH, _SHARE_OF_HEIGHT = 0.34, 0.42


def bind_key(viewer: "Viewer") -> None:
    """Let `KEY` open and close the panel, unless a person gave that key to something else."""
    if str(coerce_keybinding(KEY)) not in taken_keys(viewer):
        viewer.bind_key(KEY, toggle_planes)


def toggle_planes(viewer: Any) -> None:
    """Open the Planes panel, or close the one that is open."""
    for name, panel in viewer.window.dock_widgets.items():
        if name.startswith(f"{PANEL} ("):
            viewer.window.remove_dock_widget(panel)
            panel.close()
            panel.deleteLater()
            return
    viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)


def place(dock: QDockWidget) -> None:
    """Give a dock that was just opened the room that planes need.

    Where other panels are at the right it goes below the canvas: a list of nodules and three
    planes are then in sight together on a small screen.
    """
    window = dock.parentWidget()
    if not isinstance(window, QMainWindow) or dock.isFloating():
        return
    right, below = Qt.DockWidgetArea.RightDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea
    others = [
        other
        for other in window.findChildren(QDockWidget)
        if other is not dock and other.isVisible() and window.dockWidgetArea(other) == right
    ]
    if others:
        # first: the lists at both sides keep their height, and the window its own
        window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
        window.setCorner(Qt.Corner.BottomRightCorner, right)
    if others and window.dockWidgetArea(dock) == right:
        window.addDockWidget(below, dock)
    room = window.screen().availableGeometry().height()
    if window.height() > room:  # it grew while the dock was below the other panels
        window.resize(window.width(), room)
    if window.dockWidgetArea(dock) == below:
        height = round(window.height() * _SHARE_OF_HEIGHT)
        window.resizeDocks([dock], [height], Qt.Orientation.Vertical)
    else:
        width = round(window.width() * _SHARE_OF_WIDTH)
        window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)
