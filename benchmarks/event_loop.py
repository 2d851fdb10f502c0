"""A mouse, and waiting while the window goes on working: for benchmarks in one."""

import time
from collections.abc import Callable

from qtpy.QtCore import QEvent, QEventLoop, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication


def wait(seconds: float) -> None:
    """Let the event loop run."""
    loop = QEventLoop()
    QTimer.singleShot(round(seconds * 1000), loop.quit)
    loop.exec()


def wait_until(done: Callable[[], bool], seconds: float, every: float = 0.02) -> None:
    """Let the event loop run until something has happened; looking slows what is measured."""
    end = time.perf_counter() + seconds
    while not done():
        if time.perf_counter() > end:
            raise TimeoutError(f"waited {seconds} s in vain")
        wait(every)


def send(
    canvas: object,
    kind: QEvent.Type,
    at: QPointF,
    button: Qt.MouseButton,
    held: Qt.MouseButton,
) -> None:
    """Send a mouse event to the canvas."""
    nothing = Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(kind, at, canvas.mapToGlobal(at), button, held, nothing)
    QApplication.sendEvent(canvas, event)
