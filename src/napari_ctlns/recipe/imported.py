"""A network that was built and trained elsewhere, as a recipe knows it."""

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from napari_ctlns.recipe.sections import Count, Section, Size

Activation = Literal["softmax", "sigmoid", "none"]

_OUR_AXIS = {"S": 0, "I": 0, "P": 1, "A": 1, "L": 2, "R": 2}
_AGAINST_OURS = "IAR"


def _checked_axes(axes: str) -> str:
    if len(axes) != 3 or sorted(_OUR_AXIS.get(letter, -1) for letter in axes) != [0, 1, 2]:
        raise ValueError("axes must be three letters: one of S, I, one of P, A and one of L, R")
    return axes


Axes = Annotated[str, AfterValidator(_checked_axes)]
"""Towards which side of the patient each axis of an array runs, the first one first."""


def _checked_arguments(arguments: str) -> str:
    if not isinstance(json.loads(arguments), dict):
        raise ValueError("arguments must be a JSON object")
    return arguments


@dataclass(frozen=True)
class Turning:
    """How our (N, channel, [z,] y, x) becomes what a network wants, by dimension numbers.

    Attributes
    ----------
    permutation
        Of all dimensions, on the way in.
    flips
        Dimensions that are mirrored after it, on the way in.
    answer_flips
        Those that are mirrored on the way out, before ``back``.
    back
        The permutation of the way out.
    """

    permutation: tuple[int, ...]
    flips: tuple[int, ...]
    answer_flips: tuple[int, ...]
    back: tuple[int, ...]


class ImportedNetwork(Section):
    """What `ctlns import-model` found out about a network that others made."""

    format: Literal["nnunet", "monai", "onnx"]
    """Whose it is."""
    architecture: str = ""
    """Its class; an ONNX file says itself what it is."""
    arguments: Annotated[str, AfterValidator(_checked_arguments)] = "{}"
    """What the class is called with, as JSON."""
    label: str = ""
    """What it marks, as its makers call it."""
    channel: Count = 0
    """Which channel of its answer that is."""
    activation: Activation = "sigmoid"
    """What makes its answer a probability; "none" if it is one."""
    axes: Axes = "SPL"
    """Towards which side of the patient each axis of its arrays runs."""
    multiples: Size = (1, 1, 1)
    """Voxels (z, y, x) that the sides of a window must be multiples of."""
    own_window_only: bool = True
    """Whether its answer depends on the size of the window."""

    def turning(self, dimensions: int) -> Turning:
        """Return what lies between our axes and its own.

        Parameters
        ----------
        dimensions
            3: of arrays (N, 1, z, y, x); 2: of (N, slices, y, x).
        """
        letters = (
            self.axes if dimensions == 3 else self.axes.translate({ord("S"): "", ord("I"): ""})
        )
        permutation = (0, 1, *(_OUR_AXIS[letter] + dimensions - 1 for letter in letters))
        flips = tuple(2 + k for k, letter in enumerate(letters) if letter in _AGAINST_OURS)
        # in 2 dimensions slices are channels, and the answer has none of them
        slices = (1,) if dimensions == 2 and "I" in self.axes else ()
        back = tuple(permutation.index(k) for k in range(len(permutation)))
        return Turning(permutation, (*slices, *flips), flips, back)
