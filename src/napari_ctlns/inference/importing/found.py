"""What was found out about a model of others, before it is one of ours."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from napari_ctlns.errors import ModelError
from napari_ctlns.recipe import (
    Activation,
    ImportedNetwork,
    Inference,
    Network,
    Patches,
    Preparation,
    Recipe,
    Size,
)

_OUR_ORDER = ("SI", "PA", "LR")


@dataclass(frozen=True, eq=False)
class Found:
    """A model as its files describe it.

    Attributes
    ----------
    name, description
        What it is called.
    network
        Its class, arguments and axes; label and windows are not known yet.
    dimensions
        Of its convolutions, 2 or 3.
    window
        Voxels (z, y, x) that it was trained to see at once.
    preparation, inference
        What it wants of scans and windows.
    weights
        Of the network of others; an ONNX file holds its own.
    labels
        The channel of each of its labels but background; None: nobody says.
    activation
        What its last layer wants; None: nobody says.
    structure
        What it is asked for, see `Recipe`.
    notes
        What is worth a word.
    """

    name: str
    description: str
    network: ImportedNetwork
    dimensions: int
    window: Size
    preparation: Preparation
    inference: Inference
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Mapping[str, int] | None = None
    activation: Activation | None = None
    structure: Literal["nodule", "lung"] = "nodule"
    notes: tuple[str, ...] = ()


def recipe_of(found: Found, network: ImportedNetwork, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a model of which all is known.

    Raises
    ------
    RecipeError
        If a change is not allowed.
    """
    recipe = Recipe(
        name=re.sub(r"[^\w.-]+", "-", found.name) or "imported",
        description=found.description,
        structure=found.structure,
        preparation=found.preparation,
        patches=Patches(size=found.window),
        network=Network(name="imported", dimensions=found.dimensions, imported=network),
        inference=found.inference.model_copy(update={"window": found.window}),
    )
    return recipe.with_changes(changes)


def the_imported(recipe: Recipe) -> ImportedNetwork:
    """Return what the recipe of an imported model says of its network."""
    if recipe.network.imported is None:
        raise ValueError(f"{recipe.name} is no imported model")
    return recipe.network.imported


def chosen_label(
    found: Found, channels: int, wanted: str | None, activation: Activation | None
) -> tuple[str, int, Activation]:
    """Return the label that masks shall show: its name, its channel, what makes it a probability.

    Parameters
    ----------
    found
        The model.
    channels
        Of its answer.
    wanted
        A label's name, or the number of its channel; None: the only one there is.
    activation
        What a person says of the last layer; None: as the files say, else softmax of
        several channels and sigmoid of one.

    Raises
    ------
    ModelError
        If there are several labels to choose from, or not the one that is wanted.
    """
    activation = activation or found.activation or ("softmax" if channels > 1 else "sigmoid")
    if activation == "softmax" and channels == 1:
        raise ModelError("a softmax of one channel says nothing; give --activation sigmoid or none")
    labels = found.labels
    if labels is None:
        first = 0 if channels == 1 or activation == "sigmoid" else 1  # 0 is the background
        labels = {str(channel): channel for channel in range(first, channels)}
    labels = {name: channel for name, channel in labels.items() if channel < channels}
    names = ", ".join(f"{name} ({channel})" for name, channel in labels.items())
    if wanted is None:
        if len(labels) != 1:
            raise ModelError(f"the model has {len(labels)} labels, choose by --label: {names}")
        wanted = next(iter(labels))
    for name, channel in labels.items():
        if wanted.casefold() == name.casefold() or wanted == str(channel):
            return name, channel, activation
    raise ModelError(f"the model has no label {wanted}; there are {names}")


def axis_of(letter: str) -> int:
    """Return which of (z, y, x) runs towards a side of the patient, or away from it."""
    return next(axis for axis, sides in enumerate(_OUR_ORDER) if letter in sides)


def in_our_order(values: Sequence[Any], axes: str) -> tuple[Any, Any, Any]:
    """Return what stands for each of a network's axes in the order (z, y, x)."""
    by_axis = {axis_of(letter): value for value, letter in zip(values, axes, strict=True)}
    return by_axis[0], by_axis[1], by_axis[2]
