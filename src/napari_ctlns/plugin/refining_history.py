"""Following undo and redo of what was applied: napari's own steps bring back voxels alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.masks.replacing import Where
from napari_ctlns.plugin.refining import State

_FEW = 16


@dataclass(frozen=True, eq=False)
class Step:
    """Voxels that were written at once, what was there, and what goes with both."""

    where: Where
    old: npt.NDArray[Any]
    new: npt.NDArray[Any]
    before: State
    after: State


class AppliedSteps:
    """The steps of one mask; which of them are done is read off its voxels.

    napari undoes steps in the reverse order of their making, strokes of the brush among
    them, so a step is undone as soon as all its voxels are again what they were.
    """

    def __init__(self) -> None:
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def add(self, step: Step) -> None:
        """Remember a step that is being made; what was undone can be made again no more."""
        self._done.append(step)
        self._undone.clear()

    def moved_to(self, labels: npt.NDArray[Any]) -> State | None:
        """Return what goes with a mask if its last edit undid a step, or made one again."""
        if self._done and _holds(labels, self._done[-1].where, self._done[-1].old):
            step = self._done.pop()
            self._undone.append(step)
            return step.before
        if self._undone and _holds(labels, self._undone[-1].where, self._undone[-1].new):
            step = self._undone.pop()
            self._done.append(step)
            return step.after
        return None


def _holds(labels: npt.NDArray[Any], where: Where, values: npt.NDArray[Any]) -> bool:
    """Whether voxels have these labels; a few tell mostly, and every stroke asks."""
    few = tuple(axis[:_FEW] for axis in where)
    return np.array_equal(labels[few], values[:_FEW]) and np.array_equal(labels[where], values)
