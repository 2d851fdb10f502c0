"""The trials of a search as rows of a table, and which is the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_ctlns.recipe import Recipe

State = Literal["complete", "pruned", "failed", "stopped", "running"]


@dataclass(frozen=True)
class Row:
    """A trial, for the table.

    Attributes
    ----------
    state
        "stopped": its values were taken up again in a later trial.
    value
        The best that an epoch reached; None if none was judged.
    seconds
        None while it runs.
    values
        By dotted key.
    problem
        Why it failed.
    """

    number: int
    state: State
    value: float | None
    epochs: int
    seconds: float | None
    values: dict[str, Any]
    problem: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("complete", "pruned", "failed")


def direction(recipe: Recipe) -> Literal["maximize", "minimize"]:
    """Return which values are better."""
    return "minimize" if recipe.optimisation.best_by == "val_loss" else "maximize"


def best_of(values: Sequence[float], recipe: Recipe) -> float | None:
    """Return the best of some values; those that are no numbers do not count."""
    numbers = [value for value in values if np.isfinite(value)]
    if not numbers:
        return None
    return min(numbers) if direction(recipe) == "minimize" else max(numbers)


def best_row(rows: Sequence[Row], recipe: Recipe) -> Row | None:
    """Return the best of the trials that were trained to their end; of equals the first."""
    complete = [row for row in rows if row.state == "complete" and row.value is not None]
    if not complete:
        return None
    best = best_of([row.value for row in complete if row.value is not None], recipe)
    return next(row for row in complete if row.value == best)
