"""A scan goes through a network window by window, in little memory."""

import itertools
from collections.abc import Callable, Generator

import numpy as np
import numpy.typing as npt

from napari_ctlns.dataset.blocks import cut_block
from napari_ctlns.events import Control, Progress, Uncontrolled
from napari_ctlns.inference.engines import Engine
from napari_ctlns.normalising import scaling_of
from napari_ctlns.recipe import Recipe

Index = tuple[int, int, int]
Part = tuple[slice, slice, slice]
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
    shape: Index, recipe: Recipe, answer: Index, needed: Callable[[Part], bool]
) -> list[Index]:
    """Return where answers begin that cover a scan, (z, y, x) by rising z.

    Parameters
    ----------
    shape
        Of the scan.
    recipe
        Its network's steps and its overlap count.
    answer
        Voxels of one answer, see `answered`.
    needed
        Whether a part of the scan needs a look.
    """
    sides = zip(shape, answer, recipe.network.steps, strict=True)
    axes = [window_starts(n, side, recipe.inference.overlap, step) for n, side, step in sides]
    starts = []
    for z, y, x in itertools.product(*axes):
        ends = (z + answer[0], y + answer[1], x + answer[2])
        if needed((slice(z, ends[0]), slice(y, ends[1]), slice(x, ends[2]))):
            starts.append((z, y, x))
    return starts


def answered(window: Index, recipe: Recipe) -> Index:
    """Return the voxels of a window that a network answers for: in 2 dimensions one slice."""
    return (1, *window[1:]) if recipe.network.dimensions == 2 else window


def fitting_window(window: Index, shape: Index, recipe: Recipe) -> Index:
    """Return a window no larger than a scan needs, for models that any window will do for."""
    network = recipe.network
    if network.depends_on_window:
        return window
    steps = zip(window, shape, network.steps, strict=True)
    z, y, x = (min(side, -(-n // step) * step) for side, n, step in steps)
    return (window[0] if network.dimensions == 2 else z, y, x)


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
        Voxels (z, y, x); None: the recipe's. A scan that is smaller gets a smaller
        one, if the model may be run at it.
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
    z, y, x = hu.shape
    window = fitting_window(window or recipe.window, (z, y, x), recipe)
    answer = answered(window, recipe)
    # slices that a network of 2 dimensions sees below the one it answers for
    below = (window[0] - answer[0]) // 2
    starts = plan_windows((z, y, x), recipe, answer, _needed(hu, recipe, inside))
    scaling = scaling_of(recipe.preparation, hu)
    blender = SlabBlender((z, y, x), blending_weights(answer))
    for done in range(0, len(starts), engine.batch_size):
        control.wait_while_paused()
        if control.stop_requested():
            return None
        batch = starts[done : done + engine.batch_size]
        blocks = [cut_block(hu, (z - below, y, x), window) for z, y, x in batch]
        values = engine.run(np.stack([scaling.applied(block) for block in blocks])[:, None])
        for start, value in zip(batch, values[:, 0], strict=True):
            blender.add(start, value)
        yield Progress(done=done + len(batch), total=len(starts), unit="window")
    return blender.result()


def _needed(
    hu: npt.NDArray[np.int16], recipe: Recipe, inside: npt.NDArray[np.bool_] | None
) -> Callable[[Part], bool]:
    """Return what tells whether a part of a scan needs a look: inside, and not mere air."""

    def needed(part: Part) -> bool:
        if inside is not None and not inside[part].any():
            return False
        return recipe.structure == "lung" or bool(hu[part].max() > AIR_ONLY_HU)

    return needed
