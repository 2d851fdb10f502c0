from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ctlns.dataset import open_dataset
from napari_ctlns.dataset.patches import PatchSampler
from napari_ctlns.learning.augment import draw_flips
from napari_ctlns.learning.device import Arithmetic, choose_arithmetic
from napari_ctlns.learning.learner import Judgement, Learner, scheduled_rate
from napari_ctlns.learning.loader import Batch, in_background, plain_batch, training_batch
from napari_ctlns.learning.losses import SMOOTHING_VOXELS, build_loss
from napari_ctlns.learning.scores import best_row, validation_scores
from napari_ctlns.recipe import Augmentation, Loss, Optimisation, Preparation, Recipe

CPU = Arithmetic(torch.device("cpu"), "fp32")


def ball_batch() -> Batch:
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(16)] * 3, indexing="ij"), -1)
    hu = random.normal(-850, 30, (2, 1, 16, 16, 16))
    mask = np.zeros(hu.shape, np.uint8)
    for place, centre in enumerate([(5, 6, 9), (10, 9, 6)]):
        ball = np.linalg.norm(grid - centre, axis=-1) <= 3.5
        hu[place, 0][ball] = 30
        mask[place, 0][ball] = 1
    return Batch(torch.from_numpy(hu.astype(np.int16)), torch.from_numpy(mask))


def test_one_batch_can_be_learned_by_heart(recipe: Recipe) -> None:
    learner = Learner(recipe.with_changes({"optimisation.learning_rate": 0.03}), CPU)
    batch = ball_batch()
    losses = [learner.step(batch, n, 80) for n in range(80)]
    assert losses[-1] < 0.3 * losses[0]
    judged = learner.judge(batch)
    dice = 2 * sum(judged.right) / (sum(judged.found) + sum(judged.true))
    assert dice > 0.9


def test_every_weight_moves(recipe: Recipe) -> None:
    learner = Learner(recipe, CPU)
    before = {n: p.detach().clone() for n, p in learner.network.named_parameters()}
    learner.step(ball_batch(), 0, 1)
    for name, weight in learner.network.named_parameters():
        assert not torch.equal(weight, before[name]), name


def test_equal_seeds_begin_equally_and_leave_the_global_generator(recipe: Recipe) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one = Learner(recipe, CPU).network.state_dict()
    assert torch.equal(torch.rand(1), expected)
    other = Learner(recipe, CPU).network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    changed = Learner(recipe.with_changes({"optimisation.seed": 1}), CPU).network.state_dict()
    assert any(not torch.equal(one[name], changed[name]) for name in one)


def test_bf16_learns_like_fp32(recipe: Recipe) -> None:
    batch = ball_batch()
    losses = []
    for precision in ("fp32", "bf16"):
        learner = Learner(recipe, Arithmetic(torch.device("cpu"), precision))
        losses.append([learner.step(batch, n, 20) for n in range(20)][-1])
        assert all(p.dtype == torch.float32 for p in learner.network.parameters())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_loss_is_dice_of_each_patch_plus_cross_entropy() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (3, 1, 4, 5, 6))
    target = (random.random(logits.shape) < 0.2).astype(float)
    target[1] = 0  # a patch without a nodule
    p = 1 / (1 + np.exp(-logits))
    common, both = (p * target).sum((1, 2, 3, 4)), (p + target).sum((1, 2, 3, 4))
    dice = 1 - ((2 * common + SMOOTHING_VOXELS) / (both + SMOOTHING_VOXELS)).mean()
    entropy = -(target * np.log(p) + (1 - target) * np.log(1 - p)).mean()
    loss = build_loss(Loss(dice_weight=0.7, ce_weight=2.0))
    value = loss(torch.from_numpy(logits), torch.from_numpy(target))
    assert float(value) == pytest.approx(0.7 * dice + 2.0 * entropy, rel=1e-6)


def test_batches_are_clipped_and_scaled() -> None:
    hu = torch.tensor([-1024, -1000, -300, 400, 3000], dtype=torch.int16).reshape(1, 1, 1, 1, 5)
    batch = Batch(hu, torch.ones_like(hu, dtype=torch.uint8))
    image, target = batch.on(torch.device("cpu"), Preparation())
    assert image.flatten().tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert target.dtype == torch.float32


def test_flips_mirror_only_the_axes_named_and_every_one_of_them() -> None:
    random = np.random.default_rng(0)
    patch = np.arange(24).reshape(2, 3, 4)
    recipe = Augmentation(flip_axes=("z", "x"))
    seen = {tuple(patch[draw_flips(recipe, random)].ravel()) for _ in range(60)}
    wanted = [patch, patch[::-1], patch[:, :, ::-1], patch[::-1, :, ::-1]]
    assert seen == {tuple(w.ravel()) for w in wanted}
    never = Augmentation(flip_probability=0.0)
    assert all((patch[draw_flips(never, random)] == patch).all() for _ in range(20))


def test_image_and_mask_are_mirrored_together(dataset_folder: Path, recipe: Recipe) -> None:
    sampler = PatchSampler(open_dataset(dataset_folder).scans(), recipe.patches)
    mirrored = 0
    for epoch in range(4):
        batch = training_batch(sampler, recipe.augmentation, epoch, range(8))
        # balls have 40 HU, all else about -850
        assert torch.equal(batch.hu > -400, batch.mask == 1)
        assert batch.mask.any()
        plain = plain_batch(sampler, [sampler.draw(epoch, i) for i in range(8)])
        mirrored += int((batch.hu != plain.hu).flatten(1).any(1).sum())
        assert torch.equal(batch.hu.flatten(1).sort().values, plain.hu.flatten(1).sort().values)
    # seven of eight are mirrored along some axis
    assert 20 <= mirrored < 32


def test_background_keeps_order_and_hands_on_errors() -> None:
    batches = [Batch(torch.tensor(n), torch.tensor(n)) for n in range(20)]
    for workers in (0, 1, 3):
        made = in_background(lambda n: batches[n], range(4, 20), workers)
        assert [int(b.hu) for b in made] == list(range(4, 20))
        with pytest.raises(IndexError):
            list(in_background(lambda n: batches[n], range(19, 22), workers))


def test_learning_rate_rises_then_falls_along_a_cosine() -> None:
    cosine = Optimisation(schedule="cosine", learning_rate=0.1, warmup_steps=4)
    rates = [scheduled_rate(cosine, n, 24) or 0 for n in range(24)]
    assert rates[:4] == pytest.approx([0.02, 0.04, 0.06, 0.08])
    assert rates[4] == pytest.approx(0.1)
    assert rates[14] == pytest.approx(0.05)
    assert rates[23] < 0.001
    assert all(a > b for a, b in pairwise(rates[4:]))
    constant = Optimisation(schedule="constant", learning_rate=0.1)
    assert [scheduled_rate(constant, n, 9) for n in range(3)] == [0.1, None, None]


def test_plateau_lets_the_rate_fall(recipe: Recipe) -> None:
    changes = {"optimisation.plateau_patience": 1, "optimisation.plateau_factor": 0.1}
    learner = Learner(recipe.with_changes(changes), CPU)
    rates = []
    for loss in (1.0, 1.0, 1.0, 0.5, 0.5, 0.5):
        learner.epoch_ended(loss)
        rates.append(learner.learning_rate)
    assert rates == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3, 1e-3, 1e-4])


def test_scores_by_hand() -> None:
    judged = [
        Judgement(loss=1.0, right=[6, 0], found=[8, 5], true=[12, 0]),
        Judgement(loss=4.0, right=[2], found=[2], true=[2]),
    ]
    scores = validation_scores(judged)
    assert scores["val_loss"] == pytest.approx(2.0)
    assert scores["val_dice"] == pytest.approx((12 / 20 + 1.0) / 2)
    assert scores["val_nodule_voxel_accuracy"] == pytest.approx(8 / 14)


def test_best_epoch_has_the_highest_dice_then_the_lowest_loss() -> None:
    rows = [{"val_dice": d, "val_loss": v} for d, v in [(0, 3), (0.5, 2), (0.5, 1), (0.5, 1)]]
    assert best_row(rows) is rows[2]


def test_devices() -> None:
    assert choose_arithmetic("cpu", "fp32") == CPU
    assert choose_arithmetic("cpu", "auto").precision in ("fp32", "bf16")
    if not torch.cuda.is_available():
        from napari_ctlns.errors import RunError

        with pytest.raises(RunError, match="no cuda device"):
            choose_arithmetic("cuda", "auto")
