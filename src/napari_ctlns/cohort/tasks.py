"""What is asked of a worker for one scan, and what it answers."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from napari_ctlns.cohort.manifest import Manifest, Row
from napari_ctlns.dataset.folder import Unmatched
from napari_ctlns.events import Control, Event
from napari_ctlns.formats import ScanFile


@dataclass(frozen=True)
class Todo:
    """One scan of a cohort.

    Attributes
    ----------
    scan_id
        What its results are named after.
    task
        What the worker is given.
    outputs
        The results that there will be, in the cohort's folder.
    fingerprint
        Changes with the files that the results depend on.
    problem
        Why nothing can be done with it, known beforehand.
    """

    file: ScanFile
    scan_id: str
    task: Any = None
    outputs: tuple[str, ...] = ()
    fingerprint: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Answer:
    """What became of a task.

    Attributes
    ----------
    worker
        Machine and process.
    problem
        Why it failed; empty: it did not.
    stopped
        It was told to stop, and left nothing.
    warnings
        What a person should know.
    product
        What the cohort's own process still has to put in its place.
    """

    seconds: float
    worker: str
    problem: str = ""
    stopped: bool = False
    warnings: tuple[str, ...] = ()
    product: Any = None


@dataclass(frozen=True)
class Outcome:
    """What doing one task gave."""

    warnings: tuple[str, ...] = ()
    stopped: bool = False
    product: Any = None


Do = Callable[[Any, Control], Outcome]
"""Does one task after the other; may keep what the next one needs too."""


class Kind(Protocol):
    """What is done with the scans of a cohort.

    Attributes
    ----------
    todos
        All scans, those that are done included.
    unused
        What was named but is no scan.
    """

    todos: tuple[Todo, ...]
    unused: tuple[Unmatched, ...]

    def beginner(self) -> Callable[[], Do]:
        """Return what makes a `Do` on a worker: it can be pickled, and costs nothing to call."""
        ...

    def begin(self) -> Iterator[Event]:
        """Say what is to be known before the first scan."""
        ...

    def is_done(self, todo: Todo, row: Row | None) -> bool:
        """Whether a scan's results are there, and made of what is there now."""
        ...

    def take(self, todo: Todo, answer: Answer) -> Generator[Event, None, tuple[str, ...]]:
        """Put the product of a task in its place; CtlnsError if that cannot be.

        Returns the names of the results in the cohort's folder.
        """
        ...

    def fail(self, todo: Todo, problem: str) -> None:
        """Note that a scan failed."""
        ...

    def end(self, manifest: Manifest, stopped: bool) -> Iterator[Event]:
        """Make what is of all scans together."""
        ...
