"""How well an epoch did."""

from collections.abc import Sequence

from napari_ctlns.learning.learner import Judgement
from napari_ctlns.learning.run_folder import Row


def validation_scores(judged: Sequence[Judgement]) -> Row:
    """Return the scores of all validation batches together.

    Returns
    -------
    dict
        ``val_loss``, the mean over patches; ``val_dice``, the mean over the patches
        that hold a nodule (Dice 1945), false voxels around it included;
        ``val_nodule_voxel_accuracy``, the share of all nodule voxels that were
        found (sensitivity).
    """
    patches = [
        patch
        for batch in judged
        for patch in zip(batch.right, batch.found, batch.true, strict=True)
    ]
    with_nodule = [(right, found, true) for right, found, true in patches if true]
    nodule_voxels = sum(true for _, _, true in with_nodule)
    dices = [2 * right / (found + true) for right, found, true in with_nodule]
    weighted = sum(batch.loss * len(batch.true) for batch in judged)
    return {
        "val_loss": weighted / len(patches),
        "val_dice": sum(dices) / len(dices),
        "val_nodule_voxel_accuracy": sum(right for right, _, _ in with_nodule) / nodule_voxels,
    }


def best_row(history: Sequence[Row]) -> Row:
    """Return the epoch with the highest Dice; of equals, that with the lowest loss."""
    return max(history, key=lambda row: (row["val_dice"], -row["val_loss"]))
