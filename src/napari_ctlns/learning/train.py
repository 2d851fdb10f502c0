"""The job that learns a model from a dataset."""

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from napari_ctlns.errors import RunError
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Started
from napari_ctlns.learning.curves import Curves
from napari_ctlns.learning.data import TrainingData
from napari_ctlns.learning.device import arithmetic_settings
from napari_ctlns.learning.distributed import Group, joined
from napari_ctlns.learning.keeping import Keeper
from napari_ctlns.learning.learner import Learner
from napari_ctlns.learning.loader import Batch
from napari_ctlns.learning.previews import Previews
from napari_ctlns.learning.resuming import Standing
from napari_ctlns.learning.run_folder import Row, best_model, remove_fragments, write_description
from napari_ctlns.learning.schedules import learning_rate
from napari_ctlns.learning.scores import Judgement, best_row, no_further, validation_scores
from napari_ctlns.learning.starting import beginning, opened
from napari_ctlns.specs import TrainSpec


def train(spec: TrainSpec, control: Control) -> Iterator[Event]:
    """Train a network, or go on training it, in the run folder ``spec.out``.

    Between steps it pauses or stops as ``control`` says; it stops with a
    checkpoint. An epoch ends with validation, a checkpoint, a row of
    ``history.csv`` and, if it is the best so far, the model in ``best``. The best of
    all runs in the same folder that can be compared lies beside them, in ``best-of-all``.

    Processes that ``torchrun`` started learn together; only the first one writes and
    yields more than `Finished`.

    Yields
    ------
    Event
        Progress by steps; a preview each epoch. Metrics, all at the number of steps done:
        for each step ``train/loss``, ``train/learning_rate``, ``train/patches_per_second``
        and ``train/device_memory_mb`` (MiB); for each epoch ``epoch/train_loss``,
        ``val/loss``, ``val/dice``, ``val/nodule_voxel_accuracy`` and ``val/iou``.

    Raises
    ------
    DatasetError
        If the dataset has no training scans, no nodules, or was prepared in another
        way than the recipe wants.
    RunError
        If the folder is not empty, there is nothing to resume or it cannot go on, the
        device is not there, the loss is no number any more, or memory lacks for one patch.
    ModelError
        If the model to start from is none, or has another network.
    OutputError
        If the run cannot be written; its last checkpoint is whole.
    """
    with joined() as group:
        yield from _train(spec, control, group)


def _train(spec: TrainSpec, control: Control, group: Group) -> Iterator[Event]:
    data, arithmetic, weights = group.together(lambda: opened(spec, group))
    standing, state = group.told(lambda: beginning(spec, data))
    if group.is_first:
        remove_fragments(spec.out)
        write_description(spec)  # before the first event: what has any can be resumed
        yield Started(title=f"Train {spec.recipe.name} on {spec.dataset.name}")
        for problem in data.problems:
            yield Log(message=problem, level="warning")
    with arithmetic_settings(spec.recipe.optimisation):
        learner = Learner(spec.recipe, arithmetic, weights, group)
        if state is not None:
            learner.restore(state)
        with contextlib.ExitStack() as stack:
            training = _Training(spec, control, data, learner, standing, group)
            if group.is_first:
                training.curves = stack.enter_context(Curves(spec.out, standing.steps))
                threshold = spec.recipe.inference.threshold
                training.previews = Previews(spec.out, training.curves, data.shown(), threshold)
                yield Log(message=f"{data.in_words()}; {learner.in_words()}")
            yield from training.events()


@dataclass
class _Training:
    spec: TrainSpec
    control: Control
    data: TrainingData
    learner: Learner
    standing: Standing
    group: Group
    curves: Curves | None = None
    previews: Previews | None = None

    def events(self) -> Iterator[Event]:
        """Train until all epochs are done, validation stops improving, or somebody stops it."""
        yield from self._kept(Keeper.mend)
        epochs = self.spec.recipe.optimisation.epochs
        if self.standing.epoch >= epochs:
            done = f"all {epochs} epochs are done; ask for more epochs to go on"
            yield Log(message=done, level="warning")
        stopped = False
        while self.standing.epoch < epochs and not stopped:
            if words := no_further(self.standing.history, self.spec.recipe.optimisation):
                yield Log(message=words)
                break
            stopped = yield from self._epoch()
        if stopped:
            self._must_be_finite()
            yield from self._kept(Keeper.checkpoint)
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
        self._must_be_finite()
        standing = self.standing
        mean = standing.loss / max(1, standing.step)
        row: Row = {
            "epoch": standing.epoch + 1,
            "step": standing.steps,
            "seconds": round(time.perf_counter() - began, 3),
            "learning_rate": self._rate(standing.steps - 1),
            "train_loss": mean,
            **scores,
        }
        standing.history.append(row)
        standing.epoch += 1
        standing.step, standing.loss = 0, 0.0
        named = {name.replace("_", "/", 1): value for name, value in scores.items()}
        yield from self._report({"epoch/train_loss": mean, **named})
        yield from self._kept(Keeper.epoch)
        yield from self.group.first(self._drawn) or ()
        return False

    def _steps(self) -> Generator[Event, None, bool]:
        """Do the steps that the epoch lacks; return whether they were stopped."""
        standing = self.standing
        with closing(self.data.training_batches(standing.epoch, standing.step)) as batches:  # type: ignore[type-var]
            began = time.perf_counter()
            while (batch := self.group.together(lambda: next(batches, None))) is not None:
                waited = time.perf_counter()
                if self.group.stops(self.control):
                    return True
                began += time.perf_counter() - waited
                patches = self.data.patches_in(standing.step)
                rate, parts = self._rate(standing.steps), self.learner.parts
                loss = self._learned(batch, rate, self.group.share(patches)[1])
                seconds, began = time.perf_counter() - began, time.perf_counter()
                standing.step += 1
                standing.steps += 1
                standing.loss += loss
                if self.learner.parts != parts:
                    yield Log(message=_smaller_parts(self.learner.parts), level="warning")
                yield from self._report(
                    {
                        "train/loss": loss,
                        "train/learning_rate": rate,
                        "train/patches_per_second": len(patches) / seconds,
                        "train/device_memory_mb": self.learner.memory_mb,
                    }
                )
                yield Progress(done=standing.steps, total=self._total, unit="step")
        return False

    def _rate(self, step: int) -> float:
        recipe = self.spec.recipe.optimisation
        return learning_rate(recipe, step, self._total, self.standing.losses)

    def _learned(self, batch: Batch, rate: float, share: float) -> float:
        """Do a step; return its loss.

        Raises
        ------
        RunError
            If the loss is not finite; the weights are as they were before.
        """
        loss = self.learner.gradients(batch, self.standing.steps, share)
        if not math.isfinite(loss):
            own = batch.in_words(self.data.training.scans)
            raise RunError(
                f"the loss is {loss} at step {self.standing.steps + 1}, of "
                f"{'; '.join(self.group.gathered(own))}; look at these patches, lower "
                "optimisation.learning_rate, or take precision fp32; the last checkpoint is good"
            )
        self.learner.update(rate)
        return loss

    def _validated(self) -> Row | None:
        """Return the scores on the validation patches, None if stopped before their end."""
        judged: list[Judgement] = []
        with closing(self.data.validation_batches()) as batches:  # type: ignore[type-var]
            for _ in range(self.data.validation_rounds):
                if self.group.stops(self.control):
                    return None
                judged += self.group.together(
                    lambda: [*map(self.learner.judge, itertools.islice(batches, 1))]
                )
        # as one process would have judged them: the first of each, the second of each ...
        rounds = itertools.zip_longest(*self.group.gathered(judged))
        return validation_scores([one for ones in rounds for one in ones if one is not None])

    def _drawn(self) -> list[Event]:
        if self.previews is None:
            return []
        done = self.standing
        return list(self.previews.draw(self.learner.probability, done.epoch, done.steps))

    def _report(self, values: dict[str, float]) -> Iterator[Event]:
        if self.curves is not None:
            yield from self.curves.report(self.standing.steps, values)

    def _kept(self, keep: Callable[[Keeper], Iterator[Event]]) -> Iterator[Event]:
        """Let the first process write; raise in all if it cannot."""
        keeper = Keeper(self.spec, self.data, self.learner, self.standing)
        yield from self.group.first(lambda: list(keep(keeper))) or ()

    def _must_be_finite(self) -> None:
        """Never let broken weights replace good ones."""
        if not self.learner.is_finite():
            raise RunError(
                f"the weights broke at or before step {self.standing.steps}; the last checkpoint "
                "is good: resume it with a lower optimisation.learning_rate"
            )

    def _result(self) -> dict[str, Any]:
        history = self.standing.history
        by = self.spec.recipe.optimisation.best_by
        return {
            "run": str(self.spec.out),
            "epochs": self.standing.epoch,
            "steps": self.standing.steps,
            "model": str(best_model(self.spec.out)) if history else None,
            "best": best_row(history, by) if history else {},
            "early": bool(no_further(history, self.spec.recipe.optimisation)),
        }


def _smaller_parts(parts: int) -> str:
    words = "memory did not suffice: from now on the patches of a step are worked on in"
    return f"{words} {parts} parts, one after the other, with the same result"
