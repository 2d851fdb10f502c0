"""Masks from files: labels of nodules, on their own grid or a scan's."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.mask_files import mask_file
from napari_ctlns.formats.rtstruct import is_rtstruct, read_rtstruct, structure_mask
from napari_ctlns.formats.scans import read_scan
from napari_ctlns.formats.seg import is_seg, read_seg, read_seg_onto
from napari_ctlns.resampling import placed, resample_array
from napari_ctlns.volume import Geometry, Volume

_Array = npt.NDArray[Any]
_MOST_LABELS = 65535
_SAME_MM = 0.05
"""Grids that agree so far differ in the rounding of their headers only."""


def read_mask(
    path: str | os.PathLike[str], *, structures: Sequence[str] = (), scan: Volume | None = None
) -> Volume:
    """Read a mask: 0 is background, every other whole number a label.

    Parameters
    ----------
    path
        An image file, a DICOM SEG or RTSTRUCT, or a folder that holds one of those two.
    structures
        Take only segments or structures of these names; the k-th of them gets label k.
    scan
        The scan it was drawn on, if known: an RTSTRUCT is drawn on its grid, and a
        SEG of its slices read onto it.

    Returns
    -------
    Volume
        Kind "mask", (z, y, x), axes along LPS, uint8 or uint16. It may be empty.

    Raises
    ------
    ScanError
        If the file cannot be read.
    MaskError
        If its values cannot be labels, a structure is not there, a SEG or RTSTRUCT is
        damaged or contradicts the scan, or an RTSTRUCT has no scan to be drawn on.
    """
    path = mask_file(Path(path))
    names = tuple(structures)
    if is_seg(path):
        return read_seg(path, names) if scan is None else read_seg_onto(path, scan, names)
    if is_rtstruct(path):
        if scan is None:
            message = f"the contours of {path} have no voxels of their own"
            raise MaskError(f"{message}; open the scan they were drawn on first")
        drawn = structure_mask(read_rtstruct(path), scan, names)
        return replace(drawn, source=replace(drawn.source, path=path, format="rtstruct"))
    if names:
        message = f"no structure {names[0]} in {path}: the labels of an image have no names"
        raise MaskError(f"{message}; give a DICOM SEG or RTSTRUCT, or leave the names out")
    volume = read_scan(path)
    labels = _labels(volume.array, path)
    # remarks on HU mean nothing for labels
    words = tuple(w for w in volume.source.warnings if "HU" not in w)
    source = replace(volume.source, warnings=words)
    return replace(volume, array=labels, kind="mask", source=source)


def read_mask_onto(
    path: str | os.PathLike[str], volume: Volume, *, structures: Sequence[str] = ()
) -> Volume:
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
        As `read_mask`, and if none of it lies on the scan.
    """
    return mask_onto(read_mask(path, structures=structures, scan=volume), volume, str(path))


def mask_onto(mask: Volume, volume: Volume, name: str) -> Volume:
    """Carry a mask, known to the person as ``name``, onto the grid of ``volume``.

    As `read_mask_onto` does, for a mask that is in memory already.

    Raises
    ------
    MaskError
        If none of it lies on the scan.
    """
    array, words = mask.array, mask.source.warnings
    if not mask.geometry.same_grid(volume.geometry):
        array, more = _carried(mask, volume, name)
        words = (*words, *more)
    # it lies on the grid of the scan now, and goes back onto the scan's slices
    slices, plane = volume.source.slices, volume.source.plane
    source = replace(mask.source, slices=slices, plane=plane, warnings=words)
    if slices:
        source = replace(source, series_uid=volume.source.series_uid)
    return replace(volume.mask(array), source=source)


def _carried(mask: Volume, volume: Volume, name: str) -> tuple[_Array, tuple[str, ...]]:
    """Return a mask of another grid on that of ``volume``, and what a person should know."""
    if not _overlap(mask.geometry, volume.geometry):
        message = f"the mask {name} lies beside the scan, not on it"
        raise MaskError(f"{message}; give the mask of this scan ({volume.scan_id})")
    words: tuple[str, ...] = ("the mask had another grid: carried over by nearest neighbour",)
    start = _start(mask.geometry, volume.geometry)
    if start is None:
        # resampling lets values reach a little beyond the grid's faces: here background
        padded = np.pad(mask.array, 1)
        grid = mask.geometry.cropped((-1, -1, -1), padded.shape)
        carried = resample_array(padded, grid, volume.geometry, "nearest")
    else:
        carried = placed(mask.array, start, volume.geometry.shape)
        # a SEG may leave out planes, which are empty: that is no news
        words = () if mask.source.format == "seg" else words
    if mask.array.any() and not carried.any():
        message = f"no voxel of the mask {name} lies on the scan"
        raise MaskError(f"{message}; give the mask of this scan ({volume.scan_id})")
    return carried, words


def _start(one: Geometry, other: Geometry) -> tuple[int, ...] | None:
    """Return where on ``other`` the first voxel of ``one`` lies, if it is a part of that grid."""
    start = np.rint(other.world_to_index(one.origin)).astype(int)
    part = other.cropped(start, one.shape)
    return tuple(int(s) for s in start) if part.same_grid(one, _SAME_MM) else None


def _labels(array: _Array, path: Path) -> _Array:
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
