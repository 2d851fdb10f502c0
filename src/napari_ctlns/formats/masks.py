"""Masks from files: labels of nodules, on their own grid or a scan's."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.scans import read_scan
from napari_ctlns.resampling import resample_array
from napari_ctlns.volume import Geometry, Volume

_MOST_LABELS = 65535


def read_mask(path: str | os.PathLike[str]) -> Volume:
    """Read a mask: 0 is background, every other whole number a label.

    Returns
    -------
    Volume
        Kind "mask", (z, y, x), axes along LPS, uint8 or uint16. It may be empty.

    Raises
    ------
    ScanError
        If the file cannot be read.
    MaskError
        If its values cannot be labels.
    """
    volume = read_scan(path)
    labels = _labels(volume.array, Path(path))
    # remarks on HU mean nothing for labels
    words = tuple(w for w in volume.source.warnings if "HU" not in w)
    source = replace(volume.source, warnings=words)
    return replace(volume, array=labels, kind="mask", source=source)


def read_mask_onto(path: str | os.PathLike[str], volume: Volume) -> Volume:
    """Read a mask and carry it onto the grid of ``volume``.

    A mask on another grid is carried over by nearest neighbour, with a warning.

    Returns
    -------
    Volume
        Kind "mask" on ``volume.geometry``, known by the ids of ``volume``.

    Raises
    ------
    ScanError
        If the file cannot be read.
    MaskError
        If its values cannot be labels, or none of it lies on the scan.
    """
    return mask_onto(read_mask(path), volume, str(path))


def mask_onto(mask: Volume, volume: Volume, name: str) -> Volume:
    """Carry a mask, known to the person as ``name``, onto the grid of ``volume``.

    As `read_mask_onto` does, for a mask that is in memory already.

    Raises
    ------
    MaskError
        If none of it lies on the scan.
    """
    if mask.geometry.same_grid(volume.geometry):
        return replace(volume.mask(mask.array), source=mask.source)
    if not _overlap(mask.geometry, volume.geometry):
        message = f"the mask {name} lies beside the scan, not on it"
        raise MaskError(f"{message}; give the mask of this scan ({volume.scan_id})")
    # resampling lets values reach a little beyond the grid's faces: here background
    padded = np.pad(mask.array, 1)
    grid = mask.geometry.cropped((-1, -1, -1), padded.shape)
    carried = resample_array(padded, grid, volume.geometry, "nearest")
    if mask.array.any() and not carried.any():
        message = f"no voxel of the mask {name} lies on the scan"
        raise MaskError(f"{message}; give the mask of this scan ({volume.scan_id})")
    words = (*mask.source.warnings, "the mask had another grid: carried over by nearest neighbour")
    return replace(volume.mask(carried), source=replace(mask.source, warnings=words))


def _labels(array: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= _MOST_LABELS):
        message = f"not a mask: {path} holds values from {low} to {high}"
        raise MaskError(f"{message}; labels go from 0 to {_MOST_LABELS}")
    labels = array.astype(np.uint8 if high <= 255 else np.uint16, copy=False)
    if not np.issubdtype(array.dtype, np.integer) and not np.array_equal(labels, array):
        message = f"not a mask: {path} holds values that are not whole numbers"
        raise MaskError(f"{message}; threshold a probability first")
    return labels


def _overlap(one: Geometry, other: Geometry) -> bool:
    """Whether the box around ``one``, seen from ``other``, meets it."""
    faces = [(-0.5, n - 0.5) for n in one.shape]
    corners = np.array(np.meshgrid(*faces, indexing="ij")).reshape(3, -1).T
    seen = other.world_to_index(one.index_to_world(corners))
    last = np.asarray(other.shape) - 0.5
    return bool(((seen.max(axis=0) > -0.5) & (seen.min(axis=0) < last)).all())
