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
from napari_ctlns.findings import Findings, Opinion
from napari_ctlns.masks.components import Box
from napari_ctlns.masks.label_box import box_of
from napari_ctlns.plugin.saving import mask_on_scan
from napari_ctlns.volume import Geometry, Volume

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

    return _with_probabilities(measure(mask, scan), before, opinions)


def _with_probabilities(
    table: "pd.DataFrame",
    before: "pd.DataFrame | None",
    opinions: Mapping[int, Opinion] | None = None,
) -> "pd.DataFrame":
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


# -- some rows ----------------------------------------------------------------------

QUICK_VOXELS = 25_000
"""A ball of 28 mm in voxels of 1 x 0.7 x 0.7 mm."""
LARGEST_FOLLOWED = 4_000_000
"""Voxels of the box of a nodule; one that is larger takes seconds, and a person asks for it."""


def rows_job(
    mask: Volume, scan: Volume, before: "pd.DataFrame", where: Mapping[int, Box]
) -> Iterator[Event]:
    """Measure the nodules anew that were edited, and leave the other rows as they are.

    Parameters
    ----------
    mask
        What the layer shows, on the scan's grid, not copied.
    scan
        The scan it is drawn on.
    before
        The table as it was before they were edited.
    where
        The labels that lost or gained voxels, and boxes that hold all that changed.

    Yields
    ------
    Event
        `Finished` has ``table``, None if one of them is very large.
    """
    yield Started(title="Measure what was edited")
    table = table_after(mask, scan, before, where)
    yield Finished(result={"table": table})


def is_quick(before: "pd.DataFrame", where: Mapping[int, Box]) -> bool:
    """Whether nodules that were edited can be measured in some 20 ms."""
    known = before.loc[before["label"].isin(list(where)), "voxels"].sum()
    return int(known) + sum(voxels_of(box) for box in where.values()) <= QUICK_VOXELS


def table_after(
    mask: Volume, scan: Volume, before: "pd.DataFrame", where: Mapping[int, Box]
) -> "pd.DataFrame | None":
    """Return the table of a mask after an edit, as `rows_job` does."""
    import pandas as pd

    from napari_ctlns.measurement import measure_nodules

    found = {
        label: box_of(mask.array, label, _search_box(before, label, box, mask.geometry))
        for label, box in where.items()
    }
    boxes = {label: box for label, box in found.items() if box is not None}
    if any(voxels_of(box) > LARGEST_FOLLOWED for box in boxes.values()):
        return None
    rows = _with_probabilities(measure_nodules(mask, scan, boxes), before)
    parts = [part for part in (before[~before["label"].isin(list(where))], rows) if len(part)]
    table = pd.concat(parts) if parts else rows
    return table.sort_values("label", ignore_index=True)


def _search_box(before: "pd.DataFrame", label: int, edited: Box, geometry: Geometry) -> Box:
    """Return a box that holds all of a nodule: where it was, and where it was edited.

    No voxel of a nodule is further from its centroid than its greatest diameter.
    """
    known = reach_box(before, label, geometry)
    if known is None:
        return edited
    z, y, x = (
        slice(min(a.start, b.start), max(a.stop, b.stop))
        for a, b in zip(known, edited, strict=True)
    )
    return z, y, x


def reach_box(table: "pd.DataFrame", label: int, geometry: Geometry) -> Box | None:
    """Return a box of a grid that holds all of a nodule when it was measured; None: it was not."""
    row = table[table["label"] == label]
    if row.empty:
        return None
    centre = geometry.world_to_index(row[_CENTROID].to_numpy()[0])
    reach = float(row["max_3d_diameter_mm"].iloc[0]) / np.array(geometry.spacing) + 1
    z, y, x = (
        slice(max(int(a), 0), min(int(b), n))
        for a, b, n in zip(
            np.floor(centre - reach), np.ceil(centre + reach) + 1, geometry.shape, strict=True
        )
    )
    return z, y, x


def voxels_of(box: Box) -> int:
    """Return how many voxels a box has."""
    return int(np.prod([s.stop - s.start for s in box]))


def _nodules(table: "pd.DataFrame") -> list[Nodule]:
    # rounded, because a table that was read from a file may lack the last bits
    centroids = map(tuple, table[_CENTROID].round(5).to_numpy().tolist())
    return list(zip(table["label"].tolist(), table["voxels"].tolist(), centroids, strict=True))


def save_table_job(
    mask: Volume,
    scan: Volume,
    before: "pd.DataFrame | None",
    fresh: bool,
    path: Path,
    findings: Findings | None = None,
) -> Iterator[Event]:
    """Save the nodule table, measured anew unless the one there is ``fresh``.

    What ``findings`` know to be rejected has no row in the file. `Finished` has ``path``,
    ``table`` with all rows, and ``left_out``: how many are not in the file.
    """
    from napari_ctlns.measurement import write_table

    yield Started(title=f"Save {path.name}")
    table = before if fresh else None
    if table is None:
        table = measured(mask_on_scan(mask, scan), scan, before)
    rejected = frozenset[int]() if findings is None else findings.rejected_labels
    kept = table[~table["label"].isin(list(rejected))]
    write_table(kept, path)
    left_out = len(table) - len(kept)
    yield Finished(result={"path": path, "table": table, "left_out": left_out})


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
            findings = findings.mark_edited(label)
    return findings
