"""FROC as in the LUNA16 evaluation: each rule by a case made by hand, all by a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.findings import Annotation
from napari_ctlns.formats import Candidate
from napari_ctlns.metrics.luna_froc import (
    RATES,
    cpm,
    froc_bands,
    froc_summary,
    luna_froc,
    sensitivities,
)
from napari_ctlns.metrics.luna_matching import MISSED, Fate, match_marks


def mark(x: float, probability: float, scan: str = "a", y: float = 0.0) -> Candidate:
    return Candidate(scan, x, y, 0.0, probability=probability)


def nodule(x: float, diameter: float = 10.0, scan: str = "a") -> Annotation:
    return Annotation(scan, x, 0.0, 0.0, diameter)


def fates(marks, nodules, excluded=(), scans=None) -> list[Fate]:
    return [Fate(fate) for fate in match_marks(marks, nodules, excluded, scans).fates]


def at(marks, nodules, rates, scans=None) -> list[float]:
    return sensitivities(luna_froc(match_marks(marks, nodules, (), scans)), rates).tolist()


# -- the rules, one by one ------------------------------------------------------------


def test_a_hit_lies_strictly_within_the_radius() -> None:
    assert fates([mark(4.999, 0.5)], [nodule(0)]) == [Fate.hit]
    assert fates([mark(5.0, 0.5)], [nodule(0)]) == [Fate.false]
    assert fates([mark(4.0, 0.5, y=4.0)], [nodule(0)]) == [Fate.false]  # 5.7 mm away


def test_a_diameter_below_zero_counts_as_10_mm() -> None:
    found = fates([mark(4.9, 0.5), mark(-5.1, 0.4)], [nodule(0, diameter=-1)])
    assert found == [Fate.hit, Fate.false]
    assert fates([mark(0, 0.5)], [nodule(0, diameter=0)]) == [Fate.false]


def test_the_most_probable_hit_counts_and_others_are_double() -> None:
    marks = [mark(0, 0.2), mark(1, 0.9), mark(2, 0.9), mark(40, 0.5)]
    matches = match_marks(marks, [nodule(0)])
    assert matches.fates.tolist() == [Fate.double, Fate.hit, Fate.double, Fate.false]
    assert matches.best.tolist() == [1]
    assert (matches.double_marks, matches.count(Fate.false), matches.candidates) == (2, 1, 4)
    # found at 0.9, before the false mark
    assert at(marks, [nodule(0)], [0.125]) == [1.0]


def test_marks_on_excluded_findings_are_dropped() -> None:
    matches = match_marks([mark(0, 0.9), mark(50, 0.8)], [], [nodule(0)])
    assert matches.fates.tolist() == [Fate.excluded, Fate.false]
    assert matches.count(Fate.excluded) == 1


def test_included_nodules_are_looked_at_before_excluded_ones() -> None:
    matches = match_marks([mark(0, 0.9), mark(1, 0.5)], [nodule(0)], [nodule(0, 20)])
    assert matches.fates.tolist() == [Fate.hit, Fate.double]
    assert matches.count(Fate.excluded) == 0


def test_one_mark_may_hit_two_nodules() -> None:
    matches = match_marks([mark(3, 0.9)], [nodule(0), nodule(6)])
    assert (matches.true_positives, matches.missed, matches.double_marks) == (2, 0, 0)
    # the best of one and a second hit of the other
    matches = match_marks([mark(3, 0.9), mark(7, 0.95)], [nodule(0), nodule(6)])
    assert matches.best.tolist() == [0, 1]
    assert matches.fates.tolist() == [Fate.hit, Fate.hit]
    assert matches.double_marks == 1


def test_a_missed_nodule_is_found_below_all_marks() -> None:
    marks, nodules = [mark(0, 0.9), mark(50, 0.1)], [nodule(0), nodule(99)]
    assert match_marks(marks, nodules).best.tolist() == [0, MISSED]
    assert at(marks, nodules, RATES) == [0.5] * 7  # also far beyond the last mark
    assert at([mark(50, 0.1)], nodules, [8]) == [0.0]


def test_ties_at_the_hundredth_mark_are_cut_in_file_order() -> None:
    many = [mark(100 + i, 0.9) for i in range(99)]
    first, second = mark(0, 0.5), mark(200, 0.5)
    assert fates([*many, first, second], [nodule(0)])[-2:] == [Fate.hit, Fate.cut]
    assert fates([*many, second, first], [nodule(0)])[-2:] == [Fate.false, Fate.cut]
    # one more probable that stands last is not cut for those that stand before
    found = fates([first, *many, second, mark(1, 0.7)], [nodule(0)])
    assert [found[0], *found[-2:]] == [Fate.cut, Fate.cut, Fate.hit]


def test_at_most_a_hundred_marks_of_each_scan_count() -> None:
    marks = [mark(i, i / 1000, scan) for scan in "ab" for i in range(120)]
    matches = match_marks(marks, [])
    assert matches.candidates == 200
    assert matches.fates.tolist() == ([Fate.cut] * 20 + [Fate.false] * 100) * 2


def test_scans_without_marks_count() -> None:
    marks = [mark(50, 0.9), mark(0, 0.5)]
    assert at(marks, [nodule(0)], [0.25, 1]) == [0.0, 1.0]
    assert at(marks, [nodule(0)], [0.25], scans="abcd") == [1.0]
    # and scans that only annotations name
    assert at(marks, [nodule(0), nodule(0, scan="b")], [0.25, 0.5]) == [0.0, 0.5]


def test_scans_that_are_not_evaluated_do_not_count() -> None:
    marks, nodules = [mark(0, 0.9), mark(0, 0.9, "b")], [nodule(0), nodule(0, scan="b")]
    matches = match_marks(marks, nodules, scan_ids=["a"])
    assert matches.fates.tolist() == [Fate.hit, Fate.other_scan]
    assert (matches.candidates, matches.true_positives, matches.missed) == (1, 1, 0)


def test_sensitivity_is_interpolated_between_points() -> None:
    # one false mark in 4 scans before the second nodule: 0.25 a scan
    marks = [mark(0, 0.9), mark(50, 0.8), mark(20, 0.7), mark(60, 0.6)]
    nodules = [nodule(0), nodule(20), nodule(40)]
    third = 1 / 3
    assert at(marks, nodules, [0.125, 0.25, 0.375, 0.5], "abcd") == pytest.approx(
        [third, 2 * third, 2 * third, 2 * third]
    )
    # marks of one probability come together: a slanted line
    marks = [mark(0, 0.5), mark(50, 0.5)]
    assert at(marks, [nodule(0)], [0.0, 0.125, 0.25], "abcd") == pytest.approx([0, 0.5, 1])


def test_the_cpm_is_the_mean_of_seven_sensitivities() -> None:
    marks = [mark(50, 0.5), mark(0, 0.5)]  # they come together: a line up to 1 false a scan
    curve = luna_froc(match_marks(marks, [nodule(0)]))
    assert sensitivities(curve) == pytest.approx([0.125, 0.25, 0.5, 1, 1, 1, 1])
    assert cpm(curve) == pytest.approx(4.875 / 7)


# -- all at once ------------------------------------------------------------------------

_scans = st.sampled_from(["a", "b", "c"])
_place = st.integers(0, 30).map(float)
_marks = st.lists(
    st.builds(mark, _place, st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]), _scans), max_size=25
)
_nodules = st.lists(
    st.builds(nodule, _place, st.sampled_from([-1.0, 4.0, 10.0, 13.0]), _scans), max_size=6
)


def by_loop(marks, nodules, excluded, scans):
    """The counts, and hits and false marks from each probability on, by plain loops."""
    hit_scores, false_scores, missed, dropped, double = [], [], 0, 0, 0
    for scan in scans:
        left = {i for i, m in enumerate(marks) if m.scan_id == scan}
        own = sorted(left)
        for rows, included in ((nodules, True), (excluded, False)):
            for row in (r for r in rows if r.scan_id == scan):
                radius = (10.0 if row.diameter_mm < 0 else row.diameter_mm) / 2
                on = [i for i in own if abs(marks[i].x_mm - row.x_mm) < radius]
                if included:
                    hit_scores += [max(marks[i].probability for i in on)] if on else []
                    missed += not on
                    double += max(len(on) - 1, 0)
                else:
                    dropped += len(left & set(on))
                left -= set(on)
        false_scores += [marks[i].probability for i in left]
    wanted = max(len(hit_scores) + missed, 1)
    points = [
        (sum(s >= p for s in false_scores) / len(scans), sum(s >= p for s in hit_scores) / wanted)
        for p in [2.0, *sorted({*hit_scores, *false_scores}, reverse=True)]
    ]
    return points, (len(hit_scores), len(false_scores), missed, dropped, double)


@given(_marks, _nodules, _nodules)
def test_it_agrees_with_a_plain_loop(marks, nodules, excluded) -> None:
    scans = ["a", "b", "c", "d"]
    matches = match_marks(marks, nodules, excluded, scans)
    curve = luna_froc(matches)
    points, counts = by_loop(marks, nodules, excluded, scans)
    assert counts == (
        matches.true_positives,
        matches.count(Fate.false),
        matches.missed,
        matches.count(Fate.excluded),
        matches.double_marks,
    )
    assert curve.false_positives_per_scan.tolist() == pytest.approx([x for x, _ in points])
    if nodules:
        assert curve.sensitivity.tolist() == pytest.approx([y for _, y in points])
    else:
        assert np.isnan(curve.sensitivity).all()


# -- bands ------------------------------------------------------------------------------


def cohort(scans: int) -> tuple[list[Candidate], list[Annotation]]:
    rng = np.random.default_rng(3)
    marks, nodules = [], []
    for scan in map(str, range(scans)):
        nodules.append(nodule(0, scan=scan))
        if rng.random() < 0.7:
            marks.append(mark(0, rng.random(), scan))
        marks += [mark(50 + i, rng.random() ** 2, scan) for i in range(rng.integers(5))]
    return marks, nodules


def test_bands_are_those_of_scans_copied_one_by_one() -> None:
    marks, nodules = cohort(12)
    bands = froc_bands(match_marks(marks, nodules), seed=1, resamples=40)
    drawn = []
    for times in np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), 40):
        copies = [(f"{scan} {k}", str(scan)) for scan, n in enumerate(times) for k in range(n)]
        again = [
            mark(m.x_mm, m.probability, name)
            for name, scan in copies
            for m in marks
            if m.scan_id == scan
        ]
        drawn.append(at(again, [nodule(0, scan=name) for name, _ in copies], RATES))
    there = np.array([bands.at(rate) for rate in RATES])
    assert pytest.approx(np.percentile(drawn, [2.5, 97.5], axis=0)) == there.T
    assert [bands.cpm_low, bands.cpm_high] == pytest.approx(
        np.percentile(np.mean(drawn, axis=1), [2.5, 97.5]).tolist()
    )


def test_bands_hold_the_curve_and_are_the_same_each_time() -> None:
    matches = match_marks(*cohort(30))
    first, second = froc_bands(matches), froc_bands(matches)
    there = sensitivities(luna_froc(matches), first.rates)
    assert (first.low <= there).all()
    assert (there <= first.high).all()
    assert (first.low < first.high).all()
    assert np.array_equal(first.low, second.low)
    assert {RATES[0], RATES[-1]} <= set(first.rates)


def test_of_one_scan_no_band_is_known() -> None:
    bands = froc_bands(match_marks([mark(0, 0.5)], [nodule(0)], scan_ids="abc"))
    assert np.isnan(bands.low).all()
    assert np.isnan(bands.cpm_high)


@pytest.mark.parametrize("marks", [[], [mark(0, 0.5)]])
def test_without_nodules_nothing_is_known_but_the_false_marks(marks) -> None:
    matches = match_marks(marks, [])
    summary = froc_summary(matches, luna_froc(matches), froc_bands(matches))
    assert np.isnan(summary["cpm"])
    assert (summary["false_positives"], summary["nodules"]) == (len(marks), 0)
