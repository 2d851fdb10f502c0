"""Drawing patches from prepared scans, balanced between nodules and everything else.

Randomness is counted: what a sample is depends on (seed, epoch, sample index)
and on nothing else, so that resuming, sharding and any number of workers give
the same patches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.dataset.folder import PreparedScan
from napari_ctlns.recipe import Patches
from napari_ctlns.volume import AIR_HU

Index = tuple[int, int, int]
LUNG_HU = (-950, -500)
"""Aerated lung lies between these; the air around the patient is below."""
LUNG_SHARE = 0.1
"""A patch without a nodule should be lung to this share, around something denser: what a
network takes for nodules is vessels, and walls that bulge into the lung."""
TRIES = 10
"""How often a place is drawn anew until it is such a one; then it may be anywhere."""
MARGIN = 0.125
"""Of the patch's size: how near to its faces a nodule's centre may come."""


@dataclass(frozen=True)
class Sample:
    """Where a patch is cut: its scan and first voxel (z, y, x), which may lie outside."""

    scan: int
    start: Index
    nodule: bool


@dataclass(frozen=True)
class PatchSampler:
    """Patches of some scans.

    Of every run of samples a share ``recipe.nodule_fraction`` holds a nodule,
    which lies anywhere in its patch. Every nodule has the same chance, large or
    small, and comes before any comes again; likewise the scans for the others.

    Attributes
    ----------
    scans
        What to draw from.
    recipe
        Size and share.
    seed
        Where all randomness is counted from.
    shuffle
        Whether nodules and scans come in a new order each epoch.
    """

    scans: Sequence[PreparedScan]
    recipe: Patches
    seed: int = 0
    shuffle: bool = True

    @cached_property
    def nodules(self) -> tuple[tuple[int, Index], ...]:
        """All nodules: their scan's number and their centre (z, y, x)."""
        return tuple(
            (number, nodule.centre)
            for number, scan in enumerate(self.scans)
            for nodule in scan.nodules
        )

    @property
    def epoch_length(self) -> int:
        """Patches an epoch takes."""
        return len(self.scans) * self.recipe.per_scan

    def draw(self, epoch: int, index: int) -> Sample:
        """Return where sample ``index`` of ``epoch`` is cut."""
        random = np.random.default_rng([self.seed, epoch, index])
        fraction = self.recipe.nodule_fraction if self.nodules else 0.0
        before, after = int(index * fraction), int((index + 1) * fraction)
        if after > before:
            scan, centre = self.nodules[self._turn(before, len(self.nodules), epoch)]
            return Sample(scan, self._within(scan, self._around(centre, random)), nodule=True)
        scan = self._turn(index - before, len(self.scans), epoch)
        return Sample(scan, self._anywhere(scan, random), nodule=False)

    def cut(self, sample: Sample) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
        """Return a sample's HU and its mask (1 in nodules), both (z, y, x).

        Only the patch is read from disk. Beyond the scan there is air.
        """
        hu, mask = self._arrays[sample.scan]
        size = self.recipe.size
        patch = cut_block(hu, sample.start, size, outside=AIR_HU)
        labels = cut_block(mask, sample.start, size, outside=0)
        return patch, (labels > 0).view(np.uint8)

    def _turn(self, count: int, length: int, epoch: int) -> int:
        """Return whose turn it is after ``count`` others: each once, then each once again."""
        turn, place = divmod(count, length)
        if not self.shuffle:
            return place
        return int(
            np.random.default_rng([self.seed, epoch, turn, length]).permutation(length)[place]
        )

    def _around(self, centre: Index, random: np.random.Generator) -> Index:
        size = np.asarray(self.recipe.size)
        margin = np.round(size * MARGIN).astype(int)
        return _index(np.asarray(centre) - random.integers(margin, size - margin))

    def _within(self, scan: int, start: Index) -> Index:
        """Move a patch into the scan: air beyond it teaches nothing. One too large stays."""
        room = np.subtract(self.scans[scan].geometry.shape, self.recipe.size)
        return _index(np.where(room >= 0, np.clip(start, 0, np.maximum(room, 0)), start))

    def _anywhere(self, scan: int, random: np.random.Generator) -> Index:
        hu, _ = self._arrays[scan]
        size = self.recipe.size
        start = (0, 0, 0)
        for _ in range(TRIES):
            middle = _index(random.integers(0, hu.shape))
            start = self._within(scan, _index(np.asarray(middle) - np.asarray(size) // 2))
            coarse = hu[
                tuple(_inside(b, n, s)[0] for b, n, s in zip(start, size, hu.shape, strict=True))
            ]
            coarse = coarse[::4, ::4, ::4]
            lung = ((coarse > LUNG_HU[0]) & (coarse < LUNG_HU[1])).mean()
            if hu[middle] >= LUNG_HU[1] and lung >= LUNG_SHARE:
                break
        return start

    @cached_property
    def _arrays(self) -> tuple[tuple[npt.NDArray[np.int16], npt.NDArray[Any]], ...]:
        return tuple((scan.hu(), scan.mask()) for scan in self.scans)


def validation_samples(sampler: PatchSampler, most: int) -> list[Sample]:
    """Return samples that are the same every epoch: nodules in the middle, then others.

    Parameters
    ----------
    sampler
        The scans of the validation split.
    most
        How many samples at most. Where there are more nodules than
        ``nodule_fraction`` of it, every n-th is taken.
    """
    half = np.asarray(sampler.recipe.size) // 2
    share = max(1, round(most * sampler.recipe.nodule_fraction))
    every = max(1, -(-len(sampler.nodules) // share))
    samples = [
        Sample(scan, _index(np.asarray(centre) - half), nodule=True)
        for scan, centre in sampler.nodules[::every]
    ]
    drawn = (sampler.draw(0, index) for index in range(sampler.epoch_length))
    others = [sample for sample in drawn if not sample.nodule]
    return samples + others[: max(0, most - len(samples))]


def cut_block(
    array: npt.NDArray[Any], start: Index, size: tuple[int, int, int], outside: int
) -> npt.NDArray[Any]:
    """Return a copy of a block, filled with ``outside`` where it reaches beyond the array."""
    sides = [_inside(b, n, s) for b, n, s in zip(start, size, array.shape, strict=True)]
    block = np.full(size, outside, array.dtype)
    block[tuple(into for _, into in sides)] = array[tuple(of for of, _ in sides)]
    return block


def _inside(start: int, length: int, available: int) -> tuple[slice, slice]:
    """Return the part of a run of voxels that is in an array: there, and in the run."""
    first = min(max(start, 0), available)
    last = max(min(start + length, available), first)
    return slice(first, last), slice(first - start, last - start)


def _index(values: npt.NDArray[Any]) -> Index:
    z, y, x = (int(v) for v in values)
    return (z, y, x)
