"""An imported model serves wherever a model does, and is not trained."""

import json

import numpy as np
import onnx
import pytest
import torch

from napari_ctlns.cli import main
from napari_ctlns.errors import ModelError, RecipeError, RunError
from napari_ctlns.events import Finished, ThreadControl
from napari_ctlns.formats import read_mask, write_volume
from napari_ctlns.inference.importing import import_model
from napari_ctlns.inference.model import load_network, model_hash, read_card
from napari_ctlns.learning.memory import memory_need
from napari_ctlns.learning.starting import opened
from napari_ctlns.normalising import fixed_scaling
from napari_ctlns.recipe import ImportedNetwork, Network, Preparation, Recipe, load_recipe
from napari_ctlns.resampling import prepared_geometry
from napari_ctlns.specs import ImportSpec, TrainSpec
from napari_ctlns.volume import Geometry

from .foreign_models import bundle_config, onnx_model, scan_array, write_bundle
from .importing import imported, predicted, volume


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture(scope="module")
def model(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported") / "model"
    imported(bundle, folder)
    return folder


def test_the_commands_import_and_predict(bundle, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hu = scan_array((12, 24, 18))
    write_volume(volume(hu), "scan.mhd")
    changes = ["--set", "inference.threshold=0.4"]
    assert main(["import-model", str(bundle), "--out", "model", *changes]) == 0
    said = capsys.readouterr().out
    assert "lung nodule" in said
    assert "RAS" in said
    words = ["predict", "scan.mhd", "--model", "model", "--whole", "--out", "mask.nii.gz"]
    assert main([*words, "--device", "cpu"]) == 0
    found = read_mask("mask.nii.gz").array > 0
    _, expected = predicted(tmp_path / "model", volume(hu))
    assert found.any()
    assert np.mean(found == (expected > 0)) > 0.97


def test_loading_one_again_gives_the_same_network(model):
    one, other = load_network(model), load_network(model)
    assert isinstance(one, torch.nn.Module)
    block = torch.randn(1, 1, 8, 16, 12)
    with torch.inference_mode():
        torch.testing.assert_close(one(block), other(block))
    assert model_hash(model) == model_hash(model)


def test_it_is_not_trained(model, tmp_path):
    recipe = read_card(model).recipe
    with pytest.raises(RunError, match="was imported and cannot be trained"):
        opened(TrainSpec(dataset=tmp_path, out=tmp_path / "run", recipe=recipe), None)
    with pytest.raises(RunError, match="was imported and cannot be trained"):
        memory_need(recipe, "cpu")


def test_the_train_command_says_so(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "nowhere", "--from", str(model), "--out", "run"]) == 2
    assert "cannot be trained here" in capsys.readouterr().err


def test_its_recipe_survives_toml(model, tmp_path):
    recipe = read_card(model).recipe
    (tmp_path / "own.toml").write_text(recipe.to_toml(), "utf-8")
    assert load_recipe(tmp_path / "own.toml") == recipe


def test_only_imported_networks_are_called_so():
    with pytest.raises(ValueError, match="import-model"):
        Network(name="imported")
    with pytest.raises(ValueError, match="import-model"):
        Network(imported=ImportedNetwork(format="onnx"))
    with pytest.raises(RecipeError, match="import-model"):
        load_recipe("ct-lns").with_changes({"network.name": "imported"})


@pytest.mark.parametrize("axes", ["SPP", "SP", "XYZ", "SPLL", ""])
def test_axes_name_each_direction_once(axes):
    with pytest.raises(ValueError, match="three letters"):
        ImportedNetwork(format="onnx", axes=axes)


@pytest.mark.parametrize("arguments", ["{", "[1]", "NaN"])
def test_a_card_with_damaged_arguments_is_no_model(model, tmp_path, arguments):
    card = json.loads((model / "model.json").read_text("utf-8"))
    card["recipe"]["network"]["imported"]["arguments"] = arguments
    (tmp_path / "model.json").write_text(json.dumps(card), "utf-8")
    with pytest.raises(ModelError, match="damaged"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("architecture", "Vista"), ("architecture", "__class__"), ("format", "nnunet")],
)
def test_a_card_from_elsewhere_builds_listed_classes_alone(model, tmp_path, key, value):
    card = json.loads((model / "model.json").read_text("utf-8"))
    card["recipe"]["network"]["imported"][key] = value
    (tmp_path / "model.json").write_text(json.dumps(card), "utf-8")
    (tmp_path / "weights.safetensors").write_bytes((model / "weights.safetensors").read_bytes())
    with pytest.raises(ModelError, match="is not supported; there are"):
        load_network(tmp_path)


def test_a_stopped_import_writes_nothing(bundle, tmp_path):
    control = ThreadControl()
    control.stop()
    spec = ImportSpec(source=bundle, out=tmp_path / "model")
    *_, last = import_model(spec, control)
    assert last == Finished(stopped=True)
    assert not (tmp_path / "model").exists()


def test_only_a_model_is_replaced(bundle, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/paper.txt").write_text("not a model")
    assert main(["import-model", str(bundle), "--out", str(tmp_path / "notes")]) == 2
    assert (tmp_path / "notes/paper.txt").read_text() == "not a model"
    for _ in range(2):
        imported(bundle, tmp_path / "model")


def _missing(folder):
    return folder / "missing"


def _empty(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def _old(folder):
    (folder / "old").mkdir()
    (folder / "old/plans.pkl").write_bytes(b"")
    return folder / "old"


def _named(name):
    def make(folder):
        (folder / name).write_bytes(b"PK")
        return folder / name

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, "no .*missing; give an nnU-Net folder"),
        (_empty, "no model that is known here; give an nnU-Net v2 folder"),
        (_old, "only version 2"),
        (_named("model.zip"), "unpack it"),
        (_named("checkpoint_final.pth"), "give the whole folder"),
        (_named("model.ts"), "give the whole folder"),
        (_named("net.onnx"), "cannot read the ONNX file"),
    ],
)
def test_what_is_no_model_ends_with_one_line(tmp_path, capsys, make, words):
    source = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["import-model", str(source), "--out", str(tmp_path / "model")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("error: ")
    with pytest.raises(ModelError, match=words):
        imported(source, tmp_path / "model")
    assert sorted(tmp_path.iterdir()) == before


def test_wrong_choices_end_with_one_line(bundle, tmp_path, capsys):
    out = ["--out", str(tmp_path / "model")]
    for choice in (
        ["--axes", "XYZ"],
        ["--recipe", "ct-lns"],
        ["--label", "liver"],
        ["--fold", "0"],
        ["--set", "preparation.spacing=1"],
        ["--set", "network.imported.axes=XYZ"],
        ["--activation", "relu"],
    ):
        assert main(["import-model", str(bundle), *out, *choice]) == 2, choice
        assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


# -- what a recipe learned to say ---------------------------------------------------------


def test_one_axis_may_keep_the_scans_own_spacing():
    preparation = Preparation(spacing_mm=("native", 1.0, 0.5))
    grid = prepared_geometry(Geometry((4, 6, 8), (2.5, 0.7, 0.8)), preparation)
    assert grid.spacing == (2.5, 1.0, 0.5)
    assert grid.shape == (4, 4, 13)


def test_divide_takes_something_away_first():
    preparation = Preparation(
        normalisation="divide", subtrahend=-200, divisor=400, clip_hu=(-1000, 400)
    )
    scaled = fixed_scaling(preparation).applied(np.array([-3000, -200, 0, 400]))
    np.testing.assert_allclose(scaled, [-2, 0, 0.5, 1.5], rtol=1e-6)


def test_a_damaged_imported_model_is_refused_in_words(tmp_path):
    onnx.save(onnx_model((1, 1, 8, 16, 12), dynamic=False), tmp_path / "net.onnx")
    imported(tmp_path / "net.onnx", tmp_path / "model")
    (tmp_path / "model/network.onnx").unlink()
    assert main(["predict", "scan.mhd", "--model", str(tmp_path / "model"), "--out", "m.mhd"]) == 2
    with pytest.raises(ModelError, match=r"no network\.onnx"):
        model_hash(tmp_path / "model")


def test_channels_of_metadata_name_the_labels(tmp_path):
    config = bundle_config()
    config["postprocessing"]["transforms"] = [{"_target_": "Activationsd", "sigmoid": True}]
    named = {"0": "nodule", "1": "vessel"}
    source = write_bundle(tmp_path / "bundle", config, channels=named)
    with pytest.raises(ModelError, match=r"choose by --label: nodule .0., vessel .1."):
        imported(source, tmp_path / "model")
    result = imported(source, tmp_path / "model", label="vessel")
    assert (result["label"], result["activation"]) == ("vessel", "sigmoid")
    recipe = read_card(tmp_path / "model").recipe
    assert isinstance(recipe, Recipe)
    assert recipe.network.imported.channel == 1
