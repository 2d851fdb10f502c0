"""Predicting a cohort: masks and nodule tables of each scan, and one table of all."""

import functools
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from napari_ctlns.cohort.finding import find_all, names_for
from napari_ctlns.cohort.folder import same_options
from napari_ctlns.cohort.manifest import Manifest, Row
from napari_ctlns.cohort.results import fingerprint, results_there, table_of_all
from napari_ctlns.cohort.tasks import Answer, Do, Outcome, Todo
from napari_ctlns.events import Control, Event, Finished, Log
from napari_ctlns.formats import ScanFile
from napari_ctlns.inference.ensemble import shared_structure
from napari_ctlns.inference.model import model_hash, read_card
from napari_ctlns.specs import CohortSpec, PredictMany, PredictOptions, PredictSpec

TABLE_END = "_nodules.csv"
_MASK_END = "_pred.nii.gz"
_PROBABILITY_END = "_probability.nii.gz"
_HOW = {"model", "more_models", "device"}
"""Options that say who computes; models count by what is in them."""


class Predicting:
    """What is done with the scans of a cohort, see `tasks.Kind`."""

    def __init__(self, spec: CohortSpec, work: PredictMany, manifest: Manifest) -> None:
        self._out = spec.out
        self._manifest = manifest
        models = (work.model, *work.more_models)
        shared_structure([read_card(model).recipe for model in models])
        options = work.model_dump(mode="json", exclude=_HOW)
        same_options(spec.out, {**options, "models": [model_hash(model) for model in models]})
        ours = {
            spec.out / name
            for scan_id in manifest.names().values()
            for name in _outputs(scan_id, probability=True)
        }
        files, self.unused = find_all(spec.scans, results=ours)
        names = names_for(files, manifest.names())
        self.todos = tuple(_todo(file, names[file], spec.out, work) for file in files)

    def beginner(self) -> Callable[[], Do]:
        """Return what begins on a worker."""
        return predictor

    def begin(self) -> Iterator[Event]:
        """Say nothing: each task is told all."""
        return iter(())

    def is_done(self, todo: Todo, row: Row | None) -> bool:
        """Whether a scan's results are there, and the scan is the same."""
        return results_there(self._out, todo, row)

    def take(self, todo: Todo, answer: Answer) -> Generator[Event, None, tuple[str, ...]]:
        """Note how unsure the models were; the worker wrote the results into their places."""
        yield from ()
        self._manifest.change(todo.file, uncertainty=f"{answer.product:.3f}")
        return todo.outputs

    def fail(self, todo: Todo, problem: str) -> None:
        """Do nothing: the manifest says it."""

    def end(self, manifest: Manifest, stopped: bool) -> Iterator[Event]:  # noqa: ARG002
        """Write the nodules of all scans into one table."""
        yield from table_of_all(self._out, manifest, TABLE_END)


def predictor() -> Do:
    """Return what predicts on a worker; engines stay warm from scan to scan."""
    from napari_ctlns.inference.engines import prepare_engine  # torch and OpenVINO come later

    return functools.partial(_predict, functools.cache(prepare_engine))


def _predict(engine_for: Any, spec: PredictSpec, control: Control) -> Outcome:
    from napari_ctlns.inference.predict import predict

    warnings: list[str] = []
    stopped, uncertainty = False, 0.0
    for event in predict(spec, control, engine_for):
        if isinstance(event, Log) and event.level == "warning":
            warnings.append(event.message)
        elif isinstance(event, Finished):
            stopped = event.stopped
            uncertainty = event.result.get("scan_uncertainty", 0.0)
    return Outcome(tuple(warnings), stopped, uncertainty)


def _todo(file: ScanFile, scan_id: str, out: Path, work: PredictMany) -> Todo:
    spec = PredictSpec(
        **work.model_dump(include=set(PredictOptions.model_fields)),
        scan=file.path,
        series=file.series,
        mask=out / f"{scan_id}{_MASK_END}",
        table=out / f"{scan_id}{TABLE_END}",
        probability=out / f"{scan_id}{_PROBABILITY_END}" if work.probability else None,
    )
    outputs = _outputs(scan_id, probability=work.probability)
    return Todo(file, scan_id, spec, outputs, fingerprint(file))


def _outputs(scan_id: str, *, probability: bool) -> tuple[str, ...]:
    ends = (_MASK_END, TABLE_END, *((_PROBABILITY_END,) if probability else ()))
    return tuple(f"{scan_id}{end}" for end in ends)
