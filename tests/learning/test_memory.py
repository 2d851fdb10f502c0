import json

import pytest
import torch

from napari_ctlns.events import Finished, Uncontrolled
from napari_ctlns.jobs.registry import JOBS, start_job
from napari_ctlns.learning import memory
from napari_ctlns.learning.free_memory import _container, _meminfo, free_bytes
from napari_ctlns.learning.memory import in_words, memory_need
from napari_ctlns.networks import build_network
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import EstimateSpec

CPU = torch.device("cpu")


def changed(name="ct-lns", **optimisation):
    changes = {"precision": "fp32", "batch_size": 4, **optimisation}
    recipe = load_recipe(name).with_changes({f"optimisation.{k}": v for k, v in changes.items()})
    small = {2: (recipe.patches.size[0], 32, 32), 3: (16, 16, 16)}[recipe.network.dimensions]
    channels = {} if recipe.network.name == "swin-unetr" else {"network.channels": (4, 8, 16)}
    sizes = {"patches.size": small, "patches.validation_size": small, "inference.window": small}
    return recipe.with_changes({**sizes, **channels, "patches.around": None})


def kept_for_backward(recipe):
    """What a real step keeps between its two halves, as autograd itself tells."""
    network = build_network(recipe)
    own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    image = torch.rand(recipe.optimisation.batch_size, 1, *recipe.patches.size)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = network(image)  # lives as long as what is kept
    assert logits is not None
    return sum(kept.values())


@pytest.mark.parametrize(
    "name", ["ct-lns", "luna-2.5d", "lungnet-2d", "lung-region-attention", "lung-region"]
)
def test_a_step_needs_what_backward_keeps_and_some_more(name):
    recipe = changed(name)
    kept = kept_for_backward(recipe)
    assert kept < memory_need(recipe, "cpu").activations_bytes < 2 * kept


def test_weights_count_with_gradient_moments_average_and_half_copy():
    network = build_network(changed())
    weights = sum(w.numel() for w in network.parameters())
    buffers = sum(b.nbytes for b in network.buffers())
    assert memory_need(changed(), "cpu").weights_bytes == 16 * weights + buffers
    averaged = memory_need(changed(ema_decay=0.9), "cpu")
    assert averaged.weights_bytes == 20 * weights + buffers
    half = memory_need(changed(precision="bf16"), "cpu")
    assert half.weights_bytes == 18 * weights + buffers
    assert half.activations_bytes < 0.6 * averaged.activations_bytes
    assert half.total_bytes == half.weights_bytes + half.activations_bytes


def test_activations_grow_with_the_patches_worked_on_at_once():
    eight = memory_need(changed(batch_size=8), "cpu").activations_bytes
    assert memory_need(changed(batch_size=4), "cpu").activations_bytes * 2 == eight
    assert memory_need(changed(batch_size=8, accumulation=2), "cpu").activations_bytes * 2 == eight


def test_large_validation_patches_count_too():
    recipe = changed("luna-2.5d")
    whole = recipe.with_changes({"patches.validation_size": (7, 512, 512)})
    need, more = memory_need(recipe, "cpu"), memory_need(whole, "cpu")
    # without a backward pass: not 256 / 4 times what a step takes
    assert 2 < more.activations_bytes / need.activations_bytes < 40


@pytest.mark.parametrize("share", [0.6, 0.3])
def test_what_is_suggested_fits(monkeypatch, share):
    recipe = changed(batch_size=8)
    need = memory_need(recipe, "cpu")
    assert need.fits
    assert need.suggestion == ""
    free = need.weights_bytes + int(share * need.activations_bytes)
    monkeypatch.setattr(memory, "free_bytes", lambda _: free)
    too_much = memory_need(recipe, "cpu")
    assert not too_much.fits
    assert too_much.suggestion in in_words(too_much)
    key, value = too_much.suggestion.removeprefix("take ").split()
    better = memory_need(recipe.with_changes({key: int(value)}), "cpu")
    assert better.fits
    assert better.total_bytes <= free


def test_where_nothing_fits_or_nobody_knows_that_is_said(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda _: 1000)
    assert "patches.size" in memory_need(changed(), "cpu").suggestion
    monkeypatch.setattr(memory, "free_bytes", lambda _: None)
    need = memory_need(changed(), "cpu")
    assert need.fits
    assert "free" not in in_words(need)


def test_the_job_needs_no_memory_itself_and_leaves_randomness_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    recipe = load_recipe("lung-region").with_changes({"optimisation.batch_size": 4000})
    events = list(start_job(JOBS["estimate"], EstimateSpec(recipe=recipe), Uncontrolled()))
    assert torch.equal(torch.rand(1), expected)
    assert isinstance(events[-1], Finished)
    result = json.loads(json.dumps(events[-1].result))
    assert result["total_bytes"] > 1e12
    assert not result["fits"]
    assert result["suggestion"].startswith("take optimisation.batch_size ")
    assert result["words"].startswith("Training needs about ")


def test_free_memory_is_what_linux_and_containers_tell(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 900 kB\nMemAvailable:     512 kB\n", "ascii")
    assert _meminfo(tmp_path / "meminfo") == 512 * 1024
    assert _meminfo(tmp_path / "none") is None
    (tmp_path / "memory.current").write_text("300\n", "ascii")
    (tmp_path / "memory.max").write_text("1000\n", "ascii")
    assert _container(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n", "ascii")
    assert _container(tmp_path) is None
    free = free_bytes(CPU)
    assert free is None or 2**20 < free < 2**44
