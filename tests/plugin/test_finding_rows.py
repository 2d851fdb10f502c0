"""Findings as rows: what is shown of each, and which a filter leaves."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from napari_ctlns.findings import Finding, Findings, Opinion
from napari_ctlns.plugin.finding_rows import RowFilter, overview, rows_of

TABLE = pd.DataFrame({"label": [1, 2, 3], "mean_diameter_mm": [4.0, 6.0, 12.0]})
DETAILS = pd.DataFrame({"label": [1, 3], "type": ["solid", "part-solid"], "median_hu": [9.0, 8.0]})


@pytest.fixture
def findings() -> Findings:
    """Three measured ones; a rejected one and an erased one without voxels; a merged one."""
    three = Findings().follow_labels((1, 2, 3), "model").judged({1: Opinion(0.9), 2: Opinion(0.4)})
    uid = three.of_label(3).uid
    three = three.change(uid, type="ground-glass", status="accepted", reader="anna", note="Apex, L")
    merged = Finding(uid="merged", status="rejected")
    three = three.change(three.of_label(1).uid, parents=("merged",))
    for gone in (merged, Finding(uid="gone", status="rejected"), Finding(uid="erased")):
        three = three.add(gone)
    return three


def test_a_row_for_each_nodule_and_for_what_was_judged_and_is_gone(findings: Findings) -> None:
    rows = rows_of(TABLE, findings, DETAILS)
    assert rows["label"] == [1, 2, 3, None]
    assert rows["uid"][3] == "gone"  # a merged one lives on in another, an erased one is over
    assert rows["mean_diameter_mm"] == [4.0, 6.0, 12.0, None]
    assert rows["status"] == ["new", "new", "accepted", "rejected"]
    assert rows["median_hu"] == [9.0, None, 8.0, None]
    assert {len(values) for values in rows.values()} == {4}


def test_a_readers_type_goes_before_the_measured_one(findings: Findings) -> None:
    rows = rows_of(TABLE, findings, DETAILS)
    assert rows["type"] == ["solid", None, "ground-glass", None]
    assert rows["own_type"] == [False, False, True, False]
    assert rows_of(TABLE, findings)["type"] == [None, None, "ground-glass", None]


def test_when_is_said_only_of_what_a_reader_judged(findings: Findings) -> None:
    rows = rows_of(TABLE, findings)
    assert [bool(time) for time in rows["time"]] == [False, False, True, False]
    assert rows["reader"][2] == "anna"


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (RowFilter(), [1, 2, 3, None]),
        (RowFilter(status="to review"), [1, 2]),
        (RowFilter(status="rejected"), [None]),
        (RowFilter(type="ground-glass"), [3]),
        (RowFilter(type="unknown"), [2, None]),
        (RowFilter(least_mm=6.0), [2, 3]),
        (RowFilter(least_probability=0.5), [1]),
        (RowFilter(words="l APEX"), [3]),
        (RowFilter(words="apex right"), []),
        (RowFilter(status="to review", least_mm=6.0), [2]),
    ],
)
def test_a_filter_shows_what_meets_all_of_it(
    findings: Findings, wanted: RowFilter, shown: list[int | None]
) -> None:
    rows = rows_of(TABLE, findings, DETAILS)
    assert [rows["label"][k] for k in range(4) if wanted.shows(rows, k)] == shown


def test_what_resembles_a_vessel_is_new_to_the_filter() -> None:
    findings = Findings().follow_labels((1,), "model").judged({1: Opinion(0.9, "vessel")})
    rows = rows_of(TABLE[:1], findings)
    assert rows["status"] == ["new, like a vessel"]
    assert RowFilter(status="new").shows(rows, 0)
    assert not RowFilter(status="edited").shows(rows, 0)


def test_how_far_the_review_is() -> None:
    assert overview([]) == ""
    assert overview(["new", "new, like a vessel"]) == "2 nodules to review"
    assert overview(["accepted"] * 3 + ["rejected", "edited"]) == (
        "3 accepted, 1 rejected, 1 to review"
    )
    assert overview(["accepted", "rejected"]) == "1 accepted, 1 rejected, all reviewed"


def test_a_mask_without_nodules_has_no_rows() -> None:
    rows = rows_of(TABLE[:0], Findings(), DETAILS[:0])
    assert all(values == [] for values in rows.values())
    assert replace(RowFilter(), words="a") != RowFilter()
    assert np.array_equal(rows["label"], [])
