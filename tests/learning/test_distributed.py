"""Several processes that learn one network, as torchrun starts them."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import napari_ctlns
from napari_ctlns.errors import RunError
from napari_ctlns.events import Event, Metric, Uncontrolled, event_from_json
from napari_ctlns.jobs import control_run, run_status
from napari_ctlns.jobs.run_folder import read_events
from napari_ctlns.learning import run_folder, train
from napari_ctlns.learning.distributed import Group
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import TrainSpec

SOURCE = Path(napari_ctlns.__file__).parents[1]
STEPS = 20


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """Return what torchrun tells a process."""
    said = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    return {
        **os.environ,
        **{name: str(value) for name, value in said.items()},
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(SOURCE),
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def begun(command: list[str], size: int = 2) -> list["subprocess.Popen[str]"]:
    """Start a Python command in several processes."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env=environment(rank, size, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


def ended(processes: list["subprocess.Popen[str]"]) -> list[tuple[int, str, str]]:
    """Return exit status, output and errors of each."""
    said = [process.communicate(timeout=200) for process in processes]
    return [(p.returncode, *texts) for p, texts in zip(processes, said, strict=True)]


def words_of(spec: TrainSpec) -> list[str]:
    recipe = spec.out.with_suffix(".toml")
    recipe.write_text(spec.recipe.to_toml(), "utf-8")
    words = ["train", str(spec.dataset), "--recipe", str(recipe), "--out", str(spec.out)]
    return [*words, "--device", "cpu"]


def values(events: list[Event], name: str) -> list[float]:
    return [e.value for e in events if isinstance(e, Metric) and e.name == name]


def events_of(run: Path) -> list[Event]:
    return [event_from_json(line) for line in read_events(run)[0]]


@pytest.fixture
def spec(dataset_folder: Path, tmp_path: Path, recipe: Recipe) -> TrainSpec:
    # 3 x 5 patches in steps of 4: the last of 3, which 2 processes cannot share evenly
    changes = {
        "network.norm": "instance",
        "patches.per_scan": 5,
        "optimisation.epochs": STEPS // 4,
        "optimisation.ema_decay": 0.9,
        "optimisation.clip_gradient_norm": 1.0,
    }
    return TrainSpec(
        dataset=dataset_folder,
        out=tmp_path / "alone",
        recipe=recipe.with_changes(changes),
        device="cpu",
    )


def test_two_processes_learn_what_one_learns(spec: TrainSpec) -> None:
    alone = list(train(spec, Uncontrolled()))
    shared = spec.model_copy(update={"out": spec.out.with_name("shared")})
    (first, _, said), (other, *silent) = ended(begun(["-m", "napari_ctlns", *words_of(shared)]))
    assert (first, other) == (0, 0), (said, silent)
    assert "2 processes" in said
    assert silent == ["", ""]
    events = events_of(shared.out)
    losses = values(events, "train/loss")
    assert len(losses) == STEPS
    assert losses == pytest.approx(values(alone, "train/loss"), abs=1e-4)
    for name in ("val/loss", "val/dice", "val/iou", "epoch/train_loss"):
        assert values(events, name) == pytest.approx(values(alone, name), abs=1e-3), name
    assert run_folder.read_checkpoint(shared.out)["steps"] == STEPS
    assert len(list((shared.out / "tensorboard").iterdir())) == 1
    assert json.loads((shared.out / "state.json").read_text("utf-8"))["state"] == "finished"


@pytest.mark.slow
def test_torchrun_starts_them(spec: TrainSpec) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "3", "-m", "napari_ctlns"]
    bad = [*command, *words_of(spec)]
    done = subprocess.run(bad, env=environment(0, 1, free_port()), capture_output=True, text=True)
    assert done.returncode
    assert done.stderr.count("error: optimisation.batch_size 4 cannot be shared by 3") == 1
    assert not spec.out.exists()
    good = [*bad, "--batch-size", "3", "--epochs", "1"]
    done = subprocess.run(good, env=environment(0, 1, free_port()), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(values(events_of(spec.out), "train/loss")) == 5


FAILING = """
import sys, torch
from napari_ctlns.learning.learner import Learner
from napari_ctlns.torchrun import rank_and_size
from napari_ctlns.cli import main

attempt = Learner._accumulated
tries = []

def broken(self, batch, share):
    tries.append(self.parts)
    if rank_and_size()[0] == 1 and len(tries) == 3:
        raise {error}
    return attempt(self, batch, share)

Learner._accumulated = broken
status = main(sys.argv[1:])
if tries[:4] == [1, 1, 1, 2]:
    print("parts", tries[-1])
sys.exit(status)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        ("torch.OutOfMemoryError('CUDA out of memory')", [0, 0], "memory did not suffice"),
        ("ZeroDivisionError('a bug')", [2, 1], "error: ZeroDivisionError: a bug"),
    ],
    ids=["memory", "bug"],
)
def test_what_fails_in_one_process_is_told_by_the_first_and_hangs_none(
    spec: TrainSpec, tmp_path: Path, error: str, status: list[int], words: str
) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING.format(error=error), "utf-8")
    said = ended(begun([str(script), *words_of(spec)]))
    assert [returned for returned, *_ in said] == status, said
    assert words in said[0][2]
    if status == [0, 0]:
        assert [out for _, out, _ in said] == ["parts 2\n", "parts 2\n"]


@pytest.mark.slow
def test_a_pause_and_a_stop_are_obeyed_by_all(spec: TrainSpec) -> None:
    processes = begun(["-m", "napari_ctlns", *words_of(spec), "--epochs", "5000"])
    wait_for(lambda: steps_of(spec.out) > 2)
    control_run(spec.out, "pause")
    wait_for(lambda: run_status(spec.out).state == "paused")
    time.sleep(1)
    done = steps_of(spec.out)
    time.sleep(1)
    assert steps_of(spec.out) == done
    control_run(spec.out, "go")
    wait_for(lambda: steps_of(spec.out) > done)
    control_run(spec.out, "stop")
    assert [status for status, *_ in ended(processes)] == [0, 0]
    assert run_status(spec.out).state == "stopped"
    assert run_folder.read_checkpoint(spec.out)["steps"] == steps_of(spec.out)


def steps_of(run: Path) -> int:
    return len(values(events_of(run), "train/loss")) if (run / "events.jsonl").exists() else 0


def wait_for(condition: Callable[[], bool], seconds: float = 100.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("patches", [1, 3, 4, 12])
def test_shares_are_the_whole_and_nobody_goes_without(size: int, patches: int) -> None:
    shares = [Group(rank, size).share(range(patches)) for rank in range(size)]
    taken = [index for indices, weight in shares if weight for index in indices]
    assert taken == list(range(patches))
    assert sum(weight for _, weight in shares) == pytest.approx(1)
    for indices, weight in shares:
        assert len(indices) >= 1
        assert weight in (0, pytest.approx(len(indices) / patches))


def test_a_group_of_one_agrees_with_itself() -> None:
    group = Group()
    assert group.together(lambda: 3) == group.first(lambda: 3) == group.told(lambda: 3) == 3
    assert (group.total(2.0), group.gathered("x")) == (2.0, ["x"])
    with pytest.raises(RunError):
        group.together(lambda: (_ for _ in ()).throw(RunError("no")))
    assert not group.stops(Uncontrolled())
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.ones(2)
    group.add_gradients([weight])
    assert weight.grad.tolist() == [1, 1]
