"""How a model that has learned already learns on: shorter, gentler, from a mixture."""

from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import LearnSpec

EPOCHS = 4
"""How often progress is judged and kept on the way."""
GENTLER = 0.5
"""What the learning rate of the model's own training is multiplied with."""
_WARMUP_STEPS = 20


def tuned(recipe: Recipe, spec: LearnSpec, scans: int) -> Recipe:
    """Return a model's recipe with what is otherwise when it learns from corrections.

    The length is fixed beforehand, the rate falls along a cosine to nothing, and the last
    weights count: the held-out scans are left alone, to judge by. A recipe that has learned
    from corrections before is as gentle already and keeps its rate.

    Parameters
    ----------
    recipe
        The model's.
    spec
        How long is learned, how much of corrections, and what else is changed.
    scans
        How many scans there are to learn from.

    Raises
    ------
    RecipeError
        If a change is not allowed.
    """
    again = recipe.patches.corrected_fraction > 0
    rate = recipe.optimisation.learning_rate * (1 if again else GENTLER)
    gentle = recipe.with_changes(
        {
            "patches.corrected_fraction": spec.corrected_share,
            "patches.hard_negatives": "",
            "optimisation.learning_rate": rate,
            "optimisation.schedule": "cosine",
            "optimisation.warmup_steps": min(_WARMUP_STEPS, spec.steps // 10),
            "optimisation.early_stopping_patience": 0,
            "optimisation.best_by": "last",
            "optimisation.keep_checkpoints": "last",
        }
    )
    patches = spec.steps * gentle.with_changes(spec.changes).optimisation.batch_size
    per_scan = max(1, round(patches / EPOCHS / scans))
    length = {
        "patches.per_scan": per_scan,
        "optimisation.epochs": max(1, round(patches / per_scan / scans)),
    }
    return gentle.with_changes({**length, **spec.changes})
