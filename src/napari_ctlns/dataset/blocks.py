"""Blocks of voxels cut from arrays, also where they reach beyond them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Index = tuple[int, int, int]


def cut_block(
    array: npt.NDArray[Any], start: Index, size: tuple[int, int, int], outside: int
) -> npt.NDArray[Any]:
    """Return a copy of a block, filled with ``outside`` where it reaches beyond the array."""
    sides = [_inside(b, n, s) for b, n, s in zip(start, size, array.shape, strict=True)]
    block = np.full(size, outside, array.dtype)
    block[tuple(into for _, into in sides)] = array[tuple(of for of, _ in sides)]
    return block


def within(array: npt.NDArray[Any], start: Index, size: tuple[int, int, int]) -> npt.NDArray[Any]:
    """Return a view of the part of a block that is in the array."""
    sides = (_inside(b, n, s)[0] for b, n, s in zip(start, size, array.shape, strict=True))
    return array[tuple(sides)]


def middle(shape: Sequence[int], size: Sequence[int]) -> tuple[slice, ...]:
    """Return the part of ``size`` in the middle of an array of ``shape``."""
    starts = [(whole - part) // 2 for whole, part in zip(shape, size, strict=True)]
    return tuple(slice(s, s + n) for s, n in zip(starts, size, strict=True))


def moved_in(start: npt.ArrayLike, size: npt.ArrayLike, shape: npt.ArrayLike) -> Index:
    """Return where a block starts when it is moved into an array as little as can be.

    Along an axis on which it is the longer one, the array is moved into the block.
    """
    room = np.subtract(shape, size)
    return as_index(np.clip(start, np.minimum(room, 0), np.maximum(room, 0)))


def as_index(values: npt.ArrayLike) -> Index:
    """Return three numbers as whole Python ones."""
    z, y, x = (int(v) for v in np.asarray(values))
    return (z, y, x)


def _inside(start: int, length: int, available: int) -> tuple[slice, slice]:
    """Return the part of a run of voxels that is in an array: there, and in the run."""
    first = min(max(start, 0), available)
    last = max(min(start + length, available), first)
    return slice(first, last), slice(first - start, last - start)
