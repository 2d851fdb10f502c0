import json
import re

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from typer.testing import CliRunner

from napari_ctlns.cli import app
from napari_ctlns.dataset import prepare
from napari_ctlns.errors import DatasetError, ModelError, OutputError
from napari_ctlns.evaluation import evaluate as evaluate_module
from napari_ctlns.evaluation.evaluate import evaluate
from napari_ctlns.events import (
    Finished,
    Log,
    Progress,
    Saved,
    Started,
    ThreadControl,
    Uncontrolled,
)
from napari_ctlns.formats.candidates import read_candidates
from napari_ctlns.inference.model import ModelCard, read_card, save_model
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Loss, Network, Patches, Recipe
from napari_ctlns.specs import EvaluateSpec, PrepareSpec

from ..inference.models import brightness_model  # noqa: TID252

SHAPE = (32, 40, 48)


def _ball(centre, radius):
    grid = np.indices(SHAPE)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


def _write(folder, name, dense, faint, false):
    """A scan in which ``dense`` will be found, ``faint`` missed, and ``false`` is no nodule."""
    hu = np.full(SHAPE, -850, np.int16)
    mask = np.zeros(SHAPE, np.uint8)
    for label, (ball, value) in enumerate([*((d, 60) for d in dense), *((f, -700) for f in faint)]):
        hu[ball] = value
        mask[ball] = label + 1
    for ball in false:
        hu[ball] = 60
    sitk.WriteImage(sitk.GetImageFromArray(hu), str(folder / f"{name}.mha"))
    (folder / "masks").mkdir(exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(folder / "masks" / f"{name}.nii.gz"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CTLNS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield brightness_model(tmp_path_factory.mktemp("run") / "best")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("scans")
    big, small, faint = (
        _ball((10, 12, 12), 7),
        _ball((22, 30, 14), 4),
        _ball((12, 28, 34), 4),
    )
    _write(folder, "a", dense=[big, small], faint=[faint], false=[_ball((24, 10, 38), 3)])
    _write(folder, "b", dense=[big], faint=[], false=[])
    _write(folder, "c", dense=[small], faint=[], false=[])
    splits = folder / "splits.json"
    splits.write_text(json.dumps({"train": ["c"], "val": [], "test": ["a", "b"]}), "utf-8")
    out = tmp_path_factory.mktemp("data") / "dataset"
    spec = PrepareSpec(
        source=folder,
        out=out,
        recipe=read_card(model).recipe,
        masks=folder / "masks",
        splits=splits,
    )
    list(prepare(spec, Uncontrolled()))
    return out


def test_the_summary_tells_found_missed_and_false(model, dataset, tmp_path):
    spec = EvaluateSpec(model=model, dataset=dataset, out=tmp_path / "report")
    events = list(evaluate(spec, Uncontrolled()))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    result = events[-1].result
    assert (result["scans"], result["nodules"]) == (2, 4)
    assert result["found_fraction"] == 0.75
    assert result["false_positives_per_scan"] == 0.5
    assert result["sensitivity_at_1_fp"] == result["sensitivity_at_4_fp"] == 0.75
    nodules = pd.read_csv(spec.out / "nodules.csv")
    assert result["nodule_dice"] == pytest.approx(nodules["dice"].mean(), abs=1e-4)
    assert result["nodule_dice"] == pytest.approx(0.75, abs=0.03)
    assert nodules.loc[~nodules["found"], "dice"].tolist() == [0]
    assert nodules.loc[~nodules["found"], "score"].isna().all()
    assert 0.8 < result["nodule_voxel_accuracy"] < 1
    assert json.loads((spec.out / "summary.json").read_text("utf-8")).items() <= result.items()


def test_every_file_that_is_announced_is_there(model, dataset, tmp_path):
    spec = EvaluateSpec(model=model, dataset=dataset, out=tmp_path / "report")
    events = list(evaluate(spec, Uncontrolled()))
    saved = [e.path for e in events if isinstance(e, Saved)]
    assert sorted(saved) == sorted(p for p in spec.out.rglob("*") if p.is_file())
    pictures = [p for p in saved if p.suffix == ".png"]
    assert len(pictures) == 2
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)
    scans = pd.read_csv(spec.out / "scans.csv").set_index("scan_id")
    assert scans.loc["a", ["nodules", "found", "false_positives"]].tolist() == [3, 2, 1]
    assert scans.loc["b", "dice"] > 0.9
    (text,) = spec.out.glob("evaluation-*.txt")
    assert "mean Dice of nodules: 0.7" in text.read_text("utf-8")
    assert [e.done for e in events if isinstance(e, Progress)] == [0, 1, 2]


def test_false_alarms_are_written_as_candidates_to_learn_from(model, dataset, tmp_path):
    spec = EvaluateSpec(model=model, dataset=dataset, out=tmp_path / "report")
    result = list(evaluate(spec, Uncontrolled()))[-1].result
    (false,) = read_candidates(spec.out / "false_positives.csv")
    assert false.scan_id == "a"
    assert false.centre == pytest.approx((38, 10, 24), abs=0.5)  # x, y, z
    assert 0.5 <= false.probability <= 1
    assert result["component_precision"] == 0.75
    assert result["component_recall"] == result["found_fraction"] == 0.75


def test_numbers_have_intervals_and_scans_a_loss(model, dataset, tmp_path):
    spec = EvaluateSpec(model=model, dataset=dataset, out=tmp_path / "report")
    result = list(evaluate(spec, Uncontrolled()))[-1].result
    for name in ("nodule_dice", "scan_iou", "scan_loss", "scan_surface_dice", "found_fraction"):
        low, high = result[f"{name}_ci"]
        assert low <= result[name] <= high
    scans = pd.read_csv(spec.out / "scans.csv").set_index("scan_id")
    assert 0 < scans.loc["b", "loss"] < scans.loc["a", "loss"]  # a has a miss and a false alarm
    assert scans.loc["b", "hausdorff95_mm"] <= 1
    nodules = pd.read_csv(spec.out / "nodules.csv").set_index(["scan_id", "label"])
    missed = nodules.loc[~nodules["found"]]
    assert missed["surface_dice"].tolist() == [0]
    assert missed["hausdorff95_mm"].isna().all()
    assert (nodules.loc[nodules["found"], "surface_dice"] > 0.9).all()


def test_a_network_of_slices_that_finds_nothing_has_no_precision(dataset, tmp_path):
    recipe = Recipe(
        name="slices",
        patches=Patches(size=(3, 32, 32)),
        network=Network(dimensions=2, channels=(4, 8)),
        loss=Loss(name="tversky"),
    )
    network = build_network(recipe)
    with torch.no_grad():
        for weights in (list(network.parameters()))[-2:]:  # of its last layer, and its bias
            weights[:] = -9 if weights.ndim == 1 else 0
    save_model(tmp_path / "best", network.eval(), ModelCard(recipe=recipe))
    spec = EvaluateSpec(model=tmp_path / "best", dataset=dataset, out=tmp_path / "report")
    result = list(evaluate(spec, Uncontrolled()))[-1].result
    assert (result["scans"], result["found_fraction"], result["scan_dice"]) == (2, 0, 0)
    for name in ("component_precision", "scan_precision", "nodule_hausdorff95_mm"):
        assert result[name] is result[f"{name}_ci"] is None
    assert result["scan_loss"] > 0.9
    assert read_candidates(spec.out / "false_positives.csv") == ()
    scans = pd.read_csv(spec.out / "scans.csv")
    assert scans["precision"].isna().all()


def test_lungs_are_looked_for_everywhere(model, dataset, tmp_path, monkeypatch):
    card = read_card(model)
    of_lungs = card.model_copy(update={"recipe": card.recipe.with_changes({"structure": "lung"})})
    monkeypatch.setattr(evaluate_module, "read_card", lambda _: of_lungs)
    spec = EvaluateSpec(model=model, dataset=dataset, out=tmp_path / "report")
    events = list(evaluate(spec, Uncontrolled()))
    assert not [e for e in events if isinstance(e, Log)]  # no words about lungs not found
    result = events[-1].result
    assert result["scan_dice"] > 0.5
    assert "nodule_dice" not in result
    names = sorted(p.name for p in spec.out.iterdir())
    assert names[1:] == ["overlays", "scans.csv", "summary.json"]
    assert len(list((spec.out / "overlays").iterdir())) == 2
    scans = pd.read_csv(spec.out / "scans.csv")
    assert scans["dice"].mean() == pytest.approx(result["scan_dice"], abs=1e-4)
    assert "found" not in scans


def test_a_full_place_is_said_and_nothing_is_half_written(model, dataset, tmp_path):
    (tmp_path / "report").write_text("in the way", "utf-8")
    spec = EvaluateSpec(model=model, dataset=dataset, out=tmp_path / "report")
    with pytest.raises(OutputError, match="cannot write"):
        list(evaluate(spec, Uncontrolled()))
    assert [p.name for p in tmp_path.iterdir()] == ["report"]


def test_the_command_prints_one_object_or_words(model, dataset, tmp_path):
    arguments = ["evaluate", str(model), str(dataset), "--out", str(tmp_path / "report")]
    answer = CliRunner().invoke(app, [*arguments, "--json"])
    result = json.loads(answer.stdout)
    assert len(result["nodule_dice_ci"]) == 2
    written = json.loads((tmp_path / "report" / "summary.json").read_text("utf-8"))
    assert result["nodule_dice"] == written["nodule_dice"]
    words = CliRunner().invoke(app, arguments).stdout
    low, high = result["nodule_dice_ci"]
    assert f"{result['nodule_dice']} ({low} to {high})" in words
    assert "_ci" not in words


def test_a_report_without_a_place_lies_beside_the_model(model, dataset):
    events = list(evaluate(EvaluateSpec(model=model, dataset=dataset), Uncontrolled()))
    assert re.fullmatch(r"evaluation-\d{8}-\d{6}", events[-1].result["out"].rsplit("/")[-1])
    assert (model.parent / events[-1].result["out"] / "summary.json").is_file()


def test_a_stop_ends_it(model, dataset, tmp_path):
    control = ThreadControl()
    control.stop()
    spec = EvaluateSpec(model=model, dataset=dataset, out=tmp_path / "report")
    events = list(evaluate(spec, control))
    assert events[-1].stopped
    assert not spec.out.exists()


def test_what_cannot_be_evaluated_is_said(model, dataset, tmp_path):
    def run(**changes):
        spec = EvaluateSpec(model=model, dataset=dataset, out=tmp_path / "report")
        return list(evaluate(spec.model_copy(update=changes), Uncontrolled()))

    with pytest.raises(DatasetError, match="no val scans"):
        run(split="val")
    with pytest.raises(DatasetError, match="not a dataset"):
        run(dataset=tmp_path)
    with pytest.raises(ModelError, match="no model"):
        run(model=tmp_path / "none")
    card = read_card(model)
    other = card.model_copy(
        update={"recipe": card.recipe.with_changes({"preparation.spacing_mm": 0.8})}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate_module, "read_card", lambda _: other)
        with pytest.raises(
            DatasetError, match=r"does not serve this model: spacing_mm .* prepare it"
        ):
            run()
    assert not (tmp_path / "report").exists()
