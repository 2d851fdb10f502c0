"""The learning rate of a step: a function of the step and of what was seen before it.

Nothing here remembers anything, so that a resumed run cannot go another way.
"""

import math
from collections.abc import Sequence

from napari_ctlns.recipe import Optimisation

_BETTER = 1e-4
"""By which share a validation loss must be below the best to count as better."""


def learning_rate(recipe: Optimisation, step: int, total: int, losses: Sequence[float]) -> float:
    """Return the learning rate of a step.

    It rises linearly over ``warmup_steps``. After them "cosine" falls to zero at
    ``total`` along half a cosine (Loshchilov and Hutter 2017, "SGDR"), "poly" as
    ``(1 - done) ** poly_power`` (Liu et al. 2015, "ParseNet"); a run that is given more
    epochs goes on along the longer curve. "plateau" is multiplied with
    ``plateau_factor`` whenever the validation loss has stopped falling.

    Parameters
    ----------
    recipe
        The section optimisation.
    step, total
        Which step of how many this is, from 0.
    losses
        The validation losses of all epochs before it.
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / (recipe.warmup_steps + 1)
    done = min(1.0, (step - recipe.warmup_steps) / max(1, total - recipe.warmup_steps))
    if recipe.schedule == "cosine":
        return float(recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done)))
    if recipe.schedule == "poly":
        return float(recipe.learning_rate * (1 - done) ** recipe.poly_power)
    if recipe.schedule == "plateau":
        falls = plateaus(losses, recipe.plateau_patience)
        return float(recipe.learning_rate * recipe.plateau_factor**falls)
    return recipe.learning_rate


def plateaus(losses: Sequence[float], patience: int) -> int:
    """Return how often a loss was not better for more than ``patience`` epochs in a row."""
    best, waited, found = math.inf, 0, 0
    for loss in losses:
        if loss < best * (1 - _BETTER):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            waited, found = 0, found + 1
    return found
