"""A scan goes through a network window by window, in little memory."""

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from napari_ctlns.dataset.blocks import cut_block
from napari_ctlns.events import Control, Progress, Uncontrolled
from napari_ctlns.inference.engines import Engine
from napari_ctlns.inference.planning import Index, answered, plan_tiling
from napari_ctlns.normalising import scaling_of
from napari_ctlns.recipe import Recipe

FloatArray = npt.NDArray[np.float32]


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
        Voxels (z, y, x); None: chosen by `plan_tiling`. A scan that is smaller gets a
        smaller one, if the model may be run at it.
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
    tiling = plan_tiling(hu, recipe, window, inside)
    window, starts, answer = tiling.window, tiling.starts, answered(tiling.window, recipe)
    # slices that a network of 2 dimensions sees below the one it answers for
    below = (window[0] - answer[0]) // 2
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
