"""What happens to the work of a session when its window closes."""

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

from napari_ctlns.errors import OutputError
from napari_ctlns.plugin.autosave import Autosave
from napari_ctlns.plugin.project import save_project
from napari_ctlns.plugin.views.file_dialogs import PROJECT_FILES, ask_save_path
from napari_ctlns.plugin.words import capitalised, named
from napari_ctlns.plugin.work import Work

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session


class CloseGuard(QObject):
    """Asks about unsaved and long work before the window closes; ends all but trainings then.

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
        asked = _is_seen(watched)
        if asked and not self._may_lose(watched):
            event.ignore()
            return True
        running = self._session.running_trainings()
        if (running and not self._settled(watched, running)) or not self._may_stop(watched):
            event.ignore()
            return True
        if asked:
            self._session.part(Autosave).forget()
        self._session.close()
        return False

    def _may_lose(self, window: QWidget) -> bool:
        """Ask what becomes of unsaved work; False if the window is to stay open."""
        unsaved = self._session.unsaved_layers
        if not unsaved:
            return True
        project = self._session.project
        question = QMessageBox(window)
        question.setWindowTitle("Not saved")
        question.setText(f"Not saved: {named([layer.name for layer in unsaved])}.")
        where = "asks for a project file and writes" if project is None else "writes"
        into = "to it" if project is None else f"to {project.name}"
        question.setInformativeText(
            f"Save {where} all that is open {into}. Discarded work cannot be brought back."
        )
        save = question.addButton("Save", QMessageBox.ButtonRole.AcceptRole)
        discard = question.addButton("Discard", QMessageBox.ButtonRole.DestructiveRole)
        question.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
        question.setDefaultButton(save)
        question.exec()
        if question.clickedButton() is save:
            return self._save(window)
        return question.clickedButton() is discard

    def _save(self, window: QWidget) -> bool:
        """Save all that is open; False if it was not, or not all of it."""
        try:
            path = self._session.project or ask_save_path(
                window, "Save project", "", (PROJECT_FILES,)
            )
            if path is None:
                return False
            QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
            try:
                words = save_project(self._session, path)
            finally:
                QApplication.restoreOverrideCursor()
        except OutputError as error:
            _say(window, "Not saved", str(error))
            return False
        if self._session.unsaved_layers:
            _say(window, "Not all of it is saved", ". ".join(words))
            return False
        return True

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


def _is_seen(window: QObject) -> bool:
    """Whether a person closes a window; a program that does takes its contents away before."""
    inside = getattr(window, "_qt_viewer", None)
    return isinstance(window, QWidget) and inside is not None and bool(inside.isVisible())


def _say(window: QWidget, title: str, words: str) -> None:
    box = QMessageBox(window)
    box.setWindowTitle(title)
    box.setText(capitalised(words))
    box.addButton("Close", QMessageBox.ButtonRole.AcceptRole)
    box.exec()
