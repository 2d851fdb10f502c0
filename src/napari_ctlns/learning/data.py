"""What a training learns from and is judged by."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from napari_ctlns.dataset import (
    Dataset,
    PreparedScan,
    dataset_fingerprint,
    open_dataset,
    same_preparation,
)
from napari_ctlns.dataset.patches import (
    PatchSampler,
    Sample,
    training_sampler,
    validation_sampler,
    validation_samples,
)
from napari_ctlns.errors import DatasetError
from napari_ctlns.learning.distributed import Group
from napari_ctlns.learning.loader import Batch, in_background, plain_batch, training_batch
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import Split, TrainSpec

_SHOWN = 3
"""Patches that previews show."""


@dataclass(frozen=True)
class TrainingData:
    """Patches to learn from, and those that judge every epoch alike.

    Attributes
    ----------
    fingerprint, judged_on
        Change when the scans to learn from and to validate, or those to validate, do.
    contents
        The split, the CT and the mask of each of these scans.
    problems
        What the person should know, in words.
    group
        The processes that share the patches of each step.
    """

    recipe: Recipe
    training: PatchSampler
    validation: PatchSampler
    samples: tuple[Sample, ...]
    fingerprint: str
    judged_on: str
    contents: Mapping[str, list[str]]
    problems: tuple[str, ...] = ()
    group: Group = field(default_factory=Group)

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.training.epoch_length // self.recipe.optimisation.batch_size)

    def patches_in(self, step: int) -> range:
        """Return the indices of the samples in a step of an epoch, of all processes."""
        size = self.recipe.optimisation.batch_size
        return range(step * size, min((step + 1) * size, self.training.epoch_length))

    def training_batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield this process's part of the batches of an epoch from step ``first`` on."""

        def make(step: int) -> Batch:
            indices, _ = self.group.share(self.patches_in(step))
            return training_batch(self.training, self.recipe, epoch, indices)

        return in_background(make, range(first, self.steps), self.recipe.optimisation.num_workers)

    def validation_batches(self) -> Iterator[Batch]:
        """Yield this process's part of the validation patches, the same every epoch."""
        groups = self._validation_groups

        def make(number: int) -> Batch:
            return plain_batch(self.validation, self.recipe, groups[number])

        numbers = range(self.group.rank, len(groups), self.group.size)
        return in_background(make, numbers, self.recipe.optimisation.num_workers)

    @property
    def validation_rounds(self) -> int:
        """Batches that the process with the most of them validates."""
        return -(-len(self._validation_groups) // self.group.size)

    def shown(self) -> Batch:
        """Return the few validation patches with a nodule that previews show."""
        samples = [sample for sample in self.samples if sample.nodule][:_SHOWN]
        return plain_batch(self.validation, self.recipe, samples)

    def in_words(self) -> str:
        """Say how much there is to learn from."""
        return (
            f"{_counted(self.training)} to learn from, {_counted(self.validation)} to validate; "
            f"{self.training.epoch_length} patches an epoch"
        )

    @cached_property
    def _validation_groups(self) -> list[Sequence[Sample]]:
        """The validation patches in batches of about as many voxels as those of training."""
        voxels = self.recipe.optimisation.batch_size * math.prod(self.recipe.patches.size)
        size = max(1, voxels // math.prod(self.recipe.validation_size))
        return [self.samples[i : i + size] for i in range(0, len(self.samples), size)]


def training_data(spec: TrainSpec, group: Group | None = None) -> TrainingData:
    """Open a dataset for training.

    Raises
    ------
    DatasetError
        If it has no training scans, none of them has a nodule, or it was prepared in
        another way than the recipe wants.
    """
    dataset = fitting_dataset(spec.dataset, spec.recipe)
    if not any(scan.nodules for scan in dataset.scans("train")):
        what = "nodules" if spec.recipe.structure == "nodule" else "masks"
        raise DatasetError(f"the training scans of {spec.dataset} have no {what}; annotate some")
    return _with_validation(spec.recipe, dataset, group or Group())


def fitting_dataset(folder: Path, recipe: Recipe) -> Dataset:
    """Open a dataset that has scans to learn from, prepared as a recipe wants them.

    Raises
    ------
    DatasetError
        If it is none, was prepared in another way, or has no training scans.
    """
    dataset = open_dataset(folder)
    if differs := same_preparation(dataset.preparation, recipe.preparation):
        raise DatasetError(
            f"{folder} was prepared otherwise: {differs}; prepare it with this recipe"
        )
    if not dataset.scans("train"):
        raise DatasetError(f"{folder} has no training scans; put some in its split")
    return dataset


def _with_validation(recipe: Recipe, dataset: Dataset, group: Group) -> TrainingData:
    problems = []
    judging: Split = "val"
    if not any(scan.nodules for scan in dataset.scans(judging)):
        problems.append(
            "no nodules to validate on: the training scans stand in, "
            "so that Dice and loss will look better than they are"
        )
        judging = "train"
    validation = validation_sampler(dataset.scans(judging), recipe)
    return TrainingData(
        recipe,
        training_sampler(dataset.scans("train"), recipe),
        validation,
        tuple(validation_samples(validation, validation.epoch_length)),
        dataset_fingerprint(dataset, ("train", "val")),
        dataset_fingerprint(dataset, (judging,)),
        {scan.scan_id: _state(scan, split) for split in _LEARNED for scan in dataset.scans(split)},
        tuple(problems),
        group,
    )


_LEARNED: tuple[Split, ...] = ("train", "val")


def _state(scan: PreparedScan, split: Split) -> list[str]:
    return [split, scan.card.ct, scan.card.mask]


def _counted(sampler: PatchSampler) -> str:
    return f"{_number(len(sampler.scans), 'scan')} with {_number(len(sampler.nodules), 'nodule')}"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
