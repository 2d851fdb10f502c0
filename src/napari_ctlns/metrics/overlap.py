"""Overlap of two masks, and the comparison that ``ctlns compare`` prints."""

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import MaskError
from napari_ctlns.metrics.surface import hausdorff95_mm
from napari_ctlns.volume import Volume


def dice(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return twice the common voxels over the sum of both; 1 if both are empty.

    Parameters
    ----------
    a, b
        Masks of one shape; every value but 0 counts as inside.
    """
    common, of_a, of_b = _counts(a, b)
    return 2 * common / (of_a + of_b) if of_a + of_b else 1.0


def iou(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the common voxels over those of either (Jaccard); 1 if both are empty.

    Parameters
    ----------
    a, b
        Masks of one shape; every value but 0 counts as inside.
    """
    common, of_a, of_b = _counts(a, b)
    return common / (of_a + of_b - common) if of_a + of_b else 1.0


def compare_masks(mask: Volume, truth: Volume) -> dict[str, float | None]:
    """Compare two masks of one grid, all labels taken together.

    Returns
    -------
    dict
        ``dice``, ``iou``, ``hausdorff95_mm`` (None if a mask is empty),
        ``volume_mm3``, ``truth_volume_mm3``. Two empty masks agree: Dice 1.

    Raises
    ------
    MaskError
        If their grids differ.
    """
    if not mask.geometry.same_grid(truth.geometry):
        message = "the two masks lie on different grids; bring one onto the other's grid first"
        raise MaskError(message)
    voxel = truth.geometry.voxel_volume
    return {
        "dice": dice(mask.array, truth.array),
        "iou": iou(mask.array, truth.array),
        "hausdorff95_mm": hausdorff95_mm(mask.array, truth.array, truth.geometry.spacing),
        "volume_mm3": float(np.count_nonzero(mask.array) * voxel),
        "truth_volume_mm3": float(np.count_nonzero(truth.array) * voxel),
    }


def _counts(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[int, int, int]:
    inside_a, inside_b = np.asarray(a) != 0, np.asarray(b) != 0
    if inside_a.shape != inside_b.shape:
        raise ValueError(f"masks of shapes {inside_a.shape} and {inside_b.shape} differ")
    both = int(np.count_nonzero(inside_a & inside_b))
    return both, int(np.count_nonzero(inside_a)), int(np.count_nonzero(inside_b))
