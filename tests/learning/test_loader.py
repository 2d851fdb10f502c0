"""Batches: what is cut, mirrored, moved and normalised, and in which order they come."""

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ctlns.dataset import open_dataset
from napari_ctlns.dataset.patches import PatchSampler, training_sampler, validation_sampler
from napari_ctlns.learning.loader import Batch, in_background, plain_batch, training_batch
from napari_ctlns.normalising import scaling_of
from napari_ctlns.recipe import Recipe

CPU = torch.device("cpu")
RICH = {
    "augmentation.rotation_deg": (40, 30, 30),
    "augmentation.scaling": 0.2,
    "augmentation.translation": 0.1,
    "augmentation.affine_probability": 0.8,
    "augmentation.elastic_voxels": 1.0,
    "augmentation.elastic_grid": 8,
}
TONED = {
    "augmentation.noise": 0.05,
    "augmentation.blur_voxels": 1.0,
    "augmentation.brightness": 0.1,
    "augmentation.contrast": 0.2,
}
FLAT = {"network.dimensions": 2, "patches.size": (5, 16, 16), "inference.window": None}


@pytest.fixture
def sampler(dataset_folder: Path, recipe: Recipe) -> PatchSampler:
    return training_sampler(open_dataset(dataset_folder).scans(), recipe)


def some(sampler: PatchSampler, count: int = 6) -> list:
    return [sampler.draw(0, index) for index in range(count)]


@pytest.mark.parametrize("normalisation", ["range", "divide", "standardise"])
def test_patches_are_normalised_as_their_scans_are_at_inference(
    sampler: PatchSampler, recipe: Recipe, normalisation: str
) -> None:
    recipe = recipe.with_changes({"preparation.normalisation": normalisation})
    samples = some(sampler)
    image, target = plain_batch(sampler, recipe, samples).on(CPU)
    assert image.dtype == target.dtype == torch.float32
    for n, sample in enumerate(samples):
        hu, mask = sampler.cut(sample)
        scaling = scaling_of(recipe.preparation, sampler.scans[sample.scan].hu())
        np.testing.assert_allclose(image[n, 0].numpy(), scaling.applied(hu), rtol=1e-6, atol=1e-6)
        assert (target[n, 0].numpy() == mask).all()


def test_a_batch_can_be_used_again(sampler: PatchSampler, recipe: Recipe) -> None:
    recipe = recipe.with_changes(RICH | TONED)
    batch = training_batch(sampler, recipe, 0, range(4))
    first, second = batch.on(CPU), batch.on(CPU)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_image_and_mask_are_mirrored_together(sampler: PatchSampler, recipe: Recipe) -> None:
    mirrored = 0
    for epoch in range(4):
        batch = training_batch(sampler, recipe, epoch, range(8))
        assert batch.hu.shape == (8, 1, 16, 16, 16)
        # balls have 40 HU, all else about -850
        assert torch.equal(batch.hu > -400, batch.mask == 1)
        assert batch.mask.any()
        plain = plain_batch(sampler, recipe, [sampler.draw(epoch, i) for i in range(8)])
        mirrored += int((batch.hu != plain.hu).flatten(1).any(1).sum())
        assert torch.equal(batch.hu.flatten(1).sort().values, plain.hu.flatten(1).sort().values)
    # seven of eight are mirrored along some axis
    assert 20 <= mirrored < 32


def test_image_and_mask_are_moved_together(sampler: PatchSampler, recipe: Recipe) -> None:
    recipe = recipe.with_changes(RICH | {"augmentation.flip_axes": ()})
    batch = training_batch(sampler, recipe, 0, range(12))
    image, target = batch.on(CPU)
    assert image.shape == target.shape == (12, 1, 16, 16, 16)
    assert set(target.unique().tolist()) == {0, 1}
    balls = image > (-400 + 1000) / 1400
    common, both = (balls * target).sum(), (balls + target).sum()
    assert 2 * common / both > 0.93  # they differ where a surface is rounded
    plain = plain_batch(sampler, recipe, batch.samples).on(CPU)[1]
    assert 2 * (plain * target).sum() / (plain + target).sum() < 0.85


def test_what_is_not_augmented_is_what_was_cut(sampler: PatchSampler, recipe: Recipe) -> None:
    off = recipe.with_changes(RICH | TONED | {"augmentation.enabled": False})
    changed = training_batch(sampler, off, 2, range(4))
    plain = plain_batch(sampler, off, [sampler.draw(2, i) for i in range(4)])
    assert torch.equal(changed.hu, plain.hu)
    assert torch.equal(changed.on(CPU)[0], plain.on(CPU)[0])


def test_a_sample_is_the_same_in_any_batch(dataset_folder: Path, recipe: Recipe) -> None:
    recipe = recipe.with_changes(RICH | TONED)
    sampler = training_sampler(open_dataset(dataset_folder).scans(), recipe)
    whole = training_batch(sampler, recipe, 3, range(8)).on(CPU)
    others = [training_batch(sampler, recipe, 3, [n, 11]).on(CPU) for n in reversed(range(8))]
    for n, batch in zip(reversed(range(8)), others, strict=True):
        assert torch.equal(batch[0][0], whole[0][n])
        assert torch.equal(batch[1][0], whole[1][n])
    for other in (recipe.with_changes({"optimisation.seed": 1}), recipe):
        epoch = 4 if other is recipe else 3
        again = training_sampler(sampler.scans, other)
        elsewhere = training_batch(again, other, epoch, range(8)).on(CPU)
        assert all(not torch.equal(elsewhere[0][n], whole[0][n]) for n in range(8))


def test_parts_are_the_whole(sampler: PatchSampler, recipe: Recipe) -> None:
    recipe = recipe.with_changes(RICH | TONED)
    for batch in (
        training_batch(sampler, recipe, 0, range(6)),
        plain_batch(sampler, recipe, some(sampler)),
    ):
        parts = [batch.part(slice(0, 2)), batch.part(slice(2, 6))]
        assert [len(part.samples) for part in parts] == [2, 4]
        made = [part.on(CPU) for part in parts]
        for whole, pieces in zip(batch.on(CPU), zip(*made, strict=True), strict=True):
            assert torch.equal(whole, torch.cat(pieces))


def test_two_dimensions_are_judged_by_the_middle_slice(
    dataset_folder: Path, recipe: Recipe
) -> None:
    recipe = recipe.with_changes(FLAT | RICH)
    sampler = training_sampler(open_dataset(dataset_folder).scans(), recipe)
    image, target = training_batch(sampler, recipe, 0, range(12)).on(CPU)
    assert image.shape == (12, 1, 5, 16, 16)
    assert target.shape == (12, 1, 1, 16, 16)
    balls = image[:, :, 2:3] > (-400 + 1000) / 1400
    assert 2 * (balls * target).sum() / (balls + target).sum() > 0.9
    samples = some(sampler)
    plain = plain_batch(sampler, recipe, samples).on(CPU)[1]
    assert (plain[0, 0, 0].numpy() == sampler.cut(samples[0])[1][2]).all()


def test_validation_patches_have_the_size_of_their_sampler(
    dataset_folder: Path, recipe: Recipe
) -> None:
    recipe = recipe.with_changes({"patches.validation_size": (24, 24, 16)})
    sampler = validation_sampler(open_dataset(dataset_folder).scans(), recipe)
    batch = plain_batch(sampler, recipe, [sampler.draw(0, 0)])
    assert batch.size == (24, 24, 16)
    assert batch.on(CPU)[0].shape == (1, 1, 24, 24, 16)


def test_a_batch_names_its_patches(sampler: PatchSampler, recipe: Recipe) -> None:
    samples = some(sampler, 2)
    words = plain_batch(sampler, recipe, samples).in_words(sampler.scans)
    for sample in samples:
        assert f"{sampler.scans[sample.scan].scan_id} at {sample.start}" in words


def test_background_keeps_order_and_hands_on_errors(sampler: PatchSampler, recipe: Recipe) -> None:
    batches = [plain_batch(sampler, recipe, [sample]) for sample in some(sampler, 8)]

    def make(number: int) -> Batch:
        return batches[number]

    for workers in (0, 1, 3):
        made = list(in_background(make, range(2, 8), workers))
        assert [id(batch) for batch in made] == [id(batch) for batch in batches[2:]]
        with pytest.raises(IndexError):
            list(in_background(make, range(7, 10), workers))


def test_workers_make_the_same_batches(sampler: PatchSampler, recipe: Recipe) -> None:
    recipe = recipe.with_changes(RICH | TONED)

    def make(number: int) -> Batch:
        return training_batch(sampler, recipe, 0, range(2 * number, 2 * number + 2))

    alone, shared = (list(in_background(make, range(5), workers)) for workers in (0, 3))
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.on(CPU)[0], other.on(CPU)[0])
