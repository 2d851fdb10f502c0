"""Training in a run folder, watched by anyone: what `ctlns train` and `ctlns learn` do."""

import contextlib
import os
import signal
import threading
from pathlib import Path

from napari_ctlns.errors import CtlnsError, OutputError, RunError
from napari_ctlns.events import Event, Failed, Finished, Log, ThreadControl, Uncontrolled
from napari_ctlns.jobs.console import run_on_console
from napari_ctlns.jobs.control_file import CONTROL_FILE, Verb, follow_control_file, obey, read_verb
from napari_ctlns.jobs.drain import Drain
from napari_ctlns.jobs.host_memory import freed_memory_kept
from napari_ctlns.jobs.registry import JOBS, JobKind, start_job
from napari_ctlns.jobs.run_folder import (
    EVENTS_FILE,
    STARTED_AT,
    STATE_FILE,
    EventLog,
    State,
    locked,
    read_state,
    write_state,
)
from napari_ctlns.specs import LearnSpec, TrainSpec
from napari_ctlns.torchrun import rank_and_size

_BAD_INPUT = 2
_STATE_AFTER: dict[Verb, State] = {"go": "running", "pause": "paused", "stop": "stopping"}


def run_training(spec: TrainSpec | LearnSpec, kind: JobKind = JOBS["train"]) -> Finished:
    """Train in this process, telling the terminal and the run folder of it.

    Of several processes that ``torchrun`` started the first one does so; the others only work.

    Parameters
    ----------
    spec
        What to train; ``spec.out`` is the run folder.
    kind
        The job that does it.

    Raises
    ------
    RunError
        If the folder holds a run already and ``spec.resume`` is false, or another
        process works in it.
    CtlnsError, UnexpectedError
        As the job failed. A run folder that this call made is gone again then, if
        nothing was learned yet.
    KeyboardInterrupt
        If Ctrl-C stopped it.
    """
    if rank_and_size()[0] > 0:
        return _help(spec, kind)
    missing = [folder for folder in (spec.out, *spec.out.parents) if not folder.exists()]
    try:
        with locked(spec.out):
            return _train(spec, kind)
    except BaseException:
        if spec.out in missing:
            _remove_traces(spec.out)
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _help(spec: TrainSpec | LearnSpec, kind: JobKind) -> Finished:
    """Work with the first process; it hears of Ctrl-C, and tells what goes wrong."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with freed_memory_kept():
            *_, last = start_job(kind, spec, Uncontrolled())
    except CtlnsError:
        raise SystemExit(_BAD_INPUT) from None
    assert isinstance(last, Finished)
    return last


def _train(spec: TrainSpec | LearnSpec, kind: JobKind) -> Finished:
    run = spec.out
    if (run / EVENTS_FILE).exists() and not spec.resume:
        message = f"{run} holds a run already; go on with it by --resume, or choose another folder"
        raise RunError(message)
    # Whoever started us detached has cleared the control file, and may have used it since.
    before = read_state(run)
    detached = before is not None and os.environ.get(STARTED_AT) == repr(before.since)
    if not detached:
        (run / CONTROL_FILE).unlink(missing_ok=True)
    control = ThreadControl()
    if (asked := read_verb(run)) is not None:
        obey(control, asked)

    with contextlib.ExitStack() as stack:
        stack.enter_context(freed_memory_kept())
        drain = Drain(start_job(kind, spec, control))
        log: EventLog | None = None

        def heard(verb: Verb, words: str) -> None:
            drain.say(Log(message=words))
            write_state(run, _STATE_AFTER[verb])

        def record(event: Event) -> None:
            nonlocal log
            if log is None:
                if isinstance(event, Failed) and not detached:
                    return  # bad input leaves no trace in the run
                log = stack.enter_context(EventLog(run))
                write_state(run, "running")
            log.write(event)

        try:
            with follow_control_file(run, control, heard):
                finished = run_on_console(drain, control, record)
        except BaseException as error:
            if log is not None:
                stopped = isinstance(error, KeyboardInterrupt)
                with contextlib.suppress(OutputError):  # on a full disk; the error says so itself
                    write_state(run, "stopped" if stopped else "failed")
            raise
        write_state(run, "stopped" if finished.stopped else "finished")
        return finished


def _remove_traces(run: Path) -> None:
    """Remove what this module wrote, if there is nothing else in the folder."""
    ours = {EVENTS_FILE, STATE_FILE, CONTROL_FILE}
    if run.is_dir() and {path.name for path in run.iterdir()} <= ours:
        for name in ours:
            (run / name).unlink(missing_ok=True)
