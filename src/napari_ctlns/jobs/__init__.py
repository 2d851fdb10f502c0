"""How jobs run outside the caller: on a terminal, in a child process, detached."""

from napari_ctlns.jobs.control_file import Verb
from napari_ctlns.jobs.detached import control_run, kill_run, start_training
from napari_ctlns.jobs.drain import Drain
from napari_ctlns.jobs.watching import RunFollower, RunStatus, run_status, watch

__all__ = [
    "Drain",
    "RunFollower",
    "RunStatus",
    "Verb",
    "control_run",
    "kill_run",
    "run_status",
    "start_training",
    "watch",
]
