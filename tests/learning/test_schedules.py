import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.learning.schedules import learning_rate
from napari_ctlns.recipe import Optimisation


def rates(total: int, **settings: object) -> list[float]:
    recipe = Optimisation(learning_rate=0.1, **settings)
    return [learning_rate(recipe, step, total, []) for step in range(total)]


@pytest.mark.parametrize("schedule", ["cosine", "poly", "constant", "plateau"])
def test_it_warms_up(schedule: str) -> None:
    warm = rates(24, schedule=schedule, warmup_steps=4)
    assert warm[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])


def test_cosine_and_poly_are_torchs() -> None:
    schedulers = torch.optim.lr_scheduler
    cases = {
        "cosine": lambda o: schedulers.CosineAnnealingLR(o, 20),
        "poly": lambda o: schedulers.PolynomialLR(o, 20, power=0.7),
        "constant": lambda o: schedulers.LambdaLR(o, lambda _: 1.0),
    }
    for schedule, make in cases.items():
        optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        scheduler, expected = make(optimiser), []
        for _ in range(20):
            expected.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step()
        assert rates(20, schedule=schedule, poly_power=0.7) == pytest.approx(expected, abs=1e-9)


@given(
    losses=st.lists(st.floats(0.01, 2).map(lambda x: round(x, 2)), max_size=30),
    patience=st.integers(0, 4),
)
def test_plateau_is_torchs(losses: list[float], patience: int) -> None:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    # eps: the smallest change that torch makes at all
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=patience, eps=0
    )
    recipe = Optimisation(learning_rate=0.1, plateau_patience=patience, plateau_factor=0.5)
    for seen in range(len(losses) + 1):
        expected = optimiser.param_groups[0]["lr"]
        assert learning_rate(recipe, 7, 9, losses[:seen]) == pytest.approx(expected)
        if seen < len(losses):
            scheduler.step(losses[seen])


def test_more_epochs_make_a_longer_curve() -> None:
    recipe = Optimisation(learning_rate=0.1, schedule="poly", poly_power=1.0)
    assert learning_rate(recipe, 10, 10, []) == 0.0
    assert learning_rate(recipe, 10, 20, []) == pytest.approx(0.05)
