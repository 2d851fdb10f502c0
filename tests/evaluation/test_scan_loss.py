"""The loss of a whole scan against the losses that training uses."""

import numpy as np
import pytest
import torch

from napari_ctlns.evaluation.scan_loss import scan_loss
from napari_ctlns.learning.losses import build_loss
from napari_ctlns.recipe import Loss

LOSSES = [
    Loss(name="dice-ce", dice_weight=0.5, ce_weight=3.0),
    Loss(name="dice-bce"),
    Loss(name="dice", smoothing_voxels=1.0),
    Loss(name="tversky", false_negative_weight=0.85),
    Loss(name="bce"),
    Loss(name="focal", focal_gamma=1.5),
    Loss(name="dice-focal", focal_weight=10.0),
]


@pytest.mark.parametrize("recipe", LOSSES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_it_is_the_loss_of_the_scan_as_one_patch(recipe, share):
    random = np.random.default_rng(11)
    logits = np.clip(random.normal(-1, 3, (5, 9, 8)), -8, 8)  # as far as float16 tells apart
    true = random.random(logits.shape) < share
    patch = [torch.from_numpy(a[None, None].astype(np.float32)) for a in (logits, true)]
    probability = 1 / (1 + np.exp(-logits))
    expected = build_loss(recipe)(*patch).item()
    assert scan_loss(recipe, probability, true) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("recipe", LOSSES, ids=lambda recipe: recipe.name)
def test_certainty_costs_nothing_if_right_and_much_but_not_endlessly_if_wrong(recipe):
    true = np.zeros((4, 6, 6), np.uint8)
    true[1:3, 2:4, 2:4] = 3
    right = scan_loss(recipe, (true != 0).astype(np.float16), true)
    wrong = scan_loss(recipe, (true == 0).astype(np.float16), true)
    assert right == pytest.approx(0, abs=1e-9)
    assert 0.3 < wrong < 500
