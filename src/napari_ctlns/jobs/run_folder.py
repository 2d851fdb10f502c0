"""The files by which a run tells of itself: who works in it, its state, its events.

============== ======================================================
run.lock       which process writes into the run
state.json     what that process is doing
events.jsonl   every event of the run, one a line; a resumed run goes on in it
control.json   what somebody asked it to do (`napari_ctlns.jobs.control_file`)
train.log      what a detached run printed
============== ======================================================
"""

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_ctlns.atomic import write_text
from napari_ctlns.errors import OutputError, RunError
from napari_ctlns.events import Event, event_to_json

LOCK_FILE = "run.lock"
STATE_FILE = "state.json"
EVENTS_FILE = "events.jsonl"
LOG_FILE = "train.log"
STARTED_AT = "CTLNS_STARTED_AT"
"""Environment variable that tells a detached process which state its starter wrote for it."""

State = Literal["starting", "running", "paused", "stopping", "finished", "stopped", "failed"]
_PATIENCE_SECONDS = 1.0
LIVE_STATES = frozenset({"starting", "running", "paused", "stopping"})


class Worker(BaseModel):
    """A process that works in a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int
    host: str

    @classmethod
    def this(cls) -> Self:
        """Return the process that asks."""
        return cls(pid=os.getpid(), host=socket.gethostname())

    def may_live(self) -> bool:
        """Whether it lives; one on another machine is taken to."""
        return self.host != socket.gethostname() or pid_alive(self.pid)


class RunState(BaseModel):
    """What the process that works in a run is doing, since when (seconds since 1970)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    state: State
    worker: Worker
    since: float


if sys.platform == "win32":
    import ctypes

    def pid_alive(pid: int) -> bool:
        """Whether a process of this machine lives."""
        synchronize, still_waiting = 0x00100000, 0x00000102
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(synchronize, False, pid)
        if not handle:
            return False
        waited = kernel.WaitForSingleObject(handle, 0)
        kernel.CloseHandle(handle)
        return bool(waited == still_waiting)

else:

    def pid_alive(pid: int) -> bool:
        """Whether a process of this machine lives; one that only waits to be buried does not."""
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        with contextlib.suppress(OSError):  # Linux tells of zombies here
            stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
            return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}
        return True


def write_state(run: Path, state: State) -> RunState:
    """Say what this process is doing in the run; return what was written."""
    said = RunState(state=state, worker=Worker.this(), since=time.time())
    write_text(run / STATE_FILE, said.model_dump_json())
    return said


def read_state(run: Path) -> RunState | None:
    """Return the last state that a process wrote; None where there is none."""
    try:
        return RunState.model_validate_json((run / STATE_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def is_live(run: Path) -> bool:
    """Whether a process works in the run, as far as this machine can tell."""
    state = read_state(run)
    return state is not None and state.state in LIVE_STATES and state.worker.may_live()


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Make the run folder and be the only process that writes into it.

    A lock whose process is dead is taken over.

    Raises
    ------
    RunError
        If another process works in the run.
    OutputError
        If the folder cannot be written.
    """
    lock = run / LOCK_FILE
    try:
        run.mkdir(parents=True, exist_ok=True)
        _take(lock)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot write run {run}: {reason}; choose another place for it"
        raise OutputError(message) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take(lock: Path) -> None:
    # a run that has just ended may be about to let go of it
    patience = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _create(lock)
        except FileExistsError:
            try:
                _remove_if_stale(lock)
            except RunError:
                if time.monotonic() > patience:
                    raise
                time.sleep(_PATIENCE_SECONDS / 10)


def _create(lock: Path) -> None:
    handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(Worker.this().model_dump_json())


def _remove_if_stale(lock: Path) -> None:
    """Remove a dead process's lock, or raise if its process may live."""
    try:
        worker = Worker.model_validate_json(lock.read_bytes())
    except FileNotFoundError:
        return
    except ValidationError as error:
        message = f"{lock} cannot be read; remove it if no training runs in {lock.parent}"
        raise RunError(message) from error
    # after a restart of the machine our own pid may have been another's
    if worker.may_live() and worker != Worker.this():
        raise RunError(
            f"process {worker.pid} on {worker.host} trains in {lock.parent}; "
            f"`ctlns control {lock.parent} stop` first, or remove {lock} if it is gone"
        )
    lock.unlink(missing_ok=True)


class EventLog:
    """Appends events to a run's `events.jsonl`, each whole and flushed."""

    def __init__(self, run: Path) -> None:
        self._path = run / EVENTS_FILE
        try:
            self._file = self._path.open("a+b")
            self._end_half_line()
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, event: Event) -> None:
        """Append one event.

        Raises
        ------
        OutputError
            If the disk is full, or the folder gone.
        """
        try:
            self._file.write(event_to_json(event).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()

    def _end_half_line(self) -> None:
        """End the half line that a killed process may have left."""
        if self._file.seek(0, os.SEEK_END) > 0:
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")
                self._file.flush()

    def _unwritable(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        return OutputError(f"cannot write {self._path}: {reason}; make room, then --resume")


def read_events(run: Path, offset: int = 0, most: int = -1) -> tuple[list[str], int]:
    """Return the whole lines of `events.jsonl` after ``offset`` bytes, and the next offset.

    With ``most``, reading ends with the line in which that many bytes are full.
    """
    try:
        with (run / EVENTS_FILE).open("rb") as file:
            file.seek(offset)
            content = file.read(most)
            if 0 <= most <= len(content):
                content += file.readline()
    except FileNotFoundError:
        return [], offset
    whole = content.rpartition(b"\n")[0]
    if not whole:
        return [], offset
    return whole.decode("utf-8", errors="replace").split("\n"), offset + len(whole) + 1
