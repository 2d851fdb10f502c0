"""The trials of a search that were, are and shall be, shared by all who work on it.

Optuna keeps them in a journal that processes of several machines append to. A
trial that was stopped, or whose process died, is counted as failed, and a new
one with the same values waits to be taken; where there is a checkpoint it goes
on from that, with the values that were reported before.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from napari_ctlns.dataset import dataset_fingerprint, open_dataset
from napari_ctlns.errors import RunError
from napari_ctlns.jobs.run_folder import Worker
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import TuneSpec
from napari_ctlns.tuning.folder import JOURNAL, difference, must_be_ours, told
from napari_ctlns.tuning.locks import JournalLock, SharedLock
from napari_ctlns.tuning.rows import Row, State, best_of, best_row, direction
from napari_ctlns.tuning.space import chosen_values, recipe_with, search_space

CHECKPOINT = Path("checkpoints", "last.pt")
_BEST_MODEL = "best"
"""Of a run, as `napari_ctlns.learning.run_folder` has them, which imports torch."""

_STUDY = "ctlns"
_RECIPE, _DATASET = "recipe", "dataset"
"""What the study keeps of itself."""
_WORKER, _GOES_ON, _STEPS, _PROBLEM = "worker", "goes_on", "steps", "problem"
"""What it keeps of a trial: who trains it, which one it takes up, the steps after each
epoch that was judged, why it failed."""
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


class Trial:
    """One trial that this process trains."""

    def __init__(self, study: "Study", trial: optuna.Trial) -> None:
        self._study = study
        self._trial = trial
        self._steps: list[int] = []
        self._values: list[float] = []

    @property
    def number(self) -> int:
        """From 0, over all processes."""
        return self._trial.number

    @property
    def values(self) -> dict[str, Any]:
        """What it tries, by dotted key."""
        return chosen_values(self._study.recipe, self._trial.params)

    @property
    def run(self) -> Path:
        """Its run folder."""
        return self._study.run(self.number)

    @property
    def best(self) -> float | None:
        """The best value of an epoch so far."""
        return best_of(self._values, self._study.recipe)

    def recipe(self) -> Recipe:
        """Return the recipe with its values.

        Raises
        ------
        RecipeError
            If they do not fit together.
        """
        return recipe_with(self._study.recipe, self._trial.params)

    def report(self, step: int, value: float) -> bool:
        """Tell the study of an epoch; return whether the trial is worth going on.

        An epoch that a stopped trial reported already counts once.
        """
        if step not in self._steps:
            self._steps.append(step)
            self._values.append(value)
            self._trial.report(value, len(self._steps))
            self._trial.set_user_attr(_STEPS, self._steps)
        return not self._trial.should_prune()

    def take_up(self, before: FrozenTrial) -> None:
        """Report what the trial reported that this one goes on with."""
        values = before.intermediate_values.values()
        for step, value in zip(before.user_attrs.get(_STEPS, ()), values, strict=False):
            self.report(step, value)

    def complete(self) -> None:
        """Tell that it was trained to its end."""
        self._study.tell(self._trial, TrialState.COMPLETE, self.best)

    def prune(self) -> None:
        """Tell that it was not worth going on."""
        self._study.tell(self._trial, TrialState.PRUNED)

    def fail(self, problem: str) -> None:
        """Tell why it failed."""
        self._trial.set_user_attr(_PROBLEM, problem)
        self._study.tell(self._trial, TrialState.FAIL)

    def give_back(self) -> None:
        """Let it be taken up again, by whoever asks for a trial next."""
        self._study.give_back(self.number)


class Study:
    """Hands out trials and keeps what came of them.

    Raises
    ------
    RecipeError
        If the recipe searches nothing, or what cannot be.
    DatasetError
        If the dataset is none.
    RunError
        If the folder holds something else, or a search of another recipe or dataset.
    OutputError
        If it cannot be written.
    """

    def __init__(self, spec: TuneSpec) -> None:
        self._spec = spec
        self._space = search_space(spec.recipe)
        self._mine: set[int] = set()
        identity = dataset_fingerprint(open_dataset(spec.dataset))
        must_be_ours(spec.out)
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # else each trial prints a line
        self._lock = SharedLock(str(spec.out / "study"))
        with told(spec.out):
            self._study = self._opened()
            with self._lock.held():
                self._must_be_same(_RECIPE, spec.recipe.model_dump(mode="json"))
                self._must_be_same(_DATASET, identity)

    @property
    def recipe(self) -> Recipe:
        """The recipe whose values are searched."""
        return self._spec.recipe

    def run(self, number: int) -> Path:
        """Where the run folder of a trial lies."""
        return self._spec.out / "trials" / f"{number:04d}"

    def next_trial(self) -> Trial | None:
        """Take the next trial; None if as many as wanted are over or being trained."""
        with self._lock.held():
            for dead in self._dead():
                self.give_back(dead)
            trials = self._trials()
            taken = [t for t in trials if t.state != TrialState.WAITING]
            if len(taken) - len(_given_back(trials)) >= self._spec.trials:
                return None
            # counted, not kept: a search that goes on draws what it would have drawn
            seed = int(np.random.SeedSequence([self._spec.seed, len(taken)]).generate_state(1)[0])
            self._study.sampler = TPESampler(seed=seed)
            found = self._study.ask(self._space)
            trial = Trial(self, found)
            before = found.user_attrs.get(_GOES_ON)
            if before is None or not self._take_up(trial, trials[before]):
                trial.run.mkdir(parents=True, exist_ok=True)
            self._mine.add(trial.number)
            found.set_user_attr(_WORKER, Worker.this().model_dump())
            return trial

    def tell(self, trial: optuna.Trial, state: TrialState, value: float | None = None) -> None:
        """Keep how a trial ended; only the best trial keeps its model and its checkpoints."""
        with self._lock.held():
            self._study.tell(trial, value, state)
            rows = self.rows()
            best = best_row(rows, self.recipe)
            for row in rows:
                if row.is_over and row is not best:
                    _remove_weights(self.run(row.number))

    def give_back(self, number: int) -> None:
        """Count a trial as failed, and let its values wait to be taken up again."""
        trial = self._trials()[number]
        self._study.enqueue_trial(trial.params, {_GOES_ON: number})
        self._study.tell(number, state=TrialState.FAIL)

    def rows(self) -> list[Row]:
        """Return every trial that was begun, by number."""
        trials = self._trials()
        stopped = _given_back(trials)
        return [
            Row(
                number=t.number,
                state="stopped" if t.number in stopped else _STATES[t.state],
                value=best_of(list(t.intermediate_values.values()), self.recipe),
                epochs=len(t.intermediate_values),
                seconds=None if t.duration is None else t.duration.total_seconds(),
                values=chosen_values(self.recipe, t.params),
                problem=t.user_attrs.get(_PROBLEM, ""),
            )
            for t in trials
            if t.state != TrialState.WAITING
        ]

    def _opened(self) -> optuna.Study:
        journal = self._spec.out / JOURNAL
        storage = JournalStorage(JournalFileBackend(str(journal), JournalLock(journal)))
        optimisation = self.recipe.optimisation
        return optuna.create_study(
            storage=storage,
            study_name=_STUDY,
            direction=direction(self.recipe),
            pruner=MedianPruner(n_startup_trials=5, n_warmup_steps=optimisation.epochs // 5),
            load_if_exists=True,
        )

    def _must_be_same(self, name: str, ours: Any) -> None:
        """Keep what the study is of, or refuse another."""
        theirs = self._study.user_attrs.get(name)
        if theirs is None:
            self._study.set_user_attr(name, ours)
        elif theirs != ours:
            words = difference(theirs, ours) if name == _RECIPE else ""
            raise RunError(
                f"{self._spec.out} holds a search of another {name}{words}; "
                "choose another folder with --out"
            )

    def _trials(self) -> Sequence[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _dead(self) -> Iterator[int]:
        """Give the trials that seem to run but are trained by nobody."""
        for trial in self._trials():
            if trial.state == TrialState.RUNNING and trial.number not in self._mine:
                worker = trial.user_attrs.get(_WORKER)
                lives = worker is not None and _lives(Worker.model_validate(worker))
                if not lives or not self.run(trial.number).exists():
                    yield trial.number

    def _take_up(self, trial: Trial, before: FrozenTrial) -> bool:
        """Go on from the checkpoint of a trial that was given back; return whether it has one."""
        old = self.run(before.number)
        if not (old / CHECKPOINT).is_file():
            shutil.rmtree(old, ignore_errors=True)
            return False
        try:
            old.rename(trial.run)
        except OSError:  # somebody looks at it, on Windows: then it is trained anew
            return False
        trial.take_up(before)
        return True


def _lives(worker: Worker) -> bool:
    # after a restart of the machine our own pid may have been another's
    return worker.may_live() and worker != Worker.this()


def _given_back(trials: Sequence[FrozenTrial]) -> set[int]:
    return {t.user_attrs[_GOES_ON] for t in trials if _GOES_ON in t.user_attrs}


def _remove_weights(run: Path) -> None:
    for folder in (CHECKPOINT.parent, _BEST_MODEL):
        shutil.rmtree(run / folder, ignore_errors=True)
