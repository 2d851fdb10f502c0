"""What training makes small."""

from collections.abc import Callable

from monai.losses import DiceCELoss
from torch import Tensor

from napari_ctlns.recipe import Loss

LossFunction = Callable[[Tensor, Tensor], Tensor]


def build_loss(recipe: Loss) -> LossFunction:
    """Return Dice + cross-entropy of one sigmoid channel.

    Dice is taken patch by patch, so that a nodule of 5 mm counts as much as one of
    20 mm, which has sixty times its voxels: measured on phantoms, small nodules
    are else hardly learned at all. Adding one voxel to both parts of the fraction
    keeps patches without a nodule from shouting.

    Returns
    -------
    Callable
        From logits and targets, both (batch, 1, z, y, x) float32, to a number.
    """
    loss: LossFunction = DiceCELoss(
        sigmoid=True,
        batch=False,
        smooth_nr=64.0,
        smooth_dr=64.0,
        lambda_dice=recipe.dice_weight,
        lambda_ce=recipe.ce_weight,
    )
    return loss
