import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_ctlns.errors import CtlnsError, DatasetError, ModelError, RunError
from napari_ctlns.events import (
    Event,
    Finished,
    Log,
    Metric,
    Preview,
    Progress,
    Saved,
    Started,
    ThreadControl,
    Uncontrolled,
    event_from_json,
    event_to_json,
)
from napari_ctlns.inference.model import load_network, read_card
from napari_ctlns.learning import train
from napari_ctlns.learning.learner import Learner
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import TrainSpec

Weights = dict[str, torch.Tensor]


def run(spec: TrainSpec) -> list[Event]:
    return list(train(spec, Uncontrolled()))


def weights_of(spec: TrainSpec) -> Weights:
    path = spec.out / "checkpoints" / "last.pt"
    return torch.load(path, weights_only=True)["learner"]["network"]


def assert_equal(one: Weights, other: Weights) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert torch.equal(values, other[name]), name


def stopped_after(spec: TrainSpec, steps: int) -> list[Event]:
    """Train, and ask to stop once ``steps`` steps are done."""
    control = ThreadControl()
    events = []
    for event in train(spec, control):
        events.append(event)
        if isinstance(event, Progress) and event.done == steps:
            control.stop()
    return events


def test_a_run_from_start_to_finish(spec_of: Any) -> None:
    spec = spec_of(changes={"optimisation.epochs": 3})
    events = run(spec)
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert not events[-1].stopped
    assert [event_from_json(event_to_json(e)) for e in events] == events
    # 3 scans x 4 patches = 3 steps of 4, three epochs
    progress = [e for e in events if isinstance(e, Progress)]
    assert [(e.done, e.total, e.unit) for e in progress] == [(n, 9, "step") for n in range(1, 10)]
    metrics: dict[str, list[int]] = {}
    for event in events:
        if isinstance(event, Metric):
            assert np.isfinite(event.value)
            metrics.setdefault(event.name, []).append(event.step)
    steps, epochs = list(range(1, 10)), [3, 6, 9]
    assert metrics == {
        "train/loss": steps,
        "train/learning_rate": steps,
        "train/patches_per_second": steps,
        "train/device_memory_mb": steps,
        "epoch/train_loss": epochs,
        "val/loss": epochs,
        "val/dice": epochs,
        "val/nodule_voxel_accuracy": epochs,
        "val/iou": epochs,
    }
    with (spec.out / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    best = max(rows, key=lambda row: (float(row["val_dice"]), -float(row["val_loss"])))
    assert events[-1].result["best"]["epoch"] == int(best["epoch"])
    card = read_card(spec.out / "best")
    assert card.recipe == spec.recipe
    assert card.metrics["val_dice"] == pytest.approx(float(best["val_dice"]))
    load_network(spec.out / "best")
    assert load_recipe(spec.out / "recipe.toml") == spec.recipe
    assert TrainSpec.model_validate_json((spec.out / "spec.json").read_text("utf-8")) == spec
    assert any((spec.out / "tensorboard").iterdir())
    saved = {(e.kind, e.path) for e in events if isinstance(e, Saved)}
    (shared,) = (spec.out.parent / "best-of-all").glob("ct-lns-*")
    assert saved == {
        ("model", spec.out / "best"),
        ("best of all", shared),
        ("checkpoint", spec.out / "checkpoints" / "last.pt"),
    }
    assert read_card(shared).metrics == card.metrics
    assert not list(spec.out.rglob(".*"))
    previews = [e for e in events if isinstance(e, Preview)]
    assert [e.step for e in previews] == epochs
    assert all(e.path.is_file() for e in previews)


def test_it_learns(spec_of: Any) -> None:
    changes = {"optimisation.epochs": 12, "optimisation.num_workers": 1}
    best = run(spec_of(changes=changes))[-1].result["best"]
    assert best["val_dice"] > 0.8
    assert best["val_nodule_voxel_accuracy"] > 0.8


@pytest.mark.parametrize(
    "changes",
    [
        {"optimisation.deterministic": True},
        {"optimisation.schedule": "cosine", "optimisation.warmup_steps": 2},
        {"network.dropout": 0.3, "optimisation.optimiser": "adamw"},
        {"optimisation.plateau_patience": 0, "optimisation.learning_rate": 1e-5},
    ],
    ids=["deterministic", "cosine", "dropout", "plateau"],
)
def test_a_resumed_run_equals_an_unbroken_one(spec_of: Any, changes: dict[str, Any]) -> None:
    # 3 steps an epoch: stopped in the middle of the second
    changes = {**changes, "optimisation.deterministic": True}
    whole = spec_of("whole", changes)
    run(whole)
    broken = spec_of("broken", changes)
    events = stopped_after(broken, 4)
    assert events[-1].stopped
    assert sum(isinstance(e, Progress) for e in events) == 4
    again = list(train(broken.model_copy(update={"resume": True}), Uncontrolled()))
    assert [e.done for e in again if isinstance(e, Progress)] == [5, 6]
    assert_equal(weights_of(broken), weights_of(whole))
    one, other = (read_history(spec.out) for spec in (whole, broken))
    assert one == other


def read_history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_more_epochs_continue_a_finished_run(spec_of: Any) -> None:
    whole = spec_of("whole", {"optimisation.deterministic": True})
    run(whole)
    short = {"optimisation.deterministic": True, "optimisation.epochs": 1}
    first = spec_of("parts", short)
    run(first)
    idle = run(first.model_copy(update={"resume": True}))
    assert "1 epochs are done" in next(
        e.message for e in idle if isinstance(e, Log) and e.level == "warning"
    )
    assert not any(isinstance(e, Progress) for e in idle)
    assert idle[-1].result["epochs"] == 1
    run(whole.model_copy(update={"out": first.out, "resume": True}))
    assert_equal(weights_of(first), weights_of(whole))


def test_workers_change_nothing(spec_of: Any) -> None:
    alone = spec_of("alone")
    helped = spec_of("helped", {"optimisation.num_workers": 3})
    run(alone)
    run(helped)
    assert_equal(weights_of(alone), weights_of(helped))


def test_stop_in_validation_is_made_up_for(spec_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = spec_of("whole")
    run(whole)
    spec = spec_of("run")
    control = ThreadControl()
    with monkeypatch.context() as patch:
        judge = Learner.judge

        def stopping(self: Learner, batch: Any) -> Any:
            control.stop()
            return judge(self, batch)

        patch.setattr(Learner, "judge", stopping)
        # one more validation batch, so that the stop falls between two
        events = list(train(spec_of("run", {"optimisation.batch_size": 1}), control))
    assert events[-1].stopped
    assert read_history(spec.out) == []
    again = run(spec_of("run", {"optimisation.batch_size": 1}, resume=True))
    assert [row["epoch"] for row in read_history(spec.out)] == ["1", "2"]
    assert [e.done for e in again if isinstance(e, Progress)] == list(range(13, 25))


def test_pause_holds_until_told_to_go(spec_of: Any) -> None:
    import threading

    control = ThreadControl()
    control.pause()
    steps: list[Event] = []
    ended = threading.Event()

    def work() -> None:
        steps.extend(e for e in train(spec_of(), control) if isinstance(e, Progress))
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert not ended.wait(3.0)
    assert steps == []
    control.go()
    thread.join(60)
    assert ended.is_set()
    assert len(steps) == 6


def test_a_broken_loss_ends_the_run_and_keeps_good_weights(
    spec_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of()
    stopped_after(spec, 4)
    good = weights_of(spec)
    monkeypatch.setattr(
        "napari_ctlns.learning.learner.build_loss",
        lambda _: lambda logits, _: logits.mean() * float("nan"),
    )
    with pytest.raises(
        RunError, match=r"loss is nan at step 5, of \w at \(.*lower .*learning_rate"
    ):
        run(spec.model_copy(update={"resume": True}))
    assert_equal(weights_of(spec), good)


def test_exploded_weights_are_never_saved(spec_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Learner.update

    def exploding(self: Learner, rate: float) -> None:
        update(self, rate)
        with torch.no_grad():
            next(iter(self.network.parameters())).fill_(float("inf"))

    spec = spec_of()
    monkeypatch.setattr(Learner, "update", exploding)
    with pytest.raises(RunError, match="weights broke"):
        stopped_after(spec, 1)
    assert not (spec.out / "checkpoints").exists()


def test_start_from_a_model(spec_of: Any) -> None:
    first = spec_of("first")
    run(first)
    frozen = {"optimisation.learning_rate": 1e-12, "optimisation.epochs": 1}
    second = spec_of("second", frozen, start_from=first.out / "best")
    run(second)
    start = load_network(first.out / "best").state_dict()
    after = weights_of(second)
    for name in (n for n in start if "running" not in n and "num_batches" not in n):
        torch.testing.assert_close(after[name], start[name], atol=1e-6, rtol=0)


def test_without_validation_the_training_scans_stand_in(spec_of: Any, make_dataset: Any) -> None:
    folder = make_dataset({"a": "train", "t": "test"})
    events = run(spec_of(dataset=folder, changes={"optimisation.epochs": 1}))
    said = [e.message for e in events if isinstance(e, Log) and e.level == "warning"]
    assert any("no nodules to validate on" in words for words in said)
    assert events[-1].result["best"]["epoch"] == 1


def test_bad_input_leaves_nothing_behind(
    spec_of: Any, make_dataset: Any, dataset_folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("", "utf-8")
    folder = make_dataset({"t": "test"})
    cases: list[tuple[TrainSpec, type[CtlnsError], str]] = [
        (spec_of(dataset=tmp_path / "none"), DatasetError, "is not a dataset"),
        (spec_of(dataset=folder), DatasetError, "no training scans"),
        (
            spec_of(changes={"preparation.spacing_mm": 2.0}),
            DatasetError,
            "spacing_mm is 1.0, not 2.0",
        ),
        (spec_of(start_from=tmp_path / "none"), ModelError, "no model"),
        (spec_of(resume=True), RunError, "no checkpoint"),
        (spec_of(changes={"optimisation.precision": "fp16"}), RunError, "fp16 needs CUDA"),
    ]
    for spec, kind, words in cases:
        with pytest.raises(kind, match=words):
            run(spec)
        assert not spec.out.exists()
    with pytest.raises(RunError, match="is a file"):
        run(spec_of("file"))


def test_no_nodules_at_all(spec_of: Any, make_dataset: Any) -> None:
    with pytest.raises(DatasetError, match="have no nodules"):
        run(spec_of(dataset=make_dataset({"a": "train", "v": "val"}, nodules=0)))


def test_a_folder_with_something_in_it_is_refused(spec_of: Any) -> None:
    spec = spec_of(changes={"optimisation.epochs": 1})
    spec.out.mkdir()
    # what those who start and watch a training put there is no hindrance
    (spec.out / "events.jsonl").write_text("", "utf-8")
    run(spec)
    with pytest.raises(RunError, match="holds a run already"):
        run(spec)
    other = spec_of("other")
    other.out.mkdir()
    (other.out / "thesis.txt").write_text("", "utf-8")
    with pytest.raises(RunError, match="is not empty"):
        run(other)


def test_resume_refuses_another_network_and_damage(spec_of: Any) -> None:
    spec = spec_of(changes={"optimisation.epochs": 1})
    run(spec)
    with pytest.raises(RunError, match="another network"):
        run(spec_of(changes={"network.channels": (4, 16)}, resume=True))
    with pytest.raises(ModelError, match="another network"):
        run(spec_of("new", {"network.channels": (4, 16)}, start_from=spec.out / "best"))
    path = spec.out / "checkpoints" / "last.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match="is damaged"):
        run(spec.model_copy(update={"resume": True}))
