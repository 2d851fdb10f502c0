"""A run folder as Qt signals: whoever started the training, and wherever it works."""

import time
from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Event, Failed, Finished, Log, Progress
from napari_ctlns.jobs import RunFollower, Verb, control_run, kill_run
from napari_ctlns.jobs.run_folder import State, read_state
from napari_ctlns.plugin.work import Work

_MS_BETWEEN_LOOKS = 100
# A long run that is watched from its beginning is read in slices, between which the window works.
_SECONDS_A_SLICE = 0.005
_MS_BETWEEN_SLICES = 12
_BYTES_A_PIECE = 4096


class RunWatcher(Work):
    """Follows a run from its beginning.

    Of what a run said before it was resumed, every metric is told, but no end;
    Progress is told from where the run is now.

    Parameters
    ----------
    run
        The folder that a training writes.

    Attributes
    ----------
    state_changed
        Its process does something else now: "running", "paused", "stopping" and so on.
    state
        What it does; None where nobody said.
    killed
        Whether this watcher ended it at once.
    died
        Whether its process ended without a word.

    Raises
    ------
    RunError
        If the folder holds no run.
    """

    state_changed = Signal(str)

    def __init__(self, run: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.run = run
        self.state: State | None = None
        self.killed = False
        self._follower = RunFollower(run)
        self._progress: Progress | None = None
        self._end: Finished | Failed | None = None
        self._stopping = False
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(0)

    @property
    def died(self) -> bool:
        """Whether the process ended without a word."""
        return self._follower.died

    def pause(self) -> None:
        """Let the training wait before its next step."""
        self._tell("pause")

    def go(self) -> None:
        """Let a paused training go on."""
        self._tell("go")

    def stop(self) -> None:
        """Let the training end with a checkpoint; asked again, it is killed and keeps its last."""
        if self._stopping or self.state == "stopping":
            self.killed = self._ask(kill_run, self.run)
        else:
            self._stopping = self._tell("stop")

    def leave(self) -> None:
        """Look no more; the training goes on."""
        self._timer.stop()
        self.over = True

    def _tell(self, verb: Verb) -> bool:
        return self._ask(control_run, self.run, verb)

    def _ask(self, verb: Callable[..., None], *args: object) -> bool:
        """Do something about the run, or say why it cannot be done."""
        try:
            verb(*args)
        except (CtlnsError, OSError) as error:  # it may have ended just now
            self.say(Log(message=str(error), level="warning"))
            return False
        return True

    def _look(self) -> None:
        end = time.monotonic() + _SECONDS_A_SLICE
        self._read()
        while self._follower.behind and time.monotonic() < end:
            self._read()
        if not self._follower.behind and not self.over:
            self._look_at_state()
        if self.over or self._follower.ended:
            self._timer.stop()
        else:
            self._timer.start(_MS_BETWEEN_SLICES if self._follower.behind else _MS_BETWEEN_LOOKS)

    def _read(self) -> None:
        """Tell of one piece of what the run said."""
        for event in self._follower.poll(_BYTES_A_PIECE):
            self._hear(event)
        if not self._follower.behind and self._progress is not None:
            self.say(self._progress)
            self._progress = None
        if self._follower.ended and self._end is not None:
            self.say(self._end)

    def _hear(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._progress = event
        elif isinstance(event, Finished | Failed):
            self._end = event
        else:
            self.say(event)

    def _look_at_state(self) -> None:
        said = read_state(self.run)
        state = said.state if said is not None else None
        if state is not None and state != self.state:
            self.state = state
            self.state_changed.emit(state)
