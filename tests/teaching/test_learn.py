"""Learning from corrections: what is trained, what is compared, and how it goes on."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_ctlns.cli import app
from napari_ctlns.dataset import add_correction, open_dataset
from napari_ctlns.dataset.folder import DatasetCard, ScanCard, SourceNote, write_card
from napari_ctlns.dataset.revisions import ReadersMask, add_scan
from napari_ctlns.errors import DatasetError, ModelError, RunError
from napari_ctlns.evaluation.evaluate import evaluate
from napari_ctlns.events import Event, Finished, Log, Saved, ThreadControl, Uncontrolled
from napari_ctlns.inference.model import ModelCard, load_network, read_card, save_model
from napari_ctlns.jobs.detached import _command
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Preparation, Recipe, load_recipe
from napari_ctlns.specs import EvaluateSpec, LearnSpec, Split, TrainSpec
from napari_ctlns.teaching import learn
from napari_ctlns.teaching.learn import COMPARISON, SPEC, TEXT
from napari_ctlns.teaching.tuned import tuned
from napari_ctlns.volume import Geometry, Volume

SHAPE = (20, 22, 24)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def ball(seed: int, hu: int) -> tuple[np.ndarray, np.ndarray]:
    """A scan of lung with one ball in it, and its mask."""
    random = np.random.default_rng(seed)
    array = random.normal(-850, 20, SHAPE)
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    inside = np.linalg.norm(grid - random.integers(7, 13, 3), axis=-1) <= 4
    array[inside] = hu
    return array.astype(np.int16), inside.astype(np.uint8)


def write_dataset(folder: Path) -> Path:
    """Bright balls: two scans to learn from, one to validate; three of faint ones, corrected."""
    splits: dict[str, Split] = {"a": "train", "b": "train", "v": "val"}
    for seed, name in enumerate(splits):
        hu, mask = ball(seed, 40)
        note = SourceNote(path=Path("none"))
        card = ScanCard(scan_id=name, patient_id=name, source=note, geometry=Geometry(SHAPE))
        add_scan(folder / name, card, hu, [ReadersMask(mask)])
    splits |= {"c": "train", "d": "train", "held": "test"}
    write_card(
        folder / "dataset.json",
        DatasetCard(preparation=Preparation(), scans=tuple("abv"), split=splits),
    )
    for seed, name in enumerate(("c", "d", "held"), 10):
        correct(folder, name, seed)
    assert {s.scan_id for s in open_dataset(folder).scans("train")} == set("abcd")
    return folder


def correct(folder: Path, name: str, seed: int) -> None:
    hu, mask = ball(seed, -500)
    scan = Volume(hu, Geometry(SHAPE), "ct", name, name)
    add_correction(folder, scan, scan.mask(mask), "ann", Preparation())


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("ct-lns").with_changes(
        {
            "patches.size": (16, 16, 16),
            "network.channels": (4, 8),
            "optimisation.precision": "fp32",
            "inference.window": (16, 16, 16),
        }
    )


def write_spec(folder: Path, recipe: Recipe) -> LearnSpec:
    """Write a dataset and a model of no knowledge."""
    torch.manual_seed(0)
    save_model(folder / "old", build_network(recipe).eval(), ModelCard(recipe=recipe))
    return LearnSpec(
        dataset=write_dataset(folder / "data"),
        model=folder / "old",
        out=folder / "run",
        steps=8,
        device="cpu",
        most_earlier=3,
    )


@pytest.fixture
def spec(tmp_path: Path, recipe: Recipe) -> LearnSpec:
    return write_spec(tmp_path, recipe)


@dataclass(frozen=True)
class Round:
    """A round that came to its end; what it is made of is not to be changed."""

    spec: LearnSpec
    result: dict[str, Any]
    old_files: dict[Path, bytes]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> Round:
    spec = write_spec(tmp_path_factory.mktemp("round"), recipe)
    before = {path: path.read_bytes() for path in spec.model.iterdir()}
    return Round(spec, run(spec)[-1].result, before)


def run(spec: LearnSpec) -> list[Event]:
    events = list(learn(spec, Uncontrolled()))
    assert isinstance(events[-1], Finished)
    return events


def changed(spec: LearnSpec, **changes: Any) -> LearnSpec:
    return LearnSpec.model_validate({**spec.model_dump(), **changes})


def test_both_models_are_judged_and_the_old_one_stays(finished: Round) -> None:
    spec, result = finished.spec, finished.result
    assert {path: path.read_bytes() for path in spec.model.iterdir()} == finished.old_files
    assert (result["corrected"]["scans"], result["earlier"]["scans"]) == (1, 1)
    assert result["model"] == str(spec.out / "best")
    new = load_network(spec.out / "best").state_dict()
    old = load_network(spec.model).state_dict()
    assert any(not torch.equal(new[name], old[name]) for name in old)
    written = json.loads((spec.out / COMPARISON).read_text())
    assert written == {group: result[group] for group in ("corrected", "earlier")}
    text = (spec.out / TEXT).read_text()
    assert "corrected: 1" in text
    assert f"{result['corrected']['new']['scan_dice']:.3f}" in text


@pytest.mark.parametrize(("group", "split"), [("corrected", "test"), ("earlier", "val")])
def test_the_numbers_are_those_of_an_evaluation(
    finished: Round, tmp_path: Path, group: str, split: Split
) -> None:
    # each of these splits holds one scan, of one group
    spec, result = finished.spec, finished.result
    for name, model in (("old", spec.model), ("new", spec.out / "best")):
        asked = EvaluateSpec(
            model=model,
            dataset=spec.dataset,
            split=split,
            out=tmp_path / name,
            device="cpu",
        )
        *_, ended = evaluate(asked, Uncontrolled())
        assert isinstance(ended, Finished)
        for key, value in result[group][name].items():
            assert value == ended.result[key]


@pytest.mark.slow
def test_it_learns_what_it_is_shown(spec: LearnSpec) -> None:
    """Two hundred steps are enough for a network of nothing to see a faint ball."""
    changes = {"optimisation.learning_rate": 1e-2}
    result = run(changed(spec, steps=200, changes=changes))[-1].result
    old, new = (result["corrected"][name]["scan_dice"] for name in ("old", "new"))
    assert new > max(old + 0.3, 0.5)


@pytest.mark.slow
def test_a_stopped_round_goes_on_to_the_same_end(spec: LearnSpec) -> None:
    control = ThreadControl()
    events = []
    for event in learn(changed(spec, changes={"optimisation.deterministic": True}), control):
        events.append(event)
        if isinstance(event, Saved) and event.kind == "model":
            control.stop()
    assert isinstance(events[-1], Finished)
    assert events[-1].stopped
    assert not (spec.out / COMPARISON).exists()
    resumed = changed(spec, resume=True)
    result = run(resumed)[-1].result
    assert result["corrected"]["scans"] == 1
    whole = changed(spec, out=spec.out.parent / "whole")
    run(changed(whole, changes={"optimisation.deterministic": True}))
    one, other = (load_network(out / "best").state_dict() for out in (spec.out, whole.out))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_round_that_was_stopped_while_comparing_compares_again(spec: LearnSpec) -> None:
    control = ThreadControl()
    for event in learn(spec, control):
        if getattr(event, "unit", "") == "scan":
            control.stop()
    assert not (spec.out / COMPARISON).exists()
    assert run(changed(spec, resume=True))[-1].result["earlier"]["scans"] == 1


def test_what_cannot_be_learned_from_is_refused(spec: LearnSpec) -> None:
    for name in "cd":
        card = spec.dataset / name / "scan.json"
        card.write_text(card.read_text().replace('"hand"', '"annotation"'))
    with pytest.raises(DatasetError, match="no corrected scan"):
        run(spec)
    assert not spec.out.exists()


def test_a_model_that_takes_clicks_is_refused_before_it_learns(
    tmp_path: Path, recipe: Recipe
) -> None:
    clicks = {"network.clicks": True, "patches.nodule_fraction": 1.0}
    spec = write_spec(tmp_path, recipe.with_changes(clicks))
    with pytest.raises(ModelError, match="ctlns train"):
        run(spec)
    assert not spec.out.exists()


def test_resuming_nothing_or_another_model_is_refused(finished: Round, tmp_path: Path) -> None:
    spec = finished.spec
    with pytest.raises(RunError, match="holds no learning"):
        run(changed(spec, resume=True, out=tmp_path / "nothing"))
    with pytest.raises(RunError, match="began from"):
        run(changed(spec, resume=True, model=tmp_path / "another"))
    with pytest.raises(RunError, match="resume it, or choose"):
        run(spec)


def test_missing_earlier_or_held_out_scans_are_told(tmp_path: Path, spec: LearnSpec) -> None:
    alone = tmp_path / "alone"
    for seed, name in enumerate("xy"):
        correct(alone, name, seed)
    events = run(changed(spec, dataset=alone))
    said = " ".join(e.message for e in events if isinstance(e, Log) and e.level == "warning")
    assert "may forget" in said
    assert "no corrected scan is held out" in said
    assert events[-1].result["corrected"] == {"scans": 0}


# -- the recipe -----------------------------------------------------------------------


@pytest.mark.parametrize("scans", [5, 21, 900])
def test_the_length_follows_from_the_steps(recipe: Recipe, spec: LearnSpec, scans: int) -> None:
    told = tuned(recipe, changed(spec, steps=400), scans)
    patches = told.optimisation.epochs * told.patches.per_scan * scans
    assert abs(patches / told.optimisation.batch_size - 400) <= 225  # one patch a scan at least
    assert told.optimisation.best_by == "last"
    assert told.network == recipe.network


def test_the_second_round_is_as_gentle_as_the_first(recipe: Recipe, spec: LearnSpec) -> None:
    first = tuned(recipe, spec, 5)
    second = tuned(first, spec, 5)
    assert first.optimisation.learning_rate < recipe.optimisation.learning_rate
    assert second.optimisation.learning_rate == first.optimisation.learning_rate


# -- the command ----------------------------------------------------------------------


@pytest.fixture
def ctlns() -> Callable[..., Any]:
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_prints_the_comparison(spec: LearnSpec, ctlns: Callable[..., Any]) -> None:
    options = ["--steps", 4, "--device", "cpu", "--most-earlier", 0]
    done = ctlns("learn", spec.dataset, "--from", spec.model, "--out", spec.out, *options)
    assert done.exit_code == 0, done.output
    assert "corrected: 1" in done.stdout
    assert read_card(spec.out / "best").recipe.patches.corrected_fraction == 0.35
    assert (spec.out / "events.jsonl").is_file()
    assert (spec.out / SPEC).is_file()


def test_a_detached_round_is_the_same_command(spec: LearnSpec) -> None:
    asked = changed(spec, resume=True, changes={"patches.per_scan": 3, "loss.name": "dice"})
    words = _command(asked, asked.out)[4:]
    caught: list[LearnSpec] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_ctlns.jobs.training.run_training", lambda s, _: caught.append(s))
        CliRunner().invoke(app, words)
    assert caught == [asked]


def test_a_training_is_started_as_before(spec: LearnSpec, recipe: Recipe) -> None:
    training = TrainSpec(
        dataset=spec.dataset, out=spec.out, recipe=recipe, start_from=spec.model, device="cpu"
    )
    words = _command(training, spec.out)[4:]
    assert words[:2] == ["train", str(spec.dataset)]
    assert words[words.index("--recipe") + 1] == str(spec.out / "asked.toml")
    assert words[words.index("--from") + 1] == str(spec.model)
    assert "--resume" not in words
