"""A scan goes through a network window by window, in little memory."""

import math
from collections.abc import Callable, Generator

import numpy as np
import numpy.typing as npt

from napari_ctlns.dataset.blocks import cut_block
from napari_ctlns.events import Control, Log, Progress, Uncontrolled
from napari_ctlns.inference.engines import Engine
from napari_ctlns.inference.memory import DeviceMemoryError, at_once, too_small
from napari_ctlns.inference.planning import Index, Tiling, answered, plan_tiling
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

    Besides the mean itself only the weights of as many slices as a window is deep are held;
    slices that no later window reaches are divided by theirs.

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
        self._result = np.zeros(shape, np.float32)
        # those of slice z at z modulo their number
        self._sums = np.zeros((len(weights), *shape[1:]), np.float32)

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
        place = (slice(y, y + height), slice(x, x + width))
        for k in range(depth):
            weights = self._weights[k, :height, :width]
            self._result[z + k][place] += values[k, :height, :width] * weights
            self._sums[(z + k) % len(self._sums)][place] += weights

    def result(self) -> FloatArray:
        """Return the blended array; 0 where there was no window."""
        self._finish_up_to(len(self._result))
        return self._result

    def _finish_up_to(self, z: int) -> None:
        """Divide the slices below ``z`` by their weights."""
        for k in range(self._first, min(z, self._first + len(self._sums), len(self._result))):
            sums = self._sums[k % len(self._sums)]
            # where nothing is written the system need not give memory
            rows = np.flatnonzero(sums.any(axis=1))
            if len(rows):
                seen = slice(rows[0], rows[-1] + 1)
                np.divide(
                    self._result[k, seen], sums[seen], self._result[k, seen], where=sums[seen] > 0
                )
                sums[seen] = 0
        self._first = z


class _Shown:
    """The windows of a tiling that an engine was shown, and its answers to them, blended."""

    def __init__(self, hu: npt.NDArray[np.int16], recipe: Recipe, tiling: Tiling) -> None:
        answer = answered(tiling.window, recipe)
        self.tiling = tiling
        self.count = 0
        self._hu = hu
        self._scaling = scaling_of(recipe.preparation, hu)
        # slices that a network of 2 dimensions sees below the one it answers for
        self._below = (tiling.window[0] - answer[0]) // 2
        z, y, x = hu.shape
        self._blender = SlabBlender((z, y, x), blending_weights(answer))

    @property
    def left(self) -> int:
        """How many windows there are still to show."""
        return len(self.tiling.starts) - self.count

    def fits(self, engine: Engine, windows: int) -> bool:
        """Show an engine the next windows, if they fit into the memory of its device."""
        starts = self.tiling.starts[self.count : self.count + windows]
        blocks = [
            cut_block(self._hu, (z - self._below, y, x), self.tiling.window) for z, y, x in starts
        ]
        batch = np.stack([self._scaling.applied(block) for block in blocks])[:, None]
        try:
            values = engine.run(batch)
        except DeviceMemoryError:
            return False
        for start, value in zip(starts, values[:, 0], strict=True):
            self._blender.add(start, value)
        self.count += len(starts)
        return True

    def blended(self) -> FloatArray:
        """Return the answers, 0 where no window was shown."""
        return self._blender.result()


def predict_array(
    hu: npt.NDArray[np.int16],
    engine: Engine,
    recipe: Recipe,
    window: Index | None = None,
    inside: npt.NDArray[np.bool_] | None = None,
    control: Control | None = None,
    on_cpu: Callable[[], Engine] | None = None,
) -> Generator[Log | Progress, None, FloatArray | None]:
    """Find where nodules are, window by window.

    What does not fit into the memory of a GPU is tried with half as many windows at once,
    then with windows of half the size, if the model may be run at them, then on the CPU.

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
    on_cpu
        Prepares an engine for the same model that needs no GPU; None: there is none.

    Yields
    ------
    Progress
        Windows done.
    Log
        A warning that memory is short, and how it goes on.

    Returns
    -------
    float32 array or None
        Probability (z, y, x), 0 where no window looked; None when stopped.

    Raises
    ------
    DeviceMemoryError
        If all that was in vain.
    """
    control = control or Uncontrolled()
    planned = plan_tiling(hu, recipe, window, inside)
    shown, windows = _Shown(hu, recipe, planned), engine.batch_size
    while shown.left:
        control.wait_while_paused()
        if control.stop_requested():
            return None
        windows = min(windows, shown.left)
        if shown.fits(engine, windows):
            yield Progress(done=shown.count, total=len(shown.tiling.starts), unit="window")
        elif windows > 1:
            windows //= 2
            yield _goes_on(at_once(windows))
        elif (smaller := _smaller(shown.tiling, hu, recipe, inside)) is not None:
            shown = _Shown(hu, recipe, smaller)
            yield _goes_on(f"with windows of {' x '.join(map(str, smaller.window))}")
        elif on_cpu is not None:
            yield _goes_on("with the CPU, which takes longer")
            engine, on_cpu = on_cpu(), None
            yield from (Log(message=note, level="warning") for note in engine.notes)
            windows = engine.batch_size
            if shown.tiling is not planned:  # what the GPU answered at its own windows is kept
                shown = _Shown(hu, recipe, planned)
        else:
            raise DeviceMemoryError("GPU memory is too small for one window; choose the device cpu")
    return shown.blended()


def _smaller(
    tiling: Tiling,
    hu: npt.NDArray[np.int16],
    recipe: Recipe,
    inside: npt.NDArray[np.bool_] | None,
) -> Tiling | None:
    """Return windows of half the voxels, or the smallest that the network is run at.

    None if they are that small already: as the patches that it learned from, or as the one
    window that it takes.
    """
    most = math.prod(answered(tiling.window, recipe)) // 2
    smaller = plan_tiling(hu, recipe, None, inside, most)
    return smaller if math.prod(smaller.window) < math.prod(tiling.window) else None


def _goes_on(remedy: str) -> Log:
    return Log(message=too_small(remedy), level="warning")
