"""Batches, assembled beside the training thread, in an order that only the seed decides."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_ctlns.dataset.patches import PatchSampler, Sample
from napari_ctlns.learning.augment import draw_flips
from napari_ctlns.recipe import Augmentation, Preparation

AHEAD = 2
"""Batches that each worker may be ahead of the training."""
_FLIPS = 1
"""Sets the numbers for flips apart from those that placed the patch."""


@dataclass(frozen=True)
class Batch:
    """HU int16 and mask uint8, both (batch, 1, z, y, x) on the CPU."""

    hu: Tensor
    mask: Tensor

    def on(self, device: torch.device, preparation: Preparation) -> tuple[Tensor, Tensor]:
        """Return network input (0 to 1) and target (0 or 1), float32, on a device.

        HU travel as they are, half the size, and are clipped and scaled there.
        """
        low, high = preparation.clip_hu
        hu = self.hu.to(device, non_blocking=True).float()
        target = self.mask.to(device, non_blocking=True).float()
        return hu.clamp_(low, high).sub_(low).div_(high - low), target


def training_batch(
    sampler: PatchSampler, augmentation: Augmentation, epoch: int, indices: range
) -> Batch:
    """Return the samples ``indices`` of ``epoch``, mirrored at random."""
    batch = _empty(len(indices), sampler)
    for place, index in enumerate(indices):
        random = np.random.default_rng([sampler.seed, epoch, index, _FLIPS])
        flips = draw_flips(augmentation, random)
        hu, mask = sampler.cut(sampler.draw(epoch, index))
        batch.hu.numpy()[place, 0] = hu[flips]
        batch.mask.numpy()[place, 0] = mask[flips]
    return batch


def plain_batch(sampler: PatchSampler, samples: Sequence[Sample]) -> Batch:
    """Return patches as they are."""
    batch = _empty(len(samples), sampler)
    for place, sample in enumerate(samples):
        hu, mask = sampler.cut(sample)
        batch.hu.numpy()[place, 0] = hu
        batch.mask.numpy()[place, 0] = mask
    return batch


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


def _empty(length: int, sampler: PatchSampler) -> Batch:
    shape = (length, 1, *sampler.recipe.size)
    return Batch(torch.empty(shape, dtype=torch.int16), torch.empty(shape, dtype=torch.uint8))
