"""Matching of nodules and FROC on cases that can be counted by hand."""

import numpy as np
import pytest

from napari_ctlns.findings import Annotation
from napari_ctlns.masks.spheres import sphere_mask
from napari_ctlns.metrics import (
    FalsePositive,
    NoduleMatch,
    NoduleMatches,
    dice,
    froc_curve,
    match_nodules,
    sensitivity_at,
)
from napari_ctlns.volume import Geometry

GEOMETRY = Geometry((30, 60, 60), (2.0, 1.0, 1.0), (5.0, -7.0, 100.0))


def spheres(*rows):
    """Spheres by centre index (z, y, x) and diameter in mm."""
    return sphere_mask(
        GEOMETRY,
        [Annotation("s", *GEOMETRY.index_to_world(centre), d) for centre, d in rows],
    )


def scan(found=(), missed=0, false=()):
    nodules = [NoduleMatch(i, 8.0, 0.8, True, s, (i,)) for i, s in enumerate(found, 1)]
    nodules += [NoduleMatch(i, 8.0, 0.0, False, None, ()) for i in range(100, 100 + missed)]
    alarms = tuple(FalsePositive(1, s, (0.0, 0.0, 0.0)) for s in false)
    return NoduleMatches(tuple(nodules), alarms, len(found) + len(false), len(found))


def test_a_hit_a_miss_and_a_false_alarm():
    true = spheres(((8, 20, 20), 10), ((20, 40, 40), 12))
    predicted = spheres(((8, 20, 21), 10), ((20, 20, 40), 9))
    matches = match_nodules(predicted, true, GEOMETRY, scores=[0.9, 0.4])
    hit, miss = matches.nodules
    assert (hit.label, hit.found, hit.score) == (1, True, 0.9)
    assert hit.dice == pytest.approx(dice(predicted == 1, true == 1))
    assert hit.diameter_mm == pytest.approx(10, abs=0.3)
    assert (miss.label, miss.dice, miss.found, miss.score) == (2, 0.0, False, None)
    assert (hit.components, miss.components) == ((1,), ())
    (false,) = matches.false_positives
    assert (false.label, false.score) == (2, 0.4)
    assert false.centre == pytest.approx(GEOMETRY.index_to_world((20, 20, 40)), abs=0.5)
    assert (matches.components, matches.hitting) == (2, 1)


def test_pieces_of_one_nodule_count_together():
    true = spheres(((10, 30, 30), 20))
    predicted = true.copy()
    predicted[:, 30] = 0
    predicted[:, 31:] *= 2
    matches = match_nodules(predicted, true, GEOMETRY)
    assert matches.nodules[0].dice == pytest.approx(dice(predicted, true))
    assert matches.nodules[0].found
    assert matches.nodules[0].components == (1, 2)
    assert matches.false_positives == ()
    assert matches.components == 2


def test_a_component_over_two_nodules_is_the_one_it_overlaps_more():
    true = spheres(((10, 30, 20), 12), ((10, 30, 36), 8))
    predicted = (true > 0).astype(np.uint8)
    predicted[10, 30, 20:36] = 1
    first, second = match_nodules(predicted, true, GEOMETRY).nodules
    assert first.dice == pytest.approx(dice(predicted == 1, true == 1))
    assert second.dice == 0


def test_a_component_that_overlaps_without_hitting_counts_as_neither():
    true = spheres(((10, 30, 20), 10))
    predicted = np.zeros_like(true)
    predicted[10, 30, 24:50] = 1
    matches = match_nodules(predicted, true, GEOMETRY)
    assert not matches.nodules[0].found
    assert matches.nodules[0].dice > 0
    assert matches.nodules[0].components == (1,)
    assert matches.false_positives == ()
    assert (matches.components, matches.hitting) == (1, 0)


def test_a_centroid_exactly_at_the_radius_does_not_hit():
    # one voxel of volume 4 pi / 3 has an equivalent radius of 1
    geometry = Geometry((9, 9, 9), (4 * np.pi / 3, 1.0, 1.0))
    true, predicted = np.zeros((2, 9, 9, 9), np.uint8)
    true[4, 4, 4] = 1
    predicted[4, 4, 5] = 1
    assert not match_nodules(predicted, true, geometry).nodules[0].found
    # the same grid, a hair closer
    closer = Geometry((9, 9, 9), (4 * np.pi / 3 / 0.99, 1.0, 0.99))
    assert match_nodules(predicted, true, closer).nodules[0].found


def test_a_centroid_on_a_long_nodule_hits_it_beyond_the_radius():
    true, predicted = np.zeros((2, *GEOMETRY.shape), np.uint8)
    true[10, 30, 5:55] = 1
    predicted[10, 30, 50:54] = 1
    assert match_nodules(predicted, true, GEOMETRY).nodules[0].found


def test_scores_are_the_mean_probability_or_the_volume():
    true = spheres(((8, 20, 20), 10))
    predicted = spheres(((8, 20, 20), 8), ((20, 40, 40), 7))
    probability = np.zeros(GEOMETRY.shape, np.float16)
    probability[predicted == 1] = 0.75
    probability[predicted == 2] = 0.25
    first = tuple(np.argwhere(predicted == 2)[0])
    probability[first] = 1
    mean = 0.25 + 0.75 / (predicted == 2).sum()
    matches = match_nodules(predicted, true, GEOMETRY, probability)
    assert matches.nodules[0].score == 0.75
    assert matches.false_positives[0].score == pytest.approx(mean)
    matches = match_nodules(predicted, true, GEOMETRY)
    assert matches.nodules[0].score == (predicted == 1).sum() * 2.0
    assert matches.false_positives[0].score == (predicted == 2).sum() * 2.0


def test_labels_with_gaps_keep_their_names():
    true = spheres(((8, 20, 20), 10)).astype(np.uint16) * 300
    predicted = spheres(((8, 20, 20), 10), ((20, 40, 40), 7)) * 4
    matches = match_nodules(predicted, true, GEOMETRY, scores=np.arange(8) / 8)
    assert (matches.nodules[0].label, matches.nodules[0].score) == (300, 3 / 8)
    assert matches.nodules[0].components == (4,)
    assert [(f.label, f.score) for f in matches.false_positives] == [(8, 7 / 8)]


def test_nothing_predicted_and_nothing_true():
    empty, some = np.zeros(GEOMETRY.shape, np.uint8), spheres(((8, 20, 20), 10))
    assert match_nodules(empty, empty, GEOMETRY) == NoduleMatches((), (), 0, 0)
    assert match_nodules(empty, some, GEOMETRY).nodules[0].dice == 0
    assert len(match_nodules(some, empty, GEOMETRY).false_positives) == 1


def test_too_few_scores_are_refused():
    true = spheres(((8, 20, 20), 10))
    with pytest.raises(ValueError, match="one score for each label"):
        match_nodules(true * 3, true, GEOMETRY, scores=[0.1, 0.2])


def test_sensitivity_by_hand():
    # thresholds 0.9 0.8 0.7 0.6 0.5 give 1 1 2 2 3 of 4 nodules at 0 1 1 3 3 of 2 scans
    scans = [scan([0.9, 0.5], 1, [0.8, 0.6]), scan([0.7], 0, [0.6])]
    expected = {0: 1 / 4, 0.4: 1 / 4, 0.5: 2 / 4, 1: 2 / 4, 1.5: 3 / 4, 8: 3 / 4}
    assert {limit: sensitivity_at(scans, limit) for limit in expected} == expected
    curve = froc_curve(scans)
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.6, 0.5]
    assert (curve.sensitivity * 4).tolist() == [0, 1, 1, 2, 2, 3]
    assert (curve.false_positives_per_scan * 2).tolist() == [0, 0, 1, 1, 3, 3]


def test_equal_scores_cannot_be_told_apart():
    assert sensitivity_at([scan([0.5], 0, [0.5])], 0.5) == 0
    assert sensitivity_at([scan([0.5], 0, [0.5])], 1) == 1


def test_scans_without_nodules_still_add_false_alarms():
    assert sensitivity_at([scan([0.5]), scan(false=[0.7, 0.6])], 0.5) == 0
    assert sensitivity_at([scan([0.5]), scan(false=[0.7, 0.6])], 1) == 1


def test_no_nodules_or_no_scans():
    assert np.isnan(sensitivity_at([scan(false=[0.3])], 2))
    with pytest.raises(ValueError, match="no scans"):
        sensitivity_at([], 2)
