"""Writing files so that they are either whole or not there."""

import contextlib
import csv
import errno
import io
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_ctlns.errors import OutputError

if sys.platform == "win32":
    import msvcrt

    def _lock(number: int) -> None:
        while True:
            try:
                return msvcrt.locking(number, msvcrt.LK_LOCK, 1)
            except OSError as error:  # it gives up after ten seconds
                if error.errno != errno.EDEADLK:
                    raise

else:
    import fcntl

    def _lock(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_EX)


_PATIENCE_SECONDS = 1.0 if os.name == "nt" else 0.0
_SECONDS_BETWEEN_TRIES = 0.02


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``target``; rename it into place on success.

    The temporary name keeps the suffixes of ``target``, so that writers which
    choose a format by extension work. On any error the temporary file or folder
    is removed and ``target`` is left as it was.

    Parameters
    ----------
    target
        The file (or folder that does not exist yet) to write.

    Yields
    ------
    Path
        Where to write; missing parent folders have been made.

    Raises
    ------
    OutputError
        If the folder cannot be made or written, or the disk is full.
    """
    target = Path(target)
    temporary = target.with_name(f".{uuid.uuid4().hex[:8]}.tmp.{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        into_place(temporary, target)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"cannot write {target}: {reason}; choose another place for it"
        raise OutputError(message) from error
    finally:
        _remove(temporary)


def into_place(new: Path, target: Path) -> None:
    """Rename a file or folder, over an older file too.

    Windows refuses that at the moment somebody reads the older file, or a file of the
    folder; there it is tried for a second.

    Raises
    ------
    OSError
        If it cannot be renamed.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            new.replace(target)
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_SECONDS_BETWEEN_TRIES)
        else:
            return


@contextlib.contextmanager
def alone(target: Path) -> Iterator[None]:
    """Be the only one who changes ``target``; others who ask wait for their turn.

    A file beside it is locked by the system, which ends a dead process's turn.

    Raises
    ------
    OSError
        If the folder cannot be made or written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f".{target.name}.lock").open("a") as file:
        _lock(file.fileno())
        yield


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed left half-written in a folder, not below it."""
    for path in folder.glob(f".{'[0-9a-f]' * 8}.tmp.*"):
        _remove(path)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8, line ends as given) to ``target``, atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_csv(
    target: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Write a table with a line of its ``columns`` and one for each row, atomically."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(target, text.getvalue())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # its folder may be no folder at all
            path.unlink()
