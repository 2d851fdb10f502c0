"""After a crash the work is offered again, and what is not saved is seen and asked about."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from napari.utils import notifications
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_ctlns.events import Uncontrolled
from napari_ctlns.formats import read_scan, write_volume
from napari_ctlns.plugin import autosave as autosave_module
from napari_ctlns.plugin.autosave import Autosave
from napari_ctlns.plugin.closing import CloseGuard
from napari_ctlns.plugin.moments import MomentTaker
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.panels.scan_panel import ScanPanel
from napari_ctlns.plugin.project_file import read_project_file
from napari_ctlns.plugin.recovering import Recoveries, offer_recovery
from napari_ctlns.plugin.recovery_file import RecoveryWriter
from napari_ctlns.plugin.recovery_folder import find_work, states
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Volume

TIMEOUT = 10_000


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autosave_module, "_MS_AFTER_EDIT", 10)


@pytest.fixture
def scan(tmp_path: Path, volume: Volume) -> Volume:
    path = tmp_path / "scan.mha"
    write_volume(volume, path)
    return read_scan(path)


def leave_work(root: Path, scan: Volume, name: str = "crashed", label: int = 3) -> Path:
    """Leave what a window does that crashed."""
    viewer = ViewerModel()
    session = session_of(viewer)
    session.add_scan(scan)
    mask = session.add_mask(scan.mask(np.zeros(scan.array.shape, np.uint8)), "nodules")
    mask.paint((5, 10, 10), label)
    viewer.dims.set_current_step(0, 5)
    writer = RecoveryWriter(root / name)
    list(writer.keep(MomentTaker(session).take([mask]), Uncontrolled()))
    writer.let_go()
    return root / name


Look = Callable[[], ScanPanel]


@pytest.fixture
def look(model_session: Session, recoveries: Path, qtbot: QtBot) -> Iterator[Look]:
    """Open a Scan panel and let it look for work."""
    panels = []

    def look_() -> ScanPanel:
        panel = ScanPanel(model_session.viewer)
        qtbot.addWidget(panel)
        panels.append(panel)
        found = model_session.part(Recoveries)
        found.look(recoveries)
        qtbot.waitUntil(lambda: found.work is None, timeout=TIMEOUT)
        return panel

    yield look_
    model_session.close()


def click(qtbot: QtBot, button) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


# -- the offer -----------------------------------------------------------------------------------


def test_work_is_recovered(
    look: Look, model_session: Session, recoveries: Path, scan: Volume, qtbot: QtBot
) -> None:
    folder = leave_work(recoveries, scan)
    panel = look()
    offer = panel.recovery_offer
    assert offer.said.startswith("napari ended unexpectedly. Recover the work of ")
    assert offer.said.endswith(": 1 mask on scan.mha?")
    autosave = model_session.part(Autosave)
    autosave.begin(recoveries / "mine")
    click(qtbot, offer.take)
    qtbot.waitUntil(lambda: offer.said == "", timeout=TIMEOUT)
    assert panel.job_bar.said == "Recovered, not saved yet"
    assert model_session.mask.data[5, 10, 10] == 3
    assert model_session.volume.source.path == scan.source.path
    assert model_session.viewer.dims.current_step[0] == 5
    assert model_session.is_unsaved(model_session.mask)
    # the old files go as soon as the work is kept anew
    qtbot.waitUntil(lambda: not folder.exists(), timeout=TIMEOUT)
    assert states(recoveries / "mine")


def test_without_a_new_place_the_old_files_stay(
    look: Look, model_session: Session, recoveries: Path, scan: Volume, qtbot: QtBot
) -> None:
    folder = leave_work(recoveries, scan)
    panel = look()
    click(qtbot, panel.recovery_offer.take)
    qtbot.waitUntil(lambda: model_session.mask is not None, timeout=TIMEOUT)
    assert states(folder)


def test_discarding_can_be_taken_back(look: Look, recoveries: Path, scan: Volume, qtbot: QtBot):
    folder = leave_work(recoveries, scan)
    offer = look().recovery_offer
    words = offer.said
    click(qtbot, offer.leave)
    assert offer.said == "Discarded: 1 mask on scan.mha."
    assert not offer.later.isVisibleTo(offer)
    click(qtbot, offer.take)
    assert offer.said == words
    click(qtbot, offer.leave)
    click(qtbot, offer.leave)
    assert offer.said == ""
    assert not folder.exists()


def test_later_means_the_next_window(
    look: Look, model_session: Session, recoveries: Path, scan: Volume, qtbot: QtBot
) -> None:
    leave_work(recoveries, scan)
    offer = look().recovery_offer
    assert find_work(recoveries) == []  # offered here, and nowhere else
    click(qtbot, offer.later)
    assert offer.said == ""
    model_session.part(Recoveries).look(recoveries)
    qtbot.waitUntil(lambda: offer.said != "", timeout=TIMEOUT)


def test_one_after_the_other_the_newest_first(
    look: Look, recoveries: Path, scan: Volume, qtbot: QtBot
) -> None:
    leave_work(recoveries, scan, "old")
    time.sleep(0.02)
    leave_work(recoveries, scan, "new")
    offer = look().recovery_offer
    assert offer.said.endswith("(1 more after this)")
    click(qtbot, offer.leave)
    click(qtbot, offer.leave)
    assert not (recoveries / "new").exists()
    assert offer.said.endswith("scan.mha?")


def test_damaged_work_is_told_and_can_be_put_away(
    look: Look, model_session: Session, recoveries: Path, scan: Volume, qtbot: QtBot
) -> None:
    folder = leave_work(recoveries, scan)
    (state,) = states(folder)
    whole = state.read_bytes()
    state.write_bytes(whole[:100])
    offer = look().recovery_offer
    assert "cannot be recovered: damaged" in offer.said
    click(qtbot, offer.take)
    qtbot.waitUntil(offer.isEnabled, timeout=TIMEOUT)
    assert "cannot be recovered" in offer.said
    assert len(model_session.viewer.layers) == 0
    state.write_bytes(whole)
    click(qtbot, offer.take)
    qtbot.waitUntil(lambda: offer.said == "", timeout=TIMEOUT)
    assert model_session.mask is not None


def test_a_window_opens_the_panel_that_offers_it(
    make_napari_viewer: Callable[..., Viewer], recoveries: Path, scan: Volume, qtbot: QtBot
) -> None:
    leave_work(recoveries, scan)
    viewer = make_napari_viewer(show=True)
    session_of(viewer)
    qtbot.waitUntil(lambda: len(viewer.window.dock_widgets) == 1, timeout=TIMEOUT)
    ((name, panel),) = viewer.window.dock_widgets.items()
    assert name.startswith("Scan")
    assert panel.recovery_offer.said


def test_the_command_says_that_there_is_nothing(
    viewer: Viewer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(notifications, "show_info", told.append)
    offer_recovery()
    assert told == ["There is no unsaved work of a napari that crashed."]


# -- the sign ------------------------------------------------------------------------------------


def test_the_sign_says_what_is_not_saved(
    model_session: Session, scan: Volume, recoveries: Path, qtbot: QtBot, held: list[object]
) -> None:
    panel = ScanPanel(model_session.viewer)
    held.append(panel)
    qtbot.addWidget(panel)
    assert not panel.saved_sign.isVisibleTo(panel)
    model_session.add_scan(scan)
    model_session.part(Autosave).begin(recoveries / "mine")
    layer = model_session.add_mask(scan.mask(np.zeros(scan.array.shape, np.uint8)), "mine")
    assert panel.saved_sign.text().startswith("● Not saved: mine.")
    qtbot.waitUntil(lambda: "Kept against a crash at " in panel.saved_sign.text(), timeout=TIMEOUT)
    nodules = NodulesPanel(model_session.viewer)
    held.append(nodules)
    qtbot.addWidget(nodules)
    assert "● Not saved. Kept against a crash at " in nodules.signs.text()
    model_session.saved(layer)
    assert panel.saved_sign.text() == "Saved."
    qtbot.waitUntil(lambda: model_session.table(layer) is not None, timeout=TIMEOUT)
    model_session.close()


def test_the_title_has_the_sign(viewer: Viewer, session: Session, scan: Volume) -> None:
    window = viewer.window._qt_window
    assert not window.isWindowModified()
    layer = session.add_mask(scan.mask(np.zeros(scan.array.shape, np.uint8)), "mine")
    assert window.isWindowModified()
    viewer.title = "another"
    assert window.windowTitle() == "another[*]"
    session.saved(layer)
    assert not window.isWindowModified()


# -- closing -------------------------------------------------------------------------------------


def closes(viewer: Viewer) -> bool:
    """Ask whether the window may close, as Qt does when a person closes it.

    It does not close: `make_napari_viewer` needs it whole when it closes it.
    """
    window = viewer.window._qt_window
    event = QCloseEvent()
    kept_open = window.findChild(CloseGuard).eventFilter(window, event)
    assert kept_open != event.isAccepted()
    return not kept_open


@pytest.fixture
def unsaved(viewer: Viewer, scan: Volume, qtbot: QtBot) -> Session:
    """A window with an unsaved mask, which is kept against a crash already."""
    session = session_of(viewer)
    session.add_scan(scan)
    session.add_mask(scan.mask(np.zeros(scan.array.shape, np.uint8)), "mine").paint((5, 9, 9), 1)
    qtbot.waitUntil(lambda: session.part(Autosave).kept_at is not None, timeout=TIMEOUT)
    return session


def answer(words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answer each question with the button of these words, or its only one."""
    asked: list[str] = []

    def exec_(question: QMessageBox) -> int:
        asked.append(question.text())
        buttons = question.buttons()
        (button,) = [b for b in buttons if b.text() == words] if len(buttons) > 1 else buttons
        button.click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", exec_)
    return asked


def test_cancel_keeps_the_window(viewer: Viewer, unsaved: Session, monkeypatch) -> None:
    asked = answer("Cancel", monkeypatch)
    assert not closes(viewer)
    assert asked == ["Not saved: mine."]
    assert unsaved.unsaved_layers


def test_discard_leaves_nothing(
    viewer: Viewer, unsaved: Session, recoveries: Path, monkeypatch
) -> None:
    answer("Discard", monkeypatch)
    assert closes(viewer)
    assert list(recoveries.iterdir()) == []


@pytest.mark.parametrize("known", [True, False])
def test_save_writes_the_project(
    viewer: Viewer, unsaved: Session, recoveries: Path, tmp_path: Path, monkeypatch, known: bool
) -> None:
    answer("Save", monkeypatch)
    path = tmp_path / "work.ctlns"
    if known:
        unsaved.project = path
    said = (str(path), "Projects (*.ctlns)")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", "") if known else said)
    assert closes(viewer)
    (array,) = read_project_file(path).arrays.values()
    assert array[5, 9, 9] == 1
    assert list(recoveries.iterdir()) == []


def test_no_place_chosen_keeps_the_window(viewer: Viewer, unsaved: Session, monkeypatch) -> None:
    answer("Save", monkeypatch)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    assert not closes(viewer)


def test_what_cannot_be_saved_keeps_the_window(
    viewer: Viewer, unsaved: Session, tmp_path: Path, monkeypatch
) -> None:
    asked = answer("Save", monkeypatch)
    unsaved.project = tmp_path / "scan.mha" / "work.ctlns"  # a file is no folder
    assert not closes(viewer)
    assert "annot write" in asked[1]
    unsaved.project = tmp_path / "work.ctlns"
    unsaved.mask.data[0, 0, 0] = 0
    layer = viewer.add_labels(np.zeros((4, 4, 4), np.int32), name="odd", units="mm")
    layer.paint((1, 1, 1), 70_000)
    assert not closes(viewer)
    assert "70000" in asked[3]


def test_a_program_is_not_asked(viewer: Viewer, unsaved: Session, monkeypatch) -> None:
    asked = answer("Cancel", monkeypatch)
    viewer.close()
    assert asked == []


def test_a_window_nobody_sees_is_not_asked_about(
    make_napari_viewer: Callable[..., Viewer], scan: Volume, monkeypatch
) -> None:
    asked = answer("Cancel", monkeypatch)
    viewer = make_napari_viewer(show=False)
    session = session_of(viewer)
    session.add_mask(scan.mask(np.zeros(scan.array.shape, np.uint8)), "mine")
    viewer.window._qt_window.close()
    assert asked == []
