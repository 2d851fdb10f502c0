"""How well an epoch did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from napari_ctlns.learning.run_folder import Row
from napari_ctlns.recipe import Optimisation

BestBy = Literal["val_dice", "val_loss", "last"]


@dataclass(frozen=True)
class Judgement:
    """The loss of a batch; nodule voxels of each patch: found rightly, found, true."""

    loss: float
    right: list[int]
    found: list[int]
    true: list[int]


def validation_scores(judged: Sequence[Judgement]) -> Row:
    """Return the scores of all validation batches together.

    Returns
    -------
    dict
        ``val_loss``, the mean over patches; ``val_dice``, the mean over the patches
        that hold a nodule (Dice 1945), false voxels around it included;
        ``val_nodule_voxel_accuracy``, the share of all nodule voxels that were
        found (sensitivity); ``val_iou``, like ``val_dice`` (Jaccard 1901).
    """
    patches = [
        patch
        for batch in judged
        for patch in zip(batch.right, batch.found, batch.true, strict=True)
    ]
    with_nodule = [(right, found, true) for right, found, true in patches if true]
    nodule_voxels = sum(true for _, _, true in with_nodule)
    dices = [2 * right / (found + true) for right, found, true in with_nodule]
    overlaps = [right / (found + true - right) for right, found, true in with_nodule]
    weighted = sum(batch.loss * len(batch.true) for batch in judged)
    return {
        "val_loss": weighted / len(patches),
        "val_dice": sum(dices) / len(dices),
        "val_nodule_voxel_accuracy": sum(right for right, _, _ in with_nodule) / nodule_voxels,
        "val_iou": sum(overlaps) / len(overlaps),
    }


def best_row(history: Sequence[Row], by: BestBy = "val_dice") -> Row:
    """Return the best epoch.

    Parameters
    ----------
    history
        A row an epoch.
    by
        "val_dice": the highest Dice; of equals, that with the lowest loss. "val_loss": the
        lowest loss; of equals, that with the highest Dice. Of equals in both, the first.
        "last": the last one.
    """
    return max(history, key=lambda row: goodness(row, by))


def goodness(row: Row, by: BestBy) -> tuple[float, float]:
    """Return what is larger for a better row."""
    if by == "last":
        return (row["epoch"], 0.0)
    dice, loss = row["val_dice"], row["val_loss"]
    return (dice, -loss) if by == "val_dice" else (-loss, dice)


def no_further(history: Sequence[Row], recipe: Optimisation) -> str:
    """Say why no further epoch is worth it; nothing if it is."""
    if not history or not recipe.early_stopping_patience:
        return ""
    waited = int(history[-1]["epoch"] - best_row(history, recipe.best_by)["epoch"])
    if waited < recipe.early_stopping_patience:
        return ""
    return (
        f"ended early: {waited} epochs without a better {recipe.best_by}; "
        "with a larger optimisation.early_stopping_patience it goes on"
    )
