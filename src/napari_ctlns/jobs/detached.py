"""Starting a training that outlives its starter, and telling it what to do."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from napari_ctlns.atomic import write_text
from napari_ctlns.errors import OutputError, RunError
from napari_ctlns.events import Failed
from napari_ctlns.jobs.control_file import CONTROL_FILE, Verb, write_verb
from napari_ctlns.jobs.priority import lower_session_priority
from napari_ctlns.jobs.run_folder import (
    EVENTS_FILE,
    LOG_FILE,
    STARTED_AT,
    EventLog,
    RunState,
    is_live,
    read_state,
    write_state,
)
from napari_ctlns.specs import LearnSpec, TrainSpec

_NICENESS = 10
# Windows knows no SIGKILL; its SIGTERM ends a process as hard
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
_RECIPE_FILE = "asked.toml"


def start_training(spec: TrainSpec | LearnSpec) -> int:
    """Start ``ctlns train``, or ``ctlns learn``, at low priority, detached from this process.

    What it prints goes to `train.log` in the run folder; follow it with
    `napari_ctlns.jobs.watch`.

    Returns
    -------
    int
        Its process id.

    Raises
    ------
    RunError
        If another process works in the run, or it exists and is not to be resumed.
    OutputError
        If the run folder cannot be written.
    """
    run = spec.out.absolute()
    if is_live(run):
        raise RunError(f"a training runs in {run} already; stop it first")
    if (run / EVENTS_FILE).exists() and not spec.resume:
        raise RunError(f"{run} holds a run already; resume it, or choose another folder")
    if isinstance(spec, TrainSpec):
        write_text(run / _RECIPE_FILE, spec.recipe.to_toml())
    (run / CONTROL_FILE).unlink(missing_ok=True)
    starting = write_state(run, "starting")
    process = _spawn(_command(spec, run), run / LOG_FILE, starting)
    lower_session_priority(process.pid, _NICENESS)
    threading.Thread(target=_bury, args=(process, run, starting), daemon=True).start()
    return process.pid


def control_run(run: Path, verb: Verb) -> None:
    """Ask a run to pause, go on or stop.

    Raises
    ------
    RunError
        If no process works in it.
    """
    if not is_live(run):
        raise RunError(f"no training runs in {run}; see `ctlns watch` for how it ended")
    write_verb(run, verb)


def kill_run(run: Path) -> None:
    """End the process of a run at once; the run keeps its last checkpoint.

    Raises
    ------
    RunError
        If no process works in it, or one on another machine does.
    """
    state = read_state(run)
    if state is None or not is_live(run):
        raise RunError(f"no training runs in {run}; see `ctlns watch` for how it ended")
    if state.worker.host != socket.gethostname():
        raise RunError(f"the training works on {state.worker.host}; end it there")
    # a process of ours that has not taken over yet says who started it, never kill that one
    if state.state == "starting":
        raise RunError("the training is only starting; try again in a moment")
    os.kill(state.worker.pid, _KILL)


def _command(spec: TrainSpec | LearnSpec, run: Path) -> list[str]:
    options = _to_learn(spec) if isinstance(spec, LearnSpec) else _to_train(spec, run)
    options += ["--out", str(run), "--device", spec.device]
    if spec.resume:
        options += ["--resume"]
    # -P: a file in the working directory must not stand in for a module of that name
    return [sys.executable, "-P", "-m", "napari_ctlns", *options]


def _to_train(spec: TrainSpec, run: Path) -> list[str]:
    options = ["train", str(spec.dataset.absolute()), "--recipe", str(run / _RECIPE_FILE)]
    if spec.start_from is not None:
        options += ["--from", str(spec.start_from.absolute())]
    return options


def _to_learn(spec: LearnSpec) -> list[str]:
    options = ["learn", str(spec.dataset.absolute()), "--from", str(spec.model.absolute())]
    options += ["--steps", str(spec.steps), "--corrected-share", str(spec.corrected_share)]
    options += ["--most-earlier", str(spec.most_earlier)]
    for key, value in spec.changes.items():
        options += ["--set", f"{key}={json.dumps(value)}"]
    return options


def _spawn(command: list[str], log: Path, starting: RunState) -> "subprocess.Popen[bytes]":
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {
            "creationflags": subprocess.DETACHED_PROCESS
            | subprocess.CREATE_NEW_PROCESS_GROUP
            | subprocess.BELOW_NORMAL_PRIORITY_CLASS
        }
    environment = {**os.environ, STARTED_AT: repr(starting.since)}
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                **apart,
            )
    except OSError as error:
        message = f"cannot start a training: {error.strerror or error}; see {log}"
        raise OutputError(message) from error


def _bury(process: "subprocess.Popen[bytes]", run: Path, starting: RunState) -> None:
    """Wait for the process, and tell of one that ended before it could say anything."""
    process.wait()
    if read_state(run) != starting:
        return
    lines = (run / LOG_FILE).read_text("utf-8", errors="replace").strip().splitlines()
    words = lines[-1].removeprefix("error: ") if lines else f"exit status {process.returncode}"
    with EventLog(run) as log:
        log.write(Failed(message=f"training did not start: {words}"))
    write_state(run, "failed")
