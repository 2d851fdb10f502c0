"""What a network that takes clicks learns from."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ctlns.dataset import PreparedScan
from napari_ctlns.dataset.folder import DatasetCard, ScanCard, SourceNote, write_card
from napari_ctlns.dataset.patches import (
    PatchSampler,
    training_sampler,
    validation_sampler,
    validation_samples,
)
from napari_ctlns.dataset.revisions import ReadersMask, add_scan
from napari_ctlns.errors import ModelError, RecipeError
from napari_ctlns.evaluation.evaluate import evaluate
from napari_ctlns.events import Finished, Uncontrolled
from napari_ctlns.findings import Origin
from napari_ctlns.inference.model import read_card
from napari_ctlns.learning import train
from napari_ctlns.learning.loader import plain_batch, training_batch
from napari_ctlns.learning.memory import memory_need
from napari_ctlns.recipe import Preparation, Recipe, load_recipe
from napari_ctlns.specs import EvaluateSpec, TrainSpec
from napari_ctlns.volume import Geometry

CPU = torch.device("cpu")
SHAPE = (16, 24, 24)
PLACES = ((8, 8, 6), (8, 8, 16))  # the same ball twice: only a click tells which is meant


def add_twins(folder: Path, name: str, seed: int, origin: Origin = "annotation") -> PreparedScan:
    hu = np.random.default_rng(seed).normal(-850, 20, SHAPE)
    mask = np.zeros(SHAPE, np.uint8)
    for label, place in enumerate(PLACES, 1):
        offsets = np.indices(SHAPE) - np.reshape(place, (3, 1, 1, 1))
        inside = (offsets**2).sum(axis=0) <= 9
        hu[inside], mask[inside] = 40, label
    note = SourceNote(path=Path("none"))
    card = ScanCard(scan_id=name, patient_id=name, source=note, geometry=Geometry(SHAPE))
    return add_scan(folder / name, card, hu.astype(np.int16), [ReadersMask(mask, origin=origin)])


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[PreparedScan]]:
    folder = tmp_path_factory.mktemp("twins")
    splits = {"a": "train", "b": "train", "v": "val"}
    scans = [add_twins(folder, name, seed) for seed, name in enumerate(splits)]
    card = DatasetCard(preparation=Preparation(), scans=tuple(splits), split=splits)
    write_card(folder / "dataset.json", card)
    return folder, scans


@pytest.fixture
def clicking() -> Recipe:
    return load_recipe("click").with_changes(
        {
            "patches.size": (16, 16, 24),
            "patches.around": None,
            "patches.per_scan": 8,
            "network.channels": (4, 8),
            "optimisation.precision": "fp32",
            "optimisation.batch_size": 4,
        }
    )


@pytest.fixture
def sampler(twins: tuple[Path, list[PreparedScan]], clicking: Recipe) -> PatchSampler:
    return training_sampler(twins[1], clicking)


def test_the_target_is_the_nodule_that_is_clicked_on_alone(
    sampler: PatchSampler, clicking: Recipe
) -> None:
    batch = training_batch(sampler, clicking, 0, range(8))
    image, target = batch.on(CPU)
    assert image.shape == (8, 3, 16, 16, 24)
    assert target.shape == (8, 1, 16, 16, 24)
    for channels, true in zip(image, target[:, 0] > 0, strict=True):
        assert true.any()
        inside, outside = (channels[n] > 0.9 * channels[n].max() for n in (1, 2))
        assert true[inside].any()
        if channels[2].max() > 0.5:
            assert not true[outside].all()
    # both balls lie in some patches, and the other one is dense and no target there
    dense = image[:, 0] > 0.5
    assert any((d & ~t).sum() > 50 for d, t in zip(dense, target[:, 0] > 0, strict=True))


def test_each_nodule_comes_as_often_and_under_its_own_label(sampler: PatchSampler) -> None:
    labels = [sampler.draw(0, n).label for n in range(sampler.epoch_length)]
    assert labels.count(1) == labels.count(2) == sampler.epoch_length // 2


def test_corrected_scans_come_by_share_with_labels_of_their_own(
    twins: tuple[Path, list[PreparedScan]], clicking: Recipe, tmp_path: Path
) -> None:
    recipe = clicking.with_changes({"patches.corrected_fraction": 0.5})
    corrected = add_twins(tmp_path, "c", 9, "hand")
    sampler = training_sampler([*twins[1][:2], corrected], recipe)
    samples = [sampler.draw(0, n) for n in range(16)]
    assert sorted({(s.scan == 2, s.label) for s in samples}) == [
        (False, 1),
        (False, 2),
        (True, 1),
        (True, 2),
    ]


def test_patches_are_clicked_on_alike_in_any_order_and_in_parts(
    sampler: PatchSampler, clicking: Recipe
) -> None:
    whole, _ = training_batch(sampler, clicking, 1, range(6)).on(CPU)
    alone, _ = training_batch(sampler, clicking, 1, [4]).on(CPU)
    part, _ = training_batch(sampler, clicking, 1, range(6)).part(slice(2, 5)).on(CPU)
    later, _ = training_batch(sampler, clicking, 2, [4]).on(CPU)
    assert torch.equal(whole[4, 1:], alone[0, 1:])
    assert torch.equal(whole[2:5, 1:], part[:, 1:])
    assert not torch.equal(alone[0, 1:], later[0, 1:])


def test_validation_clicks_once_and_in_the_same_place_each_epoch(
    twins: tuple[Path, list[PreparedScan]], clicking: Recipe
) -> None:
    sampler = validation_sampler(twins[1], clicking)
    samples = validation_samples(sampler, 12)
    assert [sample.label for sample in samples] == [1, 2] * 3
    first, _ = plain_batch(sampler, clicking, samples).on(CPU)
    again, _ = plain_batch(sampler, clicking, samples).on(CPU)
    assert torch.equal(first, again)
    assert first[:, 1].amax((1, 2, 3)).min() > 0.5
    assert not first[:, 2].any()


def test_a_network_learns_which_of_two_equal_nodules_is_meant(
    twins: tuple[Path, list[PreparedScan]], tmp_path: Path, clicking: Recipe
) -> None:
    recipe = clicking.with_changes(
        {
            "optimisation.epochs": 8,
            "optimisation.learning_rate": 2e-2,
            "optimisation.ema_decay": 0.0,
            "augmentation.enabled": False,
            "patches.per_scan": 16,
        }
    )
    spec = TrainSpec(dataset=twins[0], out=tmp_path / "run", recipe=recipe, device="cpu")
    *_, end = train(spec, Uncontrolled())
    assert isinstance(end, Finished)
    card = read_card(end.result["model"])
    assert card.recipe.network.clicks
    # both marked would be 0.67 at best
    assert card.metrics["val_dice"] > 0.8
    judged = EvaluateSpec(model=end.result["model"], dataset=twins[0], split="val")
    with pytest.raises(ModelError, match="ctlns click"):
        list(evaluate(judged, Uncontrolled()))


def test_the_memory_of_all_channels_is_counted(clicking: Recipe) -> None:
    plain = clicking.with_changes({"network.clicks": False})
    need, less = (memory_need(recipe, "cpu").activations_bytes for recipe in (clicking, plain))
    assert need > less


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patches.nodule_fraction": 0.5}, "nodule_fraction 1"),
        ({"structure": "lung"}, "structure nodule"),
        ({"preparation.slice_size": (64, 64)}, "spacing_mm"),
        ({"preparation.normalisation": "standardise"}, "whole scan"),
        ({"network.dimensions": 2, "patches.size": (1, 16, 16)}, "dimensions 3"),
    ],
)
def test_a_recipe_says_what_clicks_need(
    clicking: Recipe, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        clicking.with_changes(changes)


def test_other_recipes_are_given_one_channel(
    spec_of: Callable[..., TrainSpec], twins: tuple[Path, list[PreparedScan]]
) -> None:
    recipe = spec_of().recipe
    sampler = training_sampler(twins[1], recipe)
    image, _ = training_batch(sampler, recipe, 0, range(3)).on(CPU)
    assert image.shape[1] == recipe.image_channels == 1
