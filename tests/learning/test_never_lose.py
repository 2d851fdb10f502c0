"""A run that is killed, runs out of room or is tampered with loses nothing that was learned."""

import csv
import errno
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import napari_ctlns
from napari_ctlns.dataset.folder import open_dataset
from napari_ctlns.dataset.revisions import add_mask
from napari_ctlns.errors import ModelError, OutputError, RunError
from napari_ctlns.events import Event, Finished, Log, Metric, Progress, Saved, Uncontrolled
from napari_ctlns.inference.model import load_network, read_card
from napari_ctlns.learning import keeping, run_folder, train
from napari_ctlns.learning.learner import Learner
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import TrainSpec

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="killed by SIGKILL after a fork")

SpecOf = Callable[..., TrainSpec]
DETERMINISTIC = {
    "optimisation.deterministic": True,
    "optimisation.ema_decay": 0.5,
    "optimisation.epochs": 3,
    "network.dropout": 0.2,
}


def run(spec: TrainSpec) -> list[Event]:
    return list(train(spec, Uncontrolled()))


def resumed(spec: TrainSpec) -> TrainSpec:
    return spec.model_copy(update={"resume": True})


def learned(spec: TrainSpec) -> dict[str, Any]:
    return run_folder.read_checkpoint(spec.out)["learner"]


def history(spec: TrainSpec) -> list[dict[str, str]]:
    with (spec.out / "history.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same(one: Any, other: Any) -> None:
    """Bit for bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    else:
        assert one == other


def killed_and_resumed(spec: TrainSpec, moments: list[str]) -> str:
    file = spec.out.with_suffix(".json")
    file.write_text(spec.model_dump_json(), "utf-8")
    command = [sys.executable, str(HERE / "killed.py"), str(file), *moments]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_as_if_never_killed(spec: TrainSpec, whole: TrainSpec) -> None:
    assert_same(learned(spec), learned(whole))
    assert history(spec) == history(whole)
    one, other = (load_network(s.out / "best").state_dict() for s in (spec, whole))
    assert_same(one, other)
    assert not list(spec.out.rglob(".*"))


@posix
def test_killed_anywhere_and_resumed_it_learns_the_same_bit_for_bit(spec_of: SpecOf) -> None:
    whole, broken = spec_of("whole", DETERMINISTIC), spec_of("broken", DETERMINISTIC)
    run(whole)
    delay = random.Random().uniform(0.1, 0.8)
    said = killed_and_resumed(broken, ["write-2", f"{delay:.3f}"])
    assert "write-2 killed" in said
    assert_as_if_never_killed(broken, whole)


@posix
@pytest.mark.slow
def test_killed_many_times(spec_of: SpecOf) -> None:
    changes = {**DETERMINISTIC, "optimisation.epochs": 8, "optimisation.keep_checkpoints": "all"}
    whole, broken = spec_of("whole", changes), spec_of("broken", changes)
    run(whole)
    moments = [f"{random.uniform(0.05, 0.5):.3f}" for _ in range(12)]
    moments[3:3] = ["write-1", "write-1", "write-2"]
    said = killed_and_resumed(broken, moments)
    assert said.count("killed") >= 5, said
    assert_as_if_never_killed(broken, whole)
    assert len(list((broken.out / "checkpoints").glob("epoch-*.pt"))) == 8


class Killed(BaseException):
    """Ends a run as SIGKILL does: nobody tidies up after it but the system."""


@pytest.mark.parametrize("function", ["write_history", "save_model", "keep_if_best"])
def test_what_a_kill_between_two_files_left_out_is_mended(
    spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    spec = spec_of(changes={"optimisation.epochs": 1})

    def killed(*_: object) -> None:
        raise Killed

    events = train(spec, Uncontrolled())
    while not isinstance(next(events), Progress):
        pass  # what is written at the beginning may be
    with monkeypatch.context() as patch:
        patch.setattr(keeping, function, killed)
        with pytest.raises(Killed):
            list(events)
    assert not (spec.out / "previews").exists()
    events = run(resumed(spec))
    assert not any(isinstance(e, Progress) for e in events)
    assert [row["epoch"] for row in history(spec)] == ["1"]
    metrics = read_card(spec.out / "best").metrics
    assert metrics["val_dice"] == float(history(spec)[0]["val_dice"])
    (shared,) = (spec.out.parent / "best-of-all").glob("ct-lns-*")
    assert read_card(shared).metrics == metrics


def test_killed_before_its_first_checkpoint_it_begins_anew_from_the_same_model(
    spec_of: SpecOf,
) -> None:
    run(spec_of("first", {"optimisation.epochs": 1}))
    spec = spec_of("run", {"optimisation.epochs": 1}, start_from=spec_of("first").out / "best")
    whole = spec.model_copy(update={"out": spec.out.with_name("whole")})
    run(whole)
    for events in (train(spec, Uncontrolled()), train(spec_of("run", resume=True), Uncontrolled())):
        next(events)
        events.close()
    again = spec_of("run", {"optimisation.epochs": 1}, resume=True)
    run(again)
    assert_same(learned(again), learned(whole))


def disk_is_full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def train_and(spec: TrainSpec, do: Callable[[], None]) -> None:
    """Train, and do something after each checkpoint."""
    for event in train(spec, Uncontrolled()):
        if isinstance(event, Saved) and event.kind == "checkpoint":
            do()


def test_a_full_disk_ends_the_run_in_words_and_keeps_its_last_checkpoint(
    spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, spec = (spec_of(name, DETERMINISTIC) for name in ("whole", "run"))
    run(whole)
    words = r"cannot write .*last\.pt: No space left on device; .* make room, then --resume"
    with monkeypatch.context() as patch, pytest.raises(OutputError, match=words):
        train_and(spec, lambda: patch.setattr(run_folder.os, "fsync", disk_is_full))
    assert run_folder.read_checkpoint(spec.out)["epoch"] == 1
    assert not list(spec.out.rglob(".*"))
    run(resumed(spec))
    assert_as_if_never_killed(spec, whole)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk")
def test_a_really_full_disk(spec_of: SpecOf, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount here")
    spec, filler = spec_of("disk/run"), disk / "filler"

    def fill() -> None:
        room = os.statvfs(disk)
        filler.write_bytes(b"0" * (room.f_bavail * room.f_bsize - 8192))

    try:
        with pytest.raises(OutputError, match="No space left on device"):
            train_and(spec, fill)
        assert run_folder.read_checkpoint(spec.out)["epoch"] == 1
        filler.unlink()
        assert run(resumed(spec))[-1].result["epochs"] == 2
    finally:
        subprocess.run(["umount", str(disk)], check=True)


class Payload:
    """What it unpickles to makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.trace,))


def test_a_pickle_that_would_run_code_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    spec = spec_of(changes={"optimisation.epochs": 1})
    run(spec)
    trace = tmp_path / "ran"
    evil = Payload(trace)
    pickle.loads(pickle.dumps(evil))
    assert trace.exists(), "the payload works"
    trace.unlink()
    path = run_folder.last_checkpoint(spec.out)
    torch.save({**run_folder.read_checkpoint(spec.out), "evil": evil}, path)
    with pytest.raises(RunError, match="is damaged"):
        run(resumed(spec))
    path.write_bytes(pickle.dumps(evil))
    with pytest.raises(RunError, match="is damaged"):
        run(resumed(spec))
    for content in (pickle.dumps(evil), path.read_bytes()):
        (spec.out / "best" / "weights.safetensors").write_bytes(content)
        with pytest.raises(ModelError, match="is damaged"):
            run(spec_of("other", start_from=spec.out / "best"))
    assert not trace.exists()


def test_a_changed_dataset_is_refused_in_words(
    spec_of: SpecOf, make_dataset: Any, recipe: Recipe
) -> None:
    folder = make_dataset({"a": "train", "b": "train", "v": "val", "t": "test"})
    spec = spec_of(changes={"optimisation.epochs": 1}, dataset=folder)
    run(spec)
    more = spec_of(dataset=folder, resume=True)
    before = (folder / "dataset.json").read_text("utf-8")
    changes = {
        '"b":"train"': ('"b":"val"', "scan b moved from train to val"),
        '"v":"val"': ('"v":"test"', "scan v is gone"),
        '"t":"test"': ('"t":"train"', "scan t is new"),
    }
    for old, (new, words) in changes.items():
        plain = before.replace('": "', '":"')
        assert old in plain
        (folder / "dataset.json").write_text(plain.replace(old, new), "utf-8")
        with pytest.raises(RunError, match=f"has changed since the run began: {words}; begin"):
            run(more)
    (folder / "dataset.json").write_text(before, "utf-8")
    scan = next(s for s in open_dataset(folder).scans() if s.scan_id == "a")
    add_mask(scan, (scan.mask() > 0).astype("uint8"), reader="somebody")
    with pytest.raises(RunError, match="has changed since the run began: scan a has another mask"):
        run(more)


def test_what_would_be_another_run_is_refused(spec_of: SpecOf) -> None:
    run(spec_of(changes={"optimisation.epochs": 1}))
    for changes, words in [
        ({"network.channels": (4, 16)}, "another network"),
        ({"loss.ce_weight": 2.0}, "another loss"),
        ({"patches.per_scan": 8}, "another patches"),
        ({"optimisation.best_by": "val_loss"}, "another optimisation.best_by"),
        ({"preparation.clip_hu": (-900, 400)}, "another preparation"),
    ]:
        with pytest.raises(RunError, match=rf"{words}; begin a new run, if you like --from"):
            run(spec_of(changes=changes, resume=True))
    # whole epochs leave the rest free
    events = run(spec_of(changes={"optimisation.batch_size": 3}, resume=True))
    assert isinstance(events[-1], Finished)


def test_memory_that_lacks_is_told_remembered_and_changes_nothing(
    spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"network.norm": "instance", "optimisation.epochs": 2}
    whole = run(spec_of("whole", changes))
    attempt, tried = Learner._accumulated, []

    def limited(self: Learner, batch: Any, share: float) -> float:
        tried.append(self.parts)
        if len(batch.hu) / self.parts > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return attempt(self, batch, share)

    monkeypatch.setattr(Learner, "_accumulated", limited)
    spec = spec_of("run", changes)
    first, more = spec_of("run", {**changes, "optimisation.epochs": 1}), resumed(spec)
    events = [*run(first), *run(more)]
    assert tried == [1, *[2] * 6]
    (said,) = (e.message for e in events if isinstance(e, Log) and e.level == "warning")
    assert "memory did not suffice" in said
    assert "2 parts" in said
    one, other = (
        [e.value for e in found if isinstance(e, Metric) and e.name == "train/loss"]
        for found in (events, whole)
    )
    assert one == pytest.approx(other, rel=1e-3)


def test_training_ends_early_and_goes_on_when_asked(spec_of: SpecOf) -> None:
    changes = {
        "optimisation.learning_rate": 1e-9,
        "optimisation.early_stopping_patience": 2,
        "optimisation.epochs": 9,
        "network.norm": "instance",
    }
    events = run(spec_of(changes={**changes, "optimisation.keep_checkpoints": "all"}))
    epochs = events[-1].result["epochs"]
    assert 3 <= epochs < 9
    assert not events[-1].stopped
    assert any(isinstance(e, Log) and "ended early" in e.message for e in events)
    spec = spec_of()
    kept = sorted(path.name for path in (spec.out / "checkpoints").iterdir())
    assert kept == [*(f"epoch-{n:04d}.pt" for n in range(1, epochs + 1)), "last.pt"]
    again = {**changes, "optimisation.early_stopping_patience": 3, "optimisation.epochs": 9}
    assert run(spec_of(changes=again, resume=True))[-1].result["epochs"] > epochs
