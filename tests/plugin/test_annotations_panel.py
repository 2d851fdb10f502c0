"""The Annotations panel, as a person uses it."""

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QApplication, QComboBox, QFileDialog

from napari_ctlns.findings import Annotation
from napari_ctlns.formats import read_annotations, write_annotations
from napari_ctlns.plugin.annotation_tools import annotation_tools_of
from napari_ctlns.plugin.layers import annotations_of_layer, findings_of
from napari_ctlns.plugin.panels.annotations_panel import AnnotationsPanel
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Geometry, Volume

Rows = tuple[Annotation, ...]
Choose = Callable[[Path | None], None]


@pytest.fixture
def panel(model_viewer: ViewerModel, qtbot: QtBot) -> AnnotationsPanel:
    panel = AnnotationsPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.resize(320, 700)
    panel.show()
    return panel


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Choose:
    """Let a file be what a person chooses in file dialogs."""

    def chosen(path: Path | None) -> None:
        answer = str(path) if path else ""
        for name in ("getOpenFileName", "getSaveFileName"):
            monkeypatch.setattr(QFileDialog, name, staticmethod(lambda *_: (answer, "")))

    return chosen


def click(button: QAbstractButton, qtbot: QtBot) -> None:
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def tick(box: QAbstractButton, qtbot: QtBot) -> None:
    assert box.isEnabled(), box.toolTip()
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))


def finish(panel: AnnotationsPanel, qtbot: QtBot) -> str:
    qtbot.waitUntil(lambda: not panel.job_bar.working, timeout=20000)
    return str(panel.job_bar.said)


def click_cell(panel: AnnotationsPanel, row: int, column: int, qtbot: QtBot) -> None:
    place = panel.table.visualRect(panel.table.model().index(row, column)).center()
    qtbot.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def texts(panel: AnnotationsPanel) -> list[list[str]]:
    model = panel.table.model()
    return [
        [model.index(row, column).data() for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


# -- states -----------------------------------------------------------------------


def test_what_cannot_be_done_says_why(
    panel: AnnotationsPanel, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    buttons = (panel.load, panel.new, panel.save, panel.add_tool, panel.job_bar.button)
    assert not any(button.isEnabled() for button in buttons)
    assert panel.load.toolTip() == "Open a scan first"
    model_session.add_scan(volume)
    assert panel.load.isEnabled()
    assert not panel.add_tool.isEnabled()
    click(panel.new, qtbot)
    assert panel.add_tool.isChecked()
    assert panel.save.isEnabled()
    assert panel.job_bar.button.toolTip() == "Add a nodule first"


def test_every_control_is_explained_and_reached_by_keyboard(panel: AnnotationsPanel) -> None:
    for kind in (QAbstractButton, QComboBox, QAbstractSpinBox):
        for control in panel.findChildren(kind):
            if control.objectName().startswith("qt_") or isinstance(
                control.parent(), QAbstractSpinBox | type(panel.table)
            ):
                continue
            assert control.toolTip(), control
            assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, control


def test_the_rows_of_annotations_that_were_there_are_shown(
    model_session: Session, volume: Volume, annotations: Rows, qtbot: QtBot
) -> None:
    model_session.add_scan(volume)
    model_session.add_annotations(annotations, volume)
    panel = AnnotationsPanel(model_session.viewer)
    qtbot.addWidget(panel)
    assert texts(panel) == [["-2.0", "-14.0", "120.0", "12.0"], ["8.0", "0.0", "137.5", "8.0"]]


# -- files ------------------------------------------------------------------------


def test_a_table_is_loaded(
    panel: AnnotationsPanel,
    model_session: Session,
    volume: Volume,
    annotations: Rows,
    choose: Choose,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    table = tmp_path / "luna.csv"
    write_annotations(table, (replace(annotations[0], scan_id="another"), *annotations))
    model_session.add_scan(volume)
    choose(table)
    click(panel.load, qtbot)
    assert not panel.load.isEnabled()
    assert finish(panel, qtbot) == "2 of 3 rows in luna.csv are of this scan"
    assert annotations_of_layer(model_session.annotations) == annotations
    assert model_session.annotations.name == "luna"
    assert panel.summary.text() == "2 nodules"
    assert panel.load.isEnabled()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"seriesuid,coordX,coordY,coordZ\n1,2,3,4\n", "missing column diameter_mm"),
        (b"seriesuid,coordX,coordY,coordZ,diameter_mm\n1,2,x,4,5\n", "line 2"),
        (b"seriesuid,coordX,coordY,coordZ,diameter_mm\n1,2,3,4,5\n", "other series"),
        (b"seriesuid,coordX,coordY,coordZ,diameter_mm\n", "no rows"),
        (b"\x00\x01\x02", "not a text table"),
        (b"", "empty table"),
        (None, "no such table"),
    ],
)
def test_bad_tables_are_refused_in_words(
    content: bytes | None,
    words: str,
    panel: AnnotationsPanel,
    model_session: Session,
    volume: Volume,
    choose: Choose,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    table = tmp_path / "annotations.csv"
    if content is not None:
        table.write_bytes(content)
    model_session.add_scan(volume)
    choose(table)
    click(panel.load, qtbot)
    assert words in finish(panel, qtbot)
    assert panel.job_bar.status.property("trouble")
    assert model_session.annotations is None
    click(panel.new, qtbot)  # the session goes on


def test_bad_rows_are_left_out_with_consent_only(
    panel: AnnotationsPanel,
    model_session: Session,
    volume: Volume,
    annotations: Rows,
    choose: Choose,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    table = tmp_path / "annotations.csv"
    write_annotations(table, annotations)
    with table.open("a", encoding="utf-8") as file:
        file.write("1.2,0,0,0,0\n1.2,0,0,here,5\n")
    model_session.add_scan(volume)
    choose(table)
    click(panel.load, qtbot)
    assert finish(panel, qtbot).startswith("line 4: diameter_mm is 0")
    assert panel.job_bar.status.property("trouble")
    assert model_session.annotations is None
    assert panel.bad_rows.take.text() == "Leave out 2 bad rows"
    assert "line 5: coordZ" in panel.bad_rows.take.toolTip()
    click(panel.bad_rows.leave, qtbot)
    assert not panel.bad_rows.isVisible()
    assert model_session.annotations is None
    click(panel.load, qtbot)
    finish(panel, qtbot)
    click(panel.bad_rows.take, qtbot)
    assert annotations_of_layer(model_session.annotations) == annotations
    said = "2 of 2 rows in annotations.csv are of this scan; 2 bad rows left out"
    assert panel.job_bar.said == said
    assert not panel.bad_rows.isVisible()


def test_nothing_happens_without_a_choice(
    panel: AnnotationsPanel,
    model_session: Session,
    volume: Volume,
    annotations: Rows,
    choose: Choose,
    qtbot: QtBot,
) -> None:
    model_session.add_scan(volume)
    model_session.add_annotations(annotations, volume)
    choose(None)
    for button in (panel.load, panel.save):
        click(button, qtbot)
        assert not panel.job_bar.working


def test_edited_annotations_are_saved(
    panel: AnnotationsPanel,
    model_session: Session,
    volume: Volume,
    annotations: Rows,
    choose: Choose,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    model_session.add_scan(volume)
    layer = model_session.add_annotations(annotations, volume)
    layer.add(layer.data[0] + 1)
    assert panel.summary.text() == "3 nodules, not saved"
    choose(tmp_path / "mine")
    click(panel.save, qtbot)
    assert finish(panel, qtbot) == "Saved 3 nodules to mine.csv"
    assert read_annotations(tmp_path / "mine.csv") == annotations_of_layer(layer)
    assert panel.summary.text() == "3 nodules"
    assert not model_session.is_unsaved(layer)


def test_what_was_edited_while_saving_is_not_saved(
    panel: AnnotationsPanel,
    model_session: Session,
    volume: Volume,
    annotations: Rows,
    choose: Choose,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    model_session.add_scan(volume)
    layer = model_session.add_annotations(annotations, volume)
    choose(tmp_path / "mine.csv")
    click(panel.save, qtbot)
    layer.add(layer.data[0] + 1)
    finish(panel, qtbot)
    assert model_session.is_unsaved(layer)


def test_a_place_that_cannot_be_written_is_told(
    panel: AnnotationsPanel,
    model_session: Session,
    volume: Volume,
    annotations: Rows,
    choose: Choose,
    tmp_path: Path,
    qtbot: QtBot,
) -> None:
    model_session.add_scan(volume)
    layer = model_session.add_annotations(annotations, volume)
    layer.add(layer.data[0] + 1)
    (tmp_path / "file").touch()
    choose(tmp_path / "file" / "mine.csv")
    click(panel.save, qtbot)
    assert finish(panel, qtbot)
    assert panel.job_bar.status.property("trouble")
    assert model_session.is_unsaved(layer)


# -- the list -----------------------------------------------------------------------


@pytest.fixture
def listed(
    panel: AnnotationsPanel, model_session: Session, volume: Volume, annotations: Rows
) -> AnnotationsPanel:
    model_session.add_scan(volume)
    model_session.add_annotations(annotations, volume)
    return panel


def test_a_click_on_a_row_goes_there(
    listed: AnnotationsPanel, model_session: Session, qtbot: QtBot
) -> None:
    click_cell(listed, 1, 0, qtbot)
    viewer = model_session.viewer
    assert viewer.dims.point == pytest.approx((137.5, 0, 8))
    assert viewer.scene.camera.center[1:] == pytest.approx((0, 8))
    assert model_session.annotations.selected_data == {1}
    viewer.dims.set_point(0, 100)
    click_cell(listed, 1, 0, qtbot)  # once more
    assert viewer.dims.point[0] == pytest.approx(137.5)


def test_arrow_keys_go_from_nodule_to_nodule(
    listed: AnnotationsPanel, model_session: Session, qtbot: QtBot
) -> None:
    click_cell(listed, 0, 0, qtbot)
    qtbot.keyClick(listed.table, Qt.Key.Key_Down)
    assert model_session.annotations.selected_data == {1}
    assert model_session.viewer.dims.point[0] == pytest.approx(137.5)


def test_what_is_selected_in_the_scan_is_selected_in_the_list(
    listed: AnnotationsPanel, model_session: Session
) -> None:
    viewer = model_session.viewer
    before = viewer.dims.point
    model_session.annotations.selected_data = {1}
    assert listed.table.selected_rows() == [1]
    assert listed.diameter.value() == 8
    assert viewer.dims.point == before
    model_session.annotations.selected_data = set()
    assert listed.table.selected_rows() == []


def test_a_diameter_is_typed_in_the_list(
    listed: AnnotationsPanel, model_session: Session, qtbot: QtBot
) -> None:
    table = listed.table
    click_cell(listed, 0, 3, qtbot)
    table.edit(table.model().index(0, 3))
    editor = table.findChild(QAbstractSpinBox)
    editor.setValue(14.5)
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: annotations_of_layer(model_session.annotations)[0].diameter_mm == 14.5)
    assert texts(listed)[0][3] == "14.5"


def test_the_diameter_field_resizes_what_is_selected(
    listed: AnnotationsPanel, model_session: Session, qtbot: QtBot
) -> None:
    click_cell(listed, 1, 0, qtbot)
    listed.diameter.setValue(5.5)
    assert [row[3] for row in texts(listed)] == ["12.0", "5.5"]


def test_nodules_are_deleted_and_come_back(
    listed: AnnotationsPanel, annotations: Rows, model_session: Session, qtbot: QtBot
) -> None:
    assert not listed.delete.isEnabled()
    click_cell(listed, 0, 0, qtbot)
    qtbot.keyClick(listed.table, Qt.Key.Key_Delete)
    assert annotations_of_layer(model_session.annotations) == annotations[1:]
    qtbot.keyClick(listed.table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert annotations_of_layer(model_session.annotations) == annotations
    click_cell(listed, 1, 0, qtbot)
    click(listed.delete, qtbot)
    assert annotations_of_layer(model_session.annotations) == annotations[:1]
    click(listed.undo, qtbot)
    assert annotations_of_layer(model_session.annotations) == annotations
    assert not listed.undo.isEnabled()


# -- tools --------------------------------------------------------------------------


def test_tools_follow_the_layer(
    listed: AnnotationsPanel, model_session: Session, qtbot: QtBot
) -> None:
    layer, viewer = model_session.annotations, model_session.viewer
    click(listed.select_tool, qtbot)
    assert layer.mode == "select"
    click(listed.add_tool, qtbot)
    assert layer.mode == "add"
    assert not listed.select_tool.isChecked()
    viewer.layers.selection.active = model_session.scan
    assert not listed.add_tool.isChecked()
    layer.visible = False
    click(listed.add_tool, qtbot)
    assert layer.visible
    assert viewer.layers.selection.active is layer
    click(listed.add_tool, qtbot)
    assert layer.mode == "pan_zoom"


def test_going_to_a_nodule_keeps_the_tool(
    listed: AnnotationsPanel, model_session: Session, qtbot: QtBot
) -> None:
    click(listed.add_tool, qtbot)
    click_cell(listed, 0, 0, qtbot)
    assert model_session.annotations.mode == "add"
    assert listed.add_tool.isChecked()


def test_nodules_are_added_in_2d_only(listed: AnnotationsPanel, model_session: Session) -> None:
    model_session.viewer.dims.ndisplay = 3
    assert not listed.add_tool.isEnabled()
    assert "2D" in listed.add_tool.toolTip()
    model_session.viewer.dims.ndisplay = 2
    assert listed.add_tool.isEnabled()


# -- mask ---------------------------------------------------------------------------


def test_a_mask_is_made_with_findings(
    listed: AnnotationsPanel, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    click(listed.job_bar.button, qtbot)
    assert finish(listed, qtbot) == "Drew 2 nodules into the layer nodules"
    layer = model_session.mask
    assert [layer.data[8, 16, 18], layer.data[15, 30, 28]] == [1, 2]
    assert [finding.origin for finding in findings_of(layer).items] == ["annotation"] * 2
    assert layer.editable


def test_a_mask_may_have_the_nodules_own_borders(
    panel: AnnotationsPanel, model_session: Session, qtbot: QtBot
) -> None:
    hu = np.full((40, 60, 60), -860, np.int16)
    z, y, x = np.ogrid[:40, :60, :60]
    away = np.sqrt((z - 20) ** 2 + (y - 30) ** 2 + (x - 30) ** 2)
    hu[away <= 5] = 20
    scan = Volume(hu, Geometry(hu.shape), scan_id="ball")
    model_session.add_scan(scan)
    rows = (Annotation("ball", 30, 30, 20, 7.5), Annotation("ball", 50, 50, 5, 6.0))
    model_session.add_annotations(rows, scan)
    tick(panel.fit, qtbot)
    click(panel.job_bar.button, qtbot)
    words = finish(panel, qtbot)
    assert words.endswith("no border was found, so a sphere: row 2")
    mask = model_session.mask.data
    assert np.count_nonzero(mask == 1) == pytest.approx(np.count_nonzero(away <= 5), rel=0.15)
    assert np.count_nonzero(mask == 2) == pytest.approx(np.pi / 6 * 6**3, rel=0.2)


def test_the_preview_follows_and_gives_way_to_the_mask(
    listed: AnnotationsPanel, model_session: Session, qtbot: QtBot
) -> None:
    tick(listed.preview, qtbot)
    preview = listed._preview
    qtbot.waitUntil(lambda: preview.layer is not None)
    before = np.count_nonzero(preview.layer.data)
    listed._tools.resize(0, 20.0)
    qtbot.waitUntil(lambda: np.count_nonzero(preview.layer.data) > before)
    click(listed.job_bar.button, qtbot)
    finish(listed, qtbot)
    assert preview.layer is None
    assert not listed.preview.isChecked()


def test_deleting_the_preview_layer_switches_it_off(
    listed: AnnotationsPanel, model_session: Session, qtbot: QtBot
) -> None:
    tick(listed.preview, qtbot)
    qtbot.waitUntil(lambda: listed._preview.layer is not None)
    another = AnnotationsPanel(model_session.viewer)
    qtbot.addWidget(another)
    assert another.preview.isChecked()
    model_session.viewer.layers.remove(listed._preview.layer)
    assert not listed.preview.isChecked()
    assert not another.preview.isChecked()


def test_an_annotation_outside_the_scan_is_marked_and_left_out(
    panel: AnnotationsPanel,
    model_session: Session,
    volume: Volume,
    annotations: Rows,
    qtbot: QtBot,
) -> None:
    outside = replace(annotations[0], y_mm=5000.0)
    model_session.add_scan(volume)
    model_session.add_annotations((outside, *annotations), volume)
    tips = [panel.table.model().index(row, 0).data(Qt.ItemDataRole.ToolTipRole) for row in range(2)]
    assert tips == [
        "Left out of the mask: its centre lies outside the scan",
        "Click to go there",
    ]
    click(panel.job_bar.button, qtbot)
    words = finish(panel, qtbot)
    assert words == "Drew 2 nodules into the layer nodules; left out of the mask: row 1"
    assert set(np.unique(model_session.mask.data)) == {0, 2, 3}


def test_no_mask_without_the_scan_of_the_annotations(
    listed: AnnotationsPanel, model_session: Session, volume: Volume
) -> None:
    model_session.add_scan(replace(volume, scan_id="another"))
    scans = model_session.layers_for("scan")
    scans[0].locked = False
    model_session.viewer.layers.remove(scans[0])
    assert listed.job_bar.button.toolTip() == "Open the scan of these annotations first"


# -- lives --------------------------------------------------------------------------


def test_tools_go_with_their_viewer(volume: Volume) -> None:
    viewer = ViewerModel()
    session_of(viewer).add_scan(volume)
    session_of(viewer).add_annotations((), volume)
    annotation_tools_of(session_of(viewer)).use("add")
    gone = weakref.ref(session_of(viewer))
    del viewer
    gc.collect()
    assert gone() is None


def test_a_panel_may_go_while_others_work(
    listed: AnnotationsPanel, model_session: Session, annotations: Rows, qtbot: QtBot
) -> None:
    another = AnnotationsPanel(model_session.viewer)
    another.preview.setChecked(True)
    with qtbot.waitSignal(another.destroyed):
        another.deleteLater()
    model_session.annotations.selected_data = {0}
    model_session.annotations.remove_selected()
    assert annotations_of_layer(model_session.annotations) == annotations[1:]
    assert len(texts(listed)) == 1


# -- in a window ----------------------------------------------------------------------


class Mouse:
    """The mouse over the canvas of a viewer, in canvas millimetres (y, x)."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._canvas = viewer.window._qt_viewer.canvas.native

    def drag(self, *path: tuple[float, float]) -> None:
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        self._send(QEvent.Type.MouseButtonPress, path[0], left, left)
        for place in path[1:]:
            self._send(QEvent.Type.MouseMove, place, none, left)
        self._send(QEvent.Type.MouseButtonRelease, path[-1], left, none)

    def _send(
        self,
        kind: QEvent.Type,
        place: tuple[float, float],
        button: Qt.MouseButton,
        buttons: Qt.MouseButton,
    ) -> None:
        camera, canvas = self._viewer.scene.camera, self._canvas
        x = canvas.width() / 2 + (place[1] - camera.center[2]) * camera.zoom
        y = canvas.height() / 2 + (place[0] - camera.center[1]) * camera.zoom
        on_screen = QPointF(canvas.mapToGlobal(QPointF(x, y).toPoint()))
        modifiers = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(
            canvas, QMouseEvent(kind, QPointF(x, y), on_screen, button, buttons, modifiers)
        )
        QApplication.processEvents()  # moves that come too fast are skipped


def test_nodules_are_marked_by_mouse(
    viewer: Viewer, session: Session, volume: Volume, qtbot: QtBot
) -> None:
    panel = AnnotationsPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Annotations", area="right")
    session.add_scan(volume)
    QApplication.processEvents()
    click(panel.new, qtbot)
    mouse = Mouse(viewer)
    centre = viewer.scene.camera.center
    mouse.drag((-14, -2))
    mouse.drag((0, 8), (0, 9), (0, 10), (0, 12))
    layer = session.annotations
    z = viewer.dims.point[0]
    clicked, dragged = annotations_of_layer(layer)
    assert clicked.centre == pytest.approx((-2, -14, z), abs=0.2)
    assert clicked.diameter_mm == 10
    assert dragged.centre == pytest.approx((8, 0, z), abs=0.2)
    assert dragged.diameter_mm == pytest.approx(8, abs=0.3)
    assert viewer.scene.camera.center == centre  # nothing moved but the nodule

    click(panel.select_tool, qtbot)
    mouse.drag((-14, -2), (-13, -1), (-10, 2))
    assert annotations_of_layer(layer)[0].centre == pytest.approx((2, -10, z), abs=0.3)
    assert panel.table.selected_rows() == [0]

    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_Delete)
    assert len(layer.data) == 1
    for there in (2, 2, 1, 0):
        qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert len(layer.data) == there
