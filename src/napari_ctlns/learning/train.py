"""The job that learns a model from a dataset."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from torch import Tensor

from napari_ctlns.errors import ModelError, RunError
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.inference.model import ModelCard, load_network, read_card, save_model
from napari_ctlns.learning.curves import Curves
from napari_ctlns.learning.data import TrainingData, training_data
from napari_ctlns.learning.device import arithmetic_settings, choose_arithmetic
from napari_ctlns.learning.learner import Learner
from napari_ctlns.learning.run_folder import (
    Row,
    best_model,
    must_be_new,
    read_checkpoint,
    write_checkpoint,
    write_description,
    write_history,
)
from napari_ctlns.learning.scores import best_row, validation_scores
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import TrainSpec

State = dict[str, Any]


def train(spec: TrainSpec, control: Control) -> Iterator[Event]:
    """Train a network, or go on training it, in the run folder ``spec.out``.

    Between steps it pauses or stops as ``control`` says; it stops with a
    checkpoint. An epoch ends with validation, a row of ``history.csv``, a
    checkpoint and, if it is the best so far, the model in ``best``.

    Yields
    ------
    Event
        Progress by steps. Metrics, all at the number of steps done: for each step
        ``train/loss``, ``train/learning_rate`` and ``train/patches_per_second``;
        for each epoch ``epoch/train_loss``, ``val/loss``, ``val/dice`` and
        ``val/nodule_voxel_accuracy``.

    Raises
    ------
    DatasetError
        If the dataset has no training scans, no nodules, or another spacing than
        the recipe wants.
    RunError
        If the folder is not empty, there is nothing to resume, the device is not
        there, or the loss is no number any more.
    ModelError
        If the model to start from is none, or has another network.
    """
    data = training_data(spec)
    arithmetic = choose_arithmetic(spec.device, spec.recipe.optimisation.precision)
    standing, state = _resumed(spec) if spec.resume else _new(spec)
    weights = _weights(spec)
    yield Started(title=f"Train {spec.recipe.name} on {spec.dataset.name}")
    for problem in data.problems:
        yield Log(message=problem, level="warning")
    with (
        arithmetic_settings(spec.recipe.optimisation),
        Curves(spec.out, standing.steps) as curves,
    ):
        learner = Learner(spec.recipe, arithmetic, weights)
        if state is not None:
            learner.restore(state)
        write_description(spec)
        yield Log(message=f"{data.in_words()}; {learner.in_words()}")
        yield from _Training(spec, control, data, learner, standing, curves).events()


@dataclass
class _Standing:
    """How far a run has come; with the learner's state, all that a checkpoint holds.

    Attributes
    ----------
    epoch
        Epochs that are whole.
    step, loss
        Steps of the epoch under way, and the sum of their losses.
    steps
        Steps since the beginning.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    steps: int = 0
    history: list[Row] = field(default_factory=list)


@dataclass
class _Training:
    spec: TrainSpec
    control: Control
    data: TrainingData
    learner: Learner
    standing: _Standing
    curves: Curves

    def events(self) -> Iterator[Event]:
        epochs = self.spec.recipe.optimisation.epochs
        if self.standing.epoch >= epochs:
            words = f"all {epochs} epochs are done; ask for more epochs to go on"
            yield Log(message=words, level="warning")
        stopped = False
        while self.standing.epoch < epochs and not stopped:
            stopped = yield from self._epoch()
        if stopped:
            yield self._checkpoint()
        yield Finished(result=self._result(), stopped=stopped)

    @property
    def _total(self) -> int:
        """Steps of the whole run, those behind us as they were."""
        left = self.spec.recipe.optimisation.epochs - self.standing.epoch
        return self.standing.steps + left * self.data.steps - self.standing.step

    def _epoch(self) -> Generator[Event, None, bool]:
        """Do an epoch, or the rest of one; return whether it was stopped."""
        began = time.perf_counter()
        if (yield from self._steps()):
            return True
        scores = self._validated()
        if scores is None:
            return True
        mean = self.standing.loss / max(1, self.standing.step)
        rate = self.learner.learning_rate
        self.learner.epoch_ended(scores["val_loss"])
        self.standing.epoch += 1
        self.standing.step, self.standing.loss = 0, 0.0
        row: Row = {
            "epoch": self.standing.epoch,
            "step": self.standing.steps,
            "seconds": round(time.perf_counter() - began, 3),
            "learning_rate": rate,
            "train_loss": mean,
            **scores,
        }
        self.standing.history.append(row)
        yield from self.curves.report(
            self.standing.steps,
            {"epoch/train_loss": mean, **{k.replace("_", "/", 1): v for k, v in scores.items()}},
        )
        yield from self._saved(row)
        return False

    def _steps(self) -> Generator[Event, None, bool]:
        """Do the steps that the epoch lacks; return whether they were stopped."""
        standing, size = self.standing, self.spec.recipe.optimisation.batch_size
        with closing(self.data.training_batches(standing.epoch, standing.step)) as batches:  # type: ignore[type-var]
            began = time.perf_counter()
            for batch in batches:
                waited = time.perf_counter()
                self.control.wait_while_paused()
                began += time.perf_counter() - waited
                if self.control.stop_requested():
                    return True
                loss = self.learner.step(batch, standing.steps, self._total)
                seconds, began = time.perf_counter() - began, time.perf_counter()
                standing.step += 1
                standing.steps += 1
                standing.loss += loss
                yield from self.curves.report(
                    standing.steps,
                    {
                        "train/loss": loss,
                        "train/learning_rate": self.learner.learning_rate,
                        "train/patches_per_second": size / seconds,
                    },
                )
                yield Progress(done=standing.steps, total=self._total, unit="step")
        return False

    def _validated(self) -> Row | None:
        """Return the scores on the validation patches, None if stopped before their end."""
        judged = []
        with closing(self.data.validation_batches()) as batches:  # type: ignore[type-var]
            for batch in batches:
                self.control.wait_while_paused()
                if self.control.stop_requested():
                    return None
                judged.append(self.learner.judge(batch))
        return validation_scores(judged)

    def _saved(self, row: Row) -> Iterator[Event]:
        """Save the best model if this epoch was it, then the checkpoint."""
        self._must_be_finite()
        # the model first: a checkpoint that knows of a better epoch must not outlive its model
        if best_row(self.standing.history) is row:
            model = best_model(self.spec.out)
            save_model(model, self.learner.network, ModelCard(recipe=self.spec.recipe, metrics=row))
            yield Saved(path=model, kind="model")
        yield self._checkpoint()

    def _checkpoint(self) -> Saved:
        self._must_be_finite()
        recipe = self.spec.recipe.model_dump_json()
        state = {"recipe": recipe, "learner": self.learner.state(), **asdict(self.standing)}
        path = write_checkpoint(self.spec.out, state)
        write_history(self.spec.out, self.standing.history)
        return Saved(path=path, kind="checkpoint")

    def _must_be_finite(self) -> None:
        """Never let broken weights replace good ones."""
        if not self.learner.is_finite():
            raise RunError(
                f"the weights broke at or before step {self.standing.steps}; the last checkpoint "
                "is good: resume it with a lower optimisation.learning_rate"
            )

    def _result(self) -> dict[str, Any]:
        history = self.standing.history
        return {
            "run": str(self.spec.out),
            "epochs": self.standing.epoch,
            "steps": self.standing.steps,
            "model": str(best_model(self.spec.out)) if history else None,
            "best": best_row(history) if history else {},
        }


def _new(spec: TrainSpec) -> tuple[_Standing, State | None]:
    must_be_new(spec.out)
    return _Standing(), None


def _resumed(spec: TrainSpec) -> tuple[_Standing, State | None]:
    checkpoint = read_checkpoint(spec.out)
    before = Recipe.model_validate_json(checkpoint["recipe"])
    for section in ("network", "preparation"):
        if getattr(before, section) != getattr(spec.recipe, section):
            raise RunError(f"{spec.out} was trained with another {section}; begin a new run")
    names = [f.name for f in fields(_Standing)]
    return _Standing(**{name: checkpoint[name] for name in names}), checkpoint["learner"]


def _weights(spec: TrainSpec) -> dict[str, Tensor] | None:
    """Return the weights to start from; a run that is resumed has its own."""
    if spec.start_from is None or spec.resume:
        return None
    if read_card(spec.start_from).recipe.network != spec.recipe.network:
        raise ModelError(f"{spec.start_from} has another network than recipe {spec.recipe.name}")
    return load_network(spec.start_from).state_dict()
