"""Several answers to one scan: their mean, and how far they disagree."""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ModelError
from napari_ctlns.inference.engines import (
    Engine,
    EngineSource,
    FloatArray,
    Window,
    prepare_engine,
)
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import Device

Axes = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Member:
    """One that gives an answer: an engine with the recipe of its model.

    Attributes
    ----------
    engine
        Prepared for ``window``.
    window
        Voxels (z, y, x); None: the recipe's.
    on_cpu
        Prepares an engine that answers as this one does and needs no GPU, where the memory
        of the GPU proves too small; None: there is none.
    """

    engine: Engine
    recipe: Recipe
    window: Window | None = None
    on_cpu: Callable[[], Engine] | None = None


def prepared_member(
    model: Path,
    recipe: Recipe,
    window: Window | None = None,
    device: Device = "auto",
    engine_for: EngineSource = prepare_engine,
) -> Member:
    """Return a model's member; the CPU's engine is prepared when first needed, and kept.

    Raises
    ------
    ModelError
        If it cannot be run so, see `prepare_engine`, or it looks at nothing unless it is
        told where somebody clicked.
    """
    if recipe.network.clicks:
        raise ModelError(
            f"{model} marks what is clicked on; use it with `ctlns click SCAN --model MODEL`"
        )
    on_cpu = functools.cache(functools.partial(engine_for, model, window, "cpu"))
    return Member(engine_for(model, window, device), recipe, window, on_cpu)


class FlippedEngine:
    """Shows an engine the mirror image of each window, and mirrors its answer back.

    Parameters
    ----------
    engine
        What looks.
    axes
        Of a window (z, y, x), counted from the last: -1 is x.
    """

    def __init__(self, engine: Engine, axes: Axes) -> None:
        self._engine, self._axes = engine, axes
        self.name, self.reason, self.notes = engine.name, engine.reason, engine.notes
        self.batch_size = engine.batch_size

    def run(self, batch: FloatArray) -> FloatArray:
        """Return probabilities of normalised windows, see `Engine`."""
        mirrored = np.ascontiguousarray(np.flip(batch, self._axes))
        return np.flip(self._engine.run(mirrored), self._axes)


def with_mirror_images(member: Member) -> tuple[Member, ...]:
    """Return a member as it is and mirrored along every axis and all their combinations.

    Eight in all; of a network of 2 dimensions four, in the plane, because it answers
    for the middle slice of some that it knows in their order.
    """
    axes = (-2, -1) if member.recipe.network.dimensions == 2 else (-3, -2, -1)
    sets = [c for n in range(1, len(axes) + 1) for c in itertools.combinations(axes, n)]
    return (member, *(_mirrored(member, c) for c in sets))


def _mirrored(member: Member, axes: Axes) -> Member:
    on_cpu = member.on_cpu
    return replace(
        member,
        engine=FlippedEngine(member.engine, axes),
        on_cpu=None if on_cpu is None else lambda: FlippedEngine(on_cpu(), axes),
    )


def shared_structure(recipes: Sequence[Recipe]) -> Literal["nodule", "lung"]:
    """Return what all models look for.

    Raises
    ------
    ModelError
        If they look for different things.
    """
    structures = {recipe.structure for recipe in recipes}
    if len(structures) > 1:
        raise ModelError(
            f"these models look for different things ({', '.join(sorted(structures))}); "
            "give models that look for the same"
        )
    return structures.pop()


class Agreement:
    """Adds up the answers of members: mean and standard deviation, voxel by voxel.

    By Welford's recurrence (1962, doi:10.1080/00401706.1962.10490022), which loses no
    digits where all agree. Two arrays of float32 are held, however many members there are.

    Parameters
    ----------
    shape
        (z, y, x) of an answer.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._count = 0
        self._mean = np.zeros(shape, np.float32)
        self._squares = np.zeros(shape, np.float32)

    def add(self, probability: npt.NDArray[Any]) -> None:
        """Add an answer, 0 to 1."""
        self._count += 1
        # plane by plane, so that what is between lies in the processor's cache
        for value, mean, squares in zip(probability, self._mean, self._squares, strict=True):
            away = value - mean
            mean += away / self._count
            squares += away * (value - mean)

    @property
    def mean(self) -> FloatArray:
        """The mean of the answers, (z, y, x), 0 to 1."""
        return self._mean

    def spread(self) -> FloatArray:
        """Return their standard deviation, (z, y, x), 0 to 0.5; 0 where all agree."""
        result: FloatArray = np.sqrt(self._squares / max(self._count, 1))
        return result
