import json
import shutil
import threading
import time

import numpy as np
import pytest
import torch

from napari_ctlns.errors import ModelError, OutputError
from napari_ctlns.inference.model import (
    ModelCard,
    load_network,
    model_hash,
    read_card,
    save_model,
)
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Network, Recipe


def _recipe(channels=(4, 8), **network):
    return Recipe(name="tiny", network=Network(channels=channels, **network))


def _network(recipe, seed=0):
    torch.manual_seed(seed)
    return build_network(recipe)


@pytest.fixture
def model(tmp_path):
    recipe = _recipe()
    save_model(tmp_path / "best", _network(recipe), ModelCard(recipe=recipe, metrics={"dice": 0.5}))
    return tmp_path / "best"


def test_a_model_comes_back_as_it_was_saved(tmp_path):
    recipe = _recipe()
    network = _network(recipe)
    network.train()
    network(torch.rand(2, 1, 8, 8, 8))  # moves the running statistics of batch norm
    save_model(tmp_path / "m", network, ModelCard(recipe=recipe, metrics={"loss": float("nan")}))

    loaded = load_network(tmp_path / "m")
    assert not loaded.training
    x = torch.rand(1, 1, 8, 16, 8)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), network.eval()(x))
    card = read_card(tmp_path / "m")
    assert card.recipe == recipe
    assert np.isnan(card.metrics["loss"])
    assert card.versions["torch"].startswith(torch.__version__.split("+")[0])
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == [
        "model.json",
        "weights.safetensors",
    ]


def test_the_card_is_read_without_torch(model):
    import subprocess
    import sys

    code = (
        "import sys; from napari_ctlns.inference.model import read_card; "
        f"print(read_card({str(model)!r}).metrics['dice']); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "0.5", done.stderr


def test_the_hash_tells_weights_and_recipes_apart(model, tmp_path):
    shutil.copytree(model, tmp_path / "copy")
    assert model_hash(tmp_path / "copy") == model_hash(model)
    recipe = _recipe()
    save_model(tmp_path / "copy", _network(recipe, seed=1), ModelCard(recipe=recipe))
    assert model_hash(tmp_path / "copy") != model_hash(model)
    same_weights = recipe.with_changes({"inference.threshold": 0.4})
    save_model(tmp_path / "other", _network(recipe), ModelCard(recipe=same_weights))
    assert model_hash(tmp_path / "other") != model_hash(model)


def test_a_reader_sees_a_whole_model_while_it_is_replaced(model):
    recipe = _recipe()
    problems = []
    done = threading.Event()

    def read():
        while not done.is_set():
            try:
                read_card(model)
            except ModelError as error:
                problems.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for seed in range(20):
        save_model(model, _network(recipe, seed), ModelCard(recipe=recipe))
        time.sleep(0.002)
    done.set()
    reader.join()
    assert problems == []
    assert [p.name for p in model.parent.iterdir()] == ["best"]


def test_a_failed_save_leaves_the_old_model(model, monkeypatch):
    before = model_hash(model)

    def full_disk(*_args, **_keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        save_model(model, _network(_recipe(), 1), ModelCard(recipe=_recipe()))
    assert model_hash(model) == before
    assert [p.name for p in model.parent.iterdir()] == ["best"]


def test_a_folder_of_other_things_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(OutputError, match="not a model"):
        save_model(tmp_path, _network(_recipe()), ModelCard(recipe=_recipe()))
    assert (tmp_path / "thesis.txt").is_file()


def _truncate(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _pickle(folder):
    torch.save({"a": 1}, folder / "weights.safetensors")


def _wider(folder):
    card = json.loads((folder / "model.json").read_text("utf-8"))
    card["recipe"]["network"]["channels"] = [8, 16]
    (folder / "model.json").write_text(json.dumps(card), "utf-8")


def _newer(folder):
    (folder / "model.json").write_text('{"format_version": 2, "recipe": "new ways"}', "utf-8")


def _not_finite(folder):
    recipe = _recipe()
    network = _network(recipe)
    with torch.no_grad():
        network.head.bias.fill_(float("nan"))
    save_model(folder, network, ModelCard(recipe=recipe))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (shutil.rmtree, "no model"),
        (lambda f: (f / "model.json").unlink(), "not a whole model"),
        (lambda f: (f / "model.json").write_text("{", "utf-8"), "damaged"),
        (lambda f: (f / "model.json").write_bytes(b"\xff\xfe\xfd"), "damaged"),
        (lambda f: (f / "model.json").write_text('{"format_version": 1}', "utf-8"), "recipe"),
        (lambda f: (f / "weights.safetensors").unlink(), "no weights.safetensors"),
        (_truncate, "damaged"),
        (_pickle, "damaged"),
        (_wider, "do not fit"),
        (_newer, "newer"),
        (_not_finite, "not finite"),
    ],
)
def test_what_is_not_a_model_is_refused_in_words(model, damage, words):
    damage(model)
    with pytest.raises(ModelError, match=words):
        load_network(model)
