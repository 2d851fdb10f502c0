"""What a training measured, as curves and words."""

import numpy as np

from napari_ctlns.events import Metric, Progress
from napari_ctlns.plugin.curves import MOST_POINTS, RunCurves, place_in_words, speed_in_words


def curves_of(name: str, values: dict[int, float]) -> RunCurves:
    curves = RunCurves()
    for step, value in values.items():
        curves.add(Metric(name=name, step=step, value=value))
    return curves


def test_few_values_are_drawn_as_they_are() -> None:
    curve = curves_of("train/loss", {1: 0.9, 2: 0.5, 5: 0.25}).curve("train/loss")
    assert curve.steps.tolist() == [1, 2, 5]
    assert curve.values.tolist() == [0.9, 0.5, 0.25]


def test_what_never_came_is_an_empty_curve() -> None:
    assert RunCurves().curve("val/dice").steps.size == 0
    assert RunCurves().newest("val/dice") is None


def test_many_values_become_means_of_neighbours() -> None:
    count = 100_001
    curve = curves_of("train/loss", {k: float(k % 2) for k in range(count)}).curve("train/loss")
    assert MOST_POINTS / 2 < curve.steps.size <= MOST_POINTS
    assert curve.steps.size == curve.values.size
    assert np.allclose(curve.values[:-1], 0.5)  # each of as many zeros as ones
    assert (np.diff(curve.steps) > 0).all()
    assert curve.steps[0] < 256
    assert curve.steps[-1] > count - 256


def test_the_last_mean_is_of_fewer_values() -> None:
    curve = curves_of("loss", dict.fromkeys(range(MOST_POINTS + 1), 3.0)).curve("loss")
    assert np.allclose(curve.values, 3)
    assert curve.steps[-1] == MOST_POINTS


def test_steps_that_a_resumed_run_repeats_replace_those_before() -> None:
    curves = curves_of("train/loss", {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0})
    curves.add(Metric(name="train/loss", step=3, value=30))
    curve = curves.curve("train/loss")
    assert curve.steps.tolist() == [1, 2, 3]
    assert curve.values.tolist() == [1, 2, 30]


def after_epochs(ends: tuple[int, ...]) -> RunCurves:
    curves = RunCurves()
    for number, step in enumerate(ends, 1):
        for name, value in (
            ("train/learning_rate", 1e-3),
            ("epoch/train_loss", 1 / number),
            ("val/loss", 0.5),
            ("val/dice", 0.612345),
        ):
            curves.add(Metric(name=name, step=step, value=value))
    return curves


def test_the_last_epoch_is_said_in_numbers() -> None:
    assert RunCurves().last_epoch_in_words() == ""
    words = after_epochs((4, 8, 12)).last_epoch_in_words()
    assert words == ("Epoch 3: loss 0.333, validation loss 0.5, Dice 0.612, learning rate 0.001")


def test_a_place_is_an_epoch_and_a_step_of_it() -> None:
    def place(done: int, total: int | None, ends: tuple[int, ...], epochs: int | None) -> str:
        progress = Progress(done=done, total=total, unit="step")
        return place_in_words(progress, after_epochs(ends), epochs)

    assert place(3, 40, (), 10) == "epoch 1 of 10, step 3 of 4"
    assert place(4, 40, (), 10) == "epoch 1 of 10, step 4 of 4"  # validation goes on
    assert place(5, 40, (4,), 10) == "epoch 2 of 10, step 1 of 4"
    # resumed with other patches: epochs before had 4 steps, those to come have 8
    assert place(10, 8 + 2 * 8, (4, 8), 4) == "epoch 3 of 4, step 2 of 8"
    assert place(8, 8, (4, 8), 2) == "epoch 2 of 2, step 8"
    assert place(7, 40, (), None) == "step 7 of 40"
    assert place(7, None, (), 10) == "step 7"


def test_speed_and_memory_are_said() -> None:
    assert speed_in_words(RunCurves()) == ""
    curves = RunCurves()
    for step in range(1, 31):  # the first steps are slow, and count no more
        speed = 1.0 if step <= 10 else 40.0 + step % 2
        curves.add(Metric(name="train/patches_per_second", step=step, value=speed))
    assert speed_in_words(curves) == "40 patches/s"
    curves.add(Metric(name="train/device_memory_mb", step=30, value=712.3))
    assert speed_in_words(curves) == "40 patches/s, 712 MB"
    curves.add(Metric(name="train/device_memory_mb", step=31, value=3120.0))
    assert speed_in_words(curves) == "40 patches/s, 3.1 GB"
    slow = curves_of("train/patches_per_second", {1: 0.256})
    assert speed_in_words(slow) == "0.26 patches/s"
