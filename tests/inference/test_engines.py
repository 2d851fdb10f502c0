import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_ctlns.errors import ModelError
from napari_ctlns.inference import engines, openvino_engine
from napari_ctlns.inference.cache import cache_folder, keep_newest
from napari_ctlns.inference.engines import prepare_engine
from napari_ctlns.inference.model import ModelCard, load_network, read_card, save_model
from napari_ctlns.inference.openvino_engine import OpenVinoEngine
from napari_ctlns.inference.torch_engine import TorchEngine, windows_at_once
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import Network, Patches, Recipe

from .models import brightness_model, slice_model

WINDOW = (32, 32, 32)


def _batch(count=2):
    """Dense blobs in a thin ground, with noise."""
    noise = torch.rand(count, 1, *WINDOW, generator=torch.Generator().manual_seed(3))
    smooth = torch.nn.functional.avg_pool3d(noise, 7, 1, 3)
    dense = smooth > smooth.quantile(0.8)
    return (0.1 + 0.65 * dense.float() + 0.05 * noise).numpy()


def _dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def _reference(model, batch):
    with torch.no_grad():
        return torch.sigmoid(load_network(model)(torch.from_numpy(batch))).numpy()


@pytest.mark.parametrize("kind", [TorchEngine, OpenVinoEngine])
def test_engines_agree_with_the_network_itself(model, kind):
    batch = _batch()
    engine = kind(model, WINDOW)
    found = engine.run(batch)
    expected = _reference(model, batch)
    assert found.shape == batch.shape
    assert found.dtype == np.float32
    assert 0.02 < (expected >= 0.5).mean() < 0.5
    assert _dice(found >= 0.5, expected >= 0.5) >= 0.995


KINDS = {
    "linear-2d": {"dimensions": 2, "upsampling": "linear"},
    "attention-3d": {"name": "attention-unet"},
    "residual-3d": {"name": "residual-unet", "norm": "instance"},
    "swin-2d": {"name": "swin-unetr", "channels": (12,), "dimensions": 2},
}


def _untrained(folder, seed=1, **network):
    """Write a model with random weights whose logits are spread about 0; return its input too."""
    chosen = Network(**{"channels": (4, 8, 16), **network})
    side = 64 if chosen.name == "swin-unetr" else 16
    size = (3, side, side) if chosen.dimensions == 2 else (side,) * 3
    recipe = Recipe(name="tiny", patches=Patches(size=size), network=chosen)
    torch.manual_seed(seed)
    network = build_network(recipe).eval()
    batch = torch.rand(2, 1, *size)
    (last,) = [
        layer
        for layer in network.modules()
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Conv3d)
        and layer.out_channels == 1
        and layer.bias is not None
        and layer.bias < -4
    ]
    with torch.no_grad():
        last.weight *= 2 / network(batch).std()
        last.bias -= network(batch).median()
    save_model(folder, network, ModelCard(recipe=recipe))
    return batch.numpy()


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] if "swin" in k else []) for k in KINDS]
)
def test_openvino_says_what_torch_says_of_every_network(tmp_path, monkeypatch, kind):
    model = tmp_path / kind
    batch = _untrained(model, **KINDS[kind])
    expected = _reference(model, batch)
    assert expected.std() > 0.1
    window = batch.shape[2:]
    np.testing.assert_allclose(TorchEngine(model, window).run(batch), expected, atol=1e-5)
    for half, largest, typical in ((False, 1e-3, 1e-4), (True, 0.2, 0.02)):
        monkeypatch.setattr(openvino_engine, "_has_bf16", lambda _, half=half: half)
        engine = OpenVinoEngine(model, window)
        found = engine.run(batch)
        assert engine.name.endswith("bf16" if half else "fp32")
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < largest
        assert np.abs(found - expected).mean() < typical


@pytest.mark.parametrize("kind", ["linear-2d", "attention-3d"])
def test_engines_take_windows_of_other_sizes(tmp_path, kind):
    _untrained(tmp_path / "model", **KINDS[kind])
    recipe = read_card(tmp_path / "model").recipe
    z = 3 if recipe.network.dimensions == 2 else 8
    batch = np.random.default_rng(0).random((3, 1, z, 24, 32), np.float32)
    engine = OpenVinoEngine(tmp_path / "model", recipe.window)
    found, expected = engine.run(batch), _reference(tmp_path / "model", batch)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 0.02


def test_attention_ties_a_model_to_its_window():
    network = Network(name="swin-unetr", channels=(24,))
    recipe = Recipe(name="swin", network=network, patches=Patches(size=(96, 96, 96)))
    engines.check_window(recipe, (96, 96, 96))
    with pytest.raises(ModelError, match="attention depends on it"):
        engines.check_window(recipe, (64, 64, 64))


def test_a_gpu_is_given_more_small_windows_than_large_ones_at_once():
    flat = Recipe(name="flat", patches=Patches(size=(7, 64, 64)), network=Network(dimensions=2))
    deep = Recipe(name="deep")
    assert windows_at_once(flat, (7, 512, 512)) == 8
    assert windows_at_once(deep, (64, 64, 64)) == 8
    assert windows_at_once(deep, (256, 256, 256)) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_the_cpu(model):
    found = prepare_engine(model, device="cuda").run(_batch(9))
    assert _dice(found >= 0.5, _reference(model, _batch(9)) >= 0.5) >= 0.995


def test_a_result_is_not_changed_by_the_next_run(model):
    engine = OpenVinoEngine(model, WINDOW)
    first = engine.run(_batch(1))
    kept = first.copy()
    engine.run(_batch(1) * 0)
    np.testing.assert_array_equal(first, kept)


def test_auto_takes_openvino_on_a_cpu(model, monkeypatch):
    monkeypatch.setattr(engines, "_available_devices", lambda: {"cpu"})
    engine = prepare_engine(model)
    assert engine.name.startswith("OpenVINO")
    assert engine.notes == ()
    assert engine.reason == "there is no GPU here"
    asked_for = prepare_engine(model, device="cpu")
    assert (asked_for.name, asked_for.reason) == (engine.name, "as asked for")


def test_torch_is_not_loaded_where_no_gpu_has_a_driver():
    words = (
        "import sys; from napari_ctlns.inference import engines;"
        "engines._has_gpu_driver = lambda: False;"
        "assert engines._available_devices() == {'cpu'}; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", words], check=True)


def test_torch_takes_over_with_a_note_when_openvino_fails(model, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such instruction\nstack of a driver")

    monkeypatch.setattr(openvino_engine, "import_openvino", broken)
    engine = prepare_engine(model, device="cpu")
    assert engine.name == "torch cpu"
    assert len(engine.notes) == 1
    assert "no such instruction" in engine.notes[0]
    assert "stack" not in engine.notes[0]


def test_an_engine_that_computes_nonsense_is_not_used(model, monkeypatch):
    monkeypatch.setattr(OpenVinoEngine, "run", lambda _self, batch: batch * np.nan)
    assert prepare_engine(model, device="cpu").name == "torch cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(model):
    with pytest.raises(ModelError, match="no cuda device"):
        prepare_engine(model, device="cuda")


def test_windows_that_a_model_cannot_take_are_refused(model, tmp_path):
    with pytest.raises(ModelError, match="multiples of 2"):
        prepare_engine(model, (32, 32, 33))
    instance = brightness_model(tmp_path / "instance", norm="instance")
    with pytest.raises(ModelError, match="instance norm depends on it"):
        prepare_engine(instance, (64, 64, 64))
    assert prepare_engine(instance, device="cpu").run(_batch()).shape == (2, 1, *WINDOW)
    flat = slice_model(tmp_path / "flat", 3)
    with pytest.raises(ModelError, match="multiples of 2 in y and x"):
        prepare_engine(flat, (3, 16, 17))
    with pytest.raises(ModelError, match="looks at 3 slices at once"):
        prepare_engine(flat, (5, 16, 16))


def test_a_converted_network_is_kept_and_a_damaged_one_made_anew(model, monkeypatch, tmp_path):
    monkeypatch.setenv("CTLNS_CACHE", str(tmp_path / "cache"))
    expected = OpenVinoEngine(model, WINDOW).run(_batch())
    (kept,) = (cache_folder() / "openvino").iterdir()

    def forbidden(*_):
        raise AssertionError("converted again")

    with monkeypatch.context() as patch:
        patch.setattr(openvino_engine, "_convert", forbidden)
        np.testing.assert_array_equal(OpenVinoEngine(model, WINDOW).run(_batch()), expected)
    (kept / "network.xml").write_text("<net", "utf-8")
    np.testing.assert_array_equal(OpenVinoEngine(model, WINDOW).run(_batch()), expected)
    (kept / "network.bin").write_bytes(b"")
    np.testing.assert_array_equal(OpenVinoEngine(model, WINDOW).run(_batch()), expected)


def test_an_engine_works_without_a_cache(model, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way", "utf-8")
    monkeypatch.setenv("CTLNS_CACHE", str(tmp_path / "file"))
    assert prepare_engine(model, device="cpu").name.startswith("OpenVINO")


def test_old_cache_entries_go(tmp_path):
    import os

    for i in range(5):
        (tmp_path / str(i)).mkdir()
        os.utime(tmp_path / str(i), (i, i))
    keep_newest(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["3", "4"]
    keep_newest(tmp_path / "none", 2)


def test_openvino_comes_without_its_telemetry():
    code = (
        "import sys; from napari_ctlns.inference.openvino import import_openvino; "
        "import_openvino(); import openvino.tools.ovc; "
        "print([m for m, v in sys.modules.items() if m.startswith('openvino_telemetry') and v])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
