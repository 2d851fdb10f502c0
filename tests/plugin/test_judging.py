"""What a reader says of findings, and what becomes of it: undo, files, projects, other steps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from napari.components import ViewerModel
from napari.layers import Labels

from napari_ctlns.events import Finished, ThreadControl
from napari_ctlns.findings import Findings
from napari_ctlns.measurement import measure
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin import saving, training_set
from napari_ctlns.plugin.judging import Judging, judging_of
from napari_ctlns.plugin.measuring import measure_job, save_table_job
from napari_ctlns.plugin.moments import MomentTaker
from napari_ctlns.plugin.project import restore, save_project
from napari_ctlns.plugin.project_file import read_project_file
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.plugin.settings import Settings
from napari_ctlns.plugin.teaching import add_job
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.recipe import load_recipe
from napari_ctlns.volume import Volume


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    chosen = Settings("cpu", "fp32", "lung", tmp_path, reader="anna")
    monkeypatch.setattr(training_set, "read_settings", lambda: chosen)
    return chosen


@pytest.fixture
def mask(volume: Volume) -> Volume:
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[:12], labels[12:] = volume.array[:12] == 60, 2 * (volume.array[12:] == 60)
    return volume.mask(labels)


@pytest.fixture
def layer(model_session: Session, volume: Volume, mask: Volume) -> Labels:
    model_session.add_scan(volume)
    findings = Findings(scan_id=volume.scan_id).follow(mask.array, "model")
    layer = model_session.add_mask(volume.mask(mask.array.copy()), "mask", findings)
    model_session.keep_table(layer, measure(mask, volume))
    model_session.saved(layer)
    return layer


@pytest.fixture
def judging(layer: Labels, model_session: Session) -> Judging:
    return judging_of(model_session)


def uid(layer: Labels, label: int) -> str:
    return of.findings_of(layer).of_label(label).uid


def statuses(layer: Labels) -> list[str]:
    return [finding.status for finding in of.findings_of(layer).items]


def press(layer: Labels, keys: str) -> None:
    """Press keys while the layer is selected, as napari finds what they do."""
    (does,) = [does for key, does in layer.keymap.items() if str(key) == keys]
    does(layer)


def last(job: object) -> Finished:
    *_, event = job  # type: ignore[misc]
    assert isinstance(event, Finished)
    return event


# -- saying ------------------------------------------------------------------------------


def test_a_judgement_keeps_who_and_when(
    judging: Judging, layer: Labels, model_session: Session
) -> None:
    before = of.findings_of(layer).of_label(2)
    judging.accept(layer, [before.uid])
    after = of.findings_of(layer).of_label(2)
    assert (after.status, after.reader) == ("accepted", "anna")
    assert after.time > before.time
    assert of.findings_of(layer).of_label(1).reader == ""
    assert model_session.is_unsaved(layer)
    assert not model_session.is_stale(layer)  # the table stands


def test_several_are_judged_and_taken_back_at_once(judging: Judging, layer: Labels) -> None:
    judging.reject(layer, [uid(layer, 1), uid(layer, 2)])
    assert statuses(layer) == ["rejected", "rejected"]
    judging.undo_last(layer)
    assert statuses(layer) == ["new", "new"]
    assert [f.reader for f in of.findings_of(layer).items] == ["", ""]
    assert not judging.can_undo(layer)


def test_what_was_edited_is_open_as_edited(judging: Judging, layer: Labels) -> None:
    judging.accept(layer, [uid(layer, 1)])
    layer.paint((8, 16, 18), 0)
    judging.reopen(layer, [uid(layer, 1)])
    assert statuses(layer)[0] == "edited"
    judging.undo_last(layer)
    assert statuses(layer)[0] == "accepted"
    judging.undo_last(layer)  # before it was accepted it was new, but now it is edited
    assert statuses(layer)[0] == "edited"


def test_a_rejected_nodule_keeps_its_voxels(judging: Judging, layer: Labels, mask: Volume) -> None:
    judging.reject(layer, [uid(layer, 1)])
    assert np.array_equal(layer.data, mask.array)


# -- undo in order with strokes -------------------------------------------------------------


def test_ctrl_z_takes_back_judgements_and_strokes_in_order(
    judging: Judging, layer: Labels, mask: Volume
) -> None:
    layer.paint((20, 24, 24), 5)
    judging.accept(layer, [uid(layer, 1)])
    layer.paint((20, 24, 30), 6)
    judging.set_note(layer, [uid(layer, 6)], "new one")
    seen = []
    for keys in ["Ctrl+Z"] * 4 + ["Ctrl+Shift+Z"] * 4:
        press(layer, keys)
        labels = set(np.unique(layer.data).tolist()) - {0, 1, 2}
        note = "new one" in [finding.note for finding in of.findings_of(layer).items]
        seen.append((labels, statuses(layer)[0], note))
    assert seen == [
        ({5, 6}, "accepted", False),
        ({5}, "accepted", False),
        ({5}, "new", False),
        (set(), "new", False),
        ({5}, "new", False),
        ({5}, "accepted", False),
        ({5, 6}, "accepted", False),
        ({5, 6}, "accepted", True),
    ]


def test_the_panels_undo_leaves_strokes_alone(judging: Judging, layer: Labels) -> None:
    judging.reject(layer, [uid(layer, 2)])
    layer.paint((20, 24, 24), 5)
    judging.undo_last(layer)
    assert statuses(layer)[1] == "new"
    assert 5 in layer.data
    press(layer, "Ctrl+Z")
    assert 5 not in layer.data


def test_a_stroke_that_napari_undoes_by_itself_leaves_the_order_right(
    judging: Judging, layer: Labels
) -> None:
    judging.reject(layer, [uid(layer, 2)])
    layer.paint((20, 24, 24), 5)
    layer.undo()  # the Correct panel, or a script
    press(layer, "Ctrl+Z")
    assert statuses(layer)[1] == "new"


def test_another_array_forgets_strokes_but_no_judgement(judging: Judging, layer: Labels) -> None:
    judging.reject(layer, [uid(layer, 2)])
    layer.paint((20, 24, 24), 5)
    layer.data = layer.data.copy()
    judging.undo_last(layer)
    assert statuses(layer)[1] == "new"


# -- what outlives what -----------------------------------------------------------------------


def say_all(judging: Judging, layer: Labels) -> tuple[str, ...]:
    one = [uid(layer, 1)]
    judging.accept(layer, one)
    judging.set_type(layer, one, "part-solid")
    judging.set_note(layer, one, "  left upper lobe ")
    return said(layer, 1)


def said(layer: Labels, label: int) -> tuple[str, ...]:
    finding = of.findings_of(layer).of_label(label)
    return (finding.status, finding.type, finding.note, finding.reader, str(finding.time))


def test_measuring_again_keeps_what_was_said(
    judging: Judging, layer: Labels, model_session: Session, volume: Volume
) -> None:
    words = say_all(judging, layer)
    assert words[:4] == ("accepted", "part-solid", "left upper lobe", "anna")
    table = model_session.table(layer)
    again = last(measure_job(of.mask_of(layer), volume, table, ThreadControl()))
    model_session.keep_table(layer, again.result["table"])
    assert said(layer, 1) == words


def test_both_parts_of_a_split_and_what_a_merge_keeps_know_it(
    judging: Judging, layer: Labels
) -> None:
    words = say_all(judging, layer)
    layer.n_edit_dimensions = 3
    layer.data_setitem(tuple(np.argwhere(layer.data[:9] == 1).T), 7)  # its lower part
    assert said(layer, 7)[:4] == said(layer, 1)[:4] == words[:4]
    layer.data_setitem(np.nonzero(layer.data == 2), 1)
    assert said(layer, 1)[:4] == words[:4]


def test_a_project_keeps_it(
    judging: Judging, layer: Labels, model_session: Session, tmp_path: Path
) -> None:
    words = say_all(judging, layer)
    judging.reject(layer, [uid(layer, 2)])
    save_project(model_session, tmp_path / "a.ctlns")
    viewer = ViewerModel()
    session = session_of(viewer)
    restore(session, read_project_file(tmp_path / "a.ctlns"))
    assert session.mask is not None
    assert said(session.mask, 1) == words
    assert statuses(session.mask) == ["accepted", "rejected"]
    assert np.array_equal(session.mask.data, layer.data)  # the rejected one can be reopened


def test_what_is_kept_against_a_crash_has_it(
    judging: Judging, layer: Labels, model_session: Session
) -> None:
    words = say_all(judging, layer)
    moment = MomentTaker(model_session).take([layer])
    (mask,) = [one for one in moment.state.contents.layers if one.kind == "mask"]
    kept = mask.model_validate_json(mask.model_dump_json()).findings.of_label(1)
    assert (kept.status, kept.type, kept.note, kept.reader, str(kept.time)) == words


def test_what_a_model_draws_anew_leaves_a_nodule_with_a_note_alone(
    judging: Judging, layer: Labels
) -> None:
    assert not of.findings_of(layer).of_label(1).touched
    judging.set_note(layer, [uid(layer, 1)], "look again")
    assert of.findings_of(layer).of_label(1).touched


# -- what is left out of files ------------------------------------------------------------------


def test_a_rejected_nodule_is_in_no_mask_file(
    judging: Judging, layer: Labels, volume: Volume, tmp_path: Path
) -> None:
    judging.reject(layer, [uid(layer, 1)])
    findings = of.findings_of(layer)
    job = saving.save_mask_job(of.mask_of(layer), volume, tmp_path / "a.nii.gz", findings)
    assert last(job).result["left_out"] == 1
    words = saving.save_mask(layer, tmp_path / "b.nii.gz", volume)
    assert words == ("left out as rejected: 1 nodule",)
    for name in ("a", "b"):
        image = sitk.ReadImage(str(tmp_path / f"{name}.nii.gz"))
        written = sitk.GetArrayFromImage(image)
        assert set(np.unique(written).tolist()) == {0, 2}
    assert 1 in layer.data


def test_a_rejected_nodule_has_no_row_in_the_file_of_the_table(
    judging: Judging, layer: Labels, volume: Volume, model_session: Session, tmp_path: Path
) -> None:
    judging.reject(layer, [uid(layer, 1)])
    table, path = model_session.table(layer), tmp_path / "a.csv"
    mask, findings = of.mask_of(layer), of.findings_of(layer)
    result = last(save_table_job(mask, volume, table, True, path, findings)).result
    assert pd.read_csv(path)["label"].tolist() == [2]
    assert result["table"]["label"].tolist() == [1, 2]  # the panel goes on showing both
    assert result["left_out"] == 1


def test_a_model_does_not_learn_what_was_rejected(
    judging: Judging,
    layer: Labels,
    volume: Volume,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judging.reject(layer, [uid(layer, 1)])
    given = []
    monkeypatch.setattr(
        "napari_ctlns.dataset.add_correction", lambda _f, _s, mask, *_: given.append(mask)
    )
    mask, findings = of.mask_of(layer), of.findings_of(layer)
    last(add_job(mask, volume, tmp_path, "anna", load_recipe("ct-lns"), findings))
    assert set(np.unique(given[0].array).tolist()) == {0, 2}


def test_the_window_hands_over_what_was_rejected(
    judging: Judging, layer: Labels, model_session: Session, tmp_path: Path
) -> None:
    judging.reject(layer, [uid(layer, 1)])
    there = model_session.part(training_set.TrainingSet)
    there.choose(tmp_path / "set")
    work = there.add(layer)
    assert isinstance(work, ThreadWork)
    work.join()
    (stored,) = (tmp_path / "set").rglob("masks/*.npy")
    assert 1 not in np.load(stored)
