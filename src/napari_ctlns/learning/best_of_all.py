"""The best model of all runs that lie side by side and can be compared."""

import contextlib
import hashlib
import json
from pathlib import Path

from torch import nn

from napari_ctlns.atomic import alone
from napari_ctlns.errors import ModelError
from napari_ctlns.inference.model import ModelCard, read_card, save_model
from napari_ctlns.learning.scores import BestBy, goodness
from napari_ctlns.recipe import Recipe

FOLDER = "best-of-all"


def place_of_best(run: Path, recipe: Recipe, fingerprint: str) -> Path:
    """Return the model folder that a run shares with those it can be compared with.

    They lie in the same folder, have a recipe of the same name, and are judged alike: on
    the same patches of the same validation scans, by the same loss.

    Parameters
    ----------
    run
        A run folder.
    recipe
        How it is trained.
    fingerprint
        Of the scans that it is validated on.
    """
    judged_by = [
        fingerprint,
        recipe.loss.model_dump(mode="json"),
        recipe.preparation.model_dump(mode="json"),
        recipe.validation_size,
        recipe.inference.threshold,
    ]
    digest = hashlib.sha256(json.dumps(judged_by).encode()).hexdigest()[:8]
    return run.absolute().parent / FOLDER / f"{recipe.name}-{digest}"


def keep_if_best(place: Path, network: nn.Module, card: ModelCard, by: BestBy) -> bool:
    """Save a model at ``place`` unless an equally good or better one is there.

    Of runs that come at the same moment one waits for the other.

    Returns
    -------
    bool
        Whether it was saved.

    Raises
    ------
    OutputError, OSError
        If it cannot be written.
    """
    with alone(place):
        # what is no model any more may be replaced
        with contextlib.suppress(ModelError, KeyError):
            if goodness(read_card(place).metrics, by) >= goodness(card.metrics, by):
                return False
        save_model(place, network, card)
        return True
