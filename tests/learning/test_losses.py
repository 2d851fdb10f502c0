"""Every loss against its formula in numpy and against MONAI's, its limits and its gradients."""

import warnings

import monai.losses
import numpy as np
import pytest
import torch
from torch import nn

from napari_ctlns.learning.losses import build_loss, supervised
from napari_ctlns.recipe import Loss

NAMES = ("dice-ce", "dice-bce", "dice", "tversky", "bce", "focal", "dice-focal")
SETTINGS = {
    "dice_weight": 0.7,
    "ce_weight": 2.0,
    "focal_weight": 3.0,
    "focal_gamma": 1.5,
    "false_negative_weight": 0.8,
    "smoothing_voxels": 5.0,
}
MONAI = {
    "dice-ce": monai.losses.DiceCELoss(
        sigmoid=True, smooth_nr=5, smooth_dr=5, lambda_dice=0.7, lambda_ce=2
    ),
    "dice": monai.losses.DiceLoss(sigmoid=True, smooth_nr=5, smooth_dr=5),
    "tversky": monai.losses.TverskyLoss(
        sigmoid=True, alpha=0.2, beta=0.8, smooth_nr=5, smooth_dr=5
    ),
    "bce": nn.BCEWithLogitsLoss(),
    "focal": monai.losses.FocalLoss(gamma=1.5),
    "dice-focal": monai.losses.DiceFocalLoss(
        sigmoid=True, smooth_nr=5, smooth_dr=5, gamma=1.5, lambda_dice=0.7, lambda_focal=3
    ),
}
MONAI["dice-bce"] = MONAI["dice-ce"]
PATCH = (1, 2, 3, 4)


def patches(shape=(4, 1, 4, 5, 6)) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and targets, one of which is empty."""
    random = np.random.default_rng(1)
    target = (random.random(shape) < 0.2).astype(np.float32)
    target[1] = 0
    return torch.from_numpy(random.normal(0, 2, shape).astype(np.float32)), torch.from_numpy(target)


def by_hand(name: str, logits: np.ndarray, target: np.ndarray) -> float:
    """The formulas of the papers, with `SETTINGS`, in double precision."""
    x, t = logits.astype(float), target.astype(float)
    p = 1 / (1 + np.exp(-x))
    right, missed, false = (p * t).sum(PATCH), ((1 - p) * t).sum(PATCH), (p * (1 - t)).sum(PATCH)
    dice = 1 - ((2 * right + 5) / (2 * right + missed + false + 5)).mean()
    tversky = 1 - ((right + 5) / (right + 0.8 * missed + 0.2 * false + 5)).mean()
    of_truth = np.where(t == 1, p, 1 - p)
    entropy = -np.log(of_truth).mean()
    focal = -((1 - of_truth) ** 1.5 * np.log(of_truth)).mean()
    return float(
        {
            "dice-ce": 0.7 * dice + 2 * entropy,
            "dice-bce": 0.7 * dice + 2 * entropy,
            "dice": dice,
            "tversky": tversky,
            "bce": entropy,
            "focal": focal,
            "dice-focal": 0.7 * dice + 3 * focal,
        }[name]
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(4, 1, 4, 5, 6), (3, 1, 1, 8, 9)])
def test_each_is_its_formula_and_what_monai_has(name: str, shape) -> None:
    logits, target = patches(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = float(build_loss(Loss(name=name, **SETTINGS))(logits, target))
    assert value == pytest.approx(by_hand(name, logits.numpy(), target.numpy()), rel=1e-5)
    assert value == pytest.approx(float(MONAI[name](logits, target)), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_perfect_empty_and_all_wrong(name: str) -> None:
    loss = build_loss(Loss(name=name))
    _, target = patches()
    sure = 40 * (2 * target - 1)
    nothing = torch.zeros_like(target)
    assert float(loss(sure, target)) == pytest.approx(0, abs=1e-5)
    assert float(loss(torch.full_like(target, -40), nothing)) == pytest.approx(0, abs=1e-5)
    right, wrong = float(loss(sure, target)), float(loss(-sure, target))
    half = float(loss(nothing, target))
    assert right < half < wrong


@pytest.mark.parametrize("name", NAMES)
def test_huge_logits_stay_finite(name: str) -> None:
    loss = build_loss(Loss(name=name))
    _, target = patches()
    for size in (1e2, 1e4, 1e30):
        for sign in (1, -1):
            logits = (sign * size * (2 * target - 1)).requires_grad_()
            value = loss(logits, target)
            assert torch.isfinite(value)
            value.backward()
            assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_of_equal_parts_is_that_of_the_whole(name: str) -> None:
    loss = build_loss(Loss(name=name))
    logits, target = patches()
    whole = loss(logits, target)
    parts = [loss(logits[n : n + 2], target[n : n + 2]) for n in (0, 2)]
    assert float(sum(parts) / 2) == pytest.approx(float(whole), rel=1e-6)


def test_small_nodules_count_as_much_as_large_ones() -> None:
    target = torch.zeros(2, 1, 16, 16, 16)
    target[0, :, :12] = 1
    target[1, :, 5:9, 5:9, 5:9] = 1
    found = 40 * (2 * target - 1)
    only_large, only_small = found.clone(), found.clone()
    only_large[1], only_small[0] = -40, -40
    loss = build_loss(Loss(name="dice", smoothing_voxels=0.1))
    assert float(loss(only_large, target)) == pytest.approx(0.5, abs=0.01)
    assert float(loss(only_small, target)) == pytest.approx(0.5, abs=0.01)


def test_missed_voxels_pull_harder_the_more_they_weigh() -> None:
    target = torch.zeros(1, 1, 1, 1, 40)
    target[..., :20] = 1

    def pull(weight: float) -> tuple[float, float]:
        """Return the gradients of a missed and of a false voxel that are equally unsure."""
        logits = torch.zeros_like(target).requires_grad_()
        build_loss(Loss(name="tversky", false_negative_weight=weight))(logits, target).backward()
        return float(-logits.grad[..., 0]), float(logits.grad[..., -1])

    ratios = [missed / false for missed, false in map(pull, (0.3, 0.5, 0.7, 0.9))]
    assert ratios == sorted(ratios)
    assert ratios[3] > 3 * ratios[1]
    # half and half is Dice with half its smoothing
    logits, mask = patches()
    tversky = Loss(name="tversky", false_negative_weight=0.5, smoothing_voxels=8)
    dice = Loss(name="dice", smoothing_voxels=16)
    assert float(build_loss(tversky)(logits, mask)) == pytest.approx(
        float(build_loss(dice)(logits, mask)), rel=1e-6
    )


def test_focal_forgets_what_is_right_already() -> None:
    target = torch.ones(1, 1, 1, 1, 2)
    shares = []
    for gamma in (0.0, 1.0, 3.0):
        logits = torch.tensor([3.0, -1.0]).reshape(target.shape).requires_grad_()
        build_loss(Loss(name="focal", focal_gamma=gamma))(logits, target).backward()
        sure, unsure = logits.grad.abs().flatten().tolist()
        shares.append(sure / unsure)
    assert shares == sorted(shares, reverse=True)
    assert shares[2] < 0.01 * shares[0]


@pytest.mark.parametrize("name", ["dice-ce", "bce", "tversky"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_coarser_levels_are_judged_as_monai_judges_them(name: str, dimensions: int) -> None:
    flat = dimensions == 2
    _, target = patches((2, 1, 1 if flat else 16, 16, 24))
    random = torch.Generator().manual_seed(0)
    sizes = [[1 if flat else 16 >> n, 16 >> n, 24 >> n] for n in range(3)]
    logits = [torch.randn((2, 1, *size), generator=random) for size in sizes]
    loss = build_loss(Loss(name=name))
    value = supervised(loss)(logits, target)
    theirs = monai.losses.DeepSupervisionLoss(loss)(logits, target) / (1 + 1 / 2 + 1 / 4)
    assert float(value) == pytest.approx(float(theirs), rel=1e-6)
    assert float(supervised(loss)(logits[0], target)) == float(loss(logits[0], target))
    assert float(supervised(loss)(logits[:1], target)) == float(loss(logits[0], target))
