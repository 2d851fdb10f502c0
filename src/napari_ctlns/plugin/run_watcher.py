"""A run folder as Qt signals: whoever started the training, and wherever it works."""

from pathlib import Path

from qtpy.QtCore import QObject, QTimer

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Log
from napari_ctlns.jobs import RunFollower, Verb, control_run, kill_run
from napari_ctlns.plugin.work import Work

_MS_BETWEEN_LOOKS = 100


class RunWatcher(Work):
    """Follows a run from its beginning.

    Parameters
    ----------
    run
        The folder that a training writes.

    Raises
    ------
    RunError
        If the folder holds no run.
    """

    def __init__(self, run: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run = run
        self._follower = RunFollower(run)
        self._stopping = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(_MS_BETWEEN_LOOKS)

    def pause(self) -> None:
        """Let the training wait before its next step."""
        self._tell("pause")

    def go(self) -> None:
        """Let a paused training go on."""
        self._tell("go")

    def stop(self) -> None:
        """Let the training end with a checkpoint; asked again, it is killed and keeps its last."""
        if self._stopping:
            kill_run(self.run)
            return
        self._stopping = True
        self._tell("stop")

    def leave(self) -> None:
        """Look no more; the training goes on."""
        self._timer.stop()
        self.over = True

    def _tell(self, verb: Verb) -> None:
        try:
            control_run(self.run, verb)
        except CtlnsError as error:
            self.say(Log(message=str(error), level="warning"))

    def _look(self) -> None:
        for event in () if self.over else self._follower.poll():
            self.say(event)
        if self.over or self._follower.ended:
            self._timer.stop()
