"""Carrying masks onto the prepared grid, and saying what was lost on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.formats import mask_onto
from napari_ctlns.masks.components import label_components, parts_of
from napari_ctlns.resampling import resample_array
from napari_ctlns.volume import Geometry, Volume


def carried(
    mask: Volume, scan: Volume, prepared: Geometry, name: str
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Carry a mask onto the prepared grid by nearest neighbour.

    Parameters
    ----------
    mask
        Labels (z, y, x) on any grid of the patient.
    scan
        The scan on its own grid.
    prepared
        The grid of the scan as it was prepared.
    name
        What a person knows the mask by.

    Returns
    -------
    array, tuple of str
        Labels on the prepared grid; and in words the nodules of the scan that have no
        voxel there, be it that they are thinner than its voxels or lie in slices left out.

    Raises
    ------
    MaskError
        If none of the mask lies on the scan.
    """
    if mask.geometry.same_grid(prepared):
        return mask.array, ()
    if not mask.geometry.same_grid(scan.geometry):
        mask_onto(mask, scan, name)
    # beyond its grid a mask is empty, not as its last layer
    padded = np.pad(mask.array, 1)
    around = mask.geometry.cropped((-1, -1, -1), padded.shape)
    array = resample_array(padded, around, prepared, "nearest")
    return array, _losses(mask, array, prepared, scan.geometry, name)


def numbered(mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return labels by nodule: a mask of one label only says nodule or not."""
    inside = mask > 0
    single = len(np.unique(mask[inside])) == 1
    return label_components(inside) if single else mask


def _losses(
    mask: Volume, array: npt.NDArray[Any], prepared: Geometry, scan: Geometry, name: str
) -> tuple[str, ...]:
    parts = parts_of(mask.array)
    lost = ~np.isin(parts.labels, np.unique(array))
    centres = mask.geometry.index_to_world(parts.centroids)
    thin = lost & prepared.contains(centres)
    left_out = lost & ~thin & scan.contains(centres)
    return (
        *_in_words(parts.labels[thin], name, "thinner than the voxels of the prepared grid: lost"),
        *_in_words(parts.labels[left_out], name, "in slices that the recipe leaves out"),
    )


def _in_words(labels: npt.NDArray[Any], name: str, why: str) -> Sequence[str]:
    if not len(labels):
        return ()
    nodules = "nodule" if len(labels) == 1 else "nodules"
    return (f"{nodules} {', '.join(map(str, labels))} of {name}: {why}",)
