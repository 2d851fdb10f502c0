"""Locks for files that processes of several machines share.

They are made by creating a file that must not exist, which Windows, macOS, Linux
and network file systems from NFSv3 on do for one process alone. A lock that a
killed process left is broken after half a minute (Optuna's grace period).
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from optuna.storages.journal import JournalFileOpenLock

_Result = TypeVar("_Result")
_PATIENCE_SECONDS = 5.0
_SECONDS_BETWEEN_TRIES = 0.02
_TAIL_BYTES = 1 << 16


class SharedLock(JournalFileOpenLock):
    """Optuna's lock; patient where Windows refuses a file that is just being removed."""

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        return _patiently(super().acquire, PermissionError)

    def release(self) -> None:
        """Give the lock back."""
        _patiently(super().release, RuntimeError)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock."""
        self.acquire()
        try:
            yield
        finally:
            self.release()


class JournalLock(SharedLock):
    """The lock of a journal; whoever takes it mends the journal.

    A process that was killed, or a full disk, may have left half a line, which
    would make whatever is written after it unreadable.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self._journal = journal

    def acquire(self) -> bool:
        """Wait for the lock, take it, and cut off half a line."""
        taken = super().acquire()
        try:
            _cut_half_line(self._journal)
        except BaseException:
            self.release()
            raise
        return taken


def _cut_half_line(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _TAIL_BYTES)
        file.seek(start)
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(start + tail.rfind(b"\n") + 1)


def _patiently(work: Callable[[], _Result], refusal: type[Exception]) -> _Result:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return work()
        except refusal:
            if time.monotonic() > deadline:
                raise
            time.sleep(_SECONDS_BETWEEN_TRIES)
