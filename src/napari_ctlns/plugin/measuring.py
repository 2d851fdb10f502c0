"""From a labels layer to its nodule table; without Qt.

The jobs here are for threads. They copy the labels first, so that painting can
go on; whoever starts them notes `Session.edits` before, to tell whether the
result is old when it comes.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_ctlns.events import Control, Event, Finished, Started
from napari_ctlns.findings import Finding, Findings, Opinion
from napari_ctlns.plugin.saving import mask_on_scan
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

_CENTROID = ["centroid_x_mm", "centroid_y_mm", "centroid_z_mm"]

Nodule = tuple[int, int, tuple[float, ...]]
"""By what a nodule is known again: label, voxels, centroid."""


def measure_job(
    mask: Volume, scan: Volume, before: "pd.DataFrame | None", control: Control
) -> Iterator[Event]:
    """Measure the nodules of a labels layer.

    Parameters
    ----------
    mask
        What the layer shows, not copied.
    scan
        The scan it is drawn on.
    before
        The table that was there, which knows the probabilities of what was not edited.

    Yields
    ------
    Event
        `Finished` has ``table`` and ``warnings``.
    """
    yield Started(title="Measure nodules")
    own = mask_on_scan(mask, scan)
    if control.stop_requested():
        yield Finished(stopped=True)
        return
    table = measured(own, scan, before)
    result = {"table": table, "warnings": own.source.warnings}
    yield Finished(result=result, stopped=control.stop_requested())


def measured(
    mask: Volume,
    scan: Volume,
    before: "pd.DataFrame | None",
    opinions: Mapping[int, Opinion] | None = None,
) -> "pd.DataFrame":
    """Measure a mask on its scan's grid.

    Nodules that did not change since ``before`` keep their probability; what a model
    has just drawn has that of ``opinions``.
    """
    from napari_ctlns.measurement import measure

    table = measure(mask, scan)
    known: dict[Nodule, float | None] = {}
    if before is not None:
        known.update(zip(_nodules(before), before["mean_probability"], strict=True))
    for nodule in _nodules(table):
        if opinions is not None and nodule[0] in opinions:
            known[nodule] = opinions[nodule[0]].probability
    table["mean_probability"] = np.array(
        [known.get(nodule, np.nan) for nodule in _nodules(table)], float
    )
    return table


def _nodules(table: "pd.DataFrame") -> list[Nodule]:
    # rounded, because a table that was read from a file may lack the last bits
    centroids = map(tuple, table[_CENTROID].round(5).to_numpy().tolist())
    return list(zip(table["label"].tolist(), table["voxels"].tolist(), centroids, strict=True))


def save_table_job(
    mask: Volume, scan: Volume, before: "pd.DataFrame | None", fresh: bool, path: Path
) -> Iterator[Event]:
    """Save the nodule table, measured anew unless the one there is ``fresh``.

    `Finished` has ``path`` and ``table``.
    """
    from napari_ctlns.measurement import write_table

    yield Started(title=f"Save {path.name}")
    table = before if fresh else None
    if table is None:
        table = measured(mask_on_scan(mask, scan), scan, before)
    write_table(table, path)
    yield Finished(result={"path": path, "table": table})


def edited_since(
    findings: Findings, before: "pd.DataFrame | None", after: "pd.DataFrame"
) -> Findings:
    """Mark the findings whose nodules are others in ``after`` than in ``before`` as edited."""
    if before is None:
        return findings
    known, labels = set(_nodules(before)), set(before["label"].tolist())
    for nodule in _nodules(after):
        label = nodule[0]
        if label in labels & findings.labels and nodule not in known:
            finding = findings.of_label(label)
            status = "edited" if finding.status == "new" else finding.status
            findings = findings.change(finding.uid, edited=True, status=status)
    return findings


def shown_columns(table: "pd.DataFrame", findings: Findings) -> dict[str, list[object]]:
    """Return the columns to show: those of the table, and what the findings say of each row."""
    columns: dict[str, list[object]] = {str(c): table[c].tolist() for c in table.columns}
    of_label = {finding.label: finding for finding in findings.items}
    rows = [of_label.get(label) for label in table["label"].tolist()]
    columns["probability"] = [None if f is None else f.probability for f in rows]
    columns["status"] = ["new" if f is None else _status(f) for f in rows]
    return columns


def _status(finding: Finding) -> str:
    """Say how a finding stands, and what it looks like while nobody has touched it."""
    words = {"": "new", "vessel": "new, like a vessel", "lung wall": "new, like the lung wall"}
    untouched = finding.status == "new" and not finding.edited
    return words[finding.lookalike] if untouched else finding.status
