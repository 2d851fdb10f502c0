"""What training makes small."""

from collections.abc import Callable

from monai.losses import DiceCELoss
from torch import Tensor

from napari_ctlns.recipe import Loss

LossFunction = Callable[[Tensor, Tensor], Tensor]


def build_loss(recipe: Loss) -> LossFunction:
    """Return Dice + cross-entropy of one sigmoid channel.

    Dice is taken over the whole batch as one volume (MONAI, ``batch=True``): a
    patch without a nodule has no Dice of its own worth following. Adding one
    voxel to both parts of the fraction keeps batches of tiny nodules calm.

    Returns
    -------
    Callable
        From logits and targets, both (batch, 1, z, y, x) float32, to a number.
    """
    loss: LossFunction = DiceCELoss(
        sigmoid=True,
        batch=True,
        smooth_nr=1.0,
        smooth_dr=1.0,
        lambda_dice=recipe.dice_weight,
        lambda_ce=recipe.ce_weight,
    )
    return loss
