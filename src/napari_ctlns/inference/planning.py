"""Where a network looks: windows that cover what is needed of a scan, and little else."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ctlns.masks.components import highest_of_blocks
from napari_ctlns.recipe import Recipe

Index = tuple[int, int, int]
Bools = npt.NDArray[np.bool_]

AIR_ONLY_HU = -800
"""A window without a voxel above this holds no nodule, not even ground glass."""
MOST_VOXELS = 1_500_000
"""Of a window that is chosen freely. Twice as many would spare a tenth of the work on a whole
chest, and take twice the memory for what a network makes of them: 150 bytes a voxel with 16
channels in bf16."""

_LEAST_BLOCK = 8
"""Voxels; finer ones would cost more to count than they save."""


@dataclass(frozen=True)
class Tiling:
    """Windows of one size, and where the answers to them begin, (z, y, x) by rising z."""

    window: Index
    starts: tuple[Index, ...]


@dataclass(frozen=True, eq=False)
class _Axis:
    """Windows along one axis: their side, where they begin, and which blocks each one covers."""

    side: int
    starts: npt.NDArray[np.intp]
    first: npt.NDArray[np.intp]
    end: npt.NDArray[np.intp]


def plan_tiling(
    hu: npt.NDArray[np.int16],
    recipe: Recipe,
    window: Index | None = None,
    inside: Bools | None = None,
    most: int | None = None,
) -> Tiling:
    """Choose windows for a scan.

    A network whose answer does not depend on its window gets windows of the size that
    covers what is needed with the fewest voxels; others keep their own. What is needed
    lies half an overlap away from the border of one of its windows, except at the border
    of the scan, for there a network sees what is beyond the window as zeros.

    Parameters
    ----------
    hu
        (z, y, x) on the recipe's grid.
    window
        Voxels (z, y, x) that the network is to see at once; None: chosen here.
    inside
        Where to look, on the same grid; None: everywhere.
    most
        Voxels of a window that is chosen here, if it can be so small; None: as many as
        `MOST_VOXELS` and the network's own window.

    Returns
    -------
    Tiling
        Starts are multiples of the network's steps. A network that halves its grid n
        times gives the same answer for a shifted scan only for shifts by multiples of
        2 ** n, so that aligned windows agree where they overlap.
    """
    shape: Index = hu.shape
    own = window or recipe.window
    blocks = _block_sides(recipe)
    needed = _needed_blocks(hu, recipe, inside, blocks)
    if not needed.any():
        return Tiling(_fitting(own, shape, recipe), ())
    overlaps = [round(recipe.inference.overlap * side) for side in answered(own, recipe)]
    axes = [
        _Line(n, *_extent(needed, axis, block), overlap, step, block)
        for axis, (n, block, overlap, step) in enumerate(
            zip(shape, blocks, overlaps, recipe.network.steps, strict=True)
        )
    ]
    if window is not None or recipe.network.depends_on_window:
        answer = answered(_fitting(own, shape, recipe), recipe)
        choices = [[line.windows(side)] for line, side in zip(axes, answer, strict=True)]
    else:
        smallest = answered(_fitting(recipe.patches.size, shape, recipe), recipe)
        largest = (1, None, None) if recipe.network.dimensions == 2 else (None, None, None)
        choices = [
            line.choices(least, most)
            for line, least, most in zip(axes, smallest, largest, strict=True)
        ]
    best, touching = _cheapest(choices, needed, most or max(MOST_VOXELS, math.prod(own)))
    starts = [axis.starts[k] for axis, k in zip(best, np.nonzero(touching), strict=True)]
    z, y, x = (axis.side for axis in best)
    return Tiling(
        (own[0] if recipe.network.dimensions == 2 else z, y, x),
        tuple((int(a), int(b), int(c)) for a, b, c in zip(*starts, strict=True)),
    )


def answered(window: Index, recipe: Recipe) -> Index:
    """Return the voxels of a window that a network answers for: in 2 dimensions one slice."""
    return (1, *window[1:]) if recipe.network.dimensions == 2 else window


def window_starts(length: int, window: int, overlap: int, step: int = 1) -> list[int]:
    """Return where windows begin along a line.

    Parameters
    ----------
    length
        Voxels of the line.
    window
        Voxels of a window, a multiple of ``step``.
    overlap
        Least number of voxels that neighbours both cover; less only where a window is
        too short to shift by ``step`` and keep it.
    step
        Starts are multiples of it.

    Returns
    -------
    list of int
        Evenly spread; the first is 0, the last window is flush with the end of the
        line, rounded up to a multiple of ``step``.
    """
    last = max(-(-length // step) * step - window, 0) // step
    stride = max((window - overlap) // step, 1)
    count = -(-last // stride) + 1
    return [round(i * last / max(count - 1, 1)) * step for i in range(count)]


@dataclass(frozen=True)
class _Line:
    """What is needed along one axis of ``length`` voxels: from ``first`` to before ``end``.

    Windows begin at multiples of ``step``; those that are chosen are multiples of ``block``.
    """

    length: int
    first: int
    end: int
    overlap: int
    step: int
    block: int

    def windows(self, side: int) -> _Axis:
        """Return windows of this side."""
        first = max(self.first - self.overlap // 2, 0) // self.step * self.step
        end = min(self.end + self.overlap // 2, self.length)
        # one that is larger than what is left of the scan begins earlier, not beyond it
        first = max(min(first, -(-self.length // self.step) * self.step - side), 0)
        starts = first + np.array(window_starts(end - first, side, self.overlap, self.step))
        blocks = -(-self.length // self.block)
        return _Axis(
            side,
            starts.astype(np.intp),
            np.minimum(starts // self.block, blocks).astype(np.intp),
            np.minimum(-(-(starts + side) // self.block), blocks).astype(np.intp),
        )

    def choices(self, least: int, most: int | None) -> list[_Axis]:
        """Return for each number of windows the slimmest that will do."""
        whole = (-(-(self.end - self.first + self.overlap) // self.block) + 1) * self.block
        by_count: dict[int, _Axis] = {}
        sides: Iterator[int] = itertools.takewhile(
            lambda side: side <= (most or max(whole, least)), itertools.count(least, self.block)
        )
        for side in sides:
            axis = self.windows(side)
            by_count.setdefault(len(axis.starts), axis)
        return list(by_count.values())


def _fitting(window: Index, shape: Index, recipe: Recipe) -> Index:
    """Return a window no larger than a scan needs, for models that any window will do for."""
    network = recipe.network
    if network.depends_on_window:
        return window
    steps = zip(window, shape, network.steps, strict=True)
    z, y, x = (min(side, -(-n // step) * step) for side, n, step in steps)
    return (window[0] if network.dimensions == 2 else z, y, x)


def _block_sides(recipe: Recipe) -> Index:
    """Return the sides of the blocks of which each is needed or not: the network's steps, or more.

    In two dimensions every slice counts by itself.
    """
    z, y, x = (-(-_LEAST_BLOCK // step) * step for step in recipe.network.steps)
    return (1 if recipe.network.dimensions == 2 else z, y, x)


def _needed_blocks(
    hu: npt.NDArray[np.int16], recipe: Recipe, inside: Bools | None, blocks: Index
) -> Bools:
    """Return which blocks need a look: inside, and not mere air."""
    counts = [-(-n // block) for n, block in zip(hu.shape, blocks, strict=True)]
    needed = np.ones(counts, bool)
    if inside is not None:
        needed &= highest_of_blocks(inside, blocks)
    if recipe.structure != "lung":
        needed &= highest_of_blocks(hu, blocks) > AIR_ONLY_HU
    return needed


def _extent(needed: Bools, axis: int, block: int) -> tuple[int, int]:
    """Return the first voxel that is needed along an axis, and the first that no longer is."""
    there = np.flatnonzero(needed.any(axis=tuple({0, 1, 2} - {axis})))
    return int(there[0]) * block, int(there[-1] + 1) * block


def _cheapest(
    choices: list[list[_Axis]], needed: Bools, most: int
) -> tuple[tuple[_Axis, ...], Bools]:
    """Return the windows that need the fewest voxels to be looked at, and which are needed."""
    best: tuple[int, tuple[_Axis, ...], Bools] | None = None
    slimmest = math.prod(min(axis.side for axis in axes) for axes in choices)
    for z in choices[0]:
        along_z = _touching(z, needed, 0)
        for y in choices[1]:
            along_y = _touching(y, along_z, 1)
            for x in choices[2]:
                size = z.side * y.side * x.side
                if size > max(most, slimmest):
                    continue
                touching = _touching(x, along_y, 2)
                voxels = int(touching.sum()) * size
                if best is None or voxels < best[0]:
                    best = voxels, (z, y, x), touching
    assert best is not None  # the slimmest of all is never too large
    return best[1:]


def _touching(axis: _Axis, needed: Bools, along: int) -> Bools:
    """Return which windows along one axis touch what is needed."""
    sums = np.insert(needed.cumsum(axis=along, dtype=np.int32), 0, 0, axis=along)
    return sums.take(axis.end, along) > sums.take(axis.first, along)
