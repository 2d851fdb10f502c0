"""Findings as rows of the work list: what is shown of each, and which are shown; without Qt."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_ctlns.findings import Finding, Findings
from napari_ctlns.plugin.words import counted

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, Sequence[Any]]
"""What is shown, by name of the column, one value for each row."""

UNREVIEWED = frozenset({"new", "edited"})
"""How a finding stands that nobody has accepted or rejected."""
_LOOKALIKES = {"": "new", "vessel": "new, like a vessel", "lung wall": "new, like the lung wall"}


def rows_of(
    table: "pd.DataFrame", findings: Findings, details: "pd.DataFrame | None" = None
) -> dict[str, list[Any]]:
    """Return the columns of the work list.

    Parameters
    ----------
    table
        The nodule table: one row for each label.
    findings
        What is known of them. One without voxels has a row of its own if a person judged it.
    details
        More measurements, by ``label``; some labels may be missing.

    Returns
    -------
    dict of str to list
        The columns of both tables, None where a row has no such value, and ``uid``,
        ``status``, ``type``, ``own_type`` (whether a person set it), ``note``, ``reader``,
        ``time``, ``probability`` and ``picture``, which is sorted by the label.
    """
    of_label = {finding.label: finding for finding in findings.items if finding.label is not None}
    measured = [int(label) for label in table["label"]]
    there = [of_label.get(label) or Finding(uid=str(label), label=label) for label in measured]
    gone = [finding for finding in findings.items if _is_kept_without_voxels(finding, findings)]
    columns = {str(name): [*table[name].tolist(), *[None] * len(gone)] for name in table.columns}
    columns |= _detail_columns(details, columns["label"])
    rows = [*there, *gone]
    computed = columns.get("type", [None] * len(rows))
    columns["picture"] = columns["label"]
    columns["uid"] = [finding.uid for finding in rows]
    columns["status"] = [status_in_words(finding) for finding in rows]
    columns["own_type"] = [finding.type != "unknown" for finding in rows]
    columns["type"] = [
        finding.type if finding.type != "unknown" else kind
        for finding, kind in zip(rows, computed, strict=True)
    ]
    for name in ("note", "reader", "probability"):
        columns[name] = [getattr(finding, name) for finding in rows]
    columns["time"] = [_local_time(finding) for finding in rows]
    return columns


def _is_kept_without_voxels(finding: Finding, findings: Findings) -> bool:
    """Whether a finding without voxels is shown: a person judged it, and no other took it in."""
    if finding.label is not None or (finding.status in UNREVIEWED and not finding.note):
        return False
    return all(finding.uid not in other.parents for other in findings.items)


def _detail_columns(
    details: "pd.DataFrame | None", labels: Sequence[int | None]
) -> dict[str, list[Any]]:
    if details is None:
        return {}
    at = {int(label): row for row, label in enumerate(details["label"])}
    return {
        str(name): [
            None if (row := at.get(label or 0)) is None else values[row] for label in labels
        ]
        for name in details.columns
        if name != "label"
        for values in [details[name].tolist()]
    }


def _local_time(finding: Finding) -> str:
    """Say when a person judged a finding, in the time of this place; "" if nobody did."""
    return f"{finding.time.astimezone():%Y-%m-%d %H:%M}" if finding.reader else ""


def status_in_words(finding: Finding) -> str:
    """Say how a finding stands, and what it looks like while nobody has touched it."""
    untouched = finding.status == "new" and not finding.edited
    return _LOOKALIKES[finding.lookalike] if untouched else finding.status


def overview(statuses: Sequence[str]) -> str:
    """Say how far the review is: 3 accepted, 1 rejected, 8 to review."""
    number = Counter(
        status if status in ("accepted", "rejected") else "left" for status in statuses
    )
    if not statuses:
        return ""
    if not number["accepted"] + number["rejected"]:
        return f"{counted(number['left'], 'nodule')} to review"
    left = f"{number['left']} to review" if number["left"] else "all reviewed"
    return f"{number['accepted']} accepted, {number['rejected']} rejected, {left}"


# -- which of them ------------------------------------------------------------------


@dataclass(frozen=True)
class RowFilter:
    """Which rows are shown.

    Attributes
    ----------
    status
        "to review", or a status; "" for all.
    type
        A type, "unknown" for rows without one; "" for all.
    least_mm, least_probability
        The mean diameter and the model's probability that a row has at least; where one is
        asked for, a row that has none is not shown.
    words
        All of them stand in its note, in whichever case.
    """

    status: str = ""
    type: str = ""
    least_mm: float = 0.0
    least_probability: float = 0.0
    words: str = ""

    def shows(self, columns: Columns, row: int) -> bool:
        """Whether a row is shown."""
        return (
            self._has_status(str(columns["status"][row]).partition(",")[0])
            and (not self.type or (_value(columns, "type", row) or "unknown") == self.type)
            and _reaches(_value(columns, "mean_diameter_mm", row), self.least_mm)
            and _reaches(_value(columns, "probability", row), self.least_probability)
            and self._has_words(str(_value(columns, "note", row) or ""))
        )

    def _has_status(self, status: str) -> bool:
        if self.status == "to review":
            return status in UNREVIEWED
        return not self.status or status == self.status

    def _has_words(self, note: str) -> bool:
        return all(word in note.casefold() for word in self.words.casefold().split())


def _value(columns: Columns, name: str, row: int) -> Any:
    values = columns.get(name)
    return None if values is None else values[row]


def _reaches(value: Any, least: float) -> bool:
    return least <= 0 or (value is not None and value >= least)


def as_read(nodules: "pd.DataFrame", findings: "Findings") -> "pd.DataFrame":
    """Return measured nodules as a reader sees them: without what was rejected, of the type set."""
    read = nodules[~nodules["label"].isin(list(findings.rejected_labels))].copy()
    said = {f.label: f.type for f in findings.items if f.type != "unknown"}
    types = zip(read["label"], read["type"], strict=True)
    read["type"] = [said.get(int(label), kind) for label, kind in types]
    return read
