"""From a probability to a mask: what is probable lies in few islands, and only they are looked at.

A scan has a hundred million voxels, nodules some ten thousand. Once the islands are
known, another threshold costs what the nodules cost, not what the scan does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.masks.components import (
    Bools,
    Box,
    components_of,
    moved,
    smallest_dtype,
    without_holes,
)
from napari_ctlns.masks.touching import split_touching
from napari_ctlns.recipe import Inference
from napari_ctlns.volume import Geometry, Volume

_MOST_LABELS = int(np.iinfo(np.uint16).max)
_LEAST = float(np.finfo(np.float16).smallest_subnormal)
"""The smallest probability above 0 that half precision knows."""


@dataclass(frozen=True, eq=False)
class Island:
    """Connected voxels of at least some probability.

    Attributes
    ----------
    box
        Where it lies in the scan.
    probability
        (z, y, x) of the box; 0 where the box is not the island.
    """

    box: Box
    probability: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Islands:
    """All of a scan that reaches ``floor``, the rest being left out.

    Attributes
    ----------
    geometry
        The scan's grid.
    floor
        No threshold below it can be asked for.
    """

    geometry: Geometry
    floor: float
    items: tuple[Island, ...]


@dataclass(frozen=True, eq=False)
class Part:
    """One object of a mask: a label's worth of voxels.

    Attributes
    ----------
    box
        Where it lies in the scan.
    inside
        (z, y, x) of the box.
    voxels
        How many are inside.
    """

    box: Box
    inside: Bools
    voxels: int


def islands_of(probability: Volume, floor: float) -> Islands:
    """Find what is at least as probable as ``floor``.

    Parameters
    ----------
    probability
        Values from 0 to 1, (z, y, x).
    floor
        Above 0.
    """
    items = (
        Island(box, np.where(inside, probability.array[box], 0))
        for box, inside in components_of(probability.array >= floor)
    )
    return Islands(probability.geometry, floor, tuple(items))


def parts_of_mask(islands: Islands, rules: Inference) -> tuple[Part, ...]:
    """Return the objects of the mask that ``rules`` make of a probability, largest first.

    A voxel is inside from ``threshold`` on; an object stays if it reaches
    ``seed_threshold`` somewhere and has the volume of a sphere of ``min_diameter_mm``.
    Holes are filled and touching objects split where the rules say so.

    Raises
    ------
    ValueError
        If the threshold is below the islands' floor.
    """
    if rules.threshold < islands.floor:
        raise ValueError(f"the islands begin at {islands.floor}, not at {rules.threshold}")
    shape, whole = islands.geometry.shape, rules.threshold == islands.floor
    parts = [
        part
        for island in islands.items
        for part in _parts_of_island(island, rules, islands.geometry, whole=whole)
    ]
    # of equal size, the one that comes first in the scan
    parts.sort(key=lambda part: (-part.voxels, _first_voxel(part, shape)))
    return tuple(parts[:_MOST_LABELS])


def mask_from_probability(probability: Volume, rules: Inference) -> Volume:
    """Turn a probability into a mask with one label per object.

    Parameters
    ----------
    probability
        Values from 0 to 1.
    rules
        See `parts_of_mask`.

    Returns
    -------
    Volume
        A mask, uint8 or uint16, labels 1 to n by size; of more than 65,535 objects
        only the largest are kept.
    """
    # all is at least 0 probable, and would be one island as large as the scan
    rules = rules.model_copy(update={"threshold": max(rules.threshold, _LEAST)})
    parts = parts_of_mask(islands_of(probability, rules.threshold), rules)
    mask = np.zeros(probability.geometry.shape, smallest_dtype(len(parts)))
    for label, part in enumerate(parts, start=1):
        mask[part.box][part.inside] = label
    return probability.mask(mask)


def _parts_of_island(
    island: Island, rules: Inference, geometry: Geometry, *, whole: bool
) -> Iterator[Part]:
    """Yield the objects of an island; ``whole``: no voxel of it is below the threshold."""
    # a hair of tolerance, so that a volume computed from the same diameter stays
    smallest = np.pi / 6 * rules.min_diameter_mm**3 / geometry.voxel_volume * (1 - 1e-9)
    if island.probability.size < smallest:
        return
    for box, inside in _components(island.probability, rules.threshold, whole=whole):
        found = island.probability[box]
        if rules.seed_threshold > 0 and found[inside].max() < rules.seed_threshold:
            continue
        filled = without_holes(inside) if rules.fill_holes else inside
        if np.count_nonzero(filled) < smallest:
            continue
        place = moved(box, island.box)
        if not rules.split_touching:
            yield Part(place, filled, int(np.count_nonzero(filled)))
            continue
        for piece_box, piece in split_touching(filled, geometry.spacing, rules.min_diameter_mm):
            yield Part(moved(piece_box, place), piece, int(np.count_nonzero(piece)))


def _components(
    probability: npt.NDArray[Any], threshold: float, *, whole: bool
) -> Iterator[tuple[Box, Bools]]:
    """Yield where the components of an island lie, and their voxels there."""
    if whole:
        z, y, x = (slice(0, n) for n in probability.shape)
        yield (z, y, x), probability > 0
        return
    yield from components_of(probability >= threshold)


def _first_voxel(part: Part, shape: tuple[int, int, int]) -> int:
    """Return the flat index in the scan of a part's first voxel."""
    corner = [s.start for s in part.box]
    within = np.unravel_index(int(part.inside.argmax()), part.inside.shape)
    return int(np.ravel_multi_index([c + w for c, w in zip(corner, within, strict=True)], shape))
