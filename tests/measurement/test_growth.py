"""Two scans of a phantom patient: aligned, nodules paired, growth with its interval."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.cli import main
from napari_ctlns.errors import MaskError, ScanError
from napari_ctlns.events import Progress, ThreadControl, Uncontrolled
from napari_ctlns.formats import write_volume
from napari_ctlns.formats.dicom.dates import days_between
from napari_ctlns.measurement import measure, measure_details
from napari_ctlns.measurement.growth import (
    GROWTH_COLUMNS,
    Alignment,
    Size,
    align,
    change,
    compare_scans,
    doubling_in_words,
    growth_job,
    growth_table,
    interval_days,
    pair,
)
from napari_ctlns.measurement.growth import table as table_module
from napari_ctlns.phantom import PhantomSpec
from napari_ctlns.phantom.pair import Motion, make_pair
from napari_ctlns.volume import Geometry, Source, SourceSlice, Volume

DAYS = 180.0
MOTION = Motion(shift_mm=(20.0, -12.0, 31.0), turn_degrees=5.0, breath_mm=20.0)
# neighbours 16 mm apart first; then one gone, one new, one that grew much
DIAMETERS = ((10.0, 14.0), (11.0, 11.0), (12.0, 0.0), (0.0, 12.0), (20.0, 28.0), (16.0, 16.0))


@pytest.fixture(scope="module")
def patient():
    """A chest of 5 mm voxels, later ones thinner slices, moved, breathed in."""
    spec = PhantomSpec(seed=11, spacing=(5.0, 4.5, 4.5))
    return make_pair(spec, MOTION, DIAMETERS, later_spacing=(4.0, 4.5, 4.5), neighbours_mm=16.0)


@pytest.fixture(scope="module")
def events(patient):
    """All that the comparison tells; laying one scan on the other takes seconds."""
    scans = patient.scan, patient.mask, patient.later_scan, patient.later_mask
    return list(growth_job(*scans, DAYS, Uncontrolled()))


@pytest.fixture(scope="module")
def growth(events):
    return events[-1].result["growth"]


def errors_mm(patient, alignment):
    centres = np.array([n.centre for n in patient.nodules])
    there = np.array([n.later_centre for n in patient.nodules])
    return np.linalg.norm(alignment.to_later(centres) - there, axis=1)


def label_pairs(table):
    rows = zip(table["label"], table["later_label"], strict=True)
    return {tuple(0 if pd.isna(v) else int(v) for v in row) for row in rows}


# -- laying one scan on the other ----------------------------------------------------------


def test_a_moved_and_breathing_patient_is_laid_on_the_earlier_scan(patient, growth):
    assert errors_mm(patient, growth.alignment).max() < 4.0
    assert not growth.alignment.is_doubtful
    assert not growth.warnings


def test_points_come_back_from_the_later_scan(patient, growth):
    points = np.array([n.centre for n in patient.nodules])
    back = growth.alignment.to_earlier(growth.alignment.to_later(points))
    assert np.allclose(back, points, atol=1e-3)


@pytest.mark.slow
def test_the_same_scans_are_always_aligned_alike(patient, growth):
    points = np.array([n.centre for n in patient.nodules])
    again = align(patient.scan, patient.later_scan)
    assert np.allclose(again.to_later(points), growth.alignment.to_later(points), atol=1e-6)


@pytest.mark.slow
def test_a_slab_is_found_in_the_whole_chest(patient):
    z = patient.later_scan.geometry.shape[0]
    first, last = z // 2 - 12, z // 2 + 12
    part = patient.later_scan.array[first:last]
    grid = patient.later_scan.geometry.cropped((first, 0, 0), part.shape)
    slab = replace(patient.later_scan, array=part, geometry=grid)
    alignment = align(patient.scan, slab)
    inside = [grid.contains(n.later_centre).item() for n in patient.nodules]
    assert any(inside)
    assert errors_mm(patient, alignment)[inside].max() < 6.0


@pytest.mark.slow
def test_another_patient_is_warned_of(patient):
    spec = PhantomSpec(seed=12, spacing=(5.0, 4.5, 4.5))
    other = make_pair(spec, Motion(), ((10.0, 10.0), (10.0, 10.0)))
    alignment = align(patient.scan, other.scan)
    assert alignment.is_doubtful
    assert "one patient" in alignment.warnings[0]


def test_scans_without_lungs_are_refused(patient):
    water = replace(patient.scan, array=np.zeros_like(patient.scan.array))
    with pytest.raises(ScanError, match=r"^no lungs in the earlier scan; .*chest"):
        align(water, patient.scan)
    with pytest.raises(ScanError, match="no lungs in the later scan"):
        align(patient.scan, water)


def test_progress_rises_to_its_total(events):
    told = [event for event in events if event.event == "progress"]
    assert [p.done for p in told] == list(range(len(told)))
    assert told[-1].done == told[-1].total


# -- pairing -------------------------------------------------------------------------------


def test_nodules_are_paired_gone_and_new(patient, growth):
    assert label_pairs(growth.table) == {(n.label, n.later_label) for n in patient.nodules}
    status = growth.table["status"].tolist()
    assert status == ["paired"] * 4 + ["gone", "new"]
    assert tuple(growth.table.columns) == GROWTH_COLUMNS


def test_a_place_that_the_other_scan_lacks_is_no_gone_nodule(patient, growth):
    nodules = growth.table[growth.table["status"] == "gone"]
    away = Geometry((4, 4, 4), origin=(5000.0, 0.0, 0.0))
    mask, scan = patient.mask, patient.scan
    table = measure(mask, scan).merge(measure_details(mask, scan), on="label")
    none = table.iloc[:0]
    found = growth_table(table, none, growth.alignment, scan.geometry, away, DAYS)
    assert set(found["status"]) == {"not covered"}
    assert len(nodules) == 1


@given(
    shift=st.tuples(*[st.floats(-4, 4)] * 3),
    order=st.permutations(range(4)),
    radii=st.lists(st.floats(2, 6), min_size=4, max_size=4),
)
def test_an_error_that_neighbours_share_never_swaps_them(shift, order, radii):
    centres = np.array([[0, 0, 0], [7, 0, 0], [0, 7, 0], [40, 40, 40.0]])
    later = (centres + shift)[list(order)]
    pairs = pair(centres, np.array(radii), later, np.array(radii)[list(order)], error_mm=8)
    assert [order[j] for j in pairs.later] == pairs.earlier.tolist() == [0, 1, 2, 3]


def test_far_nodules_are_no_pair_and_none_is_used_twice():
    near, far = np.array([[0.0, 0, 0]]), np.array([[60.0, 0, 0]])
    one = np.ones(1)
    assert len(pair(near, one, far, one).earlier) == 0
    twice = np.array([[1.0, 0, 0], [-2.0, 0, 0]])
    pairs = pair(near, one, twice, np.ones(2))
    assert pairs.later.tolist() == [0]
    assert pairs.distances_mm.tolist() == [1.0]
    assert len(pair(near, one, np.zeros((0, 3)), np.zeros(0)).earlier) == 0


# -- growth --------------------------------------------------------------------------------


def test_the_true_doubling_time_lies_in_its_interval(patient, growth):
    for nodule in patient.nodules:
        if not nodule.label or not nodule.later_label:
            continue
        row = growth.table[growth.table["label"] == nodule.label].iloc[0]
        ratio = (nodule.later_diameter_mm / nodule.diameter_mm) ** 3
        percent = 100 * (ratio - 1)
        low, high = row["volume_change_low_percent"], row["volume_change_high_percent"]
        assert low < percent < high
        if ratio > 1:
            days = DAYS * np.log(2) / np.log(ratio)
            assert row["doubling_time_low_days"] < days < row["doubling_time_high_days"]
    of_largest = growth.table[growth.table["volume_mm3"] > 3000].iloc[0]
    assert of_largest["change"] == "grown"
    assert np.isfinite(of_largest["doubling_time_high_days"])


def test_where_nodules_are_not_paired_nothing_is_said_of_growth(growth):
    rest = growth.table[growth.table["status"] != "paired"]
    assert rest["volume_change_percent"].isna().all()
    assert rest["doubling_time_days"].isna().all()
    assert (rest["change"] == "").all()


FINE = (0.5, 0.5, 0.5)


def ball(diameter, spacing=FINE):
    return Size(np.pi / 6 * diameter**3, np.pi * diameter**2, spacing)


def test_doubling_in_the_time_it_took_to_double():
    found = change(ball(20), ball(20 * 2 ** (1 / 3)), 100)
    assert found.doubling_days == pytest.approx(100)
    assert found.percent == pytest.approx(100)
    assert found.low_days < 100 < found.high_days
    assert found.words == "grown"


def test_halving_is_a_negative_doubling_time():
    found = change(ball(20 * 2 ** (1 / 3)), ball(20), 100)
    assert found.doubling_days == pytest.approx(-100)
    assert -found.low_days < 100 < -found.high_days
    assert found.words == "smaller"
    words = doubling_in_words(found.doubling_days, found.low_days, found.high_days)
    assert words.startswith("halving in 100 days (")


def test_a_fine_large_nodule_is_within_error_up_to_a_quarter():
    almost = change(ball(60), ball(60 * 1.24 ** (1 / 3)), 100)
    assert almost.words == "within measurement error"
    assert almost.limit_percent == pytest.approx(25, abs=0.5)
    assert np.isposinf(almost.high_days)
    assert change(ball(60), ball(60 * 1.27 ** (1 / 3)), 100).words == "grown"


def test_equal_volumes_never_double():
    found = change(ball(10), ball(10), 100)
    assert np.isposinf(found.doubling_days)
    assert np.isposinf(found.high_days)
    assert found.low_days > 0
    words = doubling_in_words(found.doubling_days, found.low_days, found.high_days)
    assert words.endswith("it may be stable")


def test_what_is_not_known_is_said():
    assert doubling_in_words(np.nan, np.nan, np.nan) == "not known"


@given(
    diameter=st.floats(3, 30),
    ratio=st.floats(0.2, 5),
    thick=st.floats(0.5, 5),
    days=st.floats(1, 2000),
)
def test_intervals_hold_the_estimate_and_widen_with_thick_slices(diameter, ratio, thick, days):
    later = diameter * ratio ** (1 / 3)
    fine = change(ball(diameter), ball(later), days)
    found = change(ball(diameter, (thick, 0.5, 0.5)), ball(later, (thick, 0.5, 0.5)), days)
    assert found.low_percent < found.percent < found.high_percent
    assert found.limit_percent >= fine.limit_percent >= 25 - 1e-6
    if np.isfinite(found.high_days):
        assert abs(found.low_days) < abs(found.doubling_days) < abs(found.high_days)
    else:
        assert found.low_days > 0


def test_nodules_cut_by_the_edge_are_not_compared():
    geometry = Geometry((8, 12, 12))
    array = np.zeros(geometry.shape, np.uint8)
    array[:4, 4:8, 4:8] = 1
    scan = Volume(np.where(array, 40, -850).astype(np.int16), geometry)
    nodules = measure(scan.mask(array), scan).merge(
        measure_details(scan.mask(array), scan), on="label"
    )
    same = Alignment(
        np.eye(3), np.zeros(3), np.zeros((1, 1, 1, 3), np.float32), Geometry((1, 1, 1))
    )
    table = growth_table(nodules, nodules, same, geometry, geometry, DAYS)
    assert table["status"].tolist() == ["paired"]
    assert table["change"].tolist() == ["cut by the scan's edge"]
    assert table["volume_change_percent"].isna().all()


# -- the days between ------------------------------------------------------------------------


def dated(tmp_path, name, **dates):
    file = tmp_path / f"{name}.dcm"
    header = pydicom.Dataset()
    for key, value in dates.items():
        setattr(header, key, value)
    header.save_as(file, implicit_vr=True, little_endian=True)
    source = Source(format="dicom", slices=(SourceSlice(file, "1.2", 0, (0.0, 0.0, 0.0)),))
    return Volume(np.zeros((1, 1, 1)), Geometry((1, 1, 1)), source=source)


def test_days_come_from_the_dates_that_both_have(tmp_path):
    first = dated(tmp_path, "a", AcquisitionDate="20200101", StudyDate="20200101")
    later = dated(tmp_path, "b", StudyDate="20200301")
    assert days_between(first, later) == 60
    assert days_between(later, first) == -60
    assert interval_days(first, later) == 60
    assert interval_days(first, later, 10) == 10


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ({}, "not known"),
        ({"StudyDate": "19991231"}, "1 days before the earlier one; .*other way round"),
        ({"StudyDate": "20000101"}, "on one day"),
    ],
)
def test_an_interval_that_is_none_is_refused_in_words(tmp_path, dates, words):
    first = dated(tmp_path, "a", StudyDate="20000101")
    with pytest.raises(ScanError, match=words):
        interval_days(first, dated(tmp_path, "b", **dates))


@pytest.mark.parametrize("days", [0, -3, float("nan")])
def test_impossible_days_are_refused(days, patient):
    with pytest.raises(ScanError, match="above 0"):
        interval_days(patient.scan, patient.later_scan, days)


def test_files_that_are_gone_have_no_dates(tmp_path):
    first = dated(tmp_path, "a", StudyDate="20000101")
    first.source.slices[0].path.unlink()
    assert days_between(first, first) is None


# -- as a job and a command --------------------------------------------------------------------


def test_a_job_stops_between_its_steps(patient):
    control = ThreadControl()
    job = growth_job(
        patient.scan, patient.mask, patient.later_scan, patient.later_mask, DAYS, control
    )
    assert next(job).event == "started"
    assert next(job).event == "progress"
    control.stop()
    assert [event.stopped for event in job] == [True]


def test_empty_masks_are_refused(patient):
    empty = patient.scan.mask(np.zeros_like(patient.mask.array))
    with pytest.raises(MaskError, match="no nodules in either mask"):
        compare_scans(patient.scan, empty, patient.scan, empty, DAYS)


def aligned_before(growth):
    """Return what lays scans on each other at once, as it was found before."""

    def aligning(scan, later_scan):
        yield Progress(done=1, total=1, unit="step")
        return growth.alignment

    return aligning


def test_the_command_writes_the_table(patient, growth, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(table_module, "aligning", aligned_before(growth))
    names = ("scan", "mask", "later_scan", "later_mask")
    paths = [tmp_path / f"{name}.mha" for name in names]
    for name, path in zip(names, paths, strict=True):
        write_volume(getattr(patient, name), path)
    out = tmp_path / "growth.csv"
    words = [str(path) for path in paths]
    assert main(["growth", *words, "--out", str(out)]) == 2
    assert "give --days" in capfd.readouterr().err
    assert not out.exists()
    assert main(["growth", *words, "--out", str(out), "--days", "180"]) == 0
    table = pd.read_csv(out)
    assert tuple(table.columns) == GROWTH_COLUMNS
    assert label_pairs(table) == label_pairs(growth.table)
    assert str(tmp_path) not in out.read_text()


def test_the_command_says_what_is_wrong_with_its_out(patient, tmp_path, capfd):
    image = sitk.GetImageFromArray(np.zeros((4, 4, 4), np.int16))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    words = [str(tmp_path / "a.mha")] * 4
    assert main(["growth", *words, "--out", str(tmp_path / "a.csv"), "--days", "9"]) == 2
    assert "no nodules" in capfd.readouterr().err
