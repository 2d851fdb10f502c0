"""What became of nodules between two scans, as `ctlns growth` wrote it, in a report of one."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from napari_ctlns.errors import MaskError
from napari_ctlns.reporting.wording import number


def is_later(growth: pd.DataFrame, table: pd.DataFrame) -> bool:
    """Whether the nodules of a table are those of the later scan, not of the earlier one.

    Raises
    ------
    MaskError
        If they are of neither.
    """
    volumes = dict(zip(table["label"], table["volume_mm3"], strict=True))
    for label, volume, later in (
        ("later_label", "later_volume_mm3", True),
        ("label", "volume_mm3", False),
    ):
        told = growth.reindex(columns=[label, volume]).dropna()
        pairs = list(zip(told[label], told[volume], strict=True))
        alike = (math.isclose(volumes.get(int(k), -1.0), v, rel_tol=1e-3) for k, v in pairs)
        if len(pairs) == len(volumes) and all(alike):
            return later
    message = "the table of growth is of other masks: labels and volumes differ"
    raise MaskError(f"{message}; run `ctlns growth` again with this mask")


def growth_words(row: Mapping[str, Any], later: bool) -> str:
    """Return what a row of growth says, for a reader of the later scan or of the earlier one."""
    if row["status"] == "new":
        return "New since the earlier scan"
    if row["status"] == "gone":
        return "Not found on the later scan"
    if row["status"] != "paired":
        return "The other scan does not cover this place"
    before, after = row["volume_mm3"], row["later_volume_mm3"]
    change = number(row.get("volume_change_percent"), 0, "%")
    sign = "" if change.startswith("\N{MINUS SIGN}") else "+"
    since = f" in {number(row['days'], 0)} days" if math.isfinite(float(row["days"])) else ""
    words = (
        f"{'Since the earlier scan' if later else 'To the later scan'}: volume "
        f"{number(before, 0)} \N{RIGHTWARDS ARROW} {number(after, 0)} mm³ ({sign}{change}){since}"
    )
    said = row.get("change")
    return words + (f", {said}" if isinstance(said, str) else "") + _doubling(row)


def _doubling(row: Mapping[str, Any]) -> str:
    names = ("doubling_time_days", "doubling_time_low_days", "doubling_time_high_days")
    time, low, high = (float(row.get(name, math.nan)) for name in names)
    if not math.isfinite(time):
        return ""
    words = f"; volume {'doubling' if time > 0 else 'halving'} time {number(abs(time), 0)} days"
    if math.isfinite(low) and math.isfinite(high) and low * high > 0:
        return f"{words} ({number(abs(low), 0)} to {number(abs(high), 0)})"
    # its interval holds no change at all
    return f"{words}, or none: it may be stable" if math.isfinite(low) else words
