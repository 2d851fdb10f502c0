"""What a training learns from and is judged by."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from napari_ctlns.dataset.folder import PreparedScan, open_dataset
from napari_ctlns.dataset.patches import PatchSampler, Sample, validation_samples
from napari_ctlns.dataset.serving import same_preparation
from napari_ctlns.errors import DatasetError
from napari_ctlns.learning.loader import Batch, in_background, plain_batch, training_batch
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import TrainSpec


@dataclass(frozen=True)
class TrainingData:
    """Patches to learn from, and those that judge every epoch alike.

    Attributes
    ----------
    problems
        What the person should know, in words.
    """

    recipe: Recipe
    training: PatchSampler
    validation: PatchSampler
    samples: tuple[Sample, ...]
    problems: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.training.epoch_length // self.recipe.optimisation.batch_size)

    def patches_in(self, step: int) -> range:
        """Return the indices of the samples in a step of an epoch."""
        size = self.recipe.optimisation.batch_size
        return range(step * size, min((step + 1) * size, self.training.epoch_length))

    def training_batches(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from step ``first`` on."""

        def make(step: int) -> Batch:
            indices = self.patches_in(step)
            return training_batch(self.training, self.recipe.augmentation, epoch, indices)

        return in_background(make, range(first, self.steps), self.recipe.optimisation.num_workers)

    def validation_batches(self) -> Iterator[Batch]:
        """Yield the validation patches, the same every epoch."""
        size = self.recipe.optimisation.batch_size
        groups = [self.samples[i : i + size] for i in range(0, len(self.samples), size)]
        make = partial(_validation_batch, self.validation, groups)
        return in_background(make, range(len(groups)), self.recipe.optimisation.num_workers)

    def in_words(self) -> str:
        """Say how much there is to learn from."""
        return (
            f"{_counted(self.training)} to learn from, {_counted(self.validation)} to validate; "
            f"{self.training.epoch_length} patches an epoch"
        )


def training_data(spec: TrainSpec) -> TrainingData:
    """Open a dataset for training.

    Raises
    ------
    DatasetError
        If it has no training scans, none of them has a nodule, or it has another
        spacing than the recipe wants.
    """
    recipe = spec.recipe
    dataset = open_dataset(spec.dataset)
    if differs := same_preparation(dataset.preparation, recipe.preparation):
        raise DatasetError(
            f"{spec.dataset} was prepared otherwise: {differs}; prepare it with this recipe"
        )
    scans = dataset.scans("train")
    if not scans:
        raise DatasetError(f"{spec.dataset} has no training scans; put some in its split")
    if not any(scan.nodules for scan in scans):
        raise DatasetError(f"the training scans of {spec.dataset} have no nodules; annotate some")
    return _with_validation(recipe, scans, dataset.scans("val"))


def _with_validation(
    recipe: Recipe, scans: list[PreparedScan], others: list[PreparedScan]
) -> TrainingData:
    problems = []
    if not any(scan.nodules for scan in others):
        problems.append(
            "no nodules to validate on: the training scans stand in, "
            "so that Dice and loss will look better than they are"
        )
        others = scans
    seed, shuffle = recipe.optimisation.seed, recipe.optimisation.shuffle
    training = PatchSampler(scans, recipe.patches, seed, shuffle)
    validation = PatchSampler(others, recipe.patches, seed, shuffle=False)
    samples = validation_samples(validation, validation.epoch_length)
    return TrainingData(recipe, training, validation, tuple(samples), tuple(problems))


def _validation_batch(
    sampler: PatchSampler, groups: list[tuple[Sample, ...]], number: int
) -> Batch:
    return plain_batch(sampler, groups[number])


def _counted(sampler: PatchSampler) -> str:
    return f"{_number(len(sampler.scans), 'scan')} with {_number(len(sampler.nodules), 'nodule')}"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
