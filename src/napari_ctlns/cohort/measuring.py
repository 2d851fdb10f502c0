"""Measuring a cohort: a nodule table of each scan and its mask, and one of all."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_ctlns.cohort.finding import find_all, id_of, names_for, twins
from napari_ctlns.cohort.folder import same_options
from napari_ctlns.cohort.manifest import Manifest, Row
from napari_ctlns.cohort.results import fingerprint, results_there, table_of_all
from napari_ctlns.cohort.tasks import Answer, Do, Outcome, Todo
from napari_ctlns.dataset.mask_folder import MaskFolder
from napari_ctlns.errors import DatasetError
from napari_ctlns.events import Control, Event, Log
from napari_ctlns.formats import ScanFile, read_mask_onto, read_scan
from napari_ctlns.measurement import measure, write_table
from napari_ctlns.specs import CohortSpec, MeasureMany

TABLE_END = "_nodules.csv"


@dataclass(frozen=True)
class MeasureTask:
    """One scan and its mask."""

    file: ScanFile
    mask: Path
    table: Path
    strict: bool


class Measuring:
    """What is done with the scans of a cohort, see `tasks.Kind`."""

    def __init__(self, spec: CohortSpec, work: MeasureMany, manifest: Manifest) -> None:
        self._out = spec.out
        same_options(spec.out, work.model_dump(mode="json"))
        files, self.unused = find_all(spec.scans, work.masks)
        for one, other, *_ in twins(files):
            raise DatasetError(
                f"{one.path} and {other.path} have the same id {id_of(one)}: which mask is whose? "
                "Measure them in two cohorts"
            )
        self._masks = MaskFolder(work.masks, files)
        names = names_for(files, manifest.names())
        self.todos = tuple(self._todo(file, names[file], work.strict) for file in files)

    def beginner(self) -> Callable[[], Do]:
        """Return what begins on a worker."""
        return measurer

    def begin(self) -> Iterator[Event]:
        """Say which masks count."""
        for words in self._masks.remarks:
            yield Log(message=words)

    def is_done(self, todo: Todo, row: Row | None) -> bool:
        """Whether a scan's table is there, and scan and mask are the same."""
        return results_there(self._out, todo, row)

    def take(
        self,
        todo: Todo,
        answer: Answer,  # noqa: ARG002 - in place
    ) -> Generator[Event, None, tuple[str, ...]]:
        """Do nothing: the worker wrote the table into its place."""
        yield from ()
        return todo.outputs

    def fail(self, todo: Todo, problem: str) -> None:
        """Do nothing: the manifest says it."""

    def end(self, manifest: Manifest, stopped: bool) -> Iterator[Event]:  # noqa: ARG002
        """Write the nodules of all scans into one table."""
        yield from table_of_all(self._out, manifest, TABLE_END)

    def _todo(self, file: ScanFile, scan_id: str, strict: bool) -> Todo:
        if problem := self._masks.why_not(file):
            return Todo(file, scan_id, problem=problem)
        mask = self._masks.first(file)
        table = f"{scan_id}{TABLE_END}"
        task = MeasureTask(file, mask, self._out / table, strict)
        return Todo(file, scan_id, task, (table,), fingerprint(file, mask))


def measurer() -> Do:
    """Return what measures on a worker."""
    return _measure


def _measure(task: MeasureTask, control: Control) -> Outcome:  # noqa: ARG001 - it takes seconds
    """Write the nodule table of a scan; a mask without nodules gives one without rows."""
    scan = read_scan(task.file.path, series=task.file.series, strict=task.strict)
    mask = read_mask_onto(task.mask, scan)
    write_table(measure(mask, scan), task.table)
    return Outcome((*scan.source.warnings, *mask.source.warnings))
