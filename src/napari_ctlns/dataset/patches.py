"""What a recipe trains on and is judged by: patches, or whole slices, of prepared scans."""

from collections.abc import Sequence
from math import prod

import numpy as np

from napari_ctlns.dataset.blocks import Index, as_index, moved_in
from napari_ctlns.dataset.folder import PreparedScan
from napari_ctlns.dataset.sampling import MARGIN, MixedSampler, PatchSampler, Sample
from napari_ctlns.dataset.slices import Rows
from napari_ctlns.errors import DatasetError
from napari_ctlns.recipe import Recipe

__all__ = [
    "PatchSampler",
    "Sample",
    "training_sampler",
    "validation_sampler",
    "validation_samples",
]

FEWEST = 4
"""Validation patches of a scan at least, however large they are."""


def training_sampler(scans: Sequence[PreparedScan], recipe: Recipe) -> PatchSampler:
    """Return what draws the patches that a recipe trains on.

    Raises
    ------
    DatasetError
        If whole slices are wanted and those of a scan are larger than patches, or
        false positives are wanted and the table has none of these scans.
    AnnotationError
        If that table cannot be read.
    """
    patches, optimisation = recipe.patches, recipe.optimisation
    both_kinds = len({scan.corrected for scan in scans}) > 1
    sampler = (MixedSampler if patches.corrected_fraction and both_kinds else PatchSampler)(
        scans,
        patches,
        optimisation.seed,
        optimisation.shuffle,
        recipe.structure,
        middle_only=recipe.network.dimensions == 2,
        one_nodule=recipe.network.clicks,
    )
    if patches.sampling == "slices":
        for scan in scans:
            _refuse_larger_slices(scan, patches.size)
    # looked through now, so that what is wrong is said before the first patch
    _ = sampler.slices if patches.sampling == "slices" else sampler.hard_negatives
    return sampler


def validation_sampler(scans: Sequence[PreparedScan], recipe: Recipe) -> PatchSampler:
    """Return what cuts the patches that judge a recipe's training.

    They have the recipe's validation size. Where that is larger than a training patch,
    there are the fewer of them.
    """
    patches, size = recipe.patches, recipe.validation_size
    fewer = round(patches.per_scan * prod(patches.size) / prod(size))
    changes = {
        "size": size,
        "around": None,
        "hard_negatives": "",
        "per_scan": min(patches.per_scan, max(fewer, FEWEST)),
    }
    return PatchSampler(
        scans,
        patches.model_copy(update=changes),
        recipe.optimisation.seed,
        shuffle=False,
        structure=recipe.structure,
        middle_only=recipe.network.dimensions == 2,
        one_nodule=recipe.network.clicks,
    )


def validation_samples(sampler: PatchSampler, most: int) -> list[Sample]:
    """Return samples that are the same every epoch: those with a nodule, then others.

    Where only the middle slice is judged and patches hold most of a slice, they are
    slices chosen evenly from those with and those without a nodule, in the middle of the
    scan. Else they are patches with a nodule in their middle, and drawn ones.

    Parameters
    ----------
    sampler
        The scans of the validation split.
    most
        How many samples at most. Where there are more nodules, or slices with one, than
        their share of it, they are chosen evenly.
    """
    balanced = sampler.recipe.sampling == "balanced" and sampler.structure == "nodule"
    if sampler.middle_only and all(_holds_most(sampler, scan) for scan in sampler.scans):
        return _slices(sampler, most, sampler.recipe.nodule_fraction if balanced else 0.5)
    half = np.asarray(sampler.recipe.size) // 2
    share = max(1, round(most * sampler.recipe.nodule_fraction))
    every = max(1, -(-len(sampler.nodules) // share))
    chosen = zip(sampler.nodules[::every], sampler.targets[::every], strict=True)
    samples = [
        Sample(scan, as_index(np.asarray(centre) - half), nodule=True, label=label)
        for (scan, centre), label in chosen
    ]
    others = most - share if samples else most
    return samples + [
        sampler.other(0, count, np.random.default_rng([sampler.seed, 0, count]))
        for count in range(others)
    ]


def _refuse_larger_slices(scan: PreparedScan, size: Index) -> None:
    (_, y, x), (_, rows, columns) = size, scan.geometry.shape
    if rows > y or columns > x:
        raise DatasetError(
            f"slices of {scan.scan_id} have {rows} x {columns} pixels and patches {y} x {x}, "
            'while patches.sampling "slices" takes whole ones; '
            f"set preparation.slice_size to [{y}, {x}] and prepare anew"
        )


def _holds_most(sampler: PatchSampler, scan: PreparedScan) -> bool:
    """Whether patches are at least half as long and half as wide as a scan's slices."""
    pairs = zip(sampler.recipe.size[1:], scan.geometry.shape[1:], strict=True)
    return all(2 * n >= available for n, available in pairs)


def _slices(sampler: PatchSampler, most: int, share: float) -> list[Sample]:
    table = sampler.slices
    wanted = max(1, round(most * share))
    with_nodule = _evenly(table.positive, wanted)
    first = [(scan, centre[0]) for scan, centre in sampler.nodules[:1]]
    if first and first[0] in {(int(scan), int(z)) for scan, z in table.positive}:
        # the slice through the middle of a nodule comes first: it is the one that is shown
        with_nodule = [*first, *(row for row in with_nodule if row != first[0])][:wanted]
    others = _evenly(table.negative, most - wanted)
    return [
        *(Sample(scan, _with_its_nodule(sampler, scan, z), nodule=True) for scan, z in with_nodule),
        *(Sample(scan, sampler.whole_slice(scan, z), nodule=False) for scan, z in others),
    ]


def _evenly(rows: Rows, count: int) -> list[tuple[int, int]]:
    """Return ``count`` rows at even distances, or all where there are no more."""
    number = max(0, min(count, len(rows)))
    chosen = ((np.arange(number) + 0.5) * len(rows) / max(number, 1)).astype(int)
    return [(int(scan), int(z)) for scan, z in rows[chosen]]


def _with_its_nodule(sampler: PatchSampler, scan: int, z: int) -> Index:
    """Return where the patch of a slice starts: if it is smaller, so that it has the nodule."""
    size, shape = np.asarray(sampler.recipe.size), np.asarray(sampler.scans[scan].geometry.shape)
    start = np.asarray(sampler.whole_slice(scan, z))
    smaller = size < shape
    if smaller[1:].any():
        plane = np.asarray(sampler.scans[scan].mask()[z])
        place = np.array([z, *np.argwhere(plane).mean(axis=0)])
        margin = np.round(size * MARGIN)
        moved = np.clip(start, place - size + margin, place - margin)
        start[1:] = moved_in(np.where(smaller, moved, start), size, shape)[1:]
    return as_index(start)
