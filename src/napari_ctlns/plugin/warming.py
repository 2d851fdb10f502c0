"""What the first scan would otherwise wait for, done while a person brings it.

Reading it imports pydicom, SimpleITK and SciPy, and napari reads a table of units for
its first layer: together that takes longer than reading a scan. It is not done before
it is wanted; but files that are dragged take a moment until they are dropped, and so
does choosing them in a dialog.
"""

import threading
from importlib import import_module
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QAbstractButton, QWidget


class Warming(QObject):
    """Begins when files are dragged over a widget, or a button is pressed that asks for some."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._begun = False

    def watch(self, *widgets: QWidget) -> None:
        """Begin with these widgets."""
        for widget in widgets:
            widget.installEventFilter(self)
            if isinstance(widget, QAbstractButton):
                widget.pressed.connect(self._begin)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002, N802 - Qt's
        """Look at every event of the widgets; only what is dragged matters."""
        if event.type() == QEvent.Type.DragEnter:
            self._begin()
        return False

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            threading.Thread(target=warm_up, name="ctlns-warming", daemon=True).start()


def warm_up() -> None:
    """Import what reading a scan and showing it needs."""
    import scipy.ndimage  # noqa: F401

    import napari_ctlns.formats.scans  # noqa: F401

    read_units()


def read_units() -> None:
    """Read pint's table of units, whole before any other thread sees it.

    The table that pint has at first reads itself when it is used, and whoever uses it
    meanwhile, as napari does for its first layer, finds no unit in it.
    """
    pint: Any = import_module("pint")  # its functions are half typed, in some versions

    def is_unread() -> bool:
        return type(pint.get_application_registry().get()) is pint.registry.LazyRegistry

    if is_unread():
        table = pint.UnitRegistry()
        if is_unread():
            pint.set_application_registry(table)
