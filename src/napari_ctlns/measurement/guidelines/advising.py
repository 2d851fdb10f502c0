"""From measured nodules to advice: for each of them, and for the scan."""

import math
from typing import Any

import pandas as pd

from napari_ctlns.measurement.guidelines import fleischner, lung_rads
from napari_ctlns.measurement.guidelines.advice import (
    ADVICE_COLUMNS,
    UNKNOWN,
    Advice,
    Change,
    Circumstances,
    Nodule,
)

_NO_SETTING = "not known: whether the scan is for screening, or the finding incidental"


def advise(
    table: pd.DataFrame, circumstances: Circumstances, growth: pd.DataFrame | None = None
) -> dict[int, tuple[Advice, ...]]:
    """Return what the guidelines for a setting advise for each nodule.

    Parameters
    ----------
    table
        The nodules of the scan, with the columns of the nodule table and `DETAILS`.
    circumstances
        What a person knows of patient and scan.
    growth
        What became of the nodules since an earlier scan, as `ctlns growth` writes it; this
        scan is the later one. It may have a column ``solid_diameter_mm`` for the earlier scan.

    Returns
    -------
    dict
        By label: Lung-RADS v2022 in screening, Fleischner 2017 for incidental nodules, both
        as "not determinable" without a setting.
    """
    nodules = _nodules(table, growth)
    return {n.label: _of_nodule(n, circumstances, len(nodules)) for n in nodules}


def advise_scan(
    table: pd.DataFrame, circumstances: Circumstances, growth: pd.DataFrame | None = None
) -> tuple[Advice, ...]:
    """Return what the guidelines advise for the scan: that of its most suspicious nodule.

    Without nodules Lung-RADS is 1, if all of the lungs was seen. Where the category of a
    nodule is not determinable, that of the scan is not either, unless another has the
    highest one. Parameters as for `advise`.
    """
    if circumstances.setting is None:
        return _without_setting()
    nodules = _nodules(table, growth)
    screening = circumstances.setting == "screening"
    if not nodules:
        return (_none_screened(circumstances) if screening else _none_found(circumstances),)
    each = [(n, _of_nodule(n, circumstances, len(nodules))[0]) for n in nodules]
    unknown = [(n, advice) for n, advice in each if advice.category == UNKNOWN]
    known = [(n, advice) for n, advice in each if advice.category != UNKNOWN]
    if known:
        most, of_most = max(known, key=lambda one: _weight(one[0], one[1], circumstances))
        is_highest = of_most.category in ("4B", "4X", "growing")
        if is_highest or not unknown:
            return (_of_scan(most, of_most),)
    return (_of_scan(*unknown[0]),)


def with_advice(
    table: pd.DataFrame, circumstances: Circumstances, growth: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return a table with the columns `ADVICE_COLUMNS`; parameters as for `advise`."""
    found = advise(table, circumstances, growth)
    rows = [found[int(label)] for label in table["label"]]
    columns = {
        name: ["; ".join(dict.fromkeys(getattr(a, name) for a in row)) for row in rows]
        for name in ADVICE_COLUMNS
    }
    return table.assign(**columns)


def _of_nodule(nodule: Nodule, circumstances: Circumstances, count: int) -> tuple[Advice, ...]:
    if circumstances.setting == "screening":
        return (lung_rads.lung_rads(nodule, circumstances),)
    if circumstances.setting == "incidental":
        return (fleischner.fleischner(nodule, circumstances, count),)
    return _without_setting()


def _without_setting() -> tuple[Advice, ...]:
    return tuple(Advice(one.NAME, UNKNOWN, _NO_SETTING) for one in (lung_rads, fleischner))


def _none_screened(circumstances: Circumstances) -> Advice:
    if circumstances.prior == "awaited":
        return lung_rads.of_category("0", "an earlier scan is awaited for comparison")
    return lung_rads.of_category("1", "no nodules, if all of the lungs was seen")


def _none_found(circumstances: Circumstances) -> Advice:
    missing = fleischner.not_for(circumstances)
    return missing or Advice(fleischner.NAME, "no nodules", "no nodules", "no routine follow-up")


def _weight(nodule: Nodule, advice: Advice, circumstances: Circumstances) -> tuple[int, float]:
    if circumstances.setting == "screening":
        return lung_rads.ORDER.index(advice.category), nodule.diameter_mm
    return fleischner.suspicion(nodule, circumstances)


def _of_scan(nodule: Nodule, advice: Advice) -> Advice:
    rule = f"nodule {nodule.label}: {advice.rule}"
    return Advice(advice.guideline, advice.category, rule, advice.advice)


# -- from tables --------------------------------------------------------------------


def _nodules(table: pd.DataFrame, growth: pd.DataFrame | None) -> list[Nodule]:
    changes = {} if growth is None else _changes(growth)
    return [
        Nodule(
            label=int(row["label"]),
            type=str(row["type"]),
            diameter_mm=float(row["mean_diameter_mm"]),
            volume_mm3=float(row["volume_mm3"]),
            solid_diameter_mm=float(row["solid_diameter_mm"]),
            solid_volume_mm3=float(row["solid_volume_mm3"]),
            cut_by_edge=bool(row["cut_by_edge"]),
            change=changes.get(int(row["label"])),
        )
        for row in table.to_dict("records")
    ]


def _changes(growth: pd.DataFrame) -> dict[int, Change]:
    """Return by its label on the later scan what became of each nodule."""
    there = growth[growth["later_label"].notna()]
    return {
        int(row["later_label"]): Change(
            is_new=row["status"] == "new",
            days=_number(row.get("days")),
            before_mm=_number(row.get("mean_diameter_mm")),
            before_mm3=_number(row.get("volume_mm3")),
            solid_before_mm=_number(row.get("solid_diameter_mm")),
        )
        for row in there.to_dict("records")
    }


def _number(value: Any) -> float:
    return math.nan if value is None or pd.isna(value) else float(value)
