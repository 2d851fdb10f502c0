"""A recipe's loss over a whole scan."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.recipe import Loss

_LEAST = 2.0**-24
_LEAST_BELOW_ONE = 2.0**-12
"""float16, in which probabilities may be kept, tells no more apart near 0 and near 1; a loss
without end would come from a 0 or a 1 that stands for something close to it."""


@dataclass(frozen=True)
class _Sums:
    """Sums over the voxels of a scan; cross-entropy and focal loss are means."""

    common: float
    predicted: float
    true: float
    cross_entropy: float
    focal: float


def scan_loss(recipe: Loss, probability: npt.NDArray[Any], true: npt.NDArray[Any]) -> float:
    """Return the loss that `learning.losses.build_loss` gives a scan as one single patch.

    Losses of overlap cannot be put together from windows, and torch would hold a
    large scan many times over; so the few sums that every loss is made of are taken
    slice by slice. A scan is larger than the patches of a training and holds far more
    that is no nodule: compare the loss with that of other models, not with a training's.

    Parameters
    ----------
    recipe
        Which loss, and its weights.
    probability
        Of being inside (z, y, x), 0 to 1; 0 where no window looked.
    true
        The mask (z, y, x); every value but 0 counts as inside.
    """
    sums = _sums(probability, true, recipe.focal_gamma)
    dice = _overlap_loss(sums, 0.5, recipe.smoothing_voxels / 2)
    match recipe.name:
        case "dice":
            return dice
        case "bce":
            return sums.cross_entropy
        case "focal":
            return sums.focal
        case "tversky":
            return _overlap_loss(sums, recipe.false_negative_weight, recipe.smoothing_voxels)
        case "dice-focal":
            return recipe.dice_weight * dice + recipe.focal_weight * sums.focal
        case "dice-ce" | "dice-bce":
            return recipe.dice_weight * dice + recipe.ce_weight * sums.cross_entropy


def _overlap_loss(sums: _Sums, false_negative_weight: float, smoothing: float) -> float:
    """Tversky's loss (Salehi et al. 2017, doi:10.1007/978-3-319-67389-9_44).

    With equal weights of one half it is the loss of Dice, whose fraction is twice as large
    above and below, and so is what is added to both.
    """
    missed = false_negative_weight * (sums.true - sums.common)
    false = (1 - false_negative_weight) * (sums.predicted - sums.common)
    return 1 - (sums.common + smoothing) / (sums.common + missed + false + smoothing)


def _sums(probability: npt.NDArray[Any], true: npt.NDArray[Any], gamma: float) -> _Sums:
    common = predicted = inside = cross_entropy = focal = 0.0
    for values, labels in zip(probability, true, strict=True):
        p = values.astype(float)
        t = labels != 0
        wrong = np.where(t, 1 - p, p)
        right = np.where(t, np.maximum(p, _LEAST), np.maximum(1 - p, _LEAST_BELOW_ONE))
        entropy = -np.log(right)
        common += p[t].sum()
        predicted += p.sum()
        inside += np.count_nonzero(t)
        cross_entropy += entropy.sum()
        focal += (wrong**gamma * entropy).sum()
    voxels = probability.size
    return _Sums(common, predicted, inside, cross_entropy / voxels, focal / voxels)
