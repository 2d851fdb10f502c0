"""Which nodules were found, and at how many false alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.masks.components import IntArray, Parts, equivalent_diameter_mm, parts_of
from napari_ctlns.volume import FloatArray, Geometry, Triple


@dataclass(frozen=True)
class NoduleMatch:
    """What became of one true nodule.

    Attributes
    ----------
    label
        Its label in the true mask.
    diameter_mm
        Its equivalent sphere diameter.
    dice
        Overlap with its components together: those that overlap it more than any
        other nodule. 0 if there are none.
    found
        Whether a component hits it.
    score
        The highest score of the components that hit it; None if none does.
    components
        The labels of its components.
    """

    label: int
    diameter_mm: float
    dice: float
    found: bool
    score: float | None
    components: tuple[int, ...]


@dataclass(frozen=True)
class FalsePositive:
    """A component that neither hits nor overlaps a nodule.

    Attributes
    ----------
    label, score
        Of the component.
    centre
        The mean of its voxels, LPS millimetres (x, y, z).
    """

    label: int
    score: float
    centre: Triple


@dataclass(frozen=True)
class NoduleMatches:
    """The true nodules of one scan, and what was found.

    Attributes
    ----------
    nodules
        What became of each.
    false_positives
        The false alarms.
    components
        How many components were found in all.
    hitting
        How many of them hit a nodule; some neither hit one nor are false.
    """

    nodules: tuple[NoduleMatch, ...]
    false_positives: tuple[FalsePositive, ...]
    components: int
    hitting: int


@dataclass(frozen=True, eq=False)
class FrocCurve:
    """Sensitivity against false positives, from the strictest threshold to the mildest.

    Attributes
    ----------
    thresholds
        Scores from which components count, descending; the first one is infinite.
    false_positives_per_scan, sensitivity
        At each threshold. Sensitivity is NaN where there is no nodule at all.
    """

    thresholds: FloatArray
    false_positives_per_scan: FloatArray
    sensitivity: FloatArray


def match_nodules(
    predicted: npt.NDArray[Any],
    true: npt.NDArray[Any],
    geometry: Geometry,
    probability: npt.NDArray[Any] | None = None,
    scores: npt.ArrayLike | None = None,
) -> NoduleMatches:
    """Match the components of a predicted mask with the nodules of the true one.

    A component hits a nodule by LUNA16's rule (Setio et al. 2017,
    doi:10.1016/j.media.2017.06.015): its centroid lies nearer to the nodule's centre
    than the nodule's radius, here that of the sphere of equal volume; or, for nodules
    far from round, its centroid lies on the nodule's own voxels. A component that
    overlaps a nodule but does not hit it counts neither as found nor as false.

    Parameters
    ----------
    predicted, true
        Masks (z, y, x), one label per component or nodule, 0 outside.
    geometry
        Their grid.
    probability
        (z, y, x); a component's score is the mean probability in it, which tells
        nodules from false alarms better than the highest, near 1 in both.
    scores
        Instead of ``probability``: the scores of labels 1, 2, ... With neither, a
        component's score is its volume in mm3.
    """
    components, nodules = parts_of(predicted), parts_of(true)
    values = _scores(components, predicted, geometry, probability, scores)
    overlap = _overlap(components, nodules, predicted, true)
    hits = _hits(components, nodules, true, geometry)
    matches = []
    owner = overlap.argmax(axis=0) if len(nodules.labels) else np.empty(0, int)
    for row, label in enumerate(nodules.labels):
        own = (owner == row) & (overlap[row] > 0)
        common, total = overlap[row][own].sum(), nodules.voxels[row] + components.voxels[own].sum()
        hitting = values[hits[row]]
        matches.append(
            NoduleMatch(
                label=int(label),
                diameter_mm=equivalent_diameter_mm(nodules.voxels[row] * geometry.voxel_volume),
                dice=float(2 * common / total),
                found=bool(len(hitting)),
                score=float(hitting.max()) if len(hitting) else None,
                components=tuple(int(n) for n in components.labels[own]),
            )
        )
    hitting_any = hits.any(axis=0)
    false = np.flatnonzero(~(hitting_any | overlap.any(axis=0)))
    return NoduleMatches(
        nodules=tuple(matches),
        false_positives=tuple(_false(components, values, geometry, int(n)) for n in false),
        components=len(components.labels),
        hitting=int(np.count_nonzero(hitting_any)),
    )


def froc_curve(scans: Sequence[NoduleMatches]) -> FrocCurve:
    """Return sensitivity and false positives at every threshold that changes them.

    Parameters
    ----------
    scans
        The matches of each scan, scans without nodules included.

    Raises
    ------
    ValueError
        If there is no scan.
    """
    if not scans:
        raise ValueError("no scans to evaluate")
    nodules = [nodule for scan in scans for nodule in scan.nodules]
    found = np.array([n.score for n in nodules if n.score is not None], float)
    false = np.array([f.score for scan in scans for f in scan.false_positives], float)
    thresholds = np.concatenate([[np.inf], np.unique(np.concatenate([found, false]))[::-1]])
    hits = len(found) - np.searchsorted(np.sort(found), thresholds, side="left")
    alarms = len(false) - np.searchsorted(np.sort(false), thresholds, side="left")
    sensitivity = hits / len(nodules) if nodules else np.full(len(thresholds), np.nan)
    return FrocCurve(thresholds, alarms / len(scans), sensitivity)


def sensitivity_at(scans: Sequence[NoduleMatches], false_positives_per_scan: float) -> float:
    """Return the highest sensitivity at no more than so many false positives a scan.

    The threshold on the score is the same for all scans, false positives are their mean
    over all scans. NaN if there is no nodule.

    Raises
    ------
    ValueError
        If there is no scan.
    """
    curve = froc_curve(scans)
    allowed = curve.false_positives_per_scan <= false_positives_per_scan
    return float(curve.sensitivity[allowed].max())


def _false(components: Parts, values: FloatArray, geometry: Geometry, n: int) -> FalsePositive:
    x, y, z = (float(c) for c in geometry.index_to_world(components.centroids[n]))
    return FalsePositive(int(components.labels[n]), float(values[n]), (x, y, z))


def _scores(
    components: Parts,
    predicted: npt.NDArray[Any],
    geometry: Geometry,
    probability: npt.NDArray[Any] | None,
    scores: npt.ArrayLike | None,
) -> FloatArray:
    if scores is not None:
        given = np.asarray(scores, float)
        if given.ndim != 1 or (len(components.labels) and components.labels[-1] > len(given)):
            raise ValueError("scores must be a list with one score for each label from 1 on")
        return given[components.labels - 1]
    if probability is None:
        return components.voxels.astype(float) * geometry.voxel_volume
    where = np.nonzero(predicted)
    position = np.searchsorted(components.labels, predicted[where])
    values = probability[where].astype(float)
    sums = np.bincount(position, values, minlength=len(components.labels))
    return sums / np.maximum(components.voxels, 1)


def _overlap(
    components: Parts, nodules: Parts, predicted: npt.NDArray[Any], true: npt.NDArray[Any]
) -> IntArray:
    """Return the common voxels of each nodule (rows) with each component (columns)."""
    shape = (len(nodules.labels), len(components.labels))
    both = np.nonzero((predicted != 0) & (true != 0))
    rows = np.searchsorted(nodules.labels, true[both])
    columns = np.searchsorted(components.labels, predicted[both])
    counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1])
    return counts.reshape(shape)


def _hits(
    components: Parts, nodules: Parts, true: npt.NDArray[Any], geometry: Geometry
) -> npt.NDArray[np.bool_]:
    """Return whether each nodule (rows) is hit by each component (columns)."""
    centres = geometry.index_to_world(nodules.centroids)
    places = geometry.index_to_world(components.centroids)
    distance = np.linalg.norm(centres[:, None] - places[None], axis=-1)
    volumes = nodules.voxels * geometry.voxel_volume
    radius = np.array([equivalent_diameter_mm(v) / 2 for v in volumes])
    on = true[tuple(np.rint(components.centroids).astype(int).T)]
    return (distance < radius[:, None]) | (on[None] == nodules.labels[:, None])
