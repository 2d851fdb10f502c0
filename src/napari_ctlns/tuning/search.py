"""A search as it goes: trials one after the other, and what is told of them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from napari_ctlns.errors import OutputError, RunError
from napari_ctlns.events import Control, Event, Finished, Log, Metric, Progress, Saved, Started
from napari_ctlns.jobs.registry import Job
from napari_ctlns.specs import TuneSpec
from napari_ctlns.tuning.results import table, write_results
from napari_ctlns.tuning.rows import Row, best_row
from napari_ctlns.tuning.space import incomparable_keys
from napari_ctlns.tuning.study import Study, Trial
from napari_ctlns.tuning.training import train_trial
from napari_ctlns.tuning.workers import Workers, started_workers

_SECONDS_BETWEEN_LOOKS = 0.5


def search(spec: TuneSpec, control: Control, train: Job) -> Iterator[Event]:
    """Do what `napari_ctlns.tuning.tune` says."""
    study = Study(spec)
    yield Started(title=f"Search values of {', '.join(spec.recipe.search)}")
    if keys := incomparable_keys(spec.recipe):
        yield Log(
            message=f"{', '.join(keys)} change what val_loss means, so that trials can hardly be "
            "compared; set optimisation.best_by=val_dice",
            level="warning",
        )
    with started_workers(spec) as workers:
        yield from _Search(spec, control, train, study, workers).events()


@dataclass
class _Search:
    spec: TuneSpec
    control: Control
    train: Job
    study: Study
    workers: Workers
    over: set[int] = field(default_factory=set)
    said: set[str] = field(default_factory=set)

    def events(self) -> Iterator[Event]:
        self.over = {row.number for row in self.study.rows() if row.is_over}
        if len(self.over) >= self.spec.trials:
            words = f"all {len(self.over)} trials are over; ask for more with --trials to go on"
            yield Log(message=words, level="warning")
        yield from self._trials()
        stopped = self.control.stop_requested()
        self.workers.end()
        yield from self._news()
        for problem in self.workers.problems():
            yield from self._once(Log(message=problem, level="warning"))
        yield from self._ended(stopped)

    def _trials(self) -> Iterator[Event]:
        """Train what there is to train, and wait for the workers of this machine."""
        while not self.control.stop_requested():
            self.control.wait_while_paused()
            trial = self.study.next_trial()
            if trial is not None:
                yield from self._one(trial)
            elif self.workers.busy():
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            else:
                return
            yield from self._news()

    def _one(self, trial: Trial) -> Iterator[Event]:
        yield Log(message=f"trial {trial.number}: {in_words(trial.values)}")
        for event in train_trial(trial, self.spec, self.control, self.train):
            if isinstance(event, Progress):
                part = event.done / event.total if event.total else 0.0
                yield self._progress(part)
            elif isinstance(event, Log):
                yield from self._once(event)

    def _once(self, event: Log) -> Iterator[Event]:
        """Say once what every training says."""
        if event.message not in self.said:
            self.said.add(event.message)
            yield event

    def _progress(self, part: float = 0.0) -> Progress:
        return Progress(done=len(self.over) + part, total=self.spec.trials, unit="trial")

    def _news(self) -> Iterator[Event]:
        """Tell of the trials that are over since last time, and write what there is so far."""
        rows = self.study.rows()
        new = [row for row in rows if row.is_over and row.number not in self.over]
        for row in new:
            self.over.add(row.number)
            yield from self._told(row)
        if new:
            yield self._progress()
            try:
                write_results(self.spec, rows)
            except OutputError as error:  # a spreadsheet may hold the table open
                yield from self._once(Log(message=str(error), level="warning"))

    def _told(self, row: Row) -> Iterator[Event]:
        if row.state == "failed":
            yield Log(message=f"trial {row.number} failed: {row.problem}", level="warning")
        elif row.value is not None:
            name = f"trial/{self.spec.recipe.optimisation.best_by}"
            yield Metric(name=name, step=row.number, value=row.value)
        if row.state == "pruned":
            yield Log(message=f"trial {row.number} was given up after epoch {row.epochs}")

    def _ended(self, stopped: bool) -> Iterator[Event]:
        rows = self.study.rows()
        over = [row for row in rows if row.is_over]
        best = best_row(rows, self.spec.recipe)
        if best is None and not stopped and over:
            raise RunError(
                f"no trial of {len(over)} could be trained to its end; the last one: "
                f"{over[-1].problem}; change the recipe and choose another folder with --out"
            )
        for path in write_results(self.spec, rows):
            yield Saved(path=path)
        if stopped:
            yield Log(message="stopped; the same command goes on with the search")
        elif running := [row for row in rows if row.state == "running"]:
            words = f"{len(running)} more are trained by others; the same command gathers them"
            yield Log(message=words)
        yield Finished(result=_result(self.spec, rows, best), stopped=stopped)


def in_words(values: dict[str, Any]) -> str:
    """Name values as a person writes them, the keys without their sections."""
    return ", ".join(
        f"{key.rpartition('.')[2]} {value:.4g}" if isinstance(value, float) else
        f"{key.rpartition('.')[2]} {value}"
        for key, value in values.items()
    )  # fmt: skip


def _result(spec: TuneSpec, rows: Sequence[Row], best: Row | None) -> dict[str, Any]:
    result: dict[str, Any] = {"search": str(spec.out), "rows": table(spec.recipe, rows)}
    if best is not None:
        result["best"] = {
            "trial": best.number,
            spec.recipe.optimisation.best_by: best.value,
            "recipe": str(spec.out / "best.toml"),
            "run": str(spec.out / "trials" / f"{best.number:04d}"),
        }
    return result
