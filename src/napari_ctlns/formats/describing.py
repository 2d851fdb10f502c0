"""What a scan tells about itself."""

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.volume import AIR_HU, Volume


def describe(volume: Volume) -> dict[str, Any]:
    """Return what ``ctlns info --json`` prints, of the source's own grid.

    Returns
    -------
    dict
        ``shape`` (z, y, x), ``spacing_mm`` (z, y, x), ``origin_mm`` (x, y, z),
        ``direction`` (three rows), ``hu_range`` [lowest, highest] with padding
        left out, ``series_uid``, ``format``, ``warnings``: JSON types only.
    """
    own = volume.geometry.source
    return {
        "shape": list(own.shape),
        "spacing_mm": list(own.spacing),
        "origin_mm": list(own.origin),
        "direction": [list(row) for row in own.direction],
        "hu_range": list(_hu_range(volume.array)),
        "series_uid": volume.source.series_uid,
        "format": volume.source.format,
        "warnings": list(volume.source.warnings),
    }


def _hu_range(array: npt.NDArray[Any]) -> tuple[int | float, int | float]:
    low, high = array.min(), array.max()
    if not (low >= AIR_HU and np.isfinite(high)):
        inside = array[np.isfinite(array) & (array >= AIR_HU)]
        if inside.size == 0:
            return AIR_HU, AIR_HU
        low, high = inside.min(), inside.max()
    return low.item(), high.item()
