"""Searching the values of a recipe: with a training that is made up, and with a real one."""

import csv
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from PIL import Image

from napari_ctlns.cli import main
from napari_ctlns.dataset import prepare
from napari_ctlns.errors import CtlnsError, DatasetError, OutputError, RecipeError, RunError
from napari_ctlns.events import (
    Control,
    Event,
    Finished,
    Log,
    Metric,
    Progress,
    Saved,
    Started,
    ThreadControl,
    Uncontrolled,
)
from napari_ctlns.phantom import PhantomSpec, write_cohort
from napari_ctlns.recipe import Recipe, SearchRange, load_recipe
from napari_ctlns.specs import PrepareSpec, TrainSpec, TuneSpec
from napari_ctlns.tuning import tune
from napari_ctlns.tuning.workers import worker_environment

EPOCHS = 4
RATE = "optimisation.learning_rate"
WEIGHT = "loss.ce_weight"


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tiny phantoms, prepared at 3 mm: two to learn from, one to validate."""
    folder = tmp_path_factory.mktemp("tuning")
    specs = [
        PhantomSpec(seed=seed, extent_mm=(60, 100, 120), spacing=(3, 3, 3), n_nodules=2)
        for seed in range(3)
    ]
    list(write_cohort(folder / "scans", specs))
    splits = {"train": [specs[0].name, specs[1].name], "val": [specs[2].name]}
    (folder / "splits.json").write_text(json.dumps(splits))
    spec = PrepareSpec(
        source=folder / "scans",
        out=folder / "dataset",
        recipe=tiny(),
        masks=folder / "scans" / "masks",
        splits=folder / "splits.json",
    )
    list(prepare(spec, Uncontrolled()))
    return folder / "dataset"


def tiny(**search: SearchRange) -> Recipe:
    recipe = load_recipe("ct-lns").with_changes(
        {
            "preparation.spacing_mm": 3.0,
            "patches.size": (8, 8, 8),
            "patches.per_scan": 4,
            "inference.window": (8, 8, 8),
            "network.channels": (4, 8),
            "optimisation.epochs": EPOCHS,
            "optimisation.precision": "fp32",
        }
    )
    ranges = {key.replace("__", "."): wanted for key, wanted in search.items()} or {
        RATE: SearchRange(low=1e-4, high=1e-2, log=True),
        WEIGHT: SearchRange(low=0.5, high=5.0),
    }
    return recipe.model_copy(update={"search": ranges})


class Training:
    """Stands in for a training: its Dice is the best at a learning rate of 1e-3.

    It keeps its epoch in a checkpoint, as a real one does.
    """

    def __init__(self, before: Callable[[TrainSpec, int], None] | None = None) -> None:
        self.before = before
        self.trained: list[tuple[str, int]] = []
        self.recipes: dict[str, Recipe] = {}

    def __call__(self, spec: TrainSpec, control: Control) -> Iterator[Event]:
        self.recipes[spec.out.name] = spec.recipe
        yield Started(title="made up")
        checkpoint = spec.out / "checkpoints" / "last.pt"
        done = int(checkpoint.read_text()) if spec.resume else 0
        for epoch in range(done, EPOCHS):
            yield Progress(done=epoch, total=EPOCHS, unit="step")
            if control.stop_requested():
                save(checkpoint, epoch)
                yield Finished(stopped=True)
                return
            if self.before is not None:
                self.before(spec, epoch)
            self.trained.append((spec.out.name, epoch))
            value = dice(spec.recipe, epoch)
            yield Metric(name="val/dice", step=10 * (epoch + 1), value=value)
            yield Metric(name="val/loss", step=10 * (epoch + 1), value=1 - value)
            save(spec.out / "best" / "model.json", epoch)
            save(checkpoint, epoch + 1)
        yield Finished()


def save(path: Path, epoch: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(str(epoch))


def dice(recipe: Recipe, epoch: int) -> float:
    return (1 - factors_off(recipe.optimisation.learning_rate) / 3) * (epoch + 1) / EPOCHS


def factors_off(rate: float) -> float:
    """Factors of ten between a learning rate and the best one."""
    return abs(math.log10(rate) + 3)


@pytest.fixture(autouse=True)
def no_picture(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing but where the picture is tested: it takes half a second a trial."""
    if "picture" not in request.node.name:
        monkeypatch.setattr("napari_ctlns.tuning.results.search_png", lambda *_: b"")


@pytest.fixture
def spec(dataset: Path, tmp_path: Path) -> TuneSpec:
    return TuneSpec(dataset=dataset, out=tmp_path / "search", recipe=tiny(), trials=3)


def run(spec: TuneSpec, train: Any = None, control: Control | None = None) -> list[Event]:
    return list(tune(spec, control or Uncontrolled(), train or Training()))


def rows(spec: TuneSpec) -> list[dict[str, str]]:
    with (spec.out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def changed(spec: TuneSpec, **changes: Any) -> TuneSpec:
    return spec.model_copy(update=changes)


# -- what comes of it -----------------------------------------------------------------


def test_each_trial_is_a_row_of_what_it_tried_and_reached(spec: TuneSpec) -> None:
    train = Training()
    events = run(spec, train)
    table = rows(spec)
    assert [row["trial"] for row in table] == ["0", "1", "2"]
    assert {row["state"] for row in table} == {"complete"}
    for row in table:
        recipe = train.recipes[f"{int(row['trial']):04d}"]
        assert float(row[RATE]) == recipe.optimisation.learning_rate
        assert float(row[WEIGHT]) == recipe.loss.ce_weight
        assert float(row["val_dice"]) == dice(recipe, EPOCHS - 1)
        assert int(row["epochs"]) == EPOCHS
    metrics = {e.step: e.value for e in events if isinstance(e, Metric)}
    assert metrics == {int(row["trial"]): float(row["val_dice"]) for row in table}
    assert {e.name for e in events if isinstance(e, Metric)} == {"trial/val_dice"}


def test_progress_counts_trials_and_their_parts(spec: TuneSpec) -> None:
    progress = [e for e in run(spec) if isinstance(e, Progress)]
    assert {e.total for e in progress} == {3}
    done = [e.done for e in progress]
    assert done == sorted(done)
    assert 1 + 1 / EPOCHS in done
    assert done[-1] == 3


def test_the_best_recipe_can_be_trained(spec: TuneSpec) -> None:
    events = run(changed(spec, trials=6))
    best = max(rows(spec), key=lambda row: float(row["val_dice"]))
    recipe = load_recipe(spec.out / "best.toml")
    assert recipe.optimisation.learning_rate == float(best[RATE])
    assert recipe.loss.ce_weight == float(best[WEIGHT])
    assert not recipe.search
    same = {"name", "description", "search", "optimisation", "loss"}
    assert recipe.model_dump(exclude=same) == spec.recipe.model_dump(exclude=same)
    assert f"trial {best['trial']}" in recipe.description
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.result["best"]["trial"] == int(best["trial"])


def test_the_lowest_loss_is_best_where_the_recipe_says_so(spec: TuneSpec) -> None:
    by_loss = tiny().with_changes({"optimisation.best_by": "val_loss"})
    ranges = {RATE: spec.recipe.search[RATE]}
    run(changed(spec, recipe=by_loss.model_copy(update={"search": ranges})))
    best = min(rows(spec), key=lambda row: float(row["val_loss"]))
    found = load_recipe(spec.out / "best.toml").optimisation.learning_rate
    assert found == float(best[RATE])


def test_a_loss_that_trials_change_is_said_to_be_no_measure(spec: TuneSpec) -> None:
    recipe = tiny().with_changes({"optimisation.best_by": "val_loss"})
    events = run(changed(spec, recipe=recipe))
    warnings = [e.message for e in events if isinstance(e, Log) and e.level == "warning"]
    assert any(WEIGHT in words and "compared" in words for words in warnings)


def test_values_are_drawn_where_the_recipe_says(spec: TuneSpec) -> None:
    recipe = tiny(
        optimisation__batch_size=SearchRange(low=2, high=4),
        optimisation__learning_rate=SearchRange(low=1e-5, high=1e-1, log=True),
        optimisation__optimiser=SearchRange(choices=("adam", "adamw")),
        patches__size=SearchRange(choices=([8, 8, 8], [4, 8, 8])),
        augmentation__enabled=SearchRange(choices=(True, False)),
    )
    train = Training()
    run(changed(spec, recipe=recipe, trials=12), train)
    tried = train.recipes.values()
    assert {r.optimisation.batch_size for r in tried} <= {2, 3, 4}
    rates = [r.optimisation.learning_rate for r in tried]
    assert 1e-5 <= min(rates) < 1e-3 < max(rates) <= 1e-1
    assert {r.optimisation.optimiser for r in tried} == {"adam", "adamw"}
    assert {r.patches.size for r in tried} == {(8, 8, 8), (4, 8, 8)}
    assert {r.augmentation.enabled for r in tried} == {True, False}
    assert load_recipe(spec.out / "best.toml").patches.size in {(8, 8, 8), (4, 8, 8)}


def test_a_search_finds_what_is_better_than_chance(spec: TuneSpec) -> None:
    recipe = tiny(**{RATE: SearchRange(low=1e-5, high=1e-1, log=True)})
    run(changed(spec, trials=25, recipe=recipe, seed=1))
    off = [factors_off(float(row[RATE])) for row in rows(spec)]
    assert statistics.mean(off[10:]) < 0.65  # by chance 1


def test_the_seed_decides_what_is_drawn(spec: TuneSpec, tmp_path: Path) -> None:
    def drawn(name: str, seed: int) -> list[str]:
        here = changed(spec, out=tmp_path / name, seed=seed)
        run(here)
        return [row[RATE] for row in rows(here)]

    assert drawn("one", 1) == drawn("again", 1) != drawn("other", 2)
    assert len(set(drawn("third", 3))) == 3


def test_a_picture_is_drawn(spec: TuneSpec) -> None:
    events = run(spec)
    (path,) = [e.path for e in events if isinstance(e, Saved) and e.path.suffix == ".png"]
    with Image.open(path) as picture:
        assert picture.width > 600
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


def test_only_the_best_trial_keeps_its_weights(spec: TuneSpec) -> None:
    run(changed(spec, trials=5))
    best = max(rows(spec), key=lambda row: float(row["val_dice"]))
    for folder in sorted((spec.out / "trials").iterdir()):
        is_best = int(folder.name) == int(best["trial"])
        assert (folder / "best").exists() == is_best
        assert (folder / "checkpoints").exists() == is_best
        assert (folder / "events.jsonl").is_file()


# -- trials that are not worth going on, or fail --------------------------------------


def test_a_hopeless_trial_is_given_up_at_once(spec: TuneSpec) -> None:
    train = Training()
    events = run(changed(spec, trials=20), train)
    pruned = [row for row in rows(spec) if row["state"] == "pruned"]
    assert pruned
    for row in pruned:
        name = f"{int(row['trial']):04d}"
        epochs = [epoch for trial, epoch in train.trained if trial == name]
        assert len(epochs) == int(row["epochs"]) < EPOCHS
    said = [e.message for e in events if isinstance(e, Log)]
    assert any(f"trial {pruned[0]['trial']} was given up" in words for words in said)


@pytest.mark.parametrize("error", [RunError("the loss is nan"), RuntimeError("out of memory")])
def test_a_trial_that_fails_is_counted_and_the_search_goes_on(
    spec: TuneSpec, error: Exception
) -> None:
    def fail(training: TrainSpec, epoch: int) -> None:
        if training.out.name == "0001" and epoch == 1:
            raise error

    run(spec, Training(fail))
    table = rows(spec)
    assert [row["state"] for row in table] == ["complete", "failed", "complete"]
    assert str(error) in table[1]["problem"]


def test_values_that_do_not_fit_together_fail_in_words(spec: TuneSpec) -> None:
    recipe = tiny(patches__size=SearchRange(choices=([8, 8, 8], [9, 8, 8])))
    run(changed(spec, recipe=recipe, trials=8))
    failed = [row for row in rows(spec) if row["state"] == "failed"]
    assert failed
    assert "multiples of 2" in failed[0]["problem"]


def test_a_search_whose_trials_all_fail_is_an_error(spec: TuneSpec) -> None:
    def fail(training: TrainSpec, epoch: int) -> None:
        raise RunError("the loss is nan")

    with pytest.raises(RunError, match=r"no trial of 3 .* the loss is nan"):
        run(spec, Training(fail))


@pytest.mark.parametrize("error", [DatasetError("no scans"), OutputError("disk full")])
def test_what_would_fail_every_trial_ends_the_search(spec: TuneSpec, error: CtlnsError) -> None:
    def fail(training: TrainSpec, epoch: int) -> None:
        raise error

    train = Training(fail)
    with pytest.raises(type(error), match=str(error)):
        run(spec, train)
    assert not train.trained
    run(spec)  # the disk has room again
    assert [row["state"] for row in rows(spec)][1:] == ["complete"] * 3


# -- stopping, dying, going on --------------------------------------------------------


def test_the_same_command_goes_on_to_as_many_trials_as_wanted(spec: TuneSpec) -> None:
    run(changed(spec, trials=2))
    first = rows(spec)
    train = Training()
    run(changed(spec, trials=5), train)
    assert len(rows(spec)) == 5
    assert rows(spec)[:2] == first
    assert {name for name, _ in train.trained} == {"0002", "0003", "0004"}


def test_a_search_that_goes_on_draws_what_it_would_have_drawn(
    spec: TuneSpec, tmp_path: Path
) -> None:
    whole = changed(spec, out=tmp_path / "whole", trials=4)
    run(whole)
    run(changed(spec, trials=2))
    run(changed(spec, trials=4))
    assert [row[RATE] for row in rows(spec)] == [row[RATE] for row in rows(whole)]


def test_a_search_that_is_over_says_so_and_trains_nothing(spec: TuneSpec) -> None:
    run(spec)
    train = Training()
    events = run(spec, train)
    assert not train.trained
    assert any("ask for more" in e.message for e in events if isinstance(e, Log))
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert len(finished.result["rows"]) == 3


def test_a_stopped_trial_goes_on_where_it_was(spec: TuneSpec) -> None:
    control = ThreadControl()

    def stop(training: TrainSpec, epoch: int) -> None:
        if training.out.name == "0001" and epoch == 1:
            control.stop()

    before = Training(stop)
    finished = run(spec, before, control)[-1]
    assert isinstance(finished, Finished)
    assert finished.stopped
    assert [row["state"] for row in rows(spec)] == ["complete", "stopped"]
    after = Training()
    run(spec, after)
    assert before.trained[-2:] == [("0001", 0), ("0001", 1)]
    assert after.trained[:2] == [("0002", 2), ("0002", 3)]
    table = rows(spec)
    assert [row["state"] for row in table] == ["complete", "stopped", "complete", "complete"]
    assert table[1][RATE] == table[2][RATE]
    assert table[2]["epochs"] == str(EPOCHS)
    assert not (spec.out / "trials" / "0001").exists()


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_tuning import Training, run
from napari_ctlns.specs import TuneSpec
def kill(training, epoch):
    if training.out.name == "0001" and epoch == 2:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
run(TuneSpec.model_validate_json(sys.stdin.read()), Training(kill))
"""
_TOGETHER = (
    _KILLED.partition("def kill")[0]
    + """
import time
def wait(training, epoch):
    deadline = time.monotonic() + 100
    while len(list(training.out.parent.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
run(TuneSpec.model_validate_json(sys.stdin.read()), Training(wait))
"""
)


def start(program: str, spec: TuneSpec) -> subprocess.Popen[str]:
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", program, here], stdin=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(spec.model_dump_json())
    process.stdin.close()
    return process


def test_a_killed_trial_is_redone_from_its_checkpoint(spec: TuneSpec) -> None:
    assert start(_KILLED, spec).wait() != 0
    train = Training()
    run(spec, train)
    table = rows(spec)
    assert [row["state"] for row in table] == ["complete", "stopped", "complete", "complete"]
    assert train.trained[0] == ("0002", 2)
    assert table[1][RATE] == table[2][RATE]


def test_half_a_line_that_a_killed_process_left_harms_nothing(spec: TuneSpec) -> None:
    run(changed(spec, trials=1))
    with (spec.out / "study.journal").open("ab") as journal:
        journal.write(b'{"op_code": 5, "worker')
    run(spec)
    assert len(rows(spec)) == 3
    run(changed(spec, trials=4))
    assert len(rows(spec)) == 4


def test_processes_share_a_search(spec: TuneSpec) -> None:
    many = changed(spec, trials=6)
    workers = [start(_TOGETHER, many), start(_TOGETHER, many)]
    assert [worker.wait() for worker in workers] == [0, 0]
    table = rows(many)
    assert [int(row["trial"]) for row in table] == list(range(6))
    assert {row["state"] for row in table} <= {"complete", "pruned"}
    assert len({row[RATE] for row in table}) == 6
    pids = set()
    for folder in (spec.out / "trials").iterdir():
        pids.add(json.loads((folder / "state.json").read_text())["worker"]["pid"])
    assert len(pids) == 2


# -- refused --------------------------------------------------------------------------


def test_a_recipe_without_a_search_is_refused_with_an_example(spec: TuneSpec) -> None:
    plain = tiny().model_copy(update={"search": {}})
    with pytest.raises(RecipeError, match=r"no \[search\] section; .*learning_rate.*low = "):
        run(changed(spec, recipe=plain))
    assert not spec.out.exists()


@pytest.mark.parametrize(
    ("key", "wanted", "words"),
    [
        ("network__dropout", SearchRange(low=0.0, high=1.5), "1.5 is not allowed"),
        ("optimisation__optimiser", SearchRange(choices=("adam", "adamax")), "adamax"),
        ("preparation__spacing_mm", SearchRange(low=0.5, high=2.0), "prepared already"),
        ("optimisation__best_by", SearchRange(choices=("val_dice", "val_loss")), "compared"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(
    spec: TuneSpec, key: str, wanted: SearchRange, words: str
) -> None:
    with pytest.raises(RecipeError, match=words) as error:
        run(changed(spec, recipe=tiny(**{key: wanted})))
    assert key.replace("__", ".") in str(error.value)
    assert not spec.out.exists()


def test_a_folder_with_another_search_is_refused(spec: TuneSpec) -> None:
    run(spec)
    longer = spec.recipe.with_changes({"optimisation.epochs": 9})
    with pytest.raises(RunError, match=r"another recipe \(optimisation.epochs is 4 there, 9 here"):
        run(changed(spec, recipe=longer))
    assert len(rows(spec)) == 3


def test_a_folder_with_a_search_on_another_dataset_is_refused(
    spec: TuneSpec, dataset: Path, tmp_path: Path
) -> None:
    run(spec)
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    run(changed(spec, dataset=copy))  # a copy elsewhere is the same
    card = json.loads((copy / "dataset.json").read_text())
    card["scans"] = card["scans"][1:]
    (copy / "dataset.json").write_text(json.dumps(card))
    with pytest.raises(RunError, match="another dataset"):
        run(changed(spec, dataset=copy))


def test_a_folder_with_other_things_is_refused_and_left_alone(spec: TuneSpec) -> None:
    spec.out.mkdir()
    (spec.out / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="holds no search"):
        run(spec)
    assert [path.name for path in spec.out.iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match="is a file"):
        run(changed(spec, out=spec.out / "thesis.txt"))


def test_a_folder_that_is_no_dataset_is_refused(spec: TuneSpec, tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        run(changed(spec, dataset=tmp_path / "none"))
    assert not spec.out.exists()


def test_a_damaged_study_is_refused_in_words(spec: TuneSpec) -> None:
    run(changed(spec, trials=1))
    journal = spec.out / "study.journal"
    journal.write_bytes(b"x" + journal.read_bytes())
    with pytest.raises(RunError, match="damaged"):
        run(spec)


def test_without_optuna_it_says_how_to_install_it(
    spec: TuneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("napari_ctlns.tuning.")]:
        if name != "napari_ctlns.tuning.tune":
            monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "optuna"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(RunError, match=r"pip install napari-ctlns\[tune\]"):
        run(spec)


# -- as a command ---------------------------------------------------------------------


def test_workers_share_processors_and_cuda_devices() -> None:
    cores = os.cpu_count() or 1
    alone = worker_environment({"PATH": "x"}, 1, 2, devices=1)
    assert alone == {"PATH": "x", "OMP_NUM_THREADS": str(max(1, cores // 2))}
    seen = [worker_environment({}, n, 4, devices=3)["CUDA_VISIBLE_DEVICES"] for n in (1, 2, 3)]
    assert seen == ["1", "2", "0"]
    given = {"CUDA_VISIBLE_DEVICES": "4,7", "OMP_NUM_THREADS": "3"}
    assert worker_environment(given, 1, 2, devices=2) == {**given, "CUDA_VISIBLE_DEVICES": "7"}


def words(dataset: Path, recipe: Path, out: Path, *more: str) -> list[str]:
    start = ["tune", str(dataset), "--recipe", str(recipe), "--out", str(out)]
    return [*start, "--device", "cpu", "--epochs", "2", *more]


def test_the_command_searches_for_real(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "tiny.toml", tmp_path / "search"
    recipe.write_text(tiny().to_toml())
    assert main(words(dataset, recipe, out, "--trials", "2", "--seed", "1")) == 0
    shown = capsys.readouterr()
    assert "learning_rate" in shown.out
    assert str(out / "best.toml") in shown.out
    assert "trial 1: learning_rate" in shown.err
    best = load_recipe(out / "best.toml")
    assert best.optimisation.epochs == 2
    models = list(out.glob("trials/*/best/weights.safetensors"))
    assert len(models) == 1
    assert main(words(dataset, recipe, out, "--trials", "1")) == 0
    study = optuna.load_study(
        study_name="ctlns",
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(out / "study.journal"))
        ),
    )
    assert len(study.trials) == 2


@pytest.mark.slow
def test_the_command_searches_with_several_processes(dataset: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "tiny.toml", tmp_path / "search"
    recipe.write_text(tiny().to_toml())
    assert main(words(dataset, recipe, out, "--trials", "30", "--workers", "2")) == 0
    states = [json.loads(p.read_text()) for p in out.glob("trials/*/state.json")]
    assert len(states) == 30
    assert len({state["worker"]["pid"] for state in states}) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a whole console there")
def test_ctrl_c_leaves_no_process_behind_and_can_go_on(dataset: Path, tmp_path: Path) -> None:
    recipe, out = tmp_path / "tiny.toml", tmp_path / "search"
    recipe.write_text(tiny().to_toml())
    more = words(dataset, recipe, out, "--trials", "200", "--workers", "2")
    process = subprocess.Popen([sys.executable, "-m", "napari_ctlns", *more])
    deadline = time.monotonic() + 120
    while len(list(out.glob("trials/*/state.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    pids = {json.loads(p.read_text())["worker"]["pid"] for p in out.glob("trials/*/state.json")}
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    done = len(list(out.glob("trials/*/state.json")))
    assert main(words(dataset, recipe, out, "--trials", str(done + 1))) == 0
