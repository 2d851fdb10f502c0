"""Values that cannot be HU: what a network trained on HU would silently find nothing in."""

from typing import Any

import numpy as np
import numpy.typing as npt

_SAMPLE = 300_000
_PICTURE = 255
_NO_AIR_ABOVE_HU = -200
_NARROWEST_HU = 100
"""Between air and soft tissue lie 1000 HU, between fat and muscle 100."""

_SHIFT = 1024


def value_warnings(array: npt.NDArray[Any]) -> list[str]:
    """Say what of the values of a CT cannot be HU.

    Extremes are of all voxels, shares of a sample on an even lattice.

    Parameters
    ----------
    array
        Voxels (z, y, x), of any type.

    Returns
    -------
    list of str
        Each naming HU; empty for a chest CT, masked or cropped.
    """
    # plane by plane: each is still in the cache when its maximum is looked for
    ends = np.array([(plane.min(), plane.max()) for plane in array])
    low, high = ends[:, 0].min(), ends[:, 1].max()
    words = []
    if not (np.isfinite(low) and np.isfinite(high)):
        inside = np.isfinite(array)
        bad = int(array.size - np.count_nonzero(inside))
        words.append(f"{bad} voxels are no numbers: they count as -1024 HU")
        if bad == array.size:
            return words
        low = array.min(where=inside, initial=np.inf)
        high = array.max(where=inside, initial=-np.inf)
    wrong = _why_not_hu(array, float(low), float(high))
    return [*words, f"not in HU: {wrong}"] if wrong else words


def _why_not_hu(array: npt.NDArray[Any], low: float, high: float) -> str:
    if low == high:
        return f"every voxel is {low:g}"
    if array.dtype.itemsize == 1:
        return f"the values are 8-bit, {'-128 to 127' if array.dtype == np.int8 else '0 to 255'}"
    if high <= 1 and low >= -1:
        within = "0 to 1" if low >= 0 else "-1 to 1"
        return f"all values lie within {within}, as in a normalised scan"
    if low >= 0 and high <= _PICTURE:
        return "all values lie within 0 to 255, as in a picture"
    if high - low <= _NARROWEST_HU and low > -_NARROWEST_HU:
        return _why_so_narrow(_sample(array), low, high)
    if _is_shifted(_sample(array)):
        return f"air lies near 0 and tissue near {_SHIFT}: they look shifted by {_SHIFT}"
    if low > _NO_AIR_ABOVE_HU:
        return f"no air in it, the lowest value is {low:g}; or it is a crop without lung"
    return ""


def _why_so_narrow(sample: npt.NDArray[np.float64], low: float, high: float) -> str:
    within = f"all values lie within {low:.3g} to {high:.3g}"
    mean, spread = float(sample.mean()), float(sample.std())
    if abs(mean) < 1 and 0.3 < spread < 3:
        return f"{within}, with mean {mean:.2g} and spread {spread:.2g}, as in a normalised scan"
    return f"{within}, too close for air and tissue"


def _is_shifted(sample: npt.NDArray[np.float64]) -> bool:
    """Whether there are stored values in place of HU: nothing where lung lies, air at 0.

    Padding below -1024 is left out of account.
    """
    lung, air, tissue = (
        float(np.mean((sample >= low) & (sample < high)))
        for low, high in ((-1023, -150), (-150, 300), (900, 1250))
    )
    return lung < 1e-3 and air > 0.02 and tissue > 0.1


def _sample(array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return about `_SAMPLE` of the finite values."""
    step = max(1, round((array.size / _SAMPLE) ** (1 / 3)))
    values = array[::step, ::step, ::step].astype(np.float64).ravel()
    values = values[np.isfinite(values)]
    return values if values.size else array[np.isfinite(array)][:_SAMPLE].astype(np.float64)
