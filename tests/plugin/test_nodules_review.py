"""The Nodules panel as a work list, as a person uses it: mouse, keys, filter, notes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog

from napari_ctlns.findings import Findings, Opinion
from napari_ctlns.measurement import measure
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin import training_set
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.session import session_of
from napari_ctlns.plugin.settings import Settings
from napari_ctlns.plugin.views.nodule_columns import COLUMNS
from napari_ctlns.plugin.views.nodule_table import NoduleTable
from napari_ctlns.volume import Geometry, Volume

LONG = 60_000
LEFT = Qt.MouseButton.LeftButton
CONTROL = Qt.KeyboardModifier.ControlModifier
SHAPE = (12, 60, 80)
ROWS = 6


@pytest.fixture(autouse=True)
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Settings("cpu", "fp32", "lung", tmp_path, reader="anna")
    monkeypatch.setattr(training_set, "read_settings", lambda: chosen)


@pytest.fixture
def panel(model_viewer: ViewerModel, qtbot: QtBot) -> Iterator[NodulesPanel]:
    """The panel with six cubes that are measured, without a window of napari's."""
    panel = NodulesPanel(model_viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(390, 700)
    panel.show()
    open_cubes(panel, qtbot)
    yield panel
    panel._session.close()


def open_cubes(panel: NodulesPanel, qtbot: QtBot) -> None:
    session = panel._session
    array, labels = np.full(SHAPE, -850, np.int16), np.zeros(SHAPE, np.uint8)
    for label in range(1, ROWS + 1):
        cube = np.s_[2 : 5 + label, 20 : 23 + label, 12 * label - 8 : 12 * label - 5 + label]
        array[cube], labels[cube] = 60 if label % 2 else -500, label
    scan = Volume(array, Geometry(SHAPE, (1.5, 1.0, 1.0)), "ct", "cubes", "somebody")
    session.add_scan(scan)
    findings = Findings().follow(labels, "model")
    findings = findings.judged({label: Opinion(label / 10) for label in range(1, ROWS + 1)})
    layer = session.add_mask(scan.mask(labels), "cubes", findings)
    session.keep_table(layer, measure(scan.mask(labels), scan))
    qtbot.waitUntil(lambda: panel.table.count == ROWS, timeout=LONG)


def mask(panel: NodulesPanel) -> Labels:
    layer = panel._session.mask
    assert layer is not None
    return layer


def statuses(panel: NodulesPanel) -> list[str]:
    return [finding.status for finding in of.findings_of(mask(panel)).items]


def cell(table: NoduleTable, row: int, name: str = "label") -> str:
    model = table.model()
    return str(model.data(model.index(row, list(COLUMNS).index(name))))


def shown(panel: NodulesPanel) -> list[str]:
    return [cell(panel.table, row) for row in range(panel.table.model().rowCount())]


def click(panel: NodulesPanel, qtbot: QtBot, row: int, *keys: Qt.KeyboardModifier) -> None:
    table = panel.table
    index = table.model().index(row, list(COLUMNS).index("mean_diameter_mm"))
    table.scrollTo(index)
    place = QPoint(table.visualRect(index).center())
    qtbot.mouseClick(table.viewport(), LEFT, *keys, pos=place)


# -- judging ---------------------------------------------------------------------------------


def test_keys_judge_with_the_focus_in_the_scan_or_the_table(viewer: Viewer, qtbot: QtBot) -> None:
    panel = NodulesPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Nodules", area="right")
    open_cubes(panel, qtbot)
    shift, control = Qt.KeyboardModifier.ShiftModifier, CONTROL
    for focused in (viewer.window._qt_viewer.canvas.native, panel.table):
        click(panel, qtbot, 1)
        focused.setFocus()
        qtbot.keyClick(focused, Qt.Key.Key_U)
        assert statuses(panel)[1] == "accepted"
        assert mask(panel).selected_label == 3
        qtbot.keyClick(focused, Qt.Key.Key_W)
        qtbot.keyClick(focused, Qt.Key.Key_Comma)
        qtbot.keyClick(focused, Qt.Key.Key_8)
        assert statuses(panel) == ["new", "accepted", "rejected", "new", "new", "new"]
        assert of.findings_of(mask(panel)).of_label(3).type == "solid"
        assert panel.review.overview.text() == "1 accepted, 1 rejected, 4 to review"
        assert cell(panel.table, 2, "status") == "rejected"
        assert cell(panel.table, 2, "reader") == "anna"
        qtbot.keyClick(focused, Qt.Key.Key_U, shift)
        assert of.findings_of(mask(panel)).of_label(3).type == "unknown"
        canvas = viewer.window._qt_viewer.canvas.native
        for _ in range(2):
            qtbot.keyClick(canvas, Qt.Key.Key_Z, control)
        assert statuses(panel) == ["new"] * ROWS
    session_of(viewer).close()


def test_buttons_judge_all_that_are_selected(panel: NodulesPanel, qtbot: QtBot) -> None:
    click(panel, qtbot, 0)
    click(panel, qtbot, 2, CONTROL)
    click(panel, qtbot, 3, CONTROL)
    assert mask(panel).selected_label == 4
    assert "All 3 that are selected" in panel.review.buttons["reject"].toolTip()
    panel.review.buttons["reject"].click()
    assert statuses(panel) == ["rejected", "new", "rejected", "rejected", "new", "new"]
    assert mask(panel).selected_label == 5
    assert panel.job_bar.said == "3 nodules rejected; 3 to review, this is nodule 5"
    panel.review.buttons["undo"].click()
    assert statuses(panel) == ["new"] * ROWS
    assert not panel.review.buttons["undo"].isEnabled()
    assert panel.review.buttons["undo"].toolTip() == "Nothing was said yet"


def test_a_type_and_a_note_are_shown_and_kept(panel: NodulesPanel, qtbot: QtBot) -> None:
    click(panel, qtbot, 4)
    panel.review.type.setCurrentText("Part-solid")
    panel.review.type.activated.emit(panel.review.type.currentIndex())
    panel.review.note.setFocus()
    qtbot.keyClicks(panel.review.note, "use it")  # letters of notes are no keys of the review
    qtbot.keyClick(panel.review.note, Qt.Key.Key_Return)
    finding = of.findings_of(mask(panel)).of_label(5)
    assert (finding.type, finding.note, finding.status) == ("part-solid", "use it", "new")
    assert cell(panel.table, 4, "type") == "part-solid"
    click(panel, qtbot, 0)
    assert (panel.review.type.currentText(), panel.review.note.text()) == ("As measured", "")
    click(panel, qtbot, 4)
    assert (panel.review.type.currentText(), panel.review.note.text()) == ("Part-solid", "use it")


def test_a_note_is_typed_in_the_table_too(panel: NodulesPanel) -> None:
    model = panel.table.model()
    index = model.index(2, list(COLUMNS).index("note"))
    assert model.setData(index, "vessel?", Qt.ItemDataRole.EditRole)
    assert of.findings_of(mask(panel)).of_label(3).note == "vessel?"
    assert cell(panel.table, 2, "note") == "vessel?"


# -- the filter ------------------------------------------------------------------------------


def test_a_filter_leaves_rows_and_says_how_many(panel: NodulesPanel) -> None:
    chosen = panel.filter
    chosen.least_probability.setValue(0.25)
    assert shown(panel) == ["3", "4", "5", "6"]
    assert chosen.count.text() == f"4 of {ROWS} shown"
    chosen.least_mm.setValue(90)
    assert shown(panel) == []
    assert panel.list.no_hit.isVisible()
    assert not panel.review.buttons["next"].isEnabled()
    chosen.clear.click()
    assert len(shown(panel)) == ROWS
    assert not panel.list.no_hit.isVisible()
    assert not chosen.clear.isEnabled()


def test_what_is_judged_leaves_a_list_of_what_is_to_review(
    panel: NodulesPanel, qtbot: QtBot
) -> None:
    panel.filter.status.setCurrentText("To review")
    click(panel, qtbot, 1)
    seen = []
    for _ in range(ROWS):
        panel._review.accept()
        seen.append(int(mask(panel).selected_label))
    assert seen == [3, 4, 5, 6, 1, 1]
    assert shown(panel) == []
    assert statuses(panel) == ["accepted"] * ROWS


def test_next_follows_the_order_of_the_rows(panel: NodulesPanel, qtbot: QtBot) -> None:
    panel.table.sortByColumn(list(COLUMNS).index("volume_mm3"), Qt.SortOrder.DescendingOrder)
    click(panel, qtbot, 0)
    assert mask(panel).selected_label == ROWS
    panel.review.buttons["next"].click()
    assert mask(panel).selected_label == ROWS - 1
    assert panel.table.chosen_uids == [of.findings_of(mask(panel)).of_label(ROWS - 1).uid]


# -- what is seen ------------------------------------------------------------------------------


def test_pictures_and_types_come_by_themselves(panel: NodulesPanel, qtbot: QtBot) -> None:
    model = panel.table.model()
    place = model.index(0, list(COLUMNS).index("picture"))
    qtbot.waitUntil(
        lambda: model.data(place, Qt.ItemDataRole.DecorationRole) is not None, timeout=LONG
    )
    qtbot.waitUntil(lambda: cell(panel.table, 1, "type") == "ground-glass", timeout=LONG)
    font = model.data(model.index(1, list(COLUMNS).index("type")), Qt.ItemDataRole.FontRole)
    assert font.italic()  # as its HU say, not a reader


def test_only_the_selected_nodule_is_shown_and_all_again(panel: NodulesPanel, qtbot: QtBot) -> None:
    click(panel, qtbot, 2)
    panel.only.click()
    layer = mask(panel)
    assert layer.show_selected_label
    assert layer.colormap.selection == 3
    click(panel, qtbot, 3)
    assert layer.colormap.selection == 4
    panel.only.click()
    assert not layer.show_selected_label


def test_a_rejected_finding_whose_voxels_are_gone_keeps_its_row(
    panel: NodulesPanel, qtbot: QtBot
) -> None:
    click(panel, qtbot, 1)
    panel._review.reject()
    layer = mask(panel)
    layer.data_setitem(np.nonzero(layer.data == 2), 0)
    qtbot.waitUntil(lambda: not panel._session.is_stale(layer), timeout=LONG)
    assert shown(panel) == ["\u2013", "1", "3", "4", "5", "6"]
    click(panel, qtbot, 0)
    panel.review.buttons["reopen"].click()
    assert "rejected" not in statuses(panel)
    layer.undo()
    assert shown(panel) == [str(label) for label in range(1, ROWS + 1)]


def test_guidelines_speak_of_the_nodule_at_hand(panel: NodulesPanel, qtbot: QtBot) -> None:
    panel.fold.expand()
    click(panel, qtbot, 5)
    words = panel.guideline.words
    qtbot.waitUntil(lambda: "not determinable" in words.text(), timeout=LONG)
    assert "not a medical device" in words.text()
    panel.guideline.setting.setCurrentText("Screening")
    panel.guideline.prior.setCurrentText("No prior scan")
    assert "Nodule 6, Lung-RADS v2022: 2" in words.text()
    panel._review.reject()
    click(panel, qtbot, 5)
    assert words.text() == "It was rejected: guidelines are for nodules."


# -- saving ------------------------------------------------------------------------------------


def test_a_saved_mask_says_what_is_not_in_it(
    panel: NodulesPanel,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    click(panel, qtbot, 0)
    panel._review.reject()
    path = tmp_path / "a.nii.gz"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    panel.save.actions_by_key["mask"].trigger()
    qtbot.waitUntil(lambda: not panel.job_bar.working, timeout=LONG)
    assert panel.job_bar.said == (
        f"Saved {path}; left out as rejected: 1 nodule; "
        "what you said of nodules is kept by Save project, in the Scan panel"
    )
    assert panel._session.is_unsaved(mask(panel))  # the judgements are in no file yet


def test_a_closed_panel_leaves_keys_that_go_by_label(
    model_viewer: ViewerModel, qtbot: QtBot
) -> None:
    panel = NodulesPanel(model_viewer)  # type: ignore[arg-type]
    open_cubes(panel, qtbot)
    panel.table.sortByColumn(list(COLUMNS).index("volume_mm3"), Qt.SortOrder.DescendingOrder)
    review, layer = panel._review, mask(panel)
    layer.selected_label = 2
    review.next()
    assert layer.selected_label == 1
    panel.deleteLater()
    qtbot.waitUntil(lambda: review.order is None, timeout=LONG)
    review.next()
    assert layer.selected_label == 2
