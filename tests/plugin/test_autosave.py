"""What is not saved is kept beside the window, and read again as it was."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot

from napari_ctlns.errors import ProjectError
from napari_ctlns.events import Saved, Uncontrolled
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.plugin import autosave as module
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin import pieces, recovery_folder
from napari_ctlns.plugin.autosave import Autosave
from napari_ctlns.plugin.maps import map_tuple
from napari_ctlns.plugin.measuring import measured
from napari_ctlns.plugin.moments import MomentTaker
from napari_ctlns.plugin.project import save_project
from napari_ctlns.plugin.recovering import put_back
from napari_ctlns.plugin.recovery_file import RecoveryWriter, read_recovery
from napari_ctlns.plugin.recovery_folder import discard, find_work, hold, states, take_back
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Volume


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep edits at once: a test does not wait as long as a crash may take."""
    for name in ("_MS_AFTER_EDIT", "_MS_AFTER_MOVE", "_MS_AFTER_TROUBLE"):
        monkeypatch.setattr(module, name, 10)


@pytest.fixture
def on_disk(tmp_path: Path, volume: Volume) -> Volume:
    path = tmp_path / "scans" / "scan.mha"
    write_volume(volume, path)
    return read_scan(path)


@pytest.fixture
def at_work(
    model_session: Session, on_disk: Volume, annotations: tuple[Annotation, ...]
) -> Session:
    """A scan, an unsaved mask that was measured and judged, annotations, a place."""
    session = model_session
    session.add_scan(on_disk)
    array = (on_disk.array == 60).astype(np.uint8)
    array[12:] *= 2
    mask = session.add_mask(on_disk.mask(array), "balls")
    session.add_annotations(annotations, on_disk)
    session.choose(mask)
    session.keep_table(mask, measured(of.mask_of(mask), on_disk, None))
    findings = of.findings_of(mask)
    noted = findings.change(findings.of_label(2).uid, status="accepted", note="looks solid")
    of.keep_findings(mask, noted, of.mask_of(mask))
    session.viewer.dims.set_current_step(0, 8)
    session.viewer.scene.camera.zoom = 3.5
    return session


def keep(session: Session, folder: Path) -> None:
    """Keep what is open, here and now."""
    moment = MomentTaker(session).take(session.unsaved_layers)
    list(RecoveryWriter(folder).keep(moment, Uncontrolled()))


KEPT: list[ViewerModel] = []
"""A session goes with its viewer."""


def recover(folder: Path) -> tuple[Session, tuple[str, ...]]:
    """Open what was kept in another viewer."""
    KEPT.append(ViewerModel())
    session = session_of(KEPT[-1])
    return session, put_back(session, read_recovery(folder))


@pytest.fixture(autouse=True)
def _forget_viewers():
    yield
    KEPT.clear()


# -- the way there and back ----------------------------------------------------------------------


def test_everything_comes_back(at_work: Session, tmp_path: Path) -> None:
    before = at_work.mask
    before.opacity, before.contour = 0.25, 1
    keep(at_work, tmp_path / "kept")
    again, problems = recover(tmp_path / "kept")
    assert problems == ()
    scan, mask, points = again.viewer.layers
    assert of.scan_of(scan).source.path == at_work.volume.source.path
    assert np.array_equal(mask.data, before.data)
    assert (mask.name, mask.opacity, mask.contour) == ("balls", 0.25, 1)
    assert of.findings_of(mask) == of.findings_of(before)
    assert of.annotations_of_layer(points) == of.annotations_of_layer(at_work.annotations)
    assert again.table(mask).equals(at_work.table(before))
    assert not again.is_stale(mask)
    assert again.viewer.dims.current_step == at_work.viewer.dims.current_step
    assert again.viewer.scene.camera.zoom == 3.5
    assert again.viewer.layers.selection.active is points
    assert [layer.name for layer in again.unsaved_layers] == ["balls"]


def test_a_table_that_was_old_is_so_again(at_work: Session, tmp_path: Path) -> None:
    at_work.mask.paint((5, 10, 10), 1)
    keep(at_work, tmp_path / "kept")
    again, _ = recover(tmp_path / "kept")
    assert again.is_stale(again.mask)


def test_a_scan_that_is_gone_is_said_and_masks_open_without_it(
    at_work: Session, tmp_path: Path
) -> None:
    keep(at_work, tmp_path / "kept")
    at_work.volume.source.path.unlink()
    again, (words,) = recover(tmp_path / "kept")
    assert words.startswith("scan not found")
    assert again.scan is None
    assert np.array_equal(again.mask.data, at_work.mask.data)
    assert of.mask_of(again.mask).geometry == at_work.volume.geometry


def test_a_scan_that_is_open_already_is_not_opened_twice(at_work: Session, tmp_path: Path) -> None:
    keep(at_work, tmp_path / "kept")
    viewer = ViewerModel()
    session = session_of(viewer)
    session.add_scan(read_scan(at_work.volume.source.path))
    put_back(session, read_recovery(tmp_path / "kept"))
    assert len(session.layers_for("scan")) == 1
    assert session.volume_under(session.mask) is session.volume


def test_a_scan_without_a_file_and_maps_are_kept_when_there_is_time(
    model_session: Session, volume: Volume, tmp_path: Path
) -> None:
    model_session.add_scan(volume)
    thought = np.linspace(0, 1, volume.array.size, dtype=np.float16).reshape(volume.array.shape)
    model_session.add(map_tuple(volume.probability(thought), "probability", "thought"))
    mask = model_session.add_mask(volume.mask(np.ones(volume.array.shape, np.uint8)), "all")
    folder = tmp_path / "kept"
    job = RecoveryWriter(folder).keep(MomentTaker(model_session).take([mask]), Uncontrolled())
    while not isinstance(next(job), Saved):
        pass
    job.close()  # as if it ended here
    again, (words,) = recover(folder)
    assert "scan not found" in words
    assert [layer.name for layer in again.viewer.layers] == ["all"]
    keep(model_session, tmp_path / "whole")
    again, problems = recover(tmp_path / "whole")
    assert problems == ()
    assert np.array_equal(again.volume.array, volume.array)
    assert np.array_equal(again.viewer.layers["thought"].data, thought)


def test_layers_that_are_no_masks_and_no_annotations(at_work: Session, tmp_path: Path) -> None:
    viewer = at_work.viewer
    points = viewer.add_points([[1.0, 2, 3], [4, 5, 6]], size=[3, 7], name="marks", units="mm")
    flat = viewer.add_labels(np.zeros((5, 6), np.uint8), name="flat", units="mm", scale=(2, 2))
    flat.paint((2, 2), 3)
    moment = MomentTaker(at_work).take([points, flat])
    list(RecoveryWriter(tmp_path / "kept").keep(moment, Uncontrolled()))
    again, problems = recover(tmp_path / "kept")
    assert problems == ()
    assert np.array_equal(again.viewer.layers["marks"].data, points.data)
    assert np.array_equal(again.viewer.layers["marks"].size, [3, 7])
    assert np.array_equal(again.viewer.layers["flat"].data, flat.data)
    assert np.array_equal(again.viewer.layers["flat"].scale, (2, 2))


def test_a_new_labels_layer_of_naparis_stays_on_its_own_grid(
    at_work: Session, tmp_path: Path
) -> None:
    array = np.zeros((6, 10, 10), np.int32)
    layer = at_work.viewer.add_labels(
        array, name="own", scale=(5, 2, 2), translate=(100, -20, -10), units="mm"
    )
    layer.paint((3, 5, 5), 4)
    keep(at_work, tmp_path / "kept")
    again, _ = recover(tmp_path / "kept")
    back = again.viewer.layers["own"]
    assert np.array_equal(back.data, array)
    assert np.allclose(back.scale, layer.scale)
    assert np.allclose(back.translate, layer.translate)


# -- damage ----------------------------------------------------------------------------------------


def twice_kept(session: Session, folder: Path) -> np.ndarray:
    """Keep two moments; return the mask of the first."""
    taker, writer = MomentTaker(session), RecoveryWriter(folder)
    first = session.mask.data.copy()
    list(writer.keep(taker.take(session.unsaved_layers), Uncontrolled()))
    session.mask.paint((5, 10, 10), 1)
    list(writer.keep(taker.take(session.unsaved_layers), Uncontrolled()))
    writer.let_go()
    return first


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format_version": 1}', b"\xff" * 100])
def test_of_a_damaged_state_the_one_before_is_left(
    at_work: Session, tmp_path: Path, damage: bytes
) -> None:
    folder = tmp_path / "all" / "kept"
    first = twice_kept(at_work, folder)
    newest, before = states(folder)
    newest.write_bytes(damage)
    assert np.array_equal(recover(folder)[0].mask.data, first)
    before.write_bytes(damage)
    (found,) = find_work(tmp_path / "all")
    assert "damaged" in found.trouble
    with pytest.raises(ProjectError, match="damaged"):
        read_recovery(folder)


def test_of_damaged_voxels_the_rest_is_left(
    at_work: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "_PIECE_BYTES", 12 * 48 * 48)  # two pieces, a ball in each
    folder = tmp_path / "kept"
    keep(at_work, folder)
    at_work_mask = at_work.mask.data.copy()
    (folder / "1.z").write_bytes(b"rubbish")
    again, (words,) = recover(folder)
    assert words == "1 part of balls could not be read"
    at_work_mask[:12] = 0
    assert np.array_equal(again.mask.data, at_work_mask)


def test_a_damaged_table_is_left_out(at_work: Session, tmp_path: Path) -> None:
    keep(at_work, tmp_path / "kept")
    (table,) = (tmp_path / "kept").glob("*.csv")
    table.write_text("label\nwhat")
    again, _ = recover(tmp_path / "kept")
    assert again.table(again.mask) is None


def test_a_newer_version_is_refused_in_words(at_work: Session, tmp_path: Path) -> None:
    keep(at_work, tmp_path / "all" / "kept")
    (path,) = states(tmp_path / "all" / "kept")
    contents = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**contents, "format_version": 99}))
    (found,) = find_work(tmp_path / "all")
    assert "update" in found.trouble


def test_only_two_states_and_their_files_are_kept(at_work: Session, tmp_path: Path) -> None:
    taker, writer = MomentTaker(at_work), RecoveryWriter(tmp_path)
    for row in range(10, 30):
        at_work.mask.paint((5, row, 10), 1)
        list(writer.keep(taker.take(at_work.unsaved_layers), Uncontrolled()))
    assert len(states(tmp_path)) == 2
    assert len(list(tmp_path.glob("*.z"))) == 2
    assert len(list(tmp_path.glob("*.csv"))) == 1


# -- whose it is -----------------------------------------------------------------------------------


def test_the_work_of_a_window_that_lives_is_not_offered(at_work: Session, tmp_path: Path) -> None:
    writer = RecoveryWriter(tmp_path / "one")
    list(writer.keep(MomentTaker(at_work).take(at_work.unsaved_layers), Uncontrolled()))
    assert find_work(tmp_path) == []
    writer.let_go()
    (found,) = find_work(tmp_path)
    assert found.words == "1 mask, 2 annotations on scan.mha"
    assert find_work(tmp_path) == []  # it is offered in one window only
    found.lock.release()


def test_what_was_discarded_can_be_taken_back_for_a_day(
    at_work: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = RecoveryWriter(tmp_path / "one")
    list(writer.keep(MomentTaker(at_work).take(at_work.unsaved_layers), Uncontrolled()))
    writer.let_go()
    (found,) = find_work(tmp_path)
    discard(found)
    found.lock.release()
    assert find_work(tmp_path) == []
    take_back(found)
    (again,) = find_work(tmp_path)
    discard(again)
    again.lock.release()
    monkeypatch.setattr(recovery_folder, "_SECONDS_TO_UNDO", -1)
    assert find_work(tmp_path) == []
    assert not found.folder.exists()


def test_a_folder_without_work_is_removed_but_not_one_that_is_just_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    assert find_work(tmp_path) == []
    assert (tmp_path / "empty").exists()
    monkeypatch.setattr(recovery_folder, "_YOUNG_SECONDS", -1)
    assert find_work(tmp_path) == []
    assert not (tmp_path / "empty").exists()
    assert find_work(tmp_path / "nowhere") == []


# -- when ------------------------------------------------------------------------------------------


@pytest.fixture
def autosave(at_work: Session, tmp_path: Path) -> Iterator[Autosave]:
    """One that has begun, and is ended with its session."""
    autosave = at_work.part(Autosave)
    autosave.begin(tmp_path / "all" / "mine")
    yield autosave
    at_work.close()


Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture
def wait(qtbot: QtBot) -> Wait:
    return lambda condition: qtbot.waitUntil(condition, timeout=10_000)


def mask_on_disk(folder: Path) -> np.ndarray:
    return next(iter(read_recovery(folder).arrays.values()))


def test_edits_are_kept_and_kept_again(autosave: Autosave, at_work: Session, wait: Wait, tmp_path):
    folder = tmp_path / "all" / "mine"
    wait(lambda: autosave.kept_at is not None)
    assert np.array_equal(mask_on_disk(folder), at_work.mask.data)
    for row in (10, 20):
        at_work.mask.paint((5, row, 10), 1)
        wait(lambda: np.array_equal(mask_on_disk(folder), at_work.mask.data))
    at_work.mask.undo()
    wait(lambda: np.array_equal(mask_on_disk(folder), at_work.mask.data))


def test_a_stroke_that_goes_on_is_kept_before_it_ends(
    autosave: Autosave, at_work: Session, wait: Wait, tmp_path: Path
) -> None:
    wait(lambda: autosave.kept_at is not None)
    at_work.mask._begin_stroke()
    at_work.mask.paint((5, 10, 10), 1)
    wait(lambda: np.array_equal(mask_on_disk(tmp_path / "all" / "mine"), at_work.mask.data))
    at_work.mask._commit_stroke()


def test_a_first_stroke_is_kept_too(
    model_session: Session, on_disk: Volume, wait: Wait, tmp_path: Path
) -> None:
    session = model_session
    session.add_scan(on_disk)
    mask = session.add_mask(on_disk.mask(np.zeros(on_disk.array.shape, np.uint8)), "new")
    session.saved(mask)
    autosave = session.part(Autosave)
    autosave.begin(tmp_path / "mine")
    mask._begin_stroke()
    mask.paint((5, 10, 10), 1)
    wait(lambda: autosave.kept_at is not None)
    assert np.array_equal(mask_on_disk(tmp_path / "mine"), mask.data)
    mask._commit_stroke()
    session.close()


def test_moved_annotations_and_the_place_are_kept(
    autosave: Autosave, at_work: Session, wait: Wait, tmp_path: Path
) -> None:
    def kept():
        return read_recovery(tmp_path / "all" / "mine").project.contents

    wait(lambda: autosave.kept_at is not None)
    at_work.annotations.add([[3.0, 4, 5]])
    wait(lambda: len(kept().layers[2].rows) == 3)
    at_work.viewer.dims.set_current_step(0, 3)
    wait(lambda: kept().view.point[0] == at_work.viewer.dims.point[0])


def test_nothing_is_left_when_all_is_saved(
    autosave: Autosave, at_work: Session, wait: Wait, tmp_path: Path
) -> None:
    wait(lambda: autosave.kept_at is not None)
    save_project(at_work, tmp_path / "a.ctlns")
    wait(lambda: not (tmp_path / "all" / "mine").exists())
    assert autosave.kept_at is None
    at_work.mask.paint((5, 10, 10), 1)
    wait(lambda: autosave.kept_at is not None)
    again, _ = recover(tmp_path / "all" / "mine")
    assert again.project == tmp_path / "a.ctlns"


def test_a_scan_alone_is_not_kept(
    model_session: Session, on_disk: Volume, qtbot: QtBot, tmp_path: Path
) -> None:
    autosave = model_session.part(Autosave)
    autosave.begin(tmp_path / "mine")
    model_session.add_scan(on_disk)
    model_session.viewer.dims.set_current_step(0, 3)
    qtbot.wait(100)
    assert not (tmp_path / "mine").exists()
    model_session.close()


def test_a_full_disk_is_told_once_and_tried_again(
    autosave: Autosave, at_work: Session, wait: Wait, tmp_path: Path, monkeypatch
) -> None:
    from napari.utils import notifications

    told: list[str] = []
    monkeypatch.setattr(notifications, "show_warning", told.append)
    wait(lambda: autosave.kept_at is not None)
    tried = []

    def full(_file: int) -> None:
        tried.append(1)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pieces.os, "fsync", full)
        at_work.mask.paint((5, 10, 10), 1)
        wait(lambda: len(tried) > 3)
        assert "No space left" in autosave.trouble
    wait(lambda: not autosave.trouble)
    (words,) = told
    assert "No space left on device" in words
    assert np.array_equal(mask_on_disk(tmp_path / "all" / "mine"), at_work.mask.data)


def test_painting_goes_on_while_it_is_written(
    autosave: Autosave, at_work: Session, wait: Wait, tmp_path: Path, monkeypatch
) -> None:
    """Slow writing holds up nobody, and what came meanwhile is kept next."""
    wait(lambda: autosave.kept_at is not None)
    may_go_on, began = threading.Event(), threading.Event()
    really = pieces.os.fsync

    def slowly(file: int) -> None:
        began.set()
        assert may_go_on.wait(10)
        really(file)

    monkeypatch.setattr(pieces.os, "fsync", slowly)
    at_work.mask.paint((5, 10, 10), 1)
    wait(began.is_set)
    at_work.mask.paint((5, 30, 30), 1)
    may_go_on.set()
    wait(lambda: np.array_equal(mask_on_disk(tmp_path / "all" / "mine"), at_work.mask.data))


def test_a_window_that_is_closed_by_a_program_leaves_what_is_unsaved(
    autosave: Autosave, at_work: Session, wait: Wait, tmp_path: Path
) -> None:
    wait(lambda: autosave.kept_at is not None)
    at_work.close()
    (found,) = find_work(tmp_path / "all")
    found.lock.release()
    assert hold(found.folder) is not None


def test_what_a_person_let_go_is_not_left(
    autosave: Autosave, at_work: Session, wait: Wait, tmp_path: Path
) -> None:
    wait(lambda: autosave.kept_at is not None)
    autosave.forget()
    at_work.close()
    assert not (tmp_path / "all" / "mine").exists()
