"""The job on a cohort: what is left to do goes to the workers, the manifest follows."""

import contextlib
from collections import Counter
from collections.abc import Generator, Iterator, Sequence

from napari_ctlns.cohort.folder import held
from napari_ctlns.cohort.manifest import Manifest, joined, one_line
from napari_ctlns.cohort.measuring import Measuring
from napari_ctlns.cohort.pool import Pool, opened_pool
from napari_ctlns.cohort.predicting import Predicting
from napari_ctlns.cohort.preparing import Preparing
from napari_ctlns.cohort.running import Began, Ended, TasksOnDask
from napari_ctlns.cohort.tasks import Answer, Kind, Todo
from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.specs import CohortSpec, MeasureMany, PredictMany

_MOST_UNUSED = 5


def work_through(spec: CohortSpec, control: Control) -> Iterator[Event]:
    """Do a cohort; see `napari_ctlns.cohort.cohort`."""
    yield Started(title=f"{spec.work.job.capitalize()} a cohort into {spec.out.name}")
    with held(spec.out):
        manifest = Manifest(spec.out)
        cohort = _Cohort(spec, manifest)
        try:
            yield from cohort.work(control)
        finally:
            with contextlib.suppress(CtlnsError):  # what went wrong is worth more words
                manifest.write()


class _Cohort:
    """One cohort while it is worked on."""

    def __init__(self, spec: CohortSpec, manifest: Manifest) -> None:
        self._spec = spec
        self._manifest = manifest
        self._kind = _kind_of(spec, manifest)
        self._said: set[str] = set()
        self._ended = 0
        self._total = 0

    def work(self, control: Control) -> Iterator[Event]:
        """Do what is left, and make what is of all scans together."""
        left = yield from self._begin()
        self._manifest.write()
        self._total = len(left)
        if left:
            try:
                yield from self._do(left, control)
            finally:
                self._manifest.settle()
        stopped = control.stop_requested() and self._ended < self._total
        result = {}
        for event in self._kind.end(self._manifest, stopped):
            if isinstance(event, Finished):
                result = event.result
            else:
                yield event
        self._manifest.write()
        yield Saved(path=self._manifest.path, kind="manifest")
        statuses = Counter(self._statuses())
        counts = {name: statuses[name] for name in ("done", "failed", "waiting")}
        result = {**result, **counts, "manifest": str(self._manifest.path)}
        yield Finished(result=result, stopped=stopped)

    def _statuses(self) -> Iterator[str]:
        """Give what became of the scans of this cohort, not of former ones in the folder."""
        for todo in self._kind.todos:
            row = self._manifest.row(todo.file)
            yield row.status if row is not None else "waiting"

    def _begin(self) -> Generator[Event, None, list[Todo]]:
        """Note all scans; return those to work on."""
        for item in self._kind.unused[:_MOST_UNUSED]:
            yield Log(message=f"left out {item.what}: {item.why}", level="warning")
        if (more := len(self._kind.unused) - _MOST_UNUSED) > 0:
            yield Log(message=f"and {more} more were left out", level="warning")
        yield from self._kind.begin()
        left, done = [], 0
        for todo in self._kind.todos:
            row = self._manifest.row(todo.file)
            if not todo.problem and self._kind.is_done(todo, row):
                done += 1
                if row is None or row.status != "done":  # done by other means
                    self._note(todo)
                    self._manifest.change(todo.file, status="done", outputs=joined(todo.outputs))
                continue
            self._note(todo)
            if todo.problem:
                yield from self._failed(todo, todo.problem)
            else:
                left.append(todo)
        if done:
            yield Log(message=f"{done} of {len(self._kind.todos)} scans are done already")
        return left

    def _note(self, todo: Todo) -> None:
        self._manifest.add(todo.file, todo.scan_id, fingerprint=todo.fingerprint)

    def _do(self, left: Sequence[Todo], control: Control) -> Iterator[Event]:
        yield Progress(done=0, total=self._total, unit="scan")
        with opened_pool(self._spec, self._total, _gpus(self._spec)) as pool:
            yield Log(message=pool.words)
            yield from _judged(pool)
            tasks = TasksOnDask(pool, self._kind, [todo.task for todo in left])
            for news in tasks.run(control):
                if isinstance(news, Began):
                    yield from self._began(left[news.number], news)
                elif isinstance(news, Ended):
                    yield from self._end(left[news.number], news.answer)
                self._manifest.write_if_due()

    def _began(self, todo: Todo, news: Began) -> Iterator[Event]:
        self._manifest.change(todo.file, status="running", worker=news.worker)
        if news.again:
            message = f"a worker died over {todo.scan_id}: {news.worker} does it again"
            yield Log(message=message, level="warning")

    def _end(self, todo: Todo, answer: Answer) -> Iterator[Event]:
        seconds = f"{answer.seconds:.2f}"
        if answer.stopped:
            return
        self._manifest.change(todo.file, worker=answer.worker, seconds=seconds)
        try:
            if answer.problem:
                raise CtlnsError(answer.problem)
            outputs = yield from self._kind.take(todo, answer)
        except CtlnsError as error:
            yield from self._failed(todo, str(error))
        else:
            self._manifest.change(todo.file, status="done", outputs=joined(outputs))
            yield from self._warned(todo, answer.warnings)
        self._ended += 1
        yield Progress(done=self._ended, total=self._total, unit="scan")

    def _failed(self, todo: Todo, problem: str) -> Iterator[Event]:
        problem = one_line(problem)
        self._kind.fail(todo, problem)
        self._manifest.change(todo.file, status="failed", error=problem)
        yield Log(message=f"{todo.scan_id} failed: {problem}", level="warning")

    def _warned(self, todo: Todo, warnings: Sequence[str]) -> Iterator[Event]:
        """Say what is to be said of a scan, alike words once for all."""
        for words in warnings:
            if words not in self._said:
                self._said.add(words)
                yield Log(message=f"{todo.scan_id}: {words}", level="warning")


def _judged(pool: Pool) -> Iterator[Event]:
    """Say what is odd about the workers."""
    threads = pool.client.nthreads()
    if not threads:
        yield Log(message="no workers yet: waits for some", level="warning")
    elif max(threads.values()) > 1:
        message = "a worker does one scan at a time; start workers with --nthreads 1"
        yield Log(message=message, level="warning")


def _kind_of(spec: CohortSpec, manifest: Manifest) -> Kind:
    if isinstance(spec.work, PredictMany):
        return Predicting(spec, spec.work, manifest)
    if isinstance(spec.work, MeasureMany):
        return Measuring(spec, spec.work, manifest)
    return Preparing(spec, spec.work, manifest)


def _gpus(spec: CohortSpec) -> int:
    """Return how many CUDA devices workers of this machine are to share out."""
    if spec.scheduler is not None or not isinstance(spec.work, PredictMany):
        return 0
    if spec.work.device not in ("auto", "cuda"):
        return 0
    import torch

    return torch.cuda.device_count()
