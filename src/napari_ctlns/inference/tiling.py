"""A scan goes through a network window by window, in little memory."""

import itertools
from collections.abc import Generator
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.events import Control, Progress, Uncontrolled
from napari_ctlns.inference.engines import Engine
from napari_ctlns.normalising import scaling_of
from napari_ctlns.recipe import Recipe

Index = tuple[int, int, int]
FloatArray = npt.NDArray[np.float32]

AIR_ONLY_HU = -800
"""A window without a voxel above this holds no nodule, not even ground glass."""


def window_starts(length: int, window: int, overlap: float, step: int = 1) -> list[int]:
    """Return where windows begin along one axis.

    Parameters
    ----------
    length
        Voxels of the array along the axis.
    window
        Voxels of a window, a multiple of ``step``.
    overlap
        Least share of a window that neighbours cover too; less only where a
        window is too short to shift by ``step`` and keep it.
    step
        Starts are multiples of it. A network that halves its grid n times gives
        the same answer for a shifted scan only for shifts by multiples of 2 ** n,
        so that aligned windows agree where they overlap.

    Returns
    -------
    list of int
        Evenly spread; the first is 0, the last window is flush with the end of
        the array, rounded up to a multiple of ``step``.
    """
    last = max(-(-length // step) * step - window, 0) // step
    stride = max(int(window * (1 - overlap)) // step, 1)
    count = -(-last // stride) + 1
    return [round(i * last / max(count - 1, 1)) * step for i in range(count)]


def blending_weights(window: Index) -> FloatArray:
    """Return a window's weights (z, y, x): a Gaussian of an eighth of each side.

    Zeros that convolutions see beyond the border of a window make its outer
    voxels unlike those of a whole scan; there the weight is next to nothing.
    """
    profiles = []
    for n in window:
        distance = (np.arange(n) - (n - 1) / 2) / (n / 8)
        profiles.append(np.exp(-0.5 * distance**2))
    z, y, x = profiles
    weights = z[:, None, None] * y[:, None] * x
    return np.asarray(weights, np.float32)


def plan_windows(
    hu: npt.NDArray[np.int16],
    window: Index,
    overlap: float,
    step: int,
    inside: npt.NDArray[np.bool_] | None = None,
) -> list[Index]:
    """Return the starts (z, y, x) of the windows that need a look, by rising z.

    Left out are windows that do not touch ``inside`` and those of mere air.
    """
    axes = [window_starts(n, w, overlap, step) for n, w in zip(hu.shape, window, strict=True)]
    starts = []
    for z, y, x in itertools.product(*axes):
        part = (slice(z, z + window[0]), slice(y, y + window[1]), slice(x, x + window[2]))
        if inside is not None and not inside[part].any():
            continue
        if hu[part].max() > AIR_ONLY_HU:
            starts.append((z, y, x))
    return starts


class SlabBlender:
    """Weighted mean of overlapping windows that come by rising z.

    Only as many slices as a window is deep are held in float32; slices that no
    later window reaches are divided by their weights and stored as float16.

    Parameters
    ----------
    shape
        Of the whole array (z, y, x).
    weights
        Of one window (z, y, x), all above zero.
    """

    def __init__(self, shape: Index, weights: FloatArray) -> None:
        self._weights = weights
        self._first = 0
        self._sum = np.zeros((weights.shape[0], *shape[1:]), np.float32)
        self._weight = np.zeros_like(self._sum)
        self._result = np.zeros(shape, np.float16)

    def add(self, start: Index, values: FloatArray) -> None:
        """Add a window's values; what lies beyond the array is dropped.

        Raises
        ------
        ValueError
            If an earlier window began at a higher z.
        """
        z, y, x = start
        if z < self._first:
            raise ValueError("windows must come by rising z")
        self._finish_up_to(z)
        depth, height, width = (
            min(w, n - s) for w, n, s in zip(values.shape, self._result.shape, start, strict=True)
        )
        kept = (slice(0, depth), slice(0, height), slice(0, width))
        place = (slice(0, depth), slice(y, y + height), slice(x, x + width))
        self._sum[place] += values[kept] * self._weights[kept]
        self._weight[place] += self._weights[kept]

    def result(self) -> npt.NDArray[np.float16]:
        """Return the blended array; 0 where there was no window."""
        self._finish_up_to(self._result.shape[0])
        return self._result

    def _finish_up_to(self, z: int) -> None:
        """Store the slices below ``z`` and let the slab begin there."""
        count = min(z - self._first, len(self._sum))
        if count <= 0:
            return
        end = min(self._first + count, len(self._result))
        for k, target in enumerate(self._result[self._first : end]):
            np.divide(self._sum[k], self._weight[k], out=self._sum[k], where=self._weight[k] > 0)
            target[...] = self._sum[k]
        for slab in (self._sum, self._weight):
            slab[:-count] = slab[count:]
            slab[-count:] = 0
        self._first = z


def predict_array(
    hu: npt.NDArray[np.int16],
    engine: Engine,
    recipe: Recipe,
    window: Index | None = None,
    inside: npt.NDArray[np.bool_] | None = None,
    control: Control | None = None,
) -> Generator[Progress, None, npt.NDArray[np.float16] | None]:
    """Find where nodules are, window by window.

    Parameters
    ----------
    hu
        A scan on the recipe's grid, as `prepared_hu` returns it.
    engine
        Prepared for ``window``.
    window
        Voxels (z, y, x); None: the recipe's.
    inside
        Where to look, on the same grid; None: everywhere.
    control
        Asked between windows.

    Yields
    ------
    Progress
        Windows done.

    Returns
    -------
    float16 array or None
        Probability (z, y, x), 0 where no window looked; None when stopped.
    """
    control = control or Uncontrolled()
    window = window or recipe.window
    step = recipe.network.step
    starts = plan_windows(hu, window, recipe.inference.overlap, step, inside)
    scaling = scaling_of(recipe.preparation, hu)
    z, y, x = hu.shape
    blender = SlabBlender((z, y, x), blending_weights(window))
    for done in range(0, len(starts), engine.batch_size):
        control.wait_while_paused()
        if control.stop_requested():
            return None
        batch = starts[done : done + engine.batch_size]
        blocks = np.stack([scaling.applied(_cut(hu, s, window)) for s in batch])
        for start, values in zip(batch, engine.run(blocks[:, None])[:, 0], strict=True):
            blender.add(start, values)
        yield Progress(done=done + len(batch), total=len(starts), unit="window")
    return blender.result()


def _cut(hu: npt.NDArray[Any], start: Index, window: Index) -> npt.NDArray[Any]:
    """Return the voxels of a window; where it reaches beyond the scan, its mirror image.

    Air there would be an edge that no patient has: measured, a network that never
    saw one finds nodules all along it (Dice 0.54 instead of 0.88).
    """
    part = hu[tuple(slice(s, s + w) for s, w in zip(start, window, strict=True))]
    missing = [(0, w - n) for w, n in zip(window, part.shape, strict=True)]
    return np.pad(part, missing, mode="symmetric") if any(m for _, m in missing) else part
