"""What training makes small."""

from collections.abc import Callable, Sequence

from monai.losses import DiceCELoss, DiceFocalLoss, DiceLoss, FocalLoss, TverskyLoss
from torch import Tensor, nn

from napari_ctlns.recipe import Loss

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""From logits and targets, both (batch, 1, z, y, x) float32, to a number: the mean over the
patches, so that the mean of equal parts of a batch is that of the whole."""


def build_loss(recipe: Loss) -> LossFunction:
    """Return the loss of one sigmoid channel that a recipe names.

    Dice and Tversky are taken patch by patch, so that a nodule of 5 mm counts as
    much as one of 20 mm, which has sixty times its voxels: measured on phantoms,
    small nodules are else hardly learned at all. ``smoothing_voxels`` is added to
    both parts of their fraction. Where a patch has no nodule it decides from how
    many false voxels on they care: with 1, a false alarm the size of a nodule costs
    no more than one voxel, and training leaves it be; half a small nodule serves both.

    Dice after Milletari et al. 2016, "V-Net"; Tversky after Salehi et al. 2017,
    "Tversky loss function for image segmentation using 3D fully convolutional deep
    networks"; focal after Lin et al. 2017, "Focal loss for dense object detection".
    """
    smoothing = {"smooth_nr": recipe.smoothing_voxels, "smooth_dr": recipe.smoothing_voxels}
    losses: dict[str, Callable[[], LossFunction]] = {
        "dice": lambda: DiceLoss(sigmoid=True, **smoothing),
        "dice-focal": lambda: DiceFocalLoss(
            sigmoid=True,
            gamma=recipe.focal_gamma,
            lambda_dice=recipe.dice_weight,
            lambda_focal=recipe.focal_weight,
            **smoothing,
        ),
        "tversky": lambda: TverskyLoss(
            sigmoid=True,
            alpha=1 - recipe.false_negative_weight,
            beta=recipe.false_negative_weight,
            **smoothing,
        ),
        "bce": nn.BCEWithLogitsLoss,
        "focal": lambda: FocalLoss(gamma=recipe.focal_gamma),
    }
    return losses.get(recipe.name, lambda: _dice_and_cross_entropy(recipe))()


def supervised(loss: LossFunction) -> Callable[[Tensor | Sequence[Tensor], Tensor], Tensor]:
    """Return a loss that judges the coarser levels of a network too (deep supervision).

    Levels count 1, 1/2, 1/4 ... in proportion, together 1. A coarser level is
    compared with every so many'th voxel of the target.

    Parameters
    ----------
    loss
        What judges one level.

    Returns
    -------
    Callable
        From logits, or the logits of all levels, the finest (batch, 1, z, y, x) first,
        and the target of the finest, to a number.
    """

    def judged(logits: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
        if isinstance(logits, Tensor):
            return loss(logits, target)
        weights = [0.5**level for level in range(len(logits))]
        losses = [
            weight * loss(answer, _coarser(target, answer))
            for weight, answer in zip(weights, logits, strict=True)
        ]
        return sum(losses[1:], losses[0]) / sum(weights)

    return judged


def _dice_and_cross_entropy(recipe: Loss) -> LossFunction:
    """Return the sum of both; with one sigmoid channel, cross-entropy is the binary one."""
    loss: LossFunction = DiceCELoss(
        sigmoid=True,
        smooth_nr=recipe.smoothing_voxels,
        smooth_dr=recipe.smoothing_voxels,
        lambda_dice=recipe.dice_weight,
        lambda_ce=recipe.ce_weight,
    )
    return loss


def _coarser(target: Tensor, like: Tensor) -> Tensor:
    """Return the voxels in the middle of coarser ones; slicing works on every device."""
    steps = [fine // coarse for fine, coarse in zip(target.shape, like.shape, strict=True)]
    return target[tuple(slice(step // 2, None, step) for step in steps)]
