"""What the first scan would otherwise wait for, done while a person looks for it.

Reading it imports pydicom, SimpleITK and SciPy, and napari reads a table of units for
its first layer: together more than reading a scan takes.
"""

import threading

from qtpy.QtCore import QObject, QTimer

_MS_BEFORE = 500
"""So that the window and its panels are there first."""


def warm_up_soon(owner: QObject) -> None:
    """Do it in a thread, a moment from now, if ``owner`` still lives then."""
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.timeout.connect(_start)
    timer.start(_MS_BEFORE)


def _start() -> None:
    threading.Thread(target=warm_up, name="ctlns-warming", daemon=True).start()


def warm_up() -> None:
    """Import what reading a scan and showing it needs."""
    import pint
    import scipy.ndimage  # noqa: F401

    import napari_ctlns.formats.scans  # noqa: F401

    pint.Unit("mm")
