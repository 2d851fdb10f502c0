"""Scores and their summary, on cases that can be counted by hand."""

import json

import numpy as np
import pytest

from napari_ctlns.evaluation.scores import NoduleScores, ScanScores, score_scan
from napari_ctlns.evaluation.summary import (
    false_positive_table,
    nodule_table,
    scan_table,
    summary,
)
from napari_ctlns.evaluation.text import report_text, with_intervals
from napari_ctlns.metrics import (
    FalsePositive,
    NoduleMatch,
    NoduleMatches,
    SurfaceAgreement,
    VoxelCounts,
    match_nodules,
)
from napari_ctlns.volume import Geometry, Volume

GEOMETRY = Geometry((20, 30, 30), (2.0, 1.0, 1.0), (5.0, -7.0, 100.0))


def _box(z, y, x, label=1):
    mask = np.zeros(GEOMETRY.shape, np.uint8)
    mask[z[0] : z[1], y[0] : y[1], x[0] : x[1]] = label
    return mask


def _scored(predicted, true, scan_id="s", patient_id="p", **more):
    volume = Volume(predicted, GEOMETRY, "mask", scan_id, patient_id)
    return score_scan(volume, true, match_nodules(predicted, true, GEOMETRY), **more)


TRUE = _box((4, 8), (4, 10), (4, 10)) + _box((12, 16), (20, 26), (20, 26), 2)
SHIFTED = _box((4, 8), (4, 10), (6, 12))  # the first nodule 2 mm away
FALSE = _box((2, 4), (22, 25), (2, 5), 2)


def test_a_scan_by_hand():
    scan = _scored(SHIFTED + FALSE, TRUE)
    assert scan.voxels == VoxelCounts(both=96, predicted=144 + 18, true=288, total=18000)
    assert scan.voxels.sensitivity == pytest.approx(96 / 288)
    assert scan.voxels.precision == pytest.approx(96 / 162)
    assert scan.voxels.iou == pytest.approx(96 / 354)
    assert scan.voxels.mean_iou == pytest.approx((96 / 354 + 17646 / 17904) / 2)
    assert scan.voxels.accuracy == pytest.approx(1 - 258 / 18000)
    first, second = scan.nodules
    assert first.match.found
    assert first.voxels.iou == pytest.approx(96 / 192)
    assert first.voxels.sensitivity == first.voxels.precision == pytest.approx(2 / 3)
    assert first.match.dice == pytest.approx(first.voxels.dice)
    assert first.surface.hausdorff95_mm == 2
    # each box has 112 voxels on its surface: of its sides 5 rings of 16 lie within 1 mm of the
    # other's, and of the face inside the other 4 voxels, which are 1 mm from a side
    assert first.surface.surface_dice == pytest.approx(84 / 112)
    assert not second.match.found
    assert (second.voxels.dice, second.voxels.sensitivity, second.surface.surface_dice) == (0, 0, 0)
    assert (second.voxels.precision, second.surface.hausdorff95_mm) == (None, None)


def test_a_nodule_is_compared_with_its_own_components_alone():
    # a second nodule and its component in the same box must not count
    true = _box((4, 8), (4, 10), (4, 10)) + _box((4, 8), (4, 10), (11, 14), 2)
    predicted = _box((4, 8), (4, 10), (4, 10), 2) + _box((4, 8), (4, 10), (11, 13), 1)
    first, second = _scored(predicted, true).nodules
    assert (first.voxels.dice, first.surface.hausdorff95_mm) == (1, 0)
    assert second.voxels.sensitivity == pytest.approx(2 / 3)


def test_means_leave_out_what_is_undefined():
    empty = np.zeros(GEOMETRY.shape, np.uint8)
    scans = [
        _scored(SHIFTED, TRUE, "a", "one", loss=0.5),
        _scored(empty, empty, "b", "two", loss=0.1),
        _scored(FALSE, empty, "c", "three", loss=0.3),
    ]
    result = summary(scans)
    assert (result["scans"], result["patients"], result["nodules"]) == (3, 3, 2)
    assert result["scan_dice"] == pytest.approx((192 / 432 + 1 + 0) / 3, abs=1e-4)
    assert result["scan_sensitivity"] == pytest.approx(96 / 288, abs=1e-4)  # of one scan alone
    assert result["scan_precision"] == pytest.approx((96 / 144 + 0) / 2, abs=1e-4)
    assert result["scan_loss"] == pytest.approx(0.3)
    assert result["nodule_precision"] == pytest.approx(2 / 3, abs=1e-4)
    assert result["nodule_sensitivity"] == pytest.approx(1 / 3, abs=1e-4)
    assert result["nodule_hausdorff95_mm"] == 2
    assert result["found_fraction"] == result["component_recall"] == 0.5
    assert result["component_precision"] == 0.5
    assert result["components"] == 2
    assert result["false_positives_per_scan"] == pytest.approx(1 / 3, abs=1e-4)
    assert result["nodule_dice_ci"] is None  # all nodules are of one patient
    low, high = result["scan_loss_ci"]
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.5)
    rows = scan_table(scans).set_index("scan_id")
    assert rows["sensitivity"].isna().tolist() == [False, True, True]
    assert rows["precision"].isna().tolist() == [False, True, False]
    assert rows["hausdorff95_mm"].isna().tolist() == [False, True, True]
    assert rows["surface_dice"].tolist()[1:] == [1, 0]
    assert rows.loc["b", "mean_iou"] == 1


def test_scans_of_one_patient_are_drawn_together():
    scans = [
        _scored(SHIFTED, TRUE, "a", "one"),
        _scored(TRUE, TRUE, "b", "one"),
        _scored(TRUE, TRUE, "c", "two"),
    ]
    result = summary(scans)
    assert result["patients"] == 2
    worst = summary(scans[:2])
    assert result["nodule_dice_ci"] == [worst["nodule_dice"], 1]
    assert worst["nodule_dice_ci"] is None


def _given(nodules, false):
    voxels, surface = VoxelCounts(60, 80, 100, 1000), SurfaceAgreement(1.0, 0.9)
    found = [NoduleMatch(i, d, e, s is not None, s, ()) for i, (d, e, s) in enumerate(nodules, 1)]
    alarms = tuple(FalsePositive(i, s, (1.0, 2.0, 3.0)) for i, s in enumerate(false))
    hitting = sum(n.found for n in found)
    matches = NoduleMatches(tuple(found), alarms, hitting + len(false), hitting)
    scores = tuple(NoduleScores(n, voxels, surface) for n in found)
    return ScanScores("s", "p", voxels, surface, None, matches, scores, 2.0)


def test_the_summary_counts_by_hand():
    scans = [
        _given([(10, 0.8, 0.9), (30, 0.6, 0.5), (4, 0.0, None)], [0.7, 0.6, 0.4]),
        _given([(6, 0.4, 0.65)], [0.8]),
    ]
    result = summary(scans)
    assert result["nodules"] == 4
    assert result["nodules_5_to_25_mm"] == 2
    assert result["nodule_dice"] == 0.45
    assert result["nodule_dice_5_to_25_mm"] == 0.6
    assert result["found_fraction"] == 0.75
    assert result["component_precision"] == pytest.approx(3 / 7, abs=1e-4)
    assert result["false_positives_per_scan"] == 2
    # at most 2 false alarms in 2 scans: scores from 0.65 on, 2 of 4 nodules
    assert result["sensitivity_at_1_fp"] == 0.5
    assert result["sensitivity_at_2_fp"] == 0.75
    assert result["sensitivity_at_2_fp_5_to_25_mm"] == 1
    assert result["nodule_voxel_accuracy"] == 0.6
    assert result["scan_loss"] is None
    nothing = json.loads(json.dumps(summary([_given([], [])]), allow_nan=False))
    assert nothing["nodule_dice"] is nothing["component_precision"] is None


def test_false_alarms_stand_where_they_are():
    table = false_positive_table([_scored(SHIFTED + FALSE, TRUE, "scan-1")])
    assert list(table) == ["seriesuid", "coordX", "coordY", "coordZ", "probability"]
    (row,) = table.itertuples(index=False)
    x, y, z = GEOMETRY.index_to_world((2.5, 23, 3))
    assert row[:4] == ("scan-1", pytest.approx(x), pytest.approx(y), pytest.approx(z))


def test_lungs_are_compared_without_nodules():
    lungs = Volume(SHIFTED, GEOMETRY, "mask", "s", "p")
    scans = [score_scan(lungs, TRUE, loss=0.2)]
    result = summary(scans)
    assert not [name for name in result if "nodule" in name or "component" in name]
    assert "false_positives_per_scan" not in result
    assert result["scan_dice"] == pytest.approx(192 / 432, abs=1e-4)
    assert "found" not in scan_table(scans)
    assert len(nodule_table(scans)) == len(false_positive_table(scans)) == 0
    text = report_text(["lungs"], scans, result)
    assert "mean Dice (DSC) of scans: 0.4444" in text
    assert "nodule" not in text


def test_the_text_tells_headline_intervals_and_every_scan():
    scans = [_scored(SHIFTED, TRUE, "a", "one"), _scored(TRUE, TRUE, "b", "two")]
    result = summary(scans)
    text = report_text(["model x", "dataset y"], scans, result)
    assert text.startswith("model x\ndataset y\n\nmean Dice of nodules: 0.6667 (0.3333 to 1.0)\n")
    assert "95% intervals" in text
    assert "_ci" not in text
    lines = text.splitlines()
    assert sum(line.split()[:1] == ["a"] for line in lines) == 3  # its row, and its two nodules
    words = with_intervals(result)
    assert words["scans"] == "2"
    assert words["nodule_dice"] == "0.6667 (0.3333 to 1.0)"
    assert words["scan_loss"] == "-"
