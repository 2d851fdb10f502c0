"""The growth table as a person reads it, a row for each nodule; without Qt."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ctlns.plugin.words import capitalised
from napari_ctlns.volume import Triple

if TYPE_CHECKING:
    import pandas as pd

TITLES = ("Nodule", "mm³", "Later\nmm³", "Change", "Doubling\ndays", "Diam.\nmm")
MEANINGS = (
    "Its label on the earlier scan and on the later one",
    "Volume on the earlier scan",
    "Volume on the later scan",
    "Volume change; its interval of 95 %, from the measurement error of both, is in the tooltip",
    "Days until the volume is twice as large (95 % interval); within error: it may be stable",
    "Change of the mean diameter; Lung-RADS calls more than 1.5 mm growth",
)
_UNKNOWN = "–"  # noqa: RUF001 - a dash, as tables have it
_STATUS = {"gone": "gone", "new": "new", "not covered": "not on the other scan"}


@dataclass(frozen=True)
class GrowthRow:
    """What is shown of a nodule.

    Attributes
    ----------
    label, later_label
        0 in a scan that lacks it.
    cells
        Words for each of `TITLES`.
    words
        All about it, for a tooltip.
    flag
        Whether a person should look: it grew, or is new.
    place
        LPS mm on the later scan, where it is or would be.
    """

    label: int
    later_label: int
    cells: tuple[str, ...]
    words: str
    flag: bool
    place: Triple


def growth_rows(table: "pd.DataFrame") -> tuple[GrowthRow, ...]:
    """Return the rows of a growth table, as they come."""
    columns = [str(name) for name in table.columns]
    known = table.fillna({"label": 0, "later_label": 0})
    rows = known.itertuples(index=False, name=None)
    return tuple(_row(dict(zip(columns, row, strict=True))) for row in rows)


def summary(table: "pd.DataFrame") -> str:
    """Say in one line what became of the nodules: 3 paired, 1 grown, 1 new."""
    paired = int((table["status"] == "paired").sum())
    parts = [f"{paired} paired"]
    for column, words in (("change", "grown"), ("change", "smaller"), ("status", "gone")):
        parts += _counted(table, column, words)
    return ", ".join([*parts, *_counted(table, "status", "new")])


def _counted(table: "pd.DataFrame", column: str, words: str) -> list[str]:
    number = int((table[column] == words).sum())
    return [f"{number} {words}"] if number else []


def _row(row: dict[str, Any]) -> GrowthRow:
    label, later = int(row["label"]), int(row["later_label"])
    paired = row["status"] == "paired"
    name = f"{label} → {later}" if paired else f"{label or later} {_STATUS[row['status']]}"
    change = _signed(row["volume_change_percent"], "%")
    diameter = _signed(row["diameter_change_mm"], "", 1)
    cells = (
        *(name, _volume(row["volume_mm3"]), _volume(row["later_volume_mm3"])),
        *(change, _time(row), diameter),
    )
    return GrowthRow(
        label,
        later,
        cells,
        _words(row, name),
        row["change"] == "grown" or row["status"] == "new",
        (float(row["later_x_mm"]), float(row["later_y_mm"]), float(row["later_z_mm"])),
    )


def _volume(value: float) -> str:
    return _UNKNOWN if value != value else f"{value:.0f}"


def _signed(value: float, unit: str, digits: int = 0) -> str:
    return _UNKNOWN if value != value else f"{value:+.{digits}f}{unit and ' ' + unit}"


def _time(row: dict[str, Any]) -> str:
    """Say a doubling time in few words."""
    if row["status"] != "paired":
        return ""
    days, low, high = (row[f"doubling_time{end}_days"] for end in ("", "_low", "_high"))
    if low != low:
        return str(row["change"])
    if high == float("inf"):
        return f"within error, ≥ {low:.0f}"
    halving = "halving " if days < 0 else ""
    return f"{halving}{abs(days):.0f} ({abs(low):.0f} to {abs(high):.0f})"


def _words(row: dict[str, Any], name: str) -> str:
    """Say all about a nodule."""
    from napari_ctlns.measurement.growth import doubling_in_words

    if row["status"] != "paired":
        return f"{name}; click to see its place on both scans"
    low, high = row["volume_change_low_percent"], row["volume_change_high_percent"]
    if low != low:
        return f"{name}: {row['change']}, so its volumes cannot be compared"
    times = (row[f"doubling_time{end}_days"] for end in ("", "_low", "_high"))
    percent = row["volume_change_percent"]
    return (
        f"{name}: {percent:+.0f} % in {row['days']:.0f} days, 95 % interval {low:+.0f} to "
        f"{high:+.0f} %; {row['change']}. {capitalised(doubling_in_words(*times))}"
    )
