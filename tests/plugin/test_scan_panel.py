"""The Scan panel, as a person uses it."""

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Labels
from napari.settings import get_settings
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QListWidget,
)

from napari_ctlns.findings import Annotation
from napari_ctlns.formats import ScanFile, write_annotations, write_volume
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.default_reader import PATTERNS
from napari_ctlns.plugin.panels import scan_panel
from napari_ctlns.plugin.panels.scan_panel import ScanPanel
from napari_ctlns.plugin.scan_facts import ScanFacts, facts_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.settings import offer_reader
from napari_ctlns.plugin.window_tool import window_tool_of
from napari_ctlns.plugin.windowing import PRESETS, Window
from napari_ctlns.volume import Geometry, Source, Volume

from .conftest import BALLS

LEFT = Qt.MouseButton.LeftButton
WAIT_MS = 20_000


@pytest.fixture
def panel(qtbot: QtBot, model_viewer: ViewerModel) -> ScanPanel:
    """The panel of a viewer without a window."""
    panel = ScanPanel(model_viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def files(tmp_path: Path, volume: Volume) -> dict[str, Path]:
    """The scan of `volume` in a file, and a table and a mask of it."""
    paths = {
        "scan": tmp_path / "case" / "chest.mha",
        "annotations": tmp_path / "nodules.csv",
        "mask": tmp_path / "mask.nii.gz",
    }
    paths["scan"].parent.mkdir()
    write_volume(volume, paths["scan"])
    write_annotations(paths["annotations"], [Annotation("chest", -2.0, -14.0, 120.0, 12.0)])
    write_volume(volume.mask((volume.array == 60).astype(np.uint8)), paths["mask"])
    return paths


def kinds(viewer: ViewerModel) -> list[str]:
    return [type(layer).__name__ for layer in viewer.layers]


def said(panel: ScanPanel) -> str:
    return str(panel.job_bar.said)


def read(qtbot: QtBot, panel: ScanPanel, ask: Callable[[], object]) -> None:
    """Do what starts reading, and wait until it is over."""
    with qtbot.waitSignal(panel.job_bar.ended, timeout=WAIT_MS):
        ask()


def know(qtbot: QtBot, panel: ScanPanel) -> None:
    """Wait until the facts of the scan are there."""
    qtbot.waitUntil(lambda: panel.facts.shown()["Size"] != "", timeout=WAIT_MS)


def drop(panel: ScanPanel, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    target = panel.open_controls.drop
    copy, none = Qt.DropAction.CopyAction, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), copy, data, LEFT, none)
    QApplication.sendEvent(target, enter)
    assert enter.isAccepted() == bool(paths)
    QApplication.sendEvent(target, QDropEvent(QPointF(5, 5), copy, data, LEFT, none))


# -- without a scan ---------------------------------------------------------------


def test_without_a_scan_the_panel_says_what_to_do(panel: ScanPanel) -> None:
    drop_words = panel.open_controls.drop.text()
    assert drop_words == "Drop a scan, a DICOM folder, annotations or a project here"
    controls = panel.window_controls
    for control in (controls.level, controls.width, controls.drag):
        assert not control.isEnabled()
        assert control.toolTip() == "Open a scan first"
    for button in (*controls.preset_buttons.values(), panel.job_bar.button):
        assert not button.isEnabled()
        assert button.toolTip() == "Open a scan first"
    assert panel.open_controls.scan.isEnabled()
    assert not panel.open_controls.mask.isEnabled()
    assert panel.open_controls.mask.toolTip() == "Open a scan first"
    assert panel.open_controls.project.isEnabled()


def test_everything_that_can_be_done_has_a_tooltip_and_the_keyboard_reaches_it(
    qtbot: QtBot, panel: ScanPanel, model_session: Session, volume: Volume
) -> None:
    model_session.add_scan(volume)
    know(qtbot, panel)
    panel.scan_choice.offer([ScanFile(Path("a.mha")), ScanFile(Path("b.mha"))])
    for kind in (QAbstractButton, QAbstractSpinBox, QComboBox, QListWidget):
        for control in panel.findChildren(kind):
            if control.isVisibleTo(panel) and control.objectName() != "qt_spinbox_lineedit":
                assert control.toolTip(), control
                assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, control


# -- opening ----------------------------------------------------------------------


def test_a_scan_and_its_table_dropped_together_become_image_and_points(
    qtbot: QtBot, panel: ScanPanel, model_viewer: ViewerModel, files: dict[str, Path]
) -> None:
    read(qtbot, panel, lambda: drop(panel, files["annotations"], files["scan"]))
    assert kinds(model_viewer) == ["Image", "Points"]
    assert said(panel) == "Opened a scan and annotations"
    assert panel.open_controls.drop.text() == "Drop more here"
    assert panel.job_bar.button.isEnabled()


@pytest.mark.parametrize(
    ("folder", "size"),
    [("lidc-idri-0001", "16, 512, 512 voxels"), ("lung-pet-ct-dx-a0001", "64, 512, 512 voxels")],
)
def test_real_series_open_with_their_own_window(
    qtbot: QtBot,
    panel: ScanPanel,
    model_session: Session,
    shared_data: Path,
    folder: str,
    size: str,
) -> None:
    read(qtbot, panel, lambda: drop(panel, shared_data / folder / "dicom"))
    know(qtbot, panel)
    shown = panel.facts.shown()
    assert (shown["Name"], shown["Size"]) == (f"{folder}/dicom", size)
    assert shown["Series"] == model_session.volume.scan_id  # type: ignore[union-attr]
    assert shown["Values"].startswith("-1024 to ")
    panel.window_controls.preset_buttons["header"].click()
    assert model_session.scan.contrast_limits == [-1400, 200]  # type: ignore[union-attr]


def test_what_is_no_file_is_not_taken(panel: ScanPanel, model_viewer: ViewerModel) -> None:
    drop(panel)
    assert not panel.job_bar.working


@pytest.mark.parametrize(
    ("button", "dialog", "name", "after"),
    [
        ("scan", "getOpenFileName", "scan", ["Image", "Image"]),
        ("dicom", "getExistingDirectory", "scan", ["Image", "Image"]),
        ("annotations", "getOpenFileName", "annotations", ["Image", "Points"]),
        ("mask", "getOpenFileName", "mask", ["Image", "Labels"]),
    ],
)
def test_each_button_asks_for_its_files(
    qtbot: QtBot,
    panel: ScanPanel,
    model_session: Session,
    volume: Volume,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    button: str,
    dialog: str,
    name: str,
    after: list[str],
) -> None:
    model_session.add_scan(replace(volume, scan_id="chest"))
    path = str(files[name].parent if dialog == "getExistingDirectory" else files[name])
    answer = path if dialog == "getExistingDirectory" else (path, "")
    monkeypatch.setattr(QFileDialog, dialog, lambda *_: answer)
    control = getattr(panel.open_controls, button)
    click = control.trigger if button in ("annotations", "mask") else control.click
    read(qtbot, panel, click)
    assert kinds(model_session.viewer) == after
    assert not panel.job_bar.status.property("trouble")


def test_a_dialog_that_is_closed_opens_nothing(
    panel: ScanPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    panel.open_controls.scan.click()
    panel.open_controls.dicom.click()
    assert not panel.job_bar.working


def test_an_error_is_said_in_words_and_the_panel_goes_on(
    qtbot: QtBot,
    panel: ScanPanel,
    model_viewer: ViewerModel,
    files: dict[str, Path],
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.mha"
    broken.write_bytes(b"junk")
    read(qtbot, panel, lambda: drop(panel, broken))
    assert str(broken) in said(panel)
    assert panel.job_bar.status.property("trouble")
    assert kinds(model_viewer) == []
    read(qtbot, panel, lambda: drop(panel, files["scan"], tmp_path / "absent.csv"))
    assert kinds(model_viewer) == ["Image"]
    assert said(panel).startswith("Opened a scan. No such table")
    assert panel.job_bar.status.property("trouble")


def test_several_scans_in_a_folder_are_offered_in_a_list(
    qtbot: QtBot, panel: ScanPanel, model_session: Session, files: dict[str, Path], volume: Volume
) -> None:
    folder = files["scan"].parent
    write_volume(volume, folder / "second.mha")
    read(qtbot, panel, lambda: drop(panel, folder))
    assert said(panel) == "Choose a scan in the list above"
    assert kinds(model_session.viewer) == []
    names = panel.scan_choice.list
    assert [names.item(i).text() for i in range(names.count())] == ["chest.mha", "second.mha"]
    assert panel.scan_choice.isVisible()
    qtbot.keyClick(names, Qt.Key.Key_Down)
    read(qtbot, panel, panel.scan_choice.open.click)
    assert not panel.scan_choice.isVisible()
    assert model_session.volume is not None
    assert model_session.volume.scan_id == "second"


def test_the_list_can_be_put_away(panel: ScanPanel) -> None:
    series = [ScanFile(Path("d"), f"1.2.3.{n}00000", "Lung, 30 slices") for n in range(9)]
    panel.scan_choice.offer(series)
    assert panel.scan_choice.list.item(3).text() == "Lung, 30 slices, ...300000"
    assert "1.2.3.300000" in panel.scan_choice.list.item(3).toolTip()
    panel.scan_choice.close_list.click()
    assert not panel.scan_choice.isVisible()


def test_bad_rows_are_left_out_with_consent_only(
    qtbot: QtBot, panel: ScanPanel, model_viewer: ViewerModel, files: dict[str, Path]
) -> None:
    with files["annotations"].open("a", encoding="utf-8") as file:
        file.write("chest,0,0,0,0\nchest,0,0,0,nan\nchest,0,0,here,5\n")
    read(qtbot, panel, lambda: drop(panel, files["scan"], files["annotations"]))
    assert kinds(model_viewer) == ["Image"]
    for words in ("Opened a scan", "Line 3: diameter_mm is 0", "line 4", "line 5"):
        assert words in said(panel)
    assert panel.job_bar.status.property("trouble")
    offer = panel.bad_rows
    assert offer.said == "nodules.csv: open without 3 bad rows?"
    assert "line 5: coordZ" in offer.take.toolTip()
    offer.leave.click()
    assert offer.said == ""
    read(qtbot, panel, lambda: drop(panel, files["annotations"]))
    assert offer.take.text() == "Leave out 3 bad rows"
    read(qtbot, panel, offer.take.click)
    assert kinds(model_viewer) == ["Image", "Points"]
    assert (said(panel), offer.said) == ("Opened annotations", "")


def test_a_table_without_a_good_row_is_only_refused(
    qtbot: QtBot, panel: ScanPanel, files: dict[str, Path]
) -> None:
    header, *_ = files["annotations"].read_text("utf-8").splitlines()
    files["annotations"].write_text(f"{header}\nchest,0,0,0,0\n", "utf-8")
    read(qtbot, panel, lambda: drop(panel, files["scan"], files["annotations"]))
    assert "Line 2: diameter_mm is 0" in said(panel)
    assert panel.bad_rows.said == ""


# -- the reader that napari takes ---------------------------------------------------


@pytest.fixture
def preferences() -> Iterator[None]:
    """Preferences as they are at first; whatever a test does to them is undone."""
    plugins = get_settings().plugins
    before = plugins.extension2reader
    offer_reader(True)
    yield
    plugins.extension2reader = before
    offer_reader(True)


def readers() -> dict[str, str]:
    return dict(get_settings().plugins.extension2reader)


def test_the_offer_to_be_the_reader_is_made_once(
    qtbot: QtBot, model_viewer: ViewerModel, preferences: None
) -> None:
    get_settings().plugins.extension2reader = {"*.tif": "napari"}
    panel = opened_panel(qtbot, model_viewer)
    assert ".mhd, .mha and tables of annotations" in panel.reader_offer.said
    assert all(pattern in panel.reader_offer.take.toolTip() for pattern in PATTERNS)
    panel.reader_offer.leave.click()
    assert panel.reader_offer.said == ""
    assert readers() == {"*.tif": "napari"}
    assert opened_panel(qtbot, model_viewer).reader_offer.said == ""
    offer_reader(True)  # as Preferences does
    assert opened_panel(qtbot, model_viewer).reader_offer.said != ""


def test_the_offer_is_taken_and_taken_back(
    qtbot: QtBot, model_viewer: ViewerModel, preferences: None
) -> None:
    before = {"*.tif": "napari", "*.mhd": "another-plugin"}
    get_settings().plugins.extension2reader = before
    panel = opened_panel(qtbot, model_viewer)
    offer = panel.reader_offer
    assert "*.mhd is set to another-plugin now" in offer.said
    offer.take.click()
    assert readers() == {**dict.fromkeys(PATTERNS, "napari-ctlns"), "*.tif": "napari"}
    assert opened_panel(qtbot, model_viewer).reader_offer.said == ""
    assert offer.take.text() == "Undo"
    offer.take.click()
    assert readers() == before
    assert "napari asks" in offer.said
    offer.take.click()
    offer.leave.click()
    assert offer.said == ""
    assert set(PATTERNS) <= set(readers())


def test_who_has_chosen_our_reader_is_offered_nothing(
    qtbot: QtBot, model_viewer: ViewerModel, preferences: None
) -> None:
    get_settings().plugins.extension2reader = dict.fromkeys(PATTERNS, "napari-ctlns")
    assert opened_panel(qtbot, model_viewer).reader_offer.said == ""


def opened_panel(qtbot: QtBot, viewer: ViewerModel) -> ScanPanel:
    panel = ScanPanel(viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    return panel


# -- while it reads -----------------------------------------------------------------


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Reading a scan waits for this."""
    from napari_ctlns.formats import scans

    go_on = threading.Event()
    real = scans.scan_parts

    def slow(*args: Any, **kwargs: Any) -> Iterator[scans.Partial]:
        assert go_on.wait(60)
        return (yield from real(*args, **kwargs))

    monkeypatch.setattr(scans, "scan_parts", slow)
    return go_on


def test_while_reading_nothing_else_can_be_opened(
    qtbot: QtBot,
    panel: ScanPanel,
    model_viewer: ViewerModel,
    files: dict[str, Path],
    held: threading.Event,
) -> None:
    drop(panel, files["scan"])
    qtbot.waitUntil(lambda: said(panel) == "Reading chest.mha", timeout=WAIT_MS)
    qtbot.waitUntil(panel.job_bar.cancel.isVisible, timeout=WAIT_MS)
    controls = panel.open_controls
    for control in (controls.scan, controls.dicom, controls.other, controls.drop):
        assert not control.isEnabled()
        assert control.toolTip().startswith("Wait until")
    assert not controls.drop.acceptDrops()
    read(qtbot, panel, held.set)
    assert controls.scan.isEnabled()
    assert controls.drop.acceptDrops()
    assert kinds(model_viewer) == ["Image"]


def test_a_cancelled_reading_adds_nothing(
    qtbot: QtBot,
    panel: ScanPanel,
    model_viewer: ViewerModel,
    files: dict[str, Path],
    held: threading.Event,
) -> None:
    drop(panel, files["scan"], files["mask"])
    panel.job_bar.cancel.click()
    read(qtbot, panel, held.set)
    assert said(panel) == "Cancelled"
    assert kinds(model_viewer) == []
    assert panel.open_controls.scan.isEnabled()


# -- projects ---------------------------------------------------------------------


@pytest.fixture
def mask(model_session: Session, volume: Volume) -> Labels:
    """A mask that no file has, on the scan that is open."""
    model_session.add_scan(volume)
    return model_session.add_mask(volume.mask(np.zeros(volume.array.shape, np.uint8)), "mask")


def test_a_saved_project_opens_again(
    qtbot: QtBot,
    panel: ScanPanel,
    model_session: Session,
    mask: Labels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert model_session.is_unsaved(mask)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "a.b"), ""))
    read(qtbot, panel, panel.job_bar.button.click)
    assert said(panel) == "Project saved"
    assert not model_session.is_unsaved(mask)

    model_session.viewer.layers.clear()
    path = str(tmp_path / "a.b.ctlns")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))
    read(qtbot, panel, panel.open_controls.project.trigger)
    assert said(panel) == "Opened a project"
    assert kinds(model_session.viewer) == ["Image", "Labels"]


def test_an_edit_while_saving_is_not_saved(
    qtbot: QtBot,
    panel: ScanPanel,
    model_session: Session,
    mask: Labels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "a.ctlns"), ""))

    def save_and_paint() -> None:
        panel.job_bar.button.click()
        mask.paint((5, 10, 10), 1)

    read(qtbot, panel, save_and_paint)
    assert said(panel) == "Project saved"
    assert model_session.is_unsaved(mask)


def test_a_project_that_cannot_be_written_stays_unsaved(
    qtbot: QtBot,
    panel: ScanPanel,
    model_session: Session,
    mask: Labels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("no folder")
    place = str(tmp_path / "file" / "a.ctlns")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (place, ""))
    read(qtbot, panel, panel.job_bar.button.click)
    assert panel.job_bar.status.property("trouble")
    assert model_session.is_unsaved(mask)


def test_what_a_project_leaves_out_is_said(
    qtbot: QtBot,
    panel: ScanPanel,
    model_session: Session,
    mask: Labels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model_session.viewer.add_shapes(name="sketch")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "a.ctlns"), ""))
    read(qtbot, panel, panel.job_bar.button.click)
    assert said(panel).startswith("Project saved. Left out of the project: sketch")
    assert panel.job_bar.status.property("trouble")


# -- the window -------------------------------------------------------------------


def test_presets_and_fields_and_napari_agree(
    qtbot: QtBot, panel: ScanPanel, model_session: Session, volume: Volume
) -> None:
    scan = model_session.add_scan(volume)
    controls = panel.window_controls
    assert controls.preset_buttons["lung"].isChecked()
    assert (controls.level.value(), controls.width.value()) == (-600, 1500)

    controls.preset_buttons["bone"].click()
    assert scan.contrast_limits == [-300, 1200]
    assert (controls.level.value(), controls.width.value()) == (450, 1500)
    assert controls.preset_buttons["bone"].isChecked()
    assert not controls.preset_buttons["lung"].isChecked()
    controls.preset_buttons["bone"].click()  # again: it stays the one in force
    assert controls.preset_buttons["bone"].isChecked()

    controls.level.setValue(40)
    controls.width.setValue(400)
    assert scan.contrast_limits == [-160, 240]
    assert controls.preset_buttons["mediastinum"].isChecked()

    scan.contrast_limits = (-100, 100)  # napari's own slider
    assert (controls.level.value(), controls.width.value()) == (0, 200)
    assert not any(button.isChecked() for button in controls.preset_buttons.values())
    qtbot.keyClick(controls.level, Qt.Key.Key_Up)
    assert scan.contrast_limits == [-90, 110]


def test_a_field_rounds_what_it_shows_not_the_window(
    panel: ScanPanel, model_session: Session, volume: Volume
) -> None:
    scan = model_session.add_scan(volume, Window(-100.25, 51.5))
    panel.window_controls.level.setValue(0)
    low, high = scan.contrast_limits
    assert high - low == 151.75


def test_all_values_and_the_header_are_windows_too(
    qtbot: QtBot, panel: ScanPanel, model_session: Session, volume: Volume
) -> None:
    buttons = panel.window_controls.preset_buttons
    scan = model_session.add_scan(volume)
    assert not buttons["full"].isEnabled()  # not known yet
    know(qtbot, panel)
    buttons["full"].click()
    assert scan.contrast_limits == [-1024, 60]
    assert buttons["full"].isChecked()
    assert not buttons["header"].isEnabled()
    assert buttons["header"].toolTip() == "The header of this scan proposes no window"

    told = replace(volume, source=Source(window_hu=(-1400.0, 200.0)))
    second = model_session.add_scan(told)
    qtbot.waitUntil(buttons["header"].isEnabled, timeout=WAIT_MS)
    buttons["header"].click()
    assert second.contrast_limits == [-1400, 200]
    assert scan.contrast_limits == [-1024, 60]


def test_the_switch_turns_the_tool_on_and_off_in_every_panel(
    qtbot: QtBot,
    panel: ScanPanel,
    model_viewer: ViewerModel,
    model_session: Session,
    volume: Volume,
) -> None:
    model_session.add_scan(volume)
    tool = window_tool_of(model_session)
    panel.window_controls.drag.click()
    assert tool.on
    second = ScanPanel(model_viewer)  # type: ignore[arg-type]
    assert second.window_controls.drag.isChecked()
    second.window_controls.drag.click()
    assert not tool.on
    assert not panel.window_controls.drag.isChecked()
    second.window_controls.drag.click()
    with qtbot.waitSignal(second.destroyed):
        second.deleteLater()
    assert not tool.on
    assert not panel.window_controls.drag.isChecked()
    assert "Ctrl+Shift+L" in panel.window_controls.drag.toolTip() or sys.platform == "darwin"


def test_the_shortcut_works_from_the_canvas(
    qtbot: QtBot, viewer: Viewer, session: Session, volume: Volume
) -> None:
    panel = ScanPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Scan", area="right")
    canvas = viewer.window._qt_viewer.canvas.native
    control_shift = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    canvas.window().activateWindow()
    canvas.setFocus()
    qtbot.waitUntil(canvas.hasFocus)
    tool = window_tool_of(session)
    session.add_scan(volume)
    qtbot.keyClick(canvas, Qt.Key.Key_L, control_shift)
    qtbot.waitUntil(lambda: tool.on and not panel.window_controls.drag.isDown())
    qtbot.keyClick(canvas, Qt.Key.Key_L, control_shift)
    qtbot.waitUntil(lambda: not tool.on)


def test_a_panel_that_is_gone_hears_nothing_more(
    qtbot: QtBot, model_viewer: ViewerModel, model_session: Session, volume: Volume
) -> None:
    panel = ScanPanel(model_viewer)  # type: ignore[arg-type]
    scan = model_session.add_scan(volume)
    with qtbot.waitSignal(panel.destroyed):
        panel.deleteLater()
    with qtbot.captureExceptions() as raised:
        scan.contrast_limits = (0, 10)
        model_viewer.cursor.position = (120.0, -14.0, -2.0)
        model_viewer.layers.clear()
        model_session.add_scan(volume)
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        qtbot.wait(200)
    assert raised == []


# -- facts and the cursor ---------------------------------------------------------


def test_facts_tell_of_the_scan(
    qtbot: QtBot, panel: ScanPanel, model_session: Session, volume: Volume
) -> None:
    source = Source(Path("x/case7/ct"), "dicom", "1.2.3", "CT", None, ("a slice is missing",))
    model_session.add_scan(replace(volume, source=source))
    know(qtbot, panel)
    assert panel.facts.shown() == {
        "Name": "case7/ct",
        "Size": "24, 48, 48 voxels",
        "Extent": "60, 48, 48 mm",
        "Spacing": "2.5, 1, 1 mm",
        "Values": "-850 to 60 HU",
        "Format": "DICOM, CT",
        "Series": "1.2.3",
    }
    assert panel.facts.warnings.text() == "Warning: a slice is missing"
    assert panel.facts.warnings.isVisible()
    assert not panel.facts.notes.isVisible()
    model_session.viewer.layers.clear()
    assert not panel.facts.isVisible()
    assert panel.facts.shown()["Name"] == ""


def test_an_oblique_scan_is_noted(qtbot: QtBot, panel: ScanPanel, model_session: Session) -> None:
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    grid = Geometry((4, 5, 6), direction=((c, -s, 0), (s, c, 0), (0, 0, 1)))
    model_session.add_scan(Volume(np.zeros(grid.shape, np.int16), grid))
    know(qtbot, panel)
    assert panel.facts.notes.text().startswith("Oblique: turned by 10.0°")
    assert panel.facts.notes.isVisible()


def test_the_facts_are_those_of_the_scan_worked_on(
    qtbot: QtBot,
    panel: ScanPanel,
    model_session: Session,
    volume: Volume,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    go_on, looked = threading.Event(), []

    def slow_with_the_first(which: Volume) -> ScanFacts:
        assert which is not volume or go_on.wait(60)
        looked.append(which)
        return facts_of(which)

    monkeypatch.setattr(scan_panel, "facts_of", slow_with_the_first)
    first = model_session.add_scan(volume)
    model_session.add_scan(Volume(np.zeros((3, 4, 5), np.int16), Geometry((3, 4, 5))))
    know(qtbot, panel)
    go_on.set()
    qtbot.waitUntil(lambda: len(looked) == 2, timeout=WAIT_MS)
    qtbot.wait(200)  # so that it could be told
    assert panel.facts.shown()["Size"] == "3, 4, 5 voxels"
    model_session.choose(first)
    qtbot.waitUntil(lambda: panel.facts.shown()["Size"] == "24, 48, 48 voxels", timeout=WAIT_MS)


def test_what_is_under_the_cursor_is_shown(
    panel: ScanPanel, model_session: Session, volume: Volume
) -> None:
    model_session.add_scan(volume)
    viewer = model_session.viewer
    viewer.dims.set_current_step(0, 8)
    point = lps_to_canvas(volume.geometry, volume.geometry.index_to_world(BALLS[0][0]))
    viewer.cursor.position = tuple(point)
    assert panel.cursor.shown() == {
        "Value": "60 HU",
        "LPS xyz, mm": "-2.0, -14.0, 120.0",
        "Voxel zyx": "8, 16, 18",
        "Label": "",
    }
    model_session.add_mask(volume.mask((volume.array == 60).astype(np.uint8)), "mask")
    viewer.cursor.position = tuple(point)
    assert panel.cursor.shown()["Label"] == "1"
    viewer.cursor.position = (120.0, -14.0, 500.0)
    assert panel.cursor.shown()["Value"] == "outside the scan"


def test_presets_are_those_of_windowing(panel: ScanPanel) -> None:
    assert list(panel.window_controls.preset_buttons) == [*PRESETS, "full", "header"]
