"""Preparing a cohort: workers prepare scans, this process alone writes the dataset."""

import functools
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_ctlns.cohort.finding import find_all, id_of
from napari_ctlns.cohort.folder import same_options, staging
from napari_ctlns.cohort.manifest import Manifest, Row
from napari_ctlns.cohort.tasks import Answer, Do, Outcome, Todo
from napari_ctlns.dataset.beginning import begin
from napari_ctlns.dataset.folder import Unmatched
from napari_ctlns.dataset.keeping import (
    keep_staged,
    known_scan,
    left_out,
    noted,
    opening,
    refuse_twin,
    remarked,
)
from napari_ctlns.dataset.layouts import ASK_FOR_MARKS, Source, look_into, marks_given
from napari_ctlns.dataset.one_scan import Staged, Wanted, stage_scan, wanted_scan
from napari_ctlns.dataset.prepare import finish
from napari_ctlns.dataset.truths import Truth
from napari_ctlns.errors import CtlnsError, DatasetError
from napari_ctlns.events import Control, Event
from napari_ctlns.formats import ScanFile
from napari_ctlns.recipe import Preparation
from napari_ctlns.specs import CohortSpec, PrepareMany, PrepareOptions, PrepareSpec


@dataclass(frozen=True)
class PrepareTask:
    """One scan, and the folder to make it in."""

    wanted: Wanted
    folder: Path


class Preparing:
    """What is done with the scans of a cohort, see `tasks.Kind`."""

    unused: tuple[Unmatched, ...] = ()
    """What is unused is told by the preparation, and noted in the dataset."""

    def __init__(self, spec: CohortSpec, work: PrepareMany, manifest: Manifest) -> None:
        del manifest  # the dataset itself knows what it holds
        asked = PrepareSpec(
            **{name: getattr(work, name) for name in PrepareOptions.model_fields},
            source=Path(spec.scans[0]),
            out=spec.out,
        )
        self._work = begin(asked, _source(spec, asked))
        same_options(spec.out, {"job": work.job})
        self._staging = staging(spec.out)
        self._known: list[Todo] = []
        self.todos = tuple(self._todo(file) for file in self._work.files)

    def beginner(self) -> Callable[[], Do]:
        """Return what begins on a worker; it holds all that is known of the nodules."""
        work = self._work
        return functools.partial(preparer, work.truth, work.card.preparation, work.spec.strict)

    def begin(self) -> Iterator[Event]:
        """Say what is left out; what is known of scans prepared before is still so."""
        yield from opening(self._work)
        for todo in self._known:
            problems = self._work.scans[todo.scan_id].card.problems
            yield from left_out(self._work, todo.file, problems)

    def is_done(self, todo: Todo, row: Row | None) -> bool:  # noqa: ARG002 - the dataset knows
        """Whether the dataset holds the scan as it is now."""
        return todo in self._known

    def take(self, todo: Todo, answer: Answer) -> Generator[Event, None, tuple[str, ...]]:
        """Move a prepared scan into the dataset."""
        staged: Staged = answer.product
        keep_staged(self._work, staged.scan)
        yield from left_out(self._work, todo.file, staged.scan.card.problems)
        yield from remarked(self._work, todo.file, staged.remarks)
        return (self._work.scans[todo.scan_id].folder.name,)

    def fail(self, todo: Todo, problem: str) -> None:
        """Leave a scan out of the dataset."""
        self._work.failed.append(todo.file)
        self._work.unmatched.append(Unmatched(what=str(todo.file.path), why=problem))

    def end(self, manifest: Manifest, stopped: bool) -> Iterator[Event]:  # noqa: ARG002
        """Divide the patients and write ``dataset.json``."""
        shutil.rmtree(self._staging, ignore_errors=True)
        yield from finish(self._work, stopped)

    def _todo(self, file: ScanFile) -> Todo:
        scan_id = id_of(file)
        try:
            wanted = wanted_scan(file, self._work.patients, self._work.truth)
            if scan := known_scan(self._work, wanted):
                noted(self._work, scan)
                todo = Todo(file, scan_id, outputs=(scan.folder.name,))
                self._known.append(todo)
                return todo
            refuse_twin(self._work, file)
        except CtlnsError as error:
            return Todo(file, scan_id, problem=str(error))
        self._work.seen[scan_id] = file.path
        task = PrepareTask(wanted, self._staging / uuid.uuid4().hex)
        return Todo(file, scan_id, task, fingerprint=wanted.signature)


def preparer(truth: Truth, preparation: Preparation, strict: bool) -> Do:
    """Return what prepares on a worker."""
    return functools.partial(_prepare, truth, preparation, strict)


def _prepare(
    truth: Truth,
    preparation: Preparation,
    strict: bool,
    task: PrepareTask,
    control: Control,  # noqa: ARG001 - it takes seconds
) -> Outcome:
    staged = stage_scan(task.wanted, truth, preparation, strict, task.folder)
    return Outcome(product=staged)


def _source(spec: CohortSpec, asked: PrepareSpec) -> Source:
    """Return the scans; a folder's layout counts where one folder alone is given."""
    if len(spec.scans) == 1 and asked.source.exists():
        return look_into(asked)
    if not marks_given(asked):
        raise DatasetError(f"what marks the nodules? {ASK_FOR_MARKS}")
    files, unused = find_all(spec.scans, asked.masks)
    return Source(asked, files, unused)
