import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_ctlns.errors import ModelError
from napari_ctlns.inference import engines
from napari_ctlns.inference.cache import cache_folder, keep_newest
from napari_ctlns.inference.engines import OpenVinoEngine, TorchEngine, prepare_engine
from napari_ctlns.inference.model import load_network

from .models import brightness_model

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
    assert prepare_engine(model, device="cpu").name == engine.name


def test_torch_takes_over_with_a_note_when_openvino_fails(model, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such instruction\nstack of a driver")

    monkeypatch.setattr(engines, "import_openvino", broken)
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


def test_a_converted_network_is_kept_and_a_damaged_one_made_anew(model, monkeypatch, tmp_path):
    monkeypatch.setenv("CTLNS_CACHE", str(tmp_path / "cache"))
    expected = OpenVinoEngine(model, WINDOW).run(_batch())
    (kept,) = (cache_folder() / "openvino").iterdir()

    def forbidden(*_):
        raise AssertionError("converted again")

    with monkeypatch.context() as patch:
        patch.setattr(engines, "_convert", forbidden)
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
        "import sys; from napari_ctlns.inference.engines import import_openvino; "
        "import_openvino(); import openvino.tools.ovc; "
        "print([m for m, v in sys.modules.items() if m.startswith('openvino_telemetry') and v])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
