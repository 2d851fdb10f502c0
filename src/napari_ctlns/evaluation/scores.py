"""What a model found, scan by scan and nodule by nodule, in numbers."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from napari_ctlns.metrics import NoduleMatches, dice, iou, match_nodules, sensitivity_at
from napari_ctlns.volume import Volume

USUAL_SIZES_MM = (5.0, 25.0)
"""Nodules smaller are hardly ever acted on, larger ones are masses or nearly so."""


@dataclass(frozen=True)
class ScanScores:
    """How a predicted mask compares with the true one of a scan.

    Attributes
    ----------
    dice, iou
        Of all nodules together; 1 if there are none and none were found.
    true_voxels, right_voxels
        Of all nodules, and those of them that were found.
    matches
        Nodule by nodule, and the false alarms.
    """

    scan_id: str
    patient_id: str
    dice: float
    iou: float
    true_voxels: int
    right_voxels: int
    matches: NoduleMatches
    seconds: float = 0.0


def score_scan(
    predicted: Volume,
    true: npt.NDArray[Any],
    probability: npt.NDArray[Any] | None = None,
    seconds: float = 0.0,
    scores: npt.ArrayLike | None = None,
) -> ScanScores:
    """Compare a predicted mask with the true one on the same grid.

    Parameters
    ----------
    predicted
        One label per component.
    true
        (z, y, x), one label per nodule.
    probability
        Gives each component its score, for sensitivity at a number of false alarms.
    seconds
        How long the prediction took.
    scores
        Instead of ``probability``: the scores of labels 1, 2, ...
    """
    mask = predicted.array
    return ScanScores(
        scan_id=predicted.scan_id,
        patient_id=predicted.patient_id,
        dice=dice(mask, true),
        iou=iou(mask, true),
        true_voxels=int(np.count_nonzero(true)),
        right_voxels=int(np.count_nonzero((mask != 0) & (true != 0))),
        matches=match_nodules(mask, true, predicted.geometry, probability, scores),
        seconds=seconds,
    )


def scan_table(scans: Sequence[ScanScores]) -> pd.DataFrame:
    """Return a row per scan."""
    columns = (
        *("scan_id", "patient_id", "nodules", "found", "false_positives", "mean_nodule_dice"),
        *("dice", "iou", "nodule_voxel_accuracy", "seconds"),
    )
    rows = [
        (
            s.scan_id,
            s.patient_id,
            len(s.matches.nodules),
            sum(n.found for n in s.matches.nodules),
            len(s.matches.false_positives),
            _mean(n.dice for n in s.matches.nodules),
            s.dice,
            s.iou,
            s.right_voxels / s.true_voxels if s.true_voxels else math.nan,
            s.seconds,
        )
        for s in scans
    ]
    return pd.DataFrame(rows, columns=list(columns))


def nodule_table(scans: Sequence[ScanScores]) -> pd.DataFrame:
    """Return a row per true nodule; ``score`` is empty for the missed."""
    columns = ("scan_id", "label", "diameter_mm", "found", "dice", "score")
    rows = [
        (s.scan_id, n.label, n.diameter_mm, n.found, n.dice, n.score)
        for s in scans
        for n in s.matches.nodules
    ]
    return pd.DataFrame(rows, columns=list(columns)).astype({"score": float})


def summary(scans: Sequence[ScanScores]) -> dict[str, float | int | None]:
    """Return the numbers to compare models by; None where there is nothing to measure.

    Returns
    -------
    dict
        ``nodule_dice``: mean over nodules, missed ones counting 0. ``found_fraction``
        and ``false_positives_per_scan``: at the operating threshold.
        ``sensitivity_at_N_fp``: share of nodules found when components count only from
        that score on which leaves N false positives a scan (Setio et al. 2017).
        ``nodule_voxel_accuracy``: share of all nodule voxels found. ``..._5_to_25_mm``:
        of nodules of that equivalent diameter alone.
    """
    matches = [s.matches for s in scans]
    usual = [of_usual_sizes(m) for m in matches]
    true_voxels = sum(s.true_voxels for s in scans)
    values = {
        "nodule_dice": _mean(n.dice for m in matches for n in m.nodules),
        "nodule_dice_5_to_25_mm": _mean(n.dice for m in usual for n in m.nodules),
        "found_fraction": _mean(n.found for m in matches for n in m.nodules),
        "false_positives_per_scan": _mean(len(m.false_positives) for m in matches),
        **{f"sensitivity_at_{n}_fp": sensitivity_at(matches, n) for n in (1, 2, 4)},
        "sensitivity_at_2_fp_5_to_25_mm": sensitivity_at(usual, 2),
        "nodule_voxel_accuracy": (
            sum(s.right_voxels for s in scans) / true_voxels if true_voxels else math.nan
        ),
        "scan_dice": _mean(s.dice for s in scans),
        "scan_iou": _mean(s.iou for s in scans),
        "seconds_per_scan": _mean(s.seconds for s in scans),
    }
    return {
        "scans": len(scans),
        "nodules": sum(len(m.nodules) for m in matches),
        "nodules_5_to_25_mm": sum(len(m.nodules) for m in usual),
        **{name: None if math.isnan(v) else round(v, 4) for name, v in values.items()},
    }


def of_usual_sizes(matches: NoduleMatches) -> NoduleMatches:
    """Return the matches without nodules below 5 or above 25 mm."""
    low, high = USUAL_SIZES_MM
    kept = tuple(n for n in matches.nodules if low <= n.diameter_mm <= high)
    return replace(matches, nodules=kept)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.mean(listed)) if listed else math.nan
