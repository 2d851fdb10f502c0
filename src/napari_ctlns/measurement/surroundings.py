"""What lies around one nodule: the scan's edge, and the density of the lung."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.masks.coarse import AIR_OR_LUNG_HU, PURE_AIR_HU, distance
from napari_ctlns.masks.components import Bools, Box
from napari_ctlns.masks.label_box import around
from napari_ctlns.volume import Volume

NEAR_MM, FAR_MM = 2.0, 5.0
"""The lung around a nodule: nearer its border is blurred, farther away is other lung."""


def cut_by_edge(scan: Volume, box: Box, inside: Bools) -> bool:
    """Whether a nodule may go on where nothing was measured.

    That is beyond the faces of the array, and beyond a round field of view: voxels of one
    value, as dark as air or darker, all the way to the edge of their slice.

    Parameters
    ----------
    scan
        The CT.
    box
        Fits the nodule closely.
    inside
        Its voxels in the box.
    """
    shape = scan.geometry.shape
    if any(s.start == 0 or s.stop == n for s, n in zip(box, shape, strict=True)):
        return True
    wider = around(box, shape, scan.geometry.spacing, 0.0)
    touched = ndimage.binary_dilation(_put(inside, box, wider)) & (
        np.asarray(scan.array[wider] < PURE_AIR_HU)
    )
    return any(
        _reaches_edge(scan.array[wider[0].start + z], wider, touched[z])
        for z in np.flatnonzero(touched.any(axis=(1, 2)))
    )


def _reaches_edge(plane: npt.NDArray[Any], box: Box, touched: Bools) -> bool:
    """Whether a touched pixel and the edge of the plane are joined by pixels of one value."""
    rows, columns = box[1], box[2]
    for value in np.unique(plane[rows, columns][touched]):
        pieces, _ = ndimage.label(plane == value)
        edge = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
        here = pieces[rows, columns][touched]
        if np.isin(here[here != 0], edge).any():
            return True
    return False


def surroundings_hu(
    mask: Volume, scan: Volume, label: int, box: Box, lungs: Volume | None = None
) -> float:
    """Return the HU of the lung around a nodule: the median from 2 to 5 mm away from it.

    Other nodules are left out, and what is no lung: what lies beyond the lungs, and what is
    denser than -400 HU, as vessels and the chest wall are.

    Parameters
    ----------
    mask, scan, lungs
        On one grid; without lungs HU alone tell what is lung.
    label, box
        Of the nodule, and what fits it closely.

    Returns
    -------
    float
        NaN if no lung is there.
    """
    wider = around(box, mask.geometry.shape, mask.geometry.spacing, FAR_MM)
    labels = mask.array[wider]
    away = distance(labels == label, mask.geometry.spacing)
    hu = scan.array[wider]
    shell = (away > NEAR_MM) & (away <= FAR_MM) & (labels == 0) & (hu < AIR_OR_LUNG_HU)
    if lungs is not None:
        shell &= lungs.array[wider] != 0
    values = hu[shell].astype(float)
    return float(np.median(np.fmax(values, -1024))) if values.size else float("nan")


def _put(inside: Bools, box: Box, wider: Box) -> Bools:
    """Return the voxels of a box in a wider one."""
    result = np.zeros([s.stop - s.start for s in wider], np.bool_)
    z, y, x = (slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wider, strict=True))
    result[z, y, x] = inside
    return result
