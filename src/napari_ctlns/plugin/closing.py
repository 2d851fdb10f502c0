"""What happens to the work of a session when its window closes."""

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session


class CloseGuard(QObject):
    """Asks about trainings before the window closes, and ends all other work when it does.

    Parameters
    ----------
    window
        The main window of the viewer.
    session
        Whose work it is.
    """

    def __init__(self, window: QWidget, session: "Session") -> None:
        super().__init__(window)
        self._session = session
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Look at every event of the window; only closing matters."""
        if event.type() != QEvent.Type.Close:
            return False
        running = self._session.running_trainings()
        if running and not self._settled(watched, running):
            event.ignore()
            return True
        self._session.close()
        return False

    def _settled(self, window: QObject, running: list[Path]) -> bool:
        """Ask what becomes of trainings; False if the window is to stay open."""
        question = QMessageBox(window if isinstance(window, QWidget) else None)
        question.setWindowTitle("Training goes on")
        names = ", ".join(run.name for run in running)
        question.setText(f"{names} is still training.")
        question.setInformativeText(
            "It can go on without napari: attach to its folder later in the Train panel. "
            "Stopped, it ends after its current step and keeps a checkpoint."
        )
        keep = question.addButton("Keep training", QMessageBox.ButtonRole.AcceptRole)
        stop = question.addButton("Stop it", QMessageBox.ButtonRole.DestructiveRole)
        question.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
        question.setDefaultButton(keep)
        question.exec()
        if question.clickedButton() is stop:
            self._session.stop_trainings()
            return True
        return question.clickedButton() is keep
