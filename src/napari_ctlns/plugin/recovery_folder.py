"""Where edits are kept against a crash, and whose they are.

Each window has a folder of its own, which it locks: the system lets go of the lock when
the process ends, however it does. What lies in a folder that nobody locks is the work of
one that crashed.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_state_path
from pydantic import ValidationError

from napari_ctlns.errors import ProjectError
from napari_ctlns.plugin.project_contents import SavedAnnotations, SavedMask, SavedScan
from napari_ctlns.plugin.recovery_contents import RECOVERY_VERSION, Recovery
from napari_ctlns.plugin.words import counted

if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOCK = "lock"
_DISCARDED = "discarded"
_STATE = re.compile(r"state-(\d{1,9})\.json")
_MOST_JSON = 64 * 2**20
_SECONDS_TO_UNDO = 24 * 3600
_YOUNG_SECONDS = 60


def recovery_root() -> Path:
    """Return the folder of all windows, by the custom of the system; ``CTLNS_RECOVERY`` is first.

    It need not exist.
    """
    if own := os.environ.get("CTLNS_RECOVERY"):
        return Path(own)
    return user_state_path("napari-ctlns", appauthor=False) / "recovery"


def hold(folder: Path, patience_s: float = 0) -> "BaseFileLock | None":
    """Lock the folder of a window; None if another holds it, or it cannot be locked."""
    from filelock import FileLock, Timeout  # which imports asyncio; here it does so in a thread

    lock = FileLock(folder / _LOCK, thread_local=False)
    try:
        lock.acquire(timeout=patience_s)
    except (Timeout, OSError, NotImplementedError):
        return None
    return lock


def remove(folder: Path, lock: "BaseFileLock | None") -> None:
    """Remove what was kept, and let go of its lock."""
    if lock is not None:
        lock.release()  # first: Windows removes no file that is open
    shutil.rmtree(folder, ignore_errors=True)


def states(folder: Path) -> list[Path]:
    """Return the states that were kept, the newest first."""
    found: dict[int, Path] = {}
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if match := _STATE.fullmatch(path.name):
                found[int(match[1])] = path
    return [found[number] for number in sorted(found, reverse=True)]


def state_path(folder: Path, number: int) -> Path:
    """Return the path of a state."""
    return folder / f"state-{number}.json"


def read_state(path: Path) -> Recovery:
    """Read one state.

    Raises
    ------
    ProjectError
        If it is damaged or of a newer version.
    """
    try:
        if path.stat().st_size > _MOST_JSON:
            raise ProjectError(f"damaged: {path.name} is too long")
        state = Recovery.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ProjectError(f"cannot read {path}: {error.strerror or error}") from error
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"])) or "not JSON"
        raise ProjectError(f"damaged: {path.name} ({where})") from error
    if state.format_version > RECOVERY_VERSION:
        raise ProjectError("it was kept by a newer napari-ctlns: update this one")
    return state


# -- the work of windows that are gone ------------------------------------------------


@dataclass(frozen=True, eq=False)
class Found:
    """Work of a window that crashed, held so that no other window offers it too.

    Attributes
    ----------
    folder, lock
        Where it lies, and the lock on it.
    written
        When it was kept last, seconds since 1970.
    words
        What it is.
    trouble
        Why it cannot be read; "" if it can.
    """

    folder: Path
    lock: "BaseFileLock"
    written: float
    words: str
    trouble: str = ""


def find_work(root: Path) -> list[Found]:
    """Return the work of windows that crashed, the newest first; remove what holds none."""
    try:
        folders = [path for path in root.iterdir() if path.is_dir()]
    except OSError:
        return []
    found = [one for folder in folders if (one := _look(folder)) is not None]
    return sorted(found, key=lambda one: one.written, reverse=True)


def discard(found: Found) -> None:
    """Mark work as no longer wanted; it can be `taken_back` for a day."""
    with contextlib.suppress(OSError):
        (found.folder / _DISCARDED).touch()


def take_back(found: Found) -> None:
    """Want the work again."""
    with contextlib.suppress(OSError):
        (found.folder / _DISCARDED).unlink()


def _look(folder: Path) -> Found | None:
    lock = hold(folder)
    if lock is None:
        return None
    there, discarded = states(folder), folder / _DISCARDED
    if there and not discarded.exists():
        return _found(folder, lock, there)
    # a window may be just making it, or have taken it for work that can be taken back
    if _age(discarded) > _SECONDS_TO_UNDO if there else _age(folder) > _YOUNG_SECONDS:
        remove(folder, lock)
    else:
        lock.release()
    return None


def _found(folder: Path, lock: "BaseFileLock", there: list[Path]) -> Found:
    troubles = []
    for path in there:
        try:
            state = read_state(path)
        except ProjectError as error:
            troubles.append(str(error))
        else:
            return Found(folder, lock, state.written.timestamp(), in_words(state))
    written = time.time() - _age(there[0])
    return Found(folder, lock, written, "work that cannot be read", troubles[0])


def _age(path: Path) -> float:
    """Return how old a file is, s; one that is not there is new."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0


def in_words(state: Recovery) -> str:
    """Say what was kept: its scans, and what was drawn on them."""
    scans = [layer.name for layer in state.contents.layers if isinstance(layer, SavedScan)]
    drawn = ", ".join(_drawn(state))
    on = f" on {' and '.join(scans)}" if scans else ""
    return f"{drawn or 'work'}{on}"


def _drawn(state: Recovery) -> Iterator[str]:
    layers = state.contents.layers
    if masks := sum(isinstance(layer, SavedMask) for layer in layers):
        yield counted(masks, "mask")
    rows = [len(layer.rows) for layer in layers if isinstance(layer, SavedAnnotations)]
    if sum(rows):
        yield counted(sum(rows), "annotation")
    if state.others:
        yield counted(len(state.others), "other layer")
