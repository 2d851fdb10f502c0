"""Rulers beside what is measured by itself: the rows of the table; without Qt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_ctlns.findings import Findings
from napari_ctlns.plugin.rulers import Ruler

if TYPE_CHECKING:
    import pandas as pd

NONE = "–"  # noqa: RUF001 - a dash, as tables have it


@dataclass(frozen=True)
class RulerRow:
    """One measurement by hand in words, lengths in mm.

    Attributes
    ----------
    uid
        Of the ruler.
    nodule
        The label of the nodule that it lies on.
    by_hand, automatic
        The length, or long x short axis.
    difference
        By hand less automatic, of both axes.
    """

    uid: str
    nodule: str
    by_hand: str
    automatic: str = NONE
    difference: str = NONE


def rows_of(
    rulers: Sequence[Ruler], findings: Findings, table: "pd.DataFrame | None"
) -> list[RulerRow]:
    """Return a row for each ruler.

    Parameters
    ----------
    rulers
        In the order of the rows.
    findings
        Of the mask that is worked on.
    table
        Its nodule table, if it was measured.
    """
    labels = labels_by_uid(findings)
    return [_row(ruler, labels.get(ruler.finding), table) for ruler in rulers]


def labels_by_uid(findings: Findings) -> dict[str, int | None]:
    """Return the label of each finding, by its uid."""
    return {finding.uid: finding.label for finding in findings.items}


def _row(ruler: Ruler, label: int | None, table: "pd.DataFrame | None") -> RulerRow:
    by_hand = _sizes(ruler.lengths_mm)
    nodule = NONE if label is None else str(label)
    found = None if table is None or label is None else table[table["label"] == label]
    if ruler.kind == "ruler" or found is None or found.empty:
        return RulerRow(ruler.uid, nodule, by_hand)
    automatic = [float(found[f"{name}_axis_mm"].iloc[0]) for name in ("long", "short")]
    pairs = zip(ruler.lengths_mm, automatic, strict=False)
    difference = ", ".join(f"{hand - auto:+.1f}" for hand, auto in pairs)
    return RulerRow(ruler.uid, nodule, by_hand, _sizes(automatic), difference)


def _sizes(lengths_mm: Sequence[float]) -> str:
    return " x ".join(f"{mm:.1f}" for mm in lengths_mm)
