"""What happens to the work of a session when its window closes."""

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_ctlns.plugin.work import Work

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session


class CloseGuard(QObject):
    """Asks about long work before the window closes, and ends all but trainings when it does.

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
        if (running and not self._settled(watched, running)) or not self._may_stop(watched):
            event.ignore()
            return True
        self._session.close()
        return False

    def _may_stop(self, window: QObject) -> bool:
        """Ask whether long work may be stopped; False if the window is to stay open."""
        asking = (work for work in self._session.findChildren(Work) if work.before_closing)
        work = next((work for work in asking if not work.over), None)
        if work is None:
            return True
        question = QMessageBox(window if isinstance(window, QWidget) else None)
        question.setWindowTitle("Work goes on")
        words, more = work.before_closing
        question.setText(words)
        question.setInformativeText(more)
        stop = question.addButton("Stop it", QMessageBox.ButtonRole.DestructiveRole)
        question.setDefaultButton(question.addButton("Cancel", QMessageBox.ButtonRole.RejectRole))
        question.exec()
        return question.clickedButton() is stop

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
