"""What a model found, in tables and in the numbers to compare models by."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from napari_ctlns.evaluation.scores import NoduleScores, ScanScores
from napari_ctlns.metrics import NoduleMatches, bootstrap_intervals, sensitivity_at

USUAL_SIZES_MM = (5.0, 25.0)
"""Nodules smaller are hardly ever acted on, larger ones are masses or nearly so."""

_DIGITS = 4
_LOSS_DIGITS = 6

Summary = dict[str, Any]
_Part = tuple[float, float]  # of one scan: a sum, and over how many it is


def scan_table(scans: Sequence[ScanScores]) -> pd.DataFrame:
    """Return a row per scan; what is undefined is empty (NaN).

    Where masks mark nodules there is how many were found, too.
    """
    return pd.DataFrame([_scan_row(scan) for scan in scans])


def nodule_table(scans: Sequence[ScanScores]) -> pd.DataFrame:
    """Return a row per true nodule; ``score`` is empty for the missed."""
    columns = (
        *("scan_id", "label", "diameter_mm", "found", "dice", "score", "iou", "sensitivity"),
        *("precision", "hausdorff95_mm", "surface_dice"),
    )
    rows = [_nodule_row(scan, nodule) for scan in scans for nodule in scan.nodules]
    table = pd.DataFrame(rows, columns=list(columns))
    return table.astype(dict.fromkeys(("score", "precision", "hausdorff95_mm"), float))


def false_positive_table(scans: Sequence[ScanScores]) -> pd.DataFrame:
    """Return a row per false alarm, in the columns of LUNA16's candidates; LPS mm."""
    rows = [
        (scan.scan_id, *(round(c, 3) for c in false.centre), round(false.score, 5))
        for scan in scans
        if scan.matches
        for false in scan.matches.false_positives
    ]
    columns = ["seriesuid", "coordX", "coordY", "coordZ", "probability"]
    return pd.DataFrame(rows, columns=columns)


def summary(scans: Sequence[ScanScores]) -> Summary:
    """Return the numbers to compare models by; None where there is nothing to measure.

    Parameters
    ----------
    scans
        One at least.

    Returns
    -------
    dict
        Of nodules: ``nodule_...``: means over nodules, missed ones counting 0 in Dice,
        IoU, sensitivity and surface Dice, and left out of precision and distance, which
        nothing found does not have. ``found_fraction`` (also named ``component_recall``):
        share of the nodules found at the operating threshold; ``component_precision``:
        share of the components that hit a nodule; ``false_positives_per_scan``.
        ``sensitivity_at_N_fp``: share of nodules found when components count only from
        that score on which leaves N false positives a scan (Setio et al. 2017).
        ``nodule_voxel_accuracy``: share of all nodule voxels found. ``..._5_to_25_mm``:
        of nodules of that equivalent diameter alone.

        Of all: ``scan_...``: means over the scans for which they are defined.
        ``..._ci``: the 95 % interval [low, high] of every mean or share
        (`bootstrap_intervals`, by patient); None with fewer than two patients.
    """
    matches = [scan.matches for scan in scans if scan.matches is not None]
    result: Summary = {"scans": len(scans), "patients": len({scan.patient_id for scan in scans})}
    if matches:
        result |= _nodule_numbers(matches)
    for name, (value, low, high) in _means(scans).items():
        digits = _LOSS_DIGITS if name == "scan_loss" else _DIGITS
        result[name] = _rounded(value, digits)
        if name != "seconds_per_scan":
            bounds = [_rounded(low, digits), _rounded(high, digits)]
            result[f"{name}_ci"] = None if None in bounds else bounds
    return result


def of_usual_sizes(matches: NoduleMatches) -> NoduleMatches:
    """Return the matches without nodules below 5 or above 25 mm."""
    low, high = USUAL_SIZES_MM
    kept = tuple(n for n in matches.nodules if low <= n.diameter_mm <= high)
    return replace(matches, nodules=kept)


def _scan_row(scan: ScanScores) -> dict[str, Any]:
    voxels, surface = scan.voxels, scan.surface
    row: dict[str, Any] = {"scan_id": scan.scan_id, "patient_id": scan.patient_id}
    if scan.matches is not None:
        row |= {
            "nodules": len(scan.nodules),
            "found": sum(n.match.found for n in scan.nodules),
            "false_positives": len(scan.matches.false_positives),
            "mean_nodule_dice": _empty(_quotient(_over(n.match.dice for n in scan.nodules))),
            "nodule_voxel_accuracy": _empty(voxels.sensitivity),
        }
    return row | {
        "dice": voxels.dice,
        "iou": voxels.iou,
        "mean_iou": voxels.mean_iou,
        "accuracy": voxels.accuracy,
        "sensitivity": _empty(voxels.sensitivity),
        "precision": _empty(voxels.precision),
        "hausdorff95_mm": _empty(surface.hausdorff95_mm),
        "surface_dice": surface.surface_dice,
        "loss": _empty(scan.loss),
        "seconds": scan.seconds,
    }


def _nodule_row(scan: ScanScores, nodule: NoduleScores) -> tuple[Any, ...]:
    match, voxels, surface = nodule.match, nodule.voxels, nodule.surface
    return (
        *(scan.scan_id, match.label, match.diameter_mm, match.found, match.dice, match.score),
        *(voxels.iou, voxels.sensitivity, voxels.precision),
        *(surface.hausdorff95_mm, surface.surface_dice),
    )


def _nodule_numbers(matches: Sequence[NoduleMatches]) -> Summary:
    """Return counts, and sensitivities that are no means and so have no interval."""
    usual = [of_usual_sizes(m) for m in matches]
    sensitivities = {f"sensitivity_at_{n}_fp": sensitivity_at(matches, n) for n in (1, 2, 4)}
    sensitivities["sensitivity_at_2_fp_5_to_25_mm"] = sensitivity_at(usual, 2)
    return {
        "nodules": sum(len(m.nodules) for m in matches),
        "nodules_5_to_25_mm": sum(len(m.nodules) for m in usual),
        "components": sum(m.components for m in matches),
        **{name: _rounded(value, _DIGITS) for name, value in sensitivities.items()},
    }


def _means(scans: Sequence[ScanScores]) -> dict[str, tuple[float, float, float]]:
    """Return each mean with its interval; NaN where there is nothing to measure."""
    parts = [_parts(scan) for scan in scans]
    names = list(parts[0])
    added = np.array([[part[name] for name in names] for part in parts], float)
    patients, patient = np.unique([scan.patient_id for scan in scans], return_inverse=True)
    by_patient = np.zeros((len(patients), len(names), 2))
    np.add.at(by_patient, patient, added)
    sums, counts = by_patient[..., 0], by_patient[..., 1]
    intervals = bootstrap_intervals(sums, counts)
    return {
        name: (_empty(_quotient((above, below))), float(low), float(high))
        for name, above, below, (low, high) in zip(
            names, sums.sum(axis=0), counts.sum(axis=0), intervals, strict=True
        )
    }


def _parts(scan: ScanScores) -> dict[str, _Part]:
    """Return what a scan adds to each mean: a sum, and over how many it is."""
    voxels, surface = scan.voxels, scan.surface
    return {
        **(_nodule_parts(scan, scan.matches) if scan.matches is not None else {}),
        "scan_dice": _over([voxels.dice]),
        "scan_iou": _over([voxels.iou]),
        "scan_mean_iou": _over([voxels.mean_iou]),
        "scan_accuracy": _over([voxels.accuracy]),
        "scan_sensitivity": _over([voxels.sensitivity]),
        "scan_precision": _over([voxels.precision]),
        "scan_hausdorff95_mm": _over([surface.hausdorff95_mm]),
        "scan_surface_dice": _over([surface.surface_dice]),
        "scan_loss": _over([scan.loss]),
        "seconds_per_scan": _over([scan.seconds]),
    }


def _nodule_parts(scan: ScanScores, matches: NoduleMatches) -> dict[str, _Part]:
    nodules = scan.nodules
    found = _over(n.found for n in matches.nodules)
    return {
        "nodule_dice": _over(n.dice for n in matches.nodules),
        "nodule_dice_5_to_25_mm": _over(n.dice for n in of_usual_sizes(matches).nodules),
        "nodule_iou": _over(n.voxels.iou for n in nodules),
        "nodule_sensitivity": _over(n.voxels.sensitivity for n in nodules),
        "nodule_precision": _over(n.voxels.precision for n in nodules),
        "nodule_hausdorff95_mm": _over(n.surface.hausdorff95_mm for n in nodules),
        "nodule_surface_dice": _over(n.surface.surface_dice for n in nodules),
        "found_fraction": found,
        "component_recall": found,
        "component_precision": (matches.hitting, matches.components),
        "false_positives_per_scan": (len(matches.false_positives), 1),
        "nodule_voxel_accuracy": (scan.voxels.both, scan.voxels.true),
    }


def _over(values: Iterable[float | None]) -> _Part:
    """Return the sum of the values that are defined, and how many they are."""
    defined = [value for value in values if value is not None]
    return math.fsum(defined), len(defined)


def _quotient(part: _Part) -> float | None:
    return part[0] / part[1] if part[1] else None


def _empty(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _rounded(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)
