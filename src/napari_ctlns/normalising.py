"""From HU to the numbers that a network is given."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ctlns.recipe import Preparation


@dataclass(frozen=True)
class Scaling:
    """Clips HU to ``low`` ... ``high``, then multiplies with ``factor`` and adds ``offset``."""

    low: float
    high: float
    factor: float
    offset: float

    def applied(self, hu: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Return HU of any shape as a network wants them."""
        clipped = np.clip(hu, self.low, self.high).astype(np.float32)
        return clipped * np.float32(self.factor) + np.float32(self.offset)


def scaling_of(preparation: Preparation, hu: npt.NDArray[np.int16]) -> Scaling:
    """Return how a recipe normalises a prepared scan.

    Parameters
    ----------
    preparation
        Its section of the recipe.
    hu
        The whole prepared scan (z, y, x). Only "standardise" looks at it: mean and
        standard deviation of the clipped values of the whole scan, not of a window,
        so that a voxel is the same number in every window.
    """
    low, high = preparation.clip_hu
    if preparation.normalisation == "divide":
        return Scaling(low, high, 1 / preparation.divisor, 0.0)
    if preparation.normalisation == "standardise":
        mean, deviation = _statistics(hu, low, high)
        return Scaling(low, high, 1 / deviation, -mean / deviation)
    return Scaling(low, high, 1 / (high - low), -low / (high - low))


def _statistics(hu: npt.NDArray[np.int16], low: float, high: float) -> tuple[float, float]:
    """Return mean and standard deviation of clipped HU, slice by slice, from their histogram.

    A histogram is exact for whole numbers and needs no copy of the scan.
    """
    first, last = int(np.ceil(low)), int(np.floor(high))
    counts = np.zeros(last - first + 1, np.int64)
    for plane in hu:
        clipped = np.clip(plane, first, last).ravel().astype(np.int64) - first
        counts += np.bincount(clipped, minlength=len(counts))
    values = np.arange(first, last + 1)
    mean = float(np.average(values, weights=counts))
    deviation = float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
    return mean, max(deviation, 1.0)  # one value everywhere stays near zero
