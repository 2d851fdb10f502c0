"""How a prediction compares with the truth, scan by scan and nodule by nodule."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.metrics import (
    NoduleMatch,
    NoduleMatches,
    SurfaceAgreement,
    VoxelCounts,
    count_voxels,
    surface_agreement,
)
from napari_ctlns.volume import Geometry, Volume

TOLERANCE_MM = 1.0
"""Up to this distance surfaces agree, for surface Dice."""

_Box = tuple[slice, ...]


@dataclass(frozen=True)
class NoduleScores:
    """How a true nodule compares with its components (`NoduleMatch.components`).

    Without any its Dice, IoU, sensitivity and surface Dice are 0; its precision and its
    distance are None.
    """

    match: NoduleMatch
    voxels: VoxelCounts
    surface: SurfaceAgreement


@dataclass(frozen=True)
class ScanScores:
    """How a predicted mask compares with the true one of a scan.

    Attributes
    ----------
    voxels, surface
        Of all nodules together, or of the lungs.
    loss
        The recipe's (`scan_loss`); None where there is no probability.
    matches
        Which nodules were found, and the false alarms; None where masks mark lungs.
    nodules
        How well, in the order of ``matches.nodules``.
    seconds
        How long the prediction took.
    """

    scan_id: str
    patient_id: str
    voxels: VoxelCounts
    surface: SurfaceAgreement
    loss: float | None = None
    matches: NoduleMatches | None = None
    nodules: tuple[NoduleScores, ...] = ()
    seconds: float = 0.0


def score_scan(
    predicted: Volume,
    true: npt.NDArray[Any],
    matches: NoduleMatches | None = None,
    loss: float | None = None,
    seconds: float = 0.0,
) -> ScanScores:
    """Compare a predicted mask with the true one on the same grid.

    Parameters
    ----------
    predicted
        One label per component.
    true
        (z, y, x), one label per nodule.
    matches
        What `match_nodules` says of both; None: they mark lungs.
    loss, seconds
        To be told with the scores.
    """
    mask, geometry = predicted.array, predicted.geometry
    return ScanScores(
        scan_id=predicted.scan_id,
        patient_id=predicted.patient_id,
        voxels=count_voxels(mask, true),
        surface=surface_agreement(mask, true, geometry.spacing, TOLERANCE_MM),
        loss=loss,
        matches=matches,
        nodules=tuple(_nodule_scores(matches.nodules, mask, true, geometry)) if matches else (),
        seconds=seconds,
    )


def _nodule_scores(
    matches: Sequence[NoduleMatch],
    predicted: npt.NDArray[Any],
    true: npt.NDArray[Any],
    geometry: Geometry,
) -> Iterator[NoduleScores]:
    """Compare each nodule with its components, in the box that holds both."""
    of_true, of_predicted = ndimage.find_objects(true), ndimage.find_objects(predicted)
    for match in matches:
        boxes = [of_true[match.label - 1], *(of_predicted[n - 1] for n in match.components)]
        box = _around(boxes)
        own, nodule = np.isin(predicted[box], match.components), true[box] == match.label
        yield NoduleScores(
            match=match,
            voxels=count_voxels(own, nodule),
            surface=surface_agreement(own, nodule, geometry.spacing, TOLERANCE_MM),
        )


def _around(boxes: Sequence[_Box]) -> _Box:
    """Return the smallest box that holds all of them."""
    return tuple(
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*boxes, strict=True)
    )
