"""From labels to tables and files, without a window."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from napari_ctlns.errors import CtlnsError, MaskError, OutputError
from napari_ctlns.events import Event, Finished, ThreadControl
from napari_ctlns.findings import Findings, Opinion
from napari_ctlns.measurement import COLUMNS, measure
from napari_ctlns.plugin import measuring, saving
from napari_ctlns.plugin.finding_rows import rows_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Geometry, Source, Volume


@pytest.fixture
def mask(volume: Volume) -> Volume:
    """The balls of `volume`, labels 1 and 2, in the type of napari's own new layers."""
    labels = np.zeros(volume.geometry.shape, np.int32)
    labels[:12], labels[12:] = volume.array[:12] == 60, 2 * (volume.array[12:] == 60)
    return volume.mask(labels)


def result(job: Iterator[Event]) -> Finished:
    last = list(job)[-1]
    assert isinstance(last, Finished)
    return last


def test_labels_are_copied_into_the_smallest_type(mask: Volume, volume: Volume) -> None:
    own = saving.mask_on_scan(mask, volume)
    assert own.array.dtype == np.uint8
    assert np.array_equal(own.array, mask.array)
    own.array[0, 0, 0] = 9
    assert mask.array[0, 0, 0] == 0
    mask.array[0, 0, 0] = 300
    assert saving.mask_on_scan(mask, volume).array.dtype == np.uint16


@pytest.mark.parametrize("label", [-1, 65536])
def test_labels_that_no_file_can_hold_are_refused(mask: Volume, volume: Volume, label: int) -> None:
    mask.array[0, 0, 0] = label
    with pytest.raises(MaskError, match="paint with labels from 1 to 65535"):
        saving.mask_on_scan(mask, volume)


def test_labels_on_another_grid_are_carried_over(mask: Volume, volume: Volume) -> None:
    part = Volume(mask.array[3:20, 10:], volume.geometry.cropped((3, 10, 0), (17, 38, 48)), "mask")
    own = saving.mask_on_scan(part, volume)
    assert np.array_equal(own.array, mask.array)
    finished = result(measuring.measure_job(part, volume, None, ThreadControl()))
    assert finished.result["table"].equals(measure(own, volume))
    assert "another grid" in finished.result["warnings"][0]


def test_labels_beside_the_scan_are_refused(mask: Volume, volume: Volume) -> None:
    beside = replace(mask, geometry=replace(mask.geometry, origin=(900.0, 0.0, 0.0)))
    with pytest.raises(MaskError, match="the mask of this layer lies beside the scan"):
        saving.mask_on_scan(beside, volume)


def test_measuring_can_be_stopped(mask: Volume, volume: Volume) -> None:
    control = ThreadControl()
    control.stop()
    assert result(measuring.measure_job(mask, volume, None, control)).stopped


def test_what_was_not_edited_keeps_its_probability(mask: Volume, volume: Volume) -> None:
    before = measure(mask, volume)
    before["mean_probability"] = [0.9, 0.8]
    before["centroid_x_mm"] += 1e-9  # as if it had been read from a file
    mask.array[15, 30, 28] = 0
    mask.array[20, 20:23, 20] = 3
    after = measuring.measured(mask, volume, before)
    assert after["label"].tolist() == [1, 2, 3]
    assert after["mean_probability"].iloc[0] == 0.9
    assert after["mean_probability"].iloc[1:].isna().all()


def test_findings_know_which_nodules_were_edited(mask: Volume, volume: Volume) -> None:
    findings = Findings().follow(mask.array, "model")
    before = measure(mask, volume)
    mask.array[15, 30, 28] = 0
    mask.array[20, 20:23, 20] = 3
    after = measure(mask, volume)
    findings = measuring.edited_since(findings.follow(mask.array), before, after)
    assert [(f.label, f.status, f.edited) for f in findings.items] == [
        (1, "new", False),
        (2, "edited", True),
        (3, "new", False),
    ]
    assert measuring.edited_since(findings, None, after) is findings


def test_a_status_that_a_person_gave_outlives_an_edit(mask: Volume, volume: Volume) -> None:
    findings = Findings().follow(mask.array)
    findings = findings.change(findings.of_label(2).uid, status="accepted")
    before = measure(mask, volume)
    mask.array[15, 30, 28] = 0
    findings = measuring.edited_since(findings, before, measure(mask, volume))
    assert (findings.of_label(2).status, findings.of_label(2).edited) == ("accepted", True)


def test_a_session_marks_what_was_edited_between_two_tables(
    model_session: Session, mask: Volume, volume: Volume
) -> None:
    from napari_ctlns.plugin.layers import findings_of

    model_session.add_scan(volume)
    findings = Findings().follow_labels((1, 2), "model")
    findings = findings.judged({1: Opinion(0.9), 2: Opinion(0.8)})
    layer = model_session.add_mask(mask, "mask", findings)
    model_session.keep_table(layer, measure(mask, volume))
    layer.data_setitem(tuple(np.array([i]) for i in (15, 30, 28)), 0)
    model_session.keep_table(layer, measure(mask, volume))
    columns = rows_of(measure(mask, volume), findings_of(layer))
    assert columns["status"] == ["new", "edited"]
    assert columns["probability"] == [0.9, 0.8]
    assert columns["voxels"] == measure(mask, volume)["voxels"].tolist()


def test_what_a_nodule_looks_like_is_said_until_somebody_touches_it(
    mask: Volume, volume: Volume
) -> None:
    def said(**changes: object) -> list[object]:
        findings = Findings().follow_labels((1, 2), "model")
        findings = findings.judged({1: Opinion(0.9, "vessel"), 2: Opinion(0.8, "lung wall")})
        findings = findings.change(findings.of_label(2).uid, **changes)
        return rows_of(measure(mask, volume), findings)["status"]

    assert said() == ["new, like a vessel", "new, like the lung wall"]
    assert said(status="accepted") == ["new, like a vessel", "accepted"]
    assert said(status="edited", edited=True) == ["new, like a vessel", "edited"]


def test_what_a_model_has_just_drawn_has_its_probability(mask: Volume, volume: Volume) -> None:
    before = measure(mask, volume)
    before["mean_probability"] = [0.9, 0.8]
    mask.array[15, 30, 28] = 0
    table = measuring.measured(mask, volume, before, {2: Opinion(0.7)})
    assert table["mean_probability"].tolist() == [0.9, 0.7]


@pytest.mark.parametrize("name", ["m.nii.gz", "m.nii", "m.mha", "m.mhd", "m.nrrd"])
def test_a_mask_is_saved_on_the_scans_own_grid(
    mask: Volume, volume: Volume, tmp_path: Path, name: str
) -> None:
    own = Geometry(volume.geometry.shape, (2.5, 1.0, 1.0), (27.0, 17.0, 100.0), FLIPPED)
    flipped = own.oriented()
    scan = Volume(volume.array, flipped, scan_id="flipped")
    job = saving.save_mask_job(scan.mask(mask.array), scan, tmp_path / name)
    assert result(job).result["path"] == tmp_path / name
    image = sitk.ReadImage(str(tmp_path / name))
    assert np.array_equal(sitk.GetArrayFromImage(image), mask.array[:, ::-1, ::-1])
    assert image.GetPixelID() == sitk.sitkUInt8
    assert np.allclose(image.GetOrigin(), own.origin)
    assert np.allclose(np.reshape(image.GetDirection(), (3, 3)), FLIPPED)


FLIPPED = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))


def test_a_mask_never_takes_the_place_of_its_scan(
    mask: Volume, volume: Volume, tmp_path: Path
) -> None:
    path = tmp_path / "scan.mha"
    path.write_bytes(b"precious")
    scan = replace(volume, source=Source(path=path, format="mha"))
    with pytest.raises(OutputError, match=r"scan\.mha is the scan itself"):
        result(saving.save_mask_job(mask, scan, path))
    assert path.read_bytes() == b"precious"


def test_a_fresh_table_is_saved_as_it_is_and_an_old_one_is_measured_again(
    mask: Volume, volume: Volume, tmp_path: Path
) -> None:
    table = measure(mask, volume)
    mask.array[20, 20:23, 20] = 3
    for fresh, rows in ((True, 2), (False, 3)):
        path = tmp_path / f"{fresh}.csv"
        finished = result(measuring.save_table_job(mask, volume, table, fresh, path))
        assert len(finished.result["table"]) == rows
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0] == ",".join(COLUMNS)
        assert len(lines) == rows + 1


def test_a_place_that_cannot_be_written_is_told(mask: Volume, volume: Volume) -> None:
    with pytest.raises(CtlnsError, match="unknown extension"):
        result(saving.save_mask_job(mask, volume, Path("mask.png")))
