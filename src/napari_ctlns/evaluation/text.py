"""An evaluation in words and columns, for reading."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from napari_ctlns.evaluation.scores import ScanScores
from napari_ctlns.evaluation.summary import Summary, nodule_table, scan_table
from napari_ctlns.metrics.bootstrap import CONFIDENCE, RESAMPLES

_INTERVAL = "_ci"
_NODULE_HEADLINE = (
    "nodule_dice",
    "found_fraction",
    "component_precision",
    "false_positives_per_scan",
)
_LUNG_HEADLINE = ("scan_dice", "scan_iou", "scan_hausdorff95_mm")
_WORDS = {
    "nodule_dice": "mean Dice of nodules",
    "found_fraction": "share of nodules found",
    "component_precision": "share of components that hit a nodule",
    "false_positives_per_scan": "false positives a scan",
    "scan_dice": "mean Dice (DSC) of scans",
    "scan_iou": "mean IoU of scans",
    "scan_hausdorff95_mm": "mean 95 % Hausdorff distance, mm",
}


def with_intervals(result: Mapping[str, Any]) -> dict[str, str]:
    """Return each value of a summary in words, its interval behind it: ``0.8 (0.7 to 0.9)``."""
    return {
        name: _value(result, name)
        for name in result
        if not (name.endswith(_INTERVAL) and name.removesuffix(_INTERVAL) in result)
    }


def report_text(heading: Sequence[str], scans: Sequence[ScanScores], result: Summary) -> str:
    """Return the text file of an evaluation.

    Parameters
    ----------
    heading
        What was evaluated, line by line.
    scans
        The scores of each.
    result
        Their summary, and what else is to be told.
    """
    headline = _NODULE_HEADLINE if "nodules" in result else _LUNG_HEADLINE
    lines = [
        *heading,
        "",
        *(f"{_WORDS[name]}: {_value(result, name)}" for name in headline),
        "",
        f"In brackets: {CONFIDENCE:.0%} intervals, percentiles of {RESAMPLES} bootstrap draws",
        "of patients; a dash stands for what is undefined.",
        "",
        *(f"{name:32} {words}" for name, words in with_intervals(result).items()),
        "",
        _columns(scan_table(scans).drop(columns="patient_id")),
        "",
    ]
    nodules = nodule_table(scans)
    return "\n".join([*lines, _columns(nodules), ""] if len(nodules) else lines)


def _value(result: Mapping[str, Any], name: str) -> str:
    value, interval = result[name], result.get(name + _INTERVAL)
    words = "-" if value is None else f"{value}"
    return words if interval is None else f"{words} ({interval[0]} to {interval[1]})"


def _columns(table: pd.DataFrame) -> str:
    return str(table.to_string(index=False, float_format="%.3f", na_rep="-"))
