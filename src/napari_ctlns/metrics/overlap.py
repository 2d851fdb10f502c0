"""Overlap of two masks, and the comparison that ``ctlns compare`` prints."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import MaskError
from napari_ctlns.metrics.surface import hausdorff95_mm
from napari_ctlns.volume import Volume


@dataclass(frozen=True)
class VoxelCounts:
    """How the voxels of a predicted mask and a true one agree.

    Attributes
    ----------
    both
        Inside both (true positives).
    predicted, true
        Inside each of them.
    total
        Of the whole array.
    """

    both: int
    predicted: int
    true: int
    total: int

    @property
    def dice(self) -> float:
        """Twice the common voxels over the sum of both (Dice 1945); 1 if both are empty."""
        either = self.predicted + self.true
        return 2 * self.both / either if either else 1.0

    @property
    def iou(self) -> float:
        """The common voxels over those of either (Jaccard); 1 if both are empty."""
        return self.both / self._either if self._either else 1.0

    @property
    def mean_iou(self) -> float:
        """The mean of the IoU of what is inside and of what is outside.

        In a large scan the outside agrees nearly everywhere: 0.5 is then as bad as it gets.
        """
        neither, not_both = self.total - self._either, self.total - self.both
        return (self.iou + (neither / not_both if not_both else 1.0)) / 2

    @property
    def accuracy(self) -> float:
        """The share of all voxels that are right; of few true voxels it tells next to nothing."""
        return 1 - (self._either - self.both) / self.total

    @property
    def sensitivity(self) -> float | None:
        """The share of the true voxels that were found; None if there are none."""
        return self.both / self.true if self.true else None

    @property
    def precision(self) -> float | None:
        """The share of the predicted voxels that are true; None if there are none."""
        return self.both / self.predicted if self.predicted else None

    @property
    def _either(self) -> int:
        return self.predicted + self.true - self.both


def count_voxels(predicted: npt.NDArray[Any], true: npt.NDArray[Any]) -> VoxelCounts:
    """Count the voxels of two masks of one shape; every value but 0 counts as inside.

    Raises
    ------
    ValueError
        If their shapes differ.
    """
    inside, truth = np.asarray(predicted) != 0, np.asarray(true) != 0
    if inside.shape != truth.shape:
        raise ValueError(f"masks of shapes {inside.shape} and {truth.shape} differ")
    both, found, wanted = (int(np.count_nonzero(m)) for m in (inside & truth, inside, truth))
    return VoxelCounts(both, found, wanted, truth.size)


def dice(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return twice the common voxels over the sum of both; 1 if both are empty.

    Parameters
    ----------
    a, b
        Masks of one shape; every value but 0 counts as inside.
    """
    return count_voxels(a, b).dice


def iou(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Return the common voxels over those of either (Jaccard); 1 if both are empty.

    Parameters
    ----------
    a, b
        Masks of one shape; every value but 0 counts as inside.
    """
    return count_voxels(a, b).iou


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
    counts = count_voxels(mask.array, truth.array)
    return {
        "dice": counts.dice,
        "iou": counts.iou,
        "hausdorff95_mm": hausdorff95_mm(mask.array, truth.array, truth.geometry.spacing),
        "volume_mm3": counts.predicted * voxel,
        "truth_volume_mm3": counts.true * voxel,
    }
