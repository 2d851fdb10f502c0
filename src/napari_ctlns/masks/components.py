"""Connected components of masks: labelling, sizes, removal of small ones."""

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt

from napari_ctlns.volume import FloatArray, Volume

LabelArray = npt.NDArray[np.unsignedinteger[Any]]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Parts:
    """Where the labels of a mask lie and how large they are.

    Attributes
    ----------
    labels
        The labels present, ascending, without 0; shape (n,).
    voxels
        How many voxels each has; shape (n,).
    centroids
        The mean index (z, y, x) of each one's voxels; shape (n, 3).
    """

    labels: IntArray
    voxels: IntArray
    centroids: FloatArray


def parts_of(mask: npt.NDArray[Any]) -> Parts:
    """Return labels, sizes and centroids of an integer or boolean mask (z, y, x)."""
    where = np.nonzero(mask)
    labels, inverse = np.unique(mask[where].astype(np.int64), return_inverse=True)
    voxels = np.bincount(inverse, minlength=len(labels))
    sums = [np.bincount(inverse, weights=axis, minlength=len(labels)) for axis in where]
    centroids = np.stack(sums, axis=-1) / np.maximum(voxels, 1)[:, None]
    return Parts(labels, voxels, centroids)


def smallest_dtype(highest_label: int) -> np.dtype[Any]:
    """Return the smallest unsigned type, uint8 or more, that holds a label."""
    return np.dtype(np.min_scalar_type(max(int(highest_label), 0)))


def equivalent_diameter_mm(volume_mm3: float) -> float:
    """Return the diameter of the sphere that has this volume."""
    return float((6 * volume_mm3 / np.pi) ** (1 / 3))


def label_components(binary: npt.NDArray[Any]) -> LabelArray:
    """Return the connected components of a mask, numbered by size.

    Parameters
    ----------
    binary
        (z, y, x); every value but 0 counts as inside. Voxels that share a face, an
        edge or a corner are connected.

    Returns
    -------
    numpy.ndarray
        Unsigned, (z, y, x): 1 for the largest component, 2 for the next; 0 outside.
        Components of equal size keep the order of their first voxels.
    """
    found, count = cc3d.connected_components(
        np.asarray(binary) != 0, connectivity=26, return_N=True
    )
    sizes = np.bincount(found[found != 0], minlength=count + 1)
    by_size = 1 + np.argsort(-sizes[1:], kind="stable")
    return renumbered(found, by_size, count + 1)


def remove_small(
    labels: npt.NDArray[Any], voxel_volume: float, min_diameter_mm: float
) -> LabelArray:
    """Drop labels of less volume than a sphere of ``min_diameter_mm``.

    Parameters
    ----------
    labels
        (z, y, x), one label per object.
    voxel_volume
        Cubic millimetres of a voxel.
    min_diameter_mm
        Equivalent sphere diameter from which an object stays.

    Returns
    -------
    numpy.ndarray
        Unsigned, (z, y, x); the remaining labels are 1 to n in their old order.
    """
    sizes = np.bincount(labels[labels != 0])
    smallest = np.pi / 6 * min_diameter_mm**3 / voxel_volume
    # a hair of tolerance, so that a volume computed from the same diameter stays
    kept = np.flatnonzero((sizes > 0) & (sizes >= smallest * (1 - 1e-9)))
    return renumbered(labels, kept, len(sizes))


def mask_from_probability(
    probability: Volume, threshold: float, min_diameter_mm: float = 0.0
) -> Volume:
    """Turn a probability into a mask with one label per component.

    Parameters
    ----------
    probability
        Values from 0 to 1.
    threshold
        Voxels of at least this probability are inside.
    min_diameter_mm
        Components of less volume than a sphere of this diameter are dropped.

    Returns
    -------
    Volume
        A mask, uint8 or uint16, labels 1 to n by size; of more than 65,535 components
        only the largest are kept.
    """
    labels = label_components(probability.array >= threshold)
    labels = remove_small(labels, probability.geometry.voxel_volume, min_diameter_mm)
    if labels.dtype.itemsize > np.dtype(np.uint16).itemsize:
        limit = np.iinfo(np.uint16).max
        labels = np.where(labels > limit, 0, labels).astype(np.uint16)
    return probability.mask(labels)


def renumbered(labels: npt.NDArray[Any], kept: IntArray, length: int) -> LabelArray:
    """Give ``kept[i]`` of labels below ``length`` the new label ``i + 1``, all others 0."""
    new = np.zeros(length, smallest_dtype(len(kept)))
    new[kept] = np.arange(1, len(kept) + 1)
    result = np.zeros_like(labels, dtype=new.dtype)
    inside = labels != 0  # few voxels, of a large scan
    result[inside] = new[labels[inside]]
    return result
