"""From HU to the numbers that a network is given."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

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
        values = hu.astype(np.float32)
        np.clip(values, self.low, self.high, out=values)
        values *= np.float32(self.factor)
        values += np.float32(self.offset)
        return values


class HuStatistics(BaseModel):
    """Mean and standard deviation of a whole scan, HU, clipped to ``low`` ... ``high``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    low: float
    high: float
    mean: float
    deviation: float


def hu_statistics(preparation: Preparation, hu: npt.NDArray[np.int16]) -> HuStatistics:
    """Return what "standardise" needs to know of a prepared scan (z, y, x).

    Slice by slice, from a histogram: that is exact for whole numbers and needs no copy
    of the scan.
    """
    low, high = preparation.clip_hu
    first, last = int(np.ceil(low)), int(np.floor(high))
    counts = np.zeros(last - first + 1, np.int64)
    for plane in hu:
        clipped = np.clip(plane, first, last).ravel().astype(np.int64) - first
        counts += np.bincount(clipped, minlength=len(counts))
    values = np.arange(first, last + 1)
    mean = float(np.average(values, weights=counts))
    deviation = float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
    return HuStatistics(low=low, high=high, mean=mean, deviation=deviation)


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
    if preparation.normalisation == "standardise":
        return standardised(hu_statistics(preparation, hu))
    return fixed_scaling(preparation)


def standardised(statistics: HuStatistics) -> Scaling:
    """Return the scaling that gives a scan of these statistics mean 0 and deviation 1."""
    deviation = max(statistics.deviation, 1.0)  # one value everywhere stays near zero
    return Scaling(statistics.low, statistics.high, 1 / deviation, -statistics.mean / deviation)


def fixed_scaling(preparation: Preparation) -> Scaling:
    """Return the scaling of "range" and "divide", which is the same for all scans."""
    low, high = preparation.clip_hu
    if preparation.normalisation == "divide":
        factor = 1 / preparation.divisor
        return Scaling(low, high, factor, -preparation.subtrahend * factor)
    return Scaling(low, high, 1 / (high - low), -low / (high - low))
