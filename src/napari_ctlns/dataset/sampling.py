"""Drawing patches from prepared scans, balanced between nodules and everything else.

Randomness is counted: what a sample is depends on (seed, epoch, sample index)
and on nothing else, so that resuming, sharding and any number of workers give
the same patches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_ctlns.dataset.blocks import Index, as_index, cut_block, moved_in, within
from napari_ctlns.dataset.folder import PreparedScan
from napari_ctlns.dataset.hard_negatives import false_positives
from napari_ctlns.dataset.slices import SliceTable, slice_table
from napari_ctlns.recipe import Patches
from napari_ctlns.volume import Triple

LUNG_HU = (-950, -500)
"""Aerated lung lies between these; the air around the patient is below."""
LUNG_SHARE = 0.1
"""A patch without a nodule should be lung to this share, around something denser: what a
network takes for nodules is vessels, and walls that bulge into the lung."""
BORDER_SHARE = 0.1
"""A patch at the border of the lungs is lung to this share at least, and other tissue too."""
TRIES = 10
"""How often a place is drawn anew until it is such a one; then it may be anywhere."""
MARGIN = 0.125
"""Of the patch's size: how near to its faces a nodule's centre may come."""


@dataclass(frozen=True)
class Sample:
    """Where a patch is cut: its scan and first voxel (z, y, x), which may lie outside.

    Attributes
    ----------
    label
        The one nodule that is the target; 0: all that the mask marks.
    """

    scan: int
    start: Index
    nodule: bool
    label: int = 0


@dataclass(frozen=True)
class PatchSampler:
    """Patches of some scans; see `training_sampler` and `validation_sampler`.

    "balanced": of every run of samples a share ``recipe.nodule_fraction`` holds a
    nodule. Every nodule has the same chance, large or small, and comes before any comes
    again; likewise the false positives and the scans for the others. "slices": whole
    slices, those with and those without a nodule equally often.

    Attributes
    ----------
    scans
        What to draw from. Their files are opened for each patch, so that neither memory
        nor open files grow with their number.
    recipe
        Size and share.
    seed
        Where all randomness is counted from.
    shuffle
        Whether nodules and scans come in a new order each epoch.
    structure
        What the masks mark. Of patches of lungs, half lie at their border.
    middle_only
        Whether only the middle slice of a patch is judged, as by networks of two
        dimensions: then that slice is what is drawn, and all slices of the scan may be it.
    one_nodule
        Whether the target of a patch is its own nodule alone, as for networks that take
        clicks: others in it are background.
    """

    scans: Sequence[PreparedScan]
    recipe: Patches
    seed: int = 0
    shuffle: bool = True
    structure: Literal["nodule", "lung"] = "nodule"
    middle_only: bool = False
    one_nodule: bool = False

    @cached_property
    def nodules(self) -> tuple[tuple[int, Index], ...]:
        """All nodules: their scan's number and their centre (z, y, x)."""
        return tuple(
            (number, nodule.centre)
            for number, scan in enumerate(self.scans)
            for nodule in scan.nodules
        )

    @cached_property
    def targets(self) -> tuple[int, ...]:
        """For each of the nodules, the label that is the target of its patches; 0: all."""
        labels = (nodule.label for scan in self.scans for nodule in scan.nodules)
        return tuple(label if self.one_nodule else 0 for label in labels)

    @cached_property
    def hard_negatives(self) -> tuple[tuple[int, Index], ...]:
        """Earlier false positives: their scan's number and their voxel (z, y, x).

        Raises
        ------
        CtlnsError
            If the recipe's table cannot be read or is of other scans.
        """
        path = self.recipe.hard_negatives
        return false_positives(Path(path), self.scans) if path else ()

    @cached_property
    def slices(self) -> SliceTable:
        """Which slices hold a nodule; all masks are read for it, once."""
        return slice_table(self.scans)

    @cached_property
    def spacings(self) -> frozenset[Triple]:
        """All millimetres (z, y, x) between voxels that the scans have."""
        return frozenset(scan.geometry.spacing for scan in self.scans)

    @property
    def epoch_length(self) -> int:
        """Patches an epoch takes."""
        return len(self.scans) * self.recipe.per_scan

    def draw(self, epoch: int, index: int) -> Sample:
        """Return where sample ``index`` of ``epoch`` is cut."""
        random = np.random.default_rng([self.seed, epoch, index])
        if self.recipe.sampling == "slices":
            scan, z, nodule = self.slices.drawn(random)
            return Sample(scan, self.whole_slice(scan, z), nodule)
        fraction = self.recipe.nodule_fraction if self.nodules else 0.0
        before, after = int(index * fraction), int((index + 1) * fraction)
        if after > before:
            turn = self._turn(before, len(self.nodules), epoch)
            scan, centre = self.nodules[turn]
            start = self._with_nodule(scan, centre, random)
            return Sample(scan, start, nodule=True, label=self.targets[turn])
        return self.other(epoch, index - before, random)

    def other(self, epoch: int, count: int, random: np.random.Generator) -> Sample:
        """Return where a patch that is drawn for no nodule is cut, after ``count`` such ones."""
        share = self.recipe.hard_fraction if self.hard_negatives else 0.0
        before, after = int(count * share), int((count + 1) * share)
        if after > before:
            turn = self._turn(before, len(self.hard_negatives), epoch)
            scan, place = self.hard_negatives[turn]
            return Sample(scan, self._placed(scan, self._around(place, random)), nodule=False)
        scan = self._turn(count - before, len(self.scans), epoch)
        lung = self.structure == "lung"
        start = self._of_lungs(scan, random) if lung else self._near_lung(scan, random)
        return Sample(scan, start, nodule=False)

    def cut(
        self, sample: Sample, margin: tuple[int, int, int] = (0, 0, 0)
    ) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
        """Return a sample's HU and its mask (1 in its target), both (z, y, x).

        Only the patch is read from disk. Beyond the scan lies its mirror image, as at inference.

        Parameters
        ----------
        sample
            Where.
        margin
            Voxels more on each side (z, y, x); the patch is in the middle.
        """
        scan = self.scans[sample.scan]
        start = as_index(np.subtract(sample.start, margin))
        size = as_index(np.asarray(self.recipe.size) + 2 * np.asarray(margin))
        patch = cut_block(scan.hu(), start, size)
        labels = cut_block(scan.mask(), start, size)
        inside = labels == sample.label if sample.label else labels > 0
        return patch, inside.view(np.uint8)

    def whole_slice(self, scan: int, z: int) -> Index:
        """Return where a patch around a slice starts whose middle is that of the scan."""
        room = np.subtract(self.scans[scan].geometry.shape, self.recipe.size)
        return (z - self.recipe.size[0] // 2, int(room[1] // 2), int(room[2] // 2))

    def _turn(self, count: int, length: int, epoch: int) -> int:
        """Return whose turn it is after ``count`` others: each once, then each once again."""
        turn, place = divmod(count, length)
        if not self.shuffle:
            return place
        return int(
            np.random.default_rng([self.seed, epoch, turn, length]).permutation(length)[place]
        )

    def _with_nodule(self, scan: int, centre: Index, random: np.random.Generator) -> Index:
        if self.recipe.around is None:
            place = self._slice_through(scan, centre, random) if self.middle_only else centre
            return self._placed(scan, self._around(place, random))
        size, block = np.asarray(self.recipe.size), np.asarray(self.recipe.around)
        half = block // 2
        # of a block more than twice as wide, only patches that hold the centre
        low, high = np.maximum(0, half - size + 1), np.minimum(block - size, half)
        return self._placed(scan, np.asarray(centre) - half + random.integers(low, high + 1))

    def _slice_through(self, scan: int, centre: Index, random: np.random.Generator) -> Index:
        """Return a voxel above or below a nodule's centre on any slice that cuts it there."""
        z, y, x = centre
        column = self.scans[scan].mask()[:, y, x] > 0
        if not column[z]:  # the centre of a bent nodule lies outside
            return centre
        first = z - int(np.argmin(column[z::-1])) if not column[: z + 1].all() else -1
        last = z + int(np.argmin(column[z:])) if not column[z:].all() else len(column)
        return (int(random.integers(first + 1, last)), y, x)

    def _around(self, place: Index, random: np.random.Generator) -> Index:
        """Return where a patch starts in which a place lies anywhere; in its middle slice."""
        size = np.asarray(self.recipe.size)
        margin = np.round(size * MARGIN).astype(int)
        offset = random.integers(margin, size - margin)
        if self.middle_only:
            offset[0] = size[0] // 2
        return as_index(np.asarray(place) - offset)

    def _placed(self, scan: int, start: npt.ArrayLike) -> Index:
        """Move a patch into the scan: what lies beyond it teaches nothing new.

        Where only the middle slice is judged, that one is moved in and others may lie
        beyond, or the first and last slices of a scan would never be judged.
        """
        shape, size = self.scans[scan].geometry.shape, self.recipe.size
        z, y, x = moved_in(start, size, shape)
        if self.middle_only:
            middle = size[0] // 2
            z = int(np.clip(np.asarray(start)[0] + middle, 0, shape[0] - 1)) - middle
        return (z, y, x)

    def _near_lung(self, scan: int, random: np.random.Generator) -> Index:
        hu = self.scans[scan].hu()

        def suits(middle: Index, start: Index) -> bool:
            coarse = self._judged(hu, start)
            lung = ((coarse > LUNG_HU[0]) & (coarse < LUNG_HU[1])).mean()
            return bool(hu[middle] >= LUNG_HU[1] and lung >= LUNG_SHARE)

        return self._tried(scan, random, suits)

    def _of_lungs(self, scan: int, random: np.random.Generator) -> Index:
        if random.random() < 0.5:
            return self._tried(scan, random, lambda *_: True)
        mask = self.scans[scan].mask()

        def suits(_: Index, start: Index) -> bool:
            share = (self._judged(mask, start) > 0).mean()
            return bool(BORDER_SHARE <= share <= 1 - BORDER_SHARE)

        return self._tried(scan, random, suits)

    def _tried(
        self, scan: int, random: np.random.Generator, suits: Callable[[Index, Index], bool]
    ) -> Index:
        """Draw places until the middle and start of a patch suit, or tries are used up."""
        start = (0, 0, 0)
        for _ in range(TRIES):
            middle = as_index(random.integers(0, self.scans[scan].geometry.shape))
            start = self._placed(scan, np.subtract(middle, np.asarray(self.recipe.size) // 2))
            if suits(middle, start):
                break
        return start

    def _judged(self, array: npt.NDArray[Any], start: Index) -> npt.NDArray[Any]:
        """Return every fourth voxel along each axis of what is judged of a patch."""
        size = self.recipe.size
        if not self.middle_only:
            return within(array, start, size)[::4, ::4, ::4]
        middle = (start[0] + size[0] // 2, start[1], start[2])
        return within(array, middle, (1, *size[1:]))[:, ::4, ::4]


class MixedSampler(PatchSampler):
    """Patches of corrected scans and of the others, by share instead of by their numbers.

    Of every run of samples a share ``recipe.corrected_fraction`` is of corrected scans; in
    both parts scans and nodules take turns as in `PatchSampler`. There must be scans of
    both kinds.
    """

    def draw(self, epoch: int, index: int) -> Sample:
        """Return where sample ``index`` of ``epoch`` is cut."""
        share = self.recipe.corrected_fraction
        before, after = int(index * share), int((index + 1) * share)
        corrected = after > before
        numbers, part = self._part_of[corrected]
        sample = part.draw(epoch, before if corrected else index - before)
        return replace(sample, scan=numbers[sample.scan])

    @cached_property
    def _part_of(self) -> dict[bool, tuple[tuple[int, ...], PatchSampler]]:
        """The numbers of the scans that are corrected or not, and what draws from them."""
        parts = {}
        for corrected in (True, False):
            numbers = tuple(n for n, s in enumerate(self.scans) if s.corrected == corrected)
            parts[corrected] = (
                numbers,
                PatchSampler(
                    [self.scans[n] for n in numbers],
                    self.recipe,
                    self.seed,
                    self.shuffle,
                    self.structure,
                    self.middle_only,
                    self.one_nodule,
                ),
            )
        return parts
