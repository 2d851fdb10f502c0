"""Batches, assembled beside the training thread, in an order that only the seed decides."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from napari_ctlns.dataset.clicking import (
    DENSE_HU,
    ClickDraw,
    click_channels,
    simulated_clicks,
)
from napari_ctlns.dataset.folder import PreparedScan
from napari_ctlns.dataset.patches import PatchSampler, Sample
from napari_ctlns.dataset.serving import scan_scaling
from napari_ctlns.learning.augment import Change, draw_change
from napari_ctlns.learning.augment_resampling import moved
from napari_ctlns.learning.augment_space import margin
from napari_ctlns.learning.augment_values import toned
from napari_ctlns.recipe import Recipe, Size

AHEAD = 2
"""Batches that each worker may be ahead of the training."""
_CHANGES = 1
"""Sets the numbers for changes apart from those that placed the patch."""
_CLICKS = 2
"""Likewise those for clicks."""


@dataclass(frozen=True)
class Batch:
    """Patches as they were cut, on the CPU, and what is still to be done to them.

    Attributes
    ----------
    hu
        int16 (n, 1, z, y, x), with a margin around the patches, which is filled where a
        patch is moved; mirrored already.
    mask
        uint8, 0 or 1, of the same shape.
    scaling
        float32 (n, 4): how each is normalised, as `Scaling` has it.
    changes
        How each is changed; empty: not at all.
    samples
        Where each was cut.
    size
        Voxels (z, y, x) of the patches.
    middle_only
        Whether the target is the middle slice alone, as for networks of 2 dimensions.
    clicks
        What decides where each is clicked on; empty: the network takes no clicks.
    """

    hu: Tensor
    mask: Tensor
    scaling: Tensor
    changes: tuple[Change, ...]
    samples: tuple[Sample, ...]
    size: Size
    middle_only: bool
    clicks: tuple[ClickDraw, ...] = ()

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return network input and target (0 or 1) on a device.

        HU travel as they are, half the size, and are changed and normalised there;
        they are moved before they are clipped, as where a scan is resampled. Metal
        lacks what moves patches in 3 dimensions, so that the CPU does it there.

        Returns
        -------
        Tensor, Tensor
            float32, (n, C, z, y, x) of `Recipe.image_channels` and (n, 1, z, y, x), the
            target's z is 1 where it is the middle slice.
        """
        there = torch.device("cpu") if device.type == "mps" else device
        hu, mask = (part.to(there, non_blocking=True) for part in (self.hu, self.mask))
        moves = [change.move for change in self.changes]
        image, target = (part.to(device) for part in moved(hu, mask, moves, self.size))
        clicked = self._clicked(image, target) if self.clicks else None
        scaling = self.scaling.to(device, non_blocking=True)
        low, high, factor, offset = scaling.T.reshape(4, -1, 1, 1, 1, 1)
        image.clamp_(low, high).mul_(factor).add_(offset)
        if self.changes:
            toned(image, [change.tone for change in self.changes])
        if clicked is not None:
            image = torch.cat([image, clicked], dim=1)
        if self.middle_only:
            middle = self.size[0] // 2
            target = target[:, :, middle : middle + 1]
        return image, target.float()

    def _clicked(self, hu: Tensor, target: Tensor) -> Tensor:
        """Return the channels of clicks (n, 2, z, y, x): on the targets as they were moved."""
        size = self.size
        channels = [
            click_channels(size, draw.spacing, *simulated_clicks(inside, dense, draw))
            for inside, dense, draw in zip(
                (target[:, 0] > 0).cpu().numpy(),
                (hu[:, 0] > DENSE_HU).cpu().numpy(),
                self.clicks,
                strict=True,
            )
        ]
        return torch.from_numpy(np.stack(channels)).to(hu.device)

    def part(self, which: slice) -> "Batch":
        """Return some of the patches."""
        return replace(
            self,
            hu=self.hu[which],
            mask=self.mask[which],
            scaling=self.scaling[which],
            changes=self.changes[which],
            samples=self.samples[which],
            clicks=self.clicks[which],
        )

    def in_words(self, scans: Sequence[PreparedScan]) -> str:
        """Say which patches these are, by their scans and first voxels (z, y, x)."""
        return "; ".join(f"{scans[s.scan].scan_id} at {s.start}" for s in self.samples)


def training_batch(
    sampler: PatchSampler, recipe: Recipe, epoch: int, indices: Sequence[int]
) -> Batch:
    """Return the samples ``indices`` of ``epoch``, changed at random.

    How a sample is changed depends on (seed, epoch, index) and the recipe alone.
    """
    size = recipe.patches.size
    samples = [sampler.draw(epoch, index) for index in indices]
    changes = tuple(
        draw_change(
            recipe.augmentation,
            size,
            np.random.default_rng([sampler.seed, epoch, index, _CHANGES]),
            sampler.scans[sample.scan].geometry.spacing,
        )
        for index, sample in zip(indices, samples, strict=True)
    )
    margins = [margin(recipe.augmentation, size, spacing) for spacing in sampler.spacings]
    z, y, x = (max(sides) for sides in zip(*margins, strict=True))
    batch = _batch(sampler, recipe, samples, changes, (z, y, x))
    counted = [(epoch, index) for index in indices]
    return _with_clicks(batch, sampler, recipe, counted, recipe.patches.correcting_clicks)


def plain_batch(sampler: PatchSampler, recipe: Recipe, samples: Sequence[Sample]) -> Batch:
    """Return patches as they are, of the size that the sampler draws; clicked on once."""
    batch = _batch(sampler, recipe, samples, (), (0, 0, 0))
    # where a patch starts tells it apart, and a seed is never negative
    counted = [[abs(n) for n in (sample.scan, *sample.start)] for sample in samples]
    return _with_clicks(batch, sampler, recipe, counted, 0)


def in_background(make: Callable[[int], Batch], numbers: range, workers: int) -> Iterator[Batch]:
    """Yield ``make(number)`` for each number, in order, made by threads some batches ahead.

    Parameters
    ----------
    make
        Makes a batch; errors in it are raised here.
    workers
        How many threads; 0 makes each batch when it is asked for.
    """
    if not workers:
        yield from map(make, numbers)
        return
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="patches") as pool:
        try:
            for number in numbers:
                waiting.append(pool.submit(make, number))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _batch(
    sampler: PatchSampler,
    recipe: Recipe,
    samples: Sequence[Sample],
    changes: tuple[Change, ...],
    around: Size,
) -> Batch:
    size = sampler.recipe.size
    shape = (len(samples), 1, *(n + 2 * m for n, m in zip(size, around, strict=True)))
    # pinned memory reaches a GPU while that still works on the batch before
    pinned = torch.cuda.is_available()
    hu = torch.empty(shape, dtype=torch.int16, pin_memory=pinned)
    mask = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
    scaling = torch.empty((len(samples), 4), pin_memory=pinned)
    for place, sample in enumerate(samples):
        change = changes[place] if changes else Change()
        # what is not moved needs no margin: half of the reading where half is moved
        margin_here, inner = ((0, 0, 0), around) if change.move is None else (around, (0, 0, 0))
        z, y, x = (slice(m, n - m) for m, n in zip(inner, shape[2:], strict=True))
        cut_hu, cut_mask = sampler.cut(sample, margin_here)
        hu.numpy()[place, 0, z, y, x] = cut_hu[change.flips]
        mask.numpy()[place, 0, z, y, x] = cut_mask[change.flips]
        numbers = scan_scaling(sampler.scans[sample.scan], recipe.preparation)
        scaling.numpy()[place] = astuple(numbers)
    middle_only = recipe.network.dimensions == 2
    return Batch(hu, mask, scaling, changes, tuple(samples), size, middle_only)


def _with_clicks(
    batch: Batch,
    sampler: PatchSampler,
    recipe: Recipe,
    counted: Sequence[Sequence[int]],
    corrections: int,
) -> Batch:
    """Add what decides clicks, if the network takes any; ``counted`` tells samples apart."""
    if not recipe.network.clicks:
        return batch
    draws = (
        ClickDraw(
            (sampler.seed, *numbers, _CLICKS),
            sampler.scans[sample.scan].geometry.spacing,
            corrections,
        )
        for sample, numbers in zip(batch.samples, counted, strict=True)
    )
    return replace(batch, clicks=tuple(draws))
