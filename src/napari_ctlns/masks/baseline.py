"""What can be found without learning: round things in the lungs.

The classic first step of nodule detection, here to say how hard a scan is.
"""

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.errors import MaskError
from napari_ctlns.masks.components import LabelArray, renumbered
from napari_ctlns.volume import FloatArray, Geometry, Volume

THRESHOLD_HU = -400
"""Halfway between lung and soft tissue."""
DIAMETERS_MM = (4.0, 30.0)
"""Smaller than a nodule worth following up, and larger than a nodule by definition."""
LEAST_ROUNDNESS = 0.5
"""An ellipsoid three times as long as wide has 0.57."""
RIM_MM = 2.5
"""How far a lung mask may reach into the chest wall; the wall is no candidate."""


def round_components(volume: Volume, lungs: Volume) -> tuple[LabelArray, FloatArray]:
    """Threshold the lungs and keep what is round and as large as a nodule.

    Parameters
    ----------
    volume
        A CT in HU.
    lungs
        A mask of the lungs on the same grid, their vessels and nodules filled in.

    Returns
    -------
    labels : numpy.ndarray
        Unsigned, (z, y, x): candidates 1 to n, in no particular order, 0 elsewhere.
        Voxels that share a face are connected, which keeps nodules and vessels apart
        better than corners would.
    scores : numpy.ndarray
        The roundness of each candidate, shape (n,): the mean squared distance from the
        centre in a ball of equal volume, over that in the candidate; 1 for a ball.

    Raises
    ------
    MaskError
        If the grids differ.
    """
    if not volume.geometry.same_grid(lungs.geometry):
        raise MaskError("lung mask and scan lie on different grids; make it from this scan")
    size = [1 + 2 * round(RIM_MM / s) for s in volume.geometry.spacing]
    inner = ndimage.minimum_filter(lungs.array, size=size, mode="nearest") != 0
    dense = (volume.array >= THRESHOLD_HU) & inner
    labels, count = cc3d.connected_components(dense, connectivity=6, return_N=True)
    diameter, roundness = _shapes(labels, count, volume.geometry)
    kept = (diameter >= DIAMETERS_MM[0]) & (diameter <= DIAMETERS_MM[1])
    kept &= roundness >= LEAST_ROUNDNESS
    return renumbered(labels, np.flatnonzero(kept) + 1, count + 1), roundness[kept]


def _shapes(
    labels: npt.NDArray[np.integer], count: int, geometry: Geometry
) -> tuple[FloatArray, FloatArray]:
    """Return equivalent diameter (mm) and roundness of labels 1 to ``count``."""
    where = np.nonzero(labels)
    which = labels[where].astype(np.intp) - 1
    voxels = np.bincount(which, minlength=count).astype(float)
    spread = np.full(count, float(np.square(geometry.spacing).sum()) / 12)  # within a voxel
    for axis, spacing in zip(where, geometry.spacing, strict=True):
        mean = np.bincount(which, axis * spacing, minlength=count) / voxels
        offset = axis * spacing - mean[which]
        spread += np.bincount(which, offset * offset, minlength=count) / voxels
    radius = (3 / (4 * np.pi) * voxels * geometry.voxel_volume) ** (1 / 3)
    return 2 * radius, 0.6 * radius**2 / spread
