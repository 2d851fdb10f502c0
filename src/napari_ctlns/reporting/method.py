"""What made nodules and numbers: the model, and the versions of what ran it."""

from dataclasses import dataclass
from pathlib import Path

from napari_ctlns.inference.model import read_card


@dataclass(frozen=True)
class ModelName:
    """The model that found nodules: its name, and the version of what made it."""

    name: str
    version: str


def model_name(folder: Path) -> ModelName:
    """Return how a model is called: by the run that made it, or by its recipe.

    Never by its path, which may tell what is nobody's business.

    Raises
    ------
    ModelError
        If the folder is no model.
    """
    card = read_card(folder)
    return ModelName(card.recipe.name, card.versions.get("napari-ctlns", "unknown"))


def model_facts(folder: Path) -> dict[str, str]:
    """Return what a report tells of a model: what it is, how it looks, what it reached.

    Raises
    ------
    ModelError
        If the folder is no model.
    """
    card = read_card(folder)
    inference, spacing = card.recipe.inference, card.recipe.preparation.spacing_mm
    facts = {
        "Model": f"{card.recipe.name}, made with napari-ctlns {model_name(folder).version}",
        "Looks at": f"voxels of {spacing} mm" if spacing != "native" else "voxels as they are",
        "Threshold": f"probability {inference.threshold:g}",
    }
    reached = ", ".join(f"{name} {value:.3g}" for name, value in card.metrics.items())
    return {**facts, **({"Reached in training": reached} if reached else {})}
