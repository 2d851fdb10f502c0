import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch

from napari_ctlns.dataset.sampling import Sample
from napari_ctlns.errors import RunError
from napari_ctlns.learning.device import Arithmetic, choose_arithmetic
from napari_ctlns.learning.learner import Learner
from napari_ctlns.learning.loader import Batch
from napari_ctlns.learning.scores import Judgement, best_row, no_further, validation_scores
from napari_ctlns.recipe import Optimisation, Recipe

CPU = Arithmetic(torch.device("cpu"), "fp32")
INSTANCE = {"network.norm": "instance"}


def ball_batch(patches: int = 2) -> Batch:
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(16)] * 3, indexing="ij"), -1)
    hu = random.normal(-850, 30, (patches, 1, 16, 16, 16))
    mask = np.zeros(hu.shape, np.uint8)
    for place in range(patches):
        ball = np.linalg.norm(grid - random.integers(5, 11, 3), axis=-1) <= 3.5
        hu[place, 0][ball] = 30
        mask[place, 0][ball] = 1
    return Batch(
        torch.from_numpy(hu.astype(np.int16)),
        torch.from_numpy(mask),
        torch.tensor([[-1000.0, 400.0, 1 / 1400, 1000 / 1400]]).expand(patches, 4),
        (),
        tuple(Sample(0, (place, 0, 0), nodule=True) for place in range(patches)),
        (16, 16, 16),
        middle_only=False,
    )


def step(learner: Learner, batch: Batch, number: int = 0, rate: float = 0.01) -> float:
    loss = learner.gradients(batch, number)
    learner.update(rate)
    return loss


def gradients_of(learner: Learner) -> list[torch.Tensor]:
    return [weight.grad for weight in learner.network.parameters() if weight.grad is not None]


def test_one_batch_can_be_learned_by_heart(recipe: Recipe) -> None:
    learner = Learner(recipe, CPU)
    batch = ball_batch()
    losses = [step(learner, batch, n, 0.03) for n in range(80)]
    assert losses[-1] < 0.3 * losses[0]
    judged = learner.judge(batch)
    dice = 2 * sum(judged.right) / (sum(judged.found) + sum(judged.true))
    assert dice > 0.8
    image, target, probability = learner.probability(batch)
    assert image.shape == target.shape == probability.shape == (2, 1, 16, 16, 16)
    assert (probability >= 0.5).sum((1, 2, 3, 4)).tolist() == judged.found


def test_every_weight_moves(recipe: Recipe) -> None:
    learner = Learner(recipe, CPU)
    before = {n: p.detach().clone() for n, p in learner.network.named_parameters()}
    step(learner, ball_batch())
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
        losses.append([step(learner, batch, n) for n in range(20)][-1])
        assert all(p.dtype == torch.float32 for p in learner.network.parameters())
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


def test_parts_give_the_gradients_of_the_whole(recipe: Recipe) -> None:
    # 5 patches in 3 parts are uneven
    batch = ball_batch(5)
    whole = Learner(recipe.with_changes(INSTANCE), CPU)
    parts = Learner(recipe.with_changes(INSTANCE), CPU)
    parts.parts = 3
    assert parts.gradients(batch, 0) == pytest.approx(whole.gradients(batch, 0), rel=1e-6)
    for one, other in zip(gradients_of(parts), gradients_of(whole), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_the_recipe_says_in_how_many_parts(recipe: Recipe) -> None:
    learner = Learner(recipe.with_changes({"optimisation.accumulation": 2}), CPU)
    seen = patches_seen(learner)
    learner.gradients(ball_batch(4), 0)
    assert seen == [2, 2]


def patches_seen(learner: Learner, fit: int = 99, error: Exception | None = None) -> list[int]:
    """Note how many patches the network is given; it fails with more than ``fit`` of them."""
    seen: list[int] = []

    def look(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        seen.append(len(inputs[0]))
        if len(inputs[0]) > fit:
            raise error or torch.OutOfMemoryError("CUDA out of memory")

    learner.network.register_forward_pre_hook(look)
    return seen


def test_where_memory_lacks_smaller_parts_give_the_same(recipe: Recipe) -> None:
    # batch norm's statistics must not count what failed, so that dropout and it stay comparable
    changed = recipe.with_changes(INSTANCE)
    batch = ball_batch(4)
    whole, small = Learner(changed, CPU), Learner(changed, CPU)
    seen = patches_seen(small, fit=1)
    for number in range(2):
        assert step(small, batch, number) == pytest.approx(step(whole, batch, number), rel=1e-4)
    assert seen == [4, 2, 1, 1, 1, 1, 1, 1, 1, 1]
    again = Learner(changed, CPU)
    again.restore(small.state())
    assert again.parts == 4
    judged, expected = small.judge(batch), whole.judge(batch)
    assert judged.true == expected.true
    assert judged.loss == pytest.approx(expected.loss, rel=1e-3)


def test_a_failed_step_leaves_no_trace_in_batch_norm(recipe: Recipe) -> None:
    learner = Learner(recipe, CPU)
    before = {name: buffer.clone() for name, buffer in learner.network.named_buffers()}
    # fails when all norms have seen the patches
    failing = learner.network.register_forward_hook(raising(torch.OutOfMemoryError("full")))
    with pytest.raises(RunError, match=r"memory does not suffice for a patch of 16 x 16 x 16"):
        learner.gradients(ball_batch(2), 0)
    for name, buffer in learner.network.named_buffers():
        assert torch.equal(buffer, before[name]), name
    failing.remove()
    learner.gradients(ball_batch(2), 0)
    (counts,) = {int(b) for n, b in learner.network.named_buffers() if "num_batches" in n}
    assert counts == learner.parts == 2


def raising(error: Exception) -> Callable[..., None]:
    def hook(*_: object) -> None:
        raise error

    return hook


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        torch.OutOfMemoryError("CUDA out of memory"),
    ],
    ids=["python", "cpu", "cuda"],
)
def test_no_memory_for_a_patch_is_said_with_what_to_do(recipe: Recipe, error: Exception) -> None:
    learner = Learner(recipe, CPU)
    learner.network.register_forward_pre_hook(raising(error))
    with pytest.raises(RunError, match=r"memory does not suffice .*; take smaller patches.size"):
        learner.gradients(ball_batch(1), 0)
    with pytest.raises(RunError, match="memory does not suffice"):
        learner.judge(ball_batch(1))


def test_other_errors_stay_what_they_are(recipe: Recipe) -> None:
    learner = Learner(recipe, CPU)
    learner.network.register_forward_pre_hook(raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        learner.gradients(ball_batch(1), 0)


def test_gradients_are_clipped_to_their_norm(recipe: Recipe) -> None:
    # Adam does not care for the length of all gradients of all steps, so look before it
    norms = []
    for most in (0.0, 0.01):
        learner = Learner(recipe.with_changes({"optimisation.clip_gradient_norm": most}), CPU)
        step(learner, ball_batch())
        norms.append(float(torch.stack([g.norm() for g in gradients_of(learner)]).norm()))
    assert norms[0] > 0.02
    assert norms[1] == pytest.approx(0.01, rel=1e-3)


def test_betas_and_decay_are_those_of_the_recipe_even_when_resumed(recipe: Recipe) -> None:
    learner = Learner(recipe, CPU)
    step(learner, ball_batch())
    changes = {"optimisation.betas": (0.5, 0.8), "optimisation.weight_decay": 0.25}
    other = Learner(recipe.with_changes(changes), CPU)
    other.restore(learner.state())
    (settings,) = other.optimiser.param_groups
    assert (settings["betas"], settings["weight_decay"]) == ((0.5, 0.8), 0.25)
    moments = [s["exp_avg"] for s in other.optimiser.state.values()]
    assert any(bool(m.any()) for m in moments)


def test_averaged_weights_are_judged_and_saved(recipe: Recipe) -> None:
    learner = Learner(recipe.with_changes({"optimisation.ema_decay": 0.6}), CPU)
    names = list(learner.network.state_dict())
    expected = {n: v.double() for n, v in learner.network.state_dict().items()}
    for number in range(12):
        step(learner, ball_batch(), number)
        decay = min(0.6, (1 + number) / (10 + number))
        for name in names:
            now = learner.network.state_dict()[name].double()
            expected[name] = decay * expected[name] + (1 - decay) * now
    judged = learner.judged.state_dict()
    for name in (n for n in names if "num_batches" not in n):
        torch.testing.assert_close(judged[name].double(), expected[name], rtol=1e-4, atol=1e-6)
    assert not torch.equal(judged[names[0]], learner.network.state_dict()[names[0]])
    again = Learner(recipe.with_changes({"optimisation.ema_decay": 0.6}), CPU)
    again.restore(copy.deepcopy(learner.state()))
    for one in (learner, again):
        step(one, ball_batch(), 12)
    for name, value in learner.judged.state_dict().items():
        assert torch.equal(value, again.judged.state_dict()[name])
    # averaging that begins in the middle of a run begins with its weights
    plain = Learner(recipe, CPU)
    plain.restore(learner.state())
    later = Learner(recipe.with_changes({"optimisation.ema_decay": 0.6}), CPU)
    later.restore(plain.state())
    for name, value in plain.network.state_dict().items():
        assert torch.equal(value, later.judged.state_dict()[name])


def test_a_coarser_level_that_is_judged_too_learns(recipe: Recipe) -> None:
    changes = {"network.deep_supervision": True, "network.channels": (4, 8, 8)}
    learner = Learner(recipe.with_changes(changes), CPU)
    batch = ball_batch()
    losses = [step(learner, batch, n, 0.03) for n in range(12)]
    assert losses[-1] < losses[0]
    assert learner.probability(batch)[2].shape == (2, 1, 16, 16, 16)


def test_scores_by_hand() -> None:
    judged = [
        Judgement(loss=1.0, right=[6, 0], found=[8, 5], true=[12, 0]),
        Judgement(loss=4.0, right=[2], found=[2], true=[2]),
    ]
    scores = validation_scores(judged)
    assert scores["val_loss"] == pytest.approx(2.0)
    assert scores["val_dice"] == pytest.approx((12 / 20 + 1.0) / 2)
    assert scores["val_nodule_voxel_accuracy"] == pytest.approx(8 / 14)
    assert scores["val_iou"] == pytest.approx((6 / 14 + 1.0) / 2)


def test_best_epoch_has_the_highest_dice_then_the_lowest_loss_or_the_other_way_round() -> None:
    rows = [{"val_dice": d, "val_loss": v} for d, v in [(0, 0.5), (0.5, 2), (0.5, 1), (0.5, 1)]]
    assert best_row(rows) is rows[2]
    assert best_row(rows, "val_loss") is rows[0]


def test_training_ends_early_when_nothing_gets_better() -> None:
    dices = [0.1, 0.3, 0.2, 0.3]
    rows = [{"epoch": n, "val_dice": d, "val_loss": 1.0} for n, d in enumerate(dices, 1)]
    patience = [Optimisation(early_stopping_patience=n) for n in (0, 2, 3)]
    ended = [[bool(no_further(rows[:n], p)) for n in range(5)] for p in patience]
    assert ended == [[False] * 5, [False] * 4 + [True], [False] * 5]


def test_devices() -> None:
    assert choose_arithmetic("cpu", "fp32") == CPU
    assert choose_arithmetic("cpu", "auto").precision in ("fp32", "bf16")
    if not torch.cuda.is_available():
        with pytest.raises(RunError, match="no cuda device"):
            choose_arithmetic("cuda", "auto")
