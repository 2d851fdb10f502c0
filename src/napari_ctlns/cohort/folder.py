"""The folder of a cohort: one writer at a time, and results of one kind."""

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from napari_ctlns.atomic import remove_leftovers, write_text
from napari_ctlns.dataset.beginning import COHORT_MANIFEST
from napari_ctlns.errors import OutputError, RunError

_OURS = ".cohort"
_OPTIONS = "options.json"
_OWNER = "owner.json"
_STAGED = "staged"


@contextlib.contextmanager
def held(out: Path) -> Iterator[None]:
    """Be the only one who works in a folder; it is made, and goes if nothing came of it.

    The system's own lock tells whether a process of this machine works there, and goes
    with it however it ends. Who works is written beside it, for people and for other
    machines, to which such locks do not always reach.

    Raises
    ------
    RunError
        If another process works there, or one of another machine may.
    OutputError
        If the folder cannot be made or written.
    """
    ours = out / _OURS
    new = not out.exists()
    _made(ours)
    lock = filelock.FileLock(ours / "lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise RunError(f"{_who(ours)} works in {out}; wait for it, or stop it") from error
    except (OSError, NotImplementedError) as error:
        raise OutputError(f"cannot lock {out}: {error}; choose another place for it") from error
    with contextlib.ExitStack() as ending:
        ending.callback(lock.release)
        _own(out, ours)
        ending.callback(_forget, out, new)
        ending.callback(_disown, ours)
        _clean(out)
        ending.callback(_clean, out)
        yield


def staging(out: Path) -> Path:
    """Return the folder for results that are whole but not in their place yet."""
    return out / _OURS / _STAGED


def same_options(out: Path, options: Mapping[str, Any]) -> None:
    """Note with what options results are made, or refuse others than those noted.

    Raises
    ------
    RunError
        If the results in the folder were made with others; the first is named.
    """
    path = out / _OURS / _OPTIONS
    ours = json.loads(json.dumps(options))
    try:
        theirs = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        write_text(path, json.dumps(ours, indent=1) + "\n")
        return
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged; choose another --out") from error
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            raise RunError(
                f"{out} holds results made otherwise ({name} was {_said(theirs.get(name))}, "
                f"now {_said(ours.get(name))}); choose another --out"
            )


def _made(ours: Path) -> None:
    try:
        ours.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot write {ours.parent}: {reason}; choose another place for it"
        raise OutputError(message) from error


def _own(out: Path, ours: Path) -> None:
    """Say who works here; what a dead process of this machine said counts no more."""
    owner = ours / _OWNER
    if _host_of(owner) == socket.gethostname():
        owner.unlink()
    me = json.dumps({"host": socket.gethostname(), "pid": os.getpid()})
    try:
        with owner.open("x", encoding="utf-8") as file:
            file.write(me)
    except FileExistsError as error:
        raise RunError(
            f"{_who(ours)} works in {out}, or was killed there; if it is dead, remove {owner}"
        ) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {out}: {reason}; choose another place") from error


def _forget(out: Path, new: bool) -> None:
    """Remove what is ours if the cohort never began."""
    if not (out / COHORT_MANIFEST).exists():
        shutil.rmtree(out / _OURS, ignore_errors=True)
        with contextlib.suppress(OSError):
            if new:
                out.rmdir()


def _disown(ours: Path) -> None:
    with contextlib.suppress(OSError):
        (ours / _OWNER).unlink()


def _clean(out: Path) -> None:
    """Remove what killed processes left half-written."""
    remove_leftovers(out)
    shutil.rmtree(staging(out), ignore_errors=True)


def _host_of(owner: Path) -> str:
    return str(_read(owner).get("host", ""))


def _who(ours: Path) -> str:
    said = _read(ours / _OWNER)
    if not said:
        return "another process"
    return f"process {said.get('pid')} of {said.get('host')}"


def _read(owner: Path) -> dict[str, Any]:
    try:
        said = json.loads(owner.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _said(value: Any) -> str:
    words = "the default" if value is None else str(value)
    return words if len(words) <= 60 else "another"
