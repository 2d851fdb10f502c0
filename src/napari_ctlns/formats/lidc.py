"""What LIDC's readers agree on, as a mask of their scan.

Read the XML with `read_lidc`; `find_lidc` tells which file is of which series.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import MaskError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats.contours import Planes
from napari_ctlns.formats.lidc_drawing import IntArray, draw_reading
from napari_ctlns.formats.lidc_matching import Cluster, match_drawn
from napari_ctlns.formats.lidc_xml import (
    RATINGS,
    LidcReading,
    find_lidc,
    list_lidc,
    read_lidc,
)
from napari_ctlns.volume import Volume

__all__ = [
    "LidcNodule",
    "LidcReading",
    "LidcTruth",
    "find_lidc",
    "lidc_annotations",
    "lidc_consensus",
    "list_lidc",
    "read_lidc",
    "reader_mask",
]


@dataclass(frozen=True)
class LidcNodule:
    """One nodule as its readers saw it.

    Attributes
    ----------
    label
        Its label in the masks.
    readers
        Which readers outlined it: their places in the reading, ascending.
    ratings
        By name (`RATINGS`), one value for each of ``readers``, 0 where one gave none. Of
        a reader who saw it in parts, those of the largest part.
    """

    label: int
    readers: tuple[int, ...]
    ratings: dict[str, tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class LidcTruth:
    """The consensus on a scan; ``mask`` holds one label for each of ``nodules``."""

    mask: Volume
    nodules: tuple[LidcNodule, ...]


def lidc_consensus(reading: LidcReading, volume: Volume, share: float = 0.5) -> LidcTruth:
    """Return what a share of the readers who outlined a nodule drew of it.

    Nodules are matched between readers as in `formats.lidc_matching`, and numbered from
    the largest on, whatever the share. A voxel belongs to a nodule if at least ``share``
    of the readers who outlined that nodule enclosed it: with 0.5 two of four, two of
    three, one of two. Where nodules meet, the one with the larger share has the voxel.

    Returns
    -------
    LidcTruth
        Its mask lies on ``volume.geometry``; ``mask.source.warnings`` says what was left
        out. A nodule of which no voxel is left has no entry, and its label is not used.

    Raises
    ------
    MaskError
        If the scan cannot be the series that was read, or the share is not above 0 and
        at most 1.
    """
    if not 0 < share <= 1:
        raise MaskError(f"impossible share of readers: {share:g}; give one above 0, at most 1")
    planes, drawn, words = draw_reading(reading, volume)
    clusters = match_drawn(drawn, planes)
    labels, kept = _agreed(clusters, share, planes)
    lost = len(clusters) - len(kept)
    if lost:
        words = (*words, f"{lost} nodules have no voxel that enough of their readers drew")
    nodules = [_nodule(k, c) for k, c in enumerate(clusters, start=1) if k in kept]
    return LidcTruth(_mask(labels, planes, volume, words), tuple(nodules))


def reader_mask(reading: LidcReading, index: int, volume: Volume) -> Volume:
    """Return what one reader drew, with the labels that `lidc_consensus` gives.

    Raises
    ------
    MaskError
        If the scan cannot be the series that was read, or there is no such reader.
    """
    if not 0 <= index < len(reading.readers):
        message = f"no reader {index} in {reading.path}"
        raise MaskError(f"{message}; it has {len(reading.readers)}, counted from 0")
    planes, drawn, words = draw_reading(reading, volume)
    own = [[d for d in c if d.reader == index] for c in match_drawn(drawn, planes)]
    labels, _ = _agreed(own, 1.0, planes)
    return _mask(labels, planes, volume, words)


def lidc_annotations(truth: LidcTruth) -> tuple[Annotation, ...]:
    """Return a row for each nodule: its centroid, and the diameter of the ball of its volume."""
    mask = truth.mask
    index = np.argwhere(mask.array)
    labels = mask.array[tuple(index.T)]
    rows = []
    for nodule in truth.nodules:
        own = index[labels == nodule.label]
        x, y, z = (float(v) for v in mask.geometry.index_to_world(own.mean(axis=0)))
        volume_mm3 = len(own) * mask.geometry.voxel_volume
        rows.append(Annotation(mask.scan_id, x, y, z, math.cbrt(6 * volume_mm3 / math.pi)))
    return tuple(rows)


def _agreed(
    clusters: list[Cluster], share: float, planes: Planes
) -> tuple[npt.NDArray[Any], set[int]]:
    """Return labels (slices, rows, columns) of what enough readers drew, and which they are."""
    labels = np.zeros(planes.shape, np.uint8 if len(clusters) < 256 else np.uint16)
    found = [_votes(cluster) for cluster in clusters]
    voxels = np.concatenate([np.zeros(0, np.int64), *(v for v, _, _ in found)])
    votes = np.concatenate([np.zeros(0, np.int64), *(n for _, n, _ in found)])
    readers = np.repeat([r for *_, r in found], [len(v) for v, *_ in found])
    label = np.repeat(np.arange(1, len(found) + 1), [len(v) for v, *_ in found])
    # a hair of tolerance: 2 of 3 readers are at least two thirds
    enough = votes >= share * readers - 1e-9
    order = np.lexsort((-label, votes, votes / np.maximum(readers, 1)))
    order = order[enough[order]]
    # of several values for one voxel the last one stays
    flat = labels.reshape(-1)
    flat[voxels[order]] = label[order]
    return labels, set(flat[voxels].tolist()) - {0}


def _votes(cluster: Cluster) -> tuple[IntArray, IntArray, int]:
    """Return voxels, how many readers drew each, and how many readers there are."""
    readers = sorted({d.reader for d in cluster})
    drawn = [
        np.unique(np.concatenate([d.voxels for d in cluster if d.reader == r])) for r in readers
    ]
    voxels, votes = np.unique(np.concatenate([np.zeros(0, np.int64), *drawn]), return_counts=True)
    return voxels, votes, len(readers)


def _nodule(label: int, cluster: Cluster) -> LidcNodule:
    largest = {d.reader: d for d in sorted(cluster, key=lambda d: len(d.voxels))}
    readers = tuple(sorted(largest))
    ratings = {
        name: tuple(largest[r].nodule.ratings.get(name, 0) for r in readers) for name in RATINGS
    }
    return LidcNodule(label, readers, ratings)


def _mask(
    labels: npt.NDArray[Any], planes: Planes, volume: Volume, words: tuple[str, ...]
) -> Volume:
    mask = volume.mask(planes.onto(volume, labels))
    return replace(mask, source=replace(volume.source, warnings=words))
