"""What a training measured, as curves to draw and words to read."""

from array import array
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ctlns.events import Metric, Progress
from napari_ctlns.plugin.words import plain_place

STEP_LOSS = "train/loss"
LEARNING_RATE = "train/learning_rate"
EPOCH_LOSS = "epoch/train_loss"
VALIDATION_LOSS = "val/loss"
VALIDATION_DICE = "val/dice"
SPEED = "train/patches_per_second"
DEVICE_MEMORY = "train/device_memory_mb"
MOST_POINTS = 500
_SPEEDS = 20
"""Steps over which the speed is averaged: single ones vary."""

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Values over steps."""

    steps: _Array
    values: _Array


class RunCurves:
    """The metrics of one run, as they come.

    A run that died goes on from its last checkpoint and repeats the steps after
    it: what it measured there before is forgotten.
    """

    def __init__(self) -> None:
        self._steps: dict[str, array[int]] = {}
        self._values: dict[str, array[float]] = {}

    def add(self, metric: Metric) -> None:
        """Take in a metric."""
        steps = self._steps.setdefault(metric.name, array("q"))
        values = self._values.setdefault(metric.name, array("d"))
        if steps and metric.step <= steps[-1]:
            first = bisect_left(steps, metric.step)
            del steps[first:]
            del values[first:]
        steps.append(metric.step)
        values.append(metric.value)

    def curve(self, name: str) -> Curve:
        """Return a metric over steps, in at most `MOST_POINTS` points.

        Of more, each point is the mean of a number of neighbours, a power of two,
        so that points already drawn seldom move.
        """
        steps = np.array(self._steps.get(name, ()), float)
        values = np.array(self._values.get(name, ()), float)
        width = 1
        while steps.size > MOST_POINTS * width:
            width *= 2
        return Curve(_means(steps, width), _means(values, width))

    def newest(self, name: str) -> float | None:
        """Return the last value of a metric."""
        values = self._values.get(name)
        return values[-1] if values else None

    def recent(self, name: str, count: int) -> float | None:
        """Return the mean of the last values of a metric."""
        values = self._values.get(name)
        return sum(values[-count:]) / len(values[-count:]) if values else None

    @property
    def epochs(self) -> int:
        """Epochs that are whole."""
        return len(self._steps.get(EPOCH_LOSS, ()))

    @property
    def last_epoch_step(self) -> int:
        """Steps done when the last whole epoch ended."""
        steps = self._steps.get(EPOCH_LOSS)
        return steps[-1] if steps else 0

    def last_epoch_in_words(self) -> str:
        """Say what the last whole epoch came to."""
        if not self.epochs:
            return ""
        parts = [
            f"{words} {value:.{digits}g}"
            for words, name, digits in _SAID
            if (value := self.newest(name)) is not None
        ]
        return f"Epoch {self.epochs}: " + ", ".join(parts)


def speed_in_words(curves: RunCurves) -> str:
    """Say how fast a training goes, and what memory it takes of its device."""
    parts = []
    if (speed := curves.recent(SPEED, _SPEEDS)) is not None:
        parts.append(f"{speed:.0f} patches/s" if speed >= 10 else f"{speed:.2g} patches/s")
    if megabytes := curves.newest(DEVICE_MEMORY):
        parts.append(f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB")
    return ", ".join(parts)


_SAID = (
    ("loss", EPOCH_LOSS, 3),
    ("validation loss", VALIDATION_LOSS, 3),
    ("Dice", VALIDATION_DICE, 3),
    ("learning rate", LEARNING_RATE, 2),
)


def place_in_words(progress: Progress, curves: RunCurves, epochs: int | None) -> str:
    """Say how far a training is: epoch and step of it.

    Parameters
    ----------
    progress
        Steps done, of all.
    curves
        What the run measured up to there.
    epochs
        All that it is to do; None where its recipe cannot be read: then only steps are said.
    """
    if not epochs or not progress.total or progress.unit != "step":
        return plain_place(progress)
    if curves.epochs >= epochs:
        return f"epoch {epochs} of {epochs}, {progress.unit} {progress.done:g}"
    done = max(progress.done - curves.last_epoch_step, 0)
    each = (progress.total - curves.last_epoch_step) / (epochs - curves.epochs)
    step = f"{progress.unit} {done:g} of {each:.0f}"
    return f"epoch {curves.epochs + 1} of {epochs}, {step}"


def _means(numbers: _Array, width: int) -> _Array:
    if width == 1:
        return numbers
    starts = np.arange(0, numbers.size, width)
    counts = np.diff(starts, append=numbers.size)
    means: _Array = np.add.reduceat(numbers, starts) / counts
    return means
