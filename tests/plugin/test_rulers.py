"""Rulers: where lines come to lie, how long they are, and that they survive saving."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari import Viewer
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_ctlns.errors import OutputError
from napari_ctlns.findings import Findings
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.panels.rulers_panel import RulersPanel
from napari_ctlns.plugin.project import restore, save_project
from napari_ctlns.plugin.project_file import read_project_file
from napari_ctlns.plugin.ruler_book import ruler_book_of
from napari_ctlns.plugin.ruler_layer import is_rulers
from napari_ctlns.plugin.ruler_rows import rows_of
from napari_ctlns.plugin.ruler_tool import ruler_tool_of
from napari_ctlns.plugin.rulers import Ruler, across, length_mm, moved, save_rulers
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Geometry, Volume

TURNED = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0))
UP = np.array([1.0, 0.0, 0.0])
numbers = st.floats(-40, 40)
places = st.tuples(st.just(7.0), numbers, numbers).map(np.array)


@pytest.fixture
def scan() -> Volume:
    """A turned scan of anisotropic voxels with a block of tissue in it."""
    geometry = Geometry((30, 100, 120), (2.5, 0.7, 0.9), (10.0, 20.0, -300.0), TURNED)
    array = np.full(geometry.shape, -850, np.int16)
    array[10:18, 40:60, 50:80] = 30
    return Volume(array, geometry, scan_id="a scan", patient_id="somebody")


@pytest.fixture
def mask(scan: Volume) -> Volume:
    labels = np.zeros(scan.geometry.shape, np.uint8)
    labels[10:18, 40:60, 50:80] = 3
    return scan.mask(labels)


# -- geometry --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(places, places, places, places)
def test_a_short_axis_is_perpendicular_and_crosses_the_long_one(
    a: np.ndarray, b: np.ndarray, start: np.ndarray, end: np.ndarray
) -> None:
    long = np.stack([a, b])
    if length_mm(long) < 1:
        return
    short = across(long, start, end, UP)
    way = b - a
    assert abs((short[1] - short[0]) @ way) < 1e-6 * max(length_mm(short), 1) * length_mm(long)
    share = (short[0] - a) @ way / (way @ way)
    assert -1e-9 <= share <= 1 + 1e-9
    foot = a + share * way
    # the long axis lies between its ends, or at one of them
    assert (short[0] - foot) @ (short[1] - foot) <= 1e-9
    np.testing.assert_allclose(short[:, 0], 7.0)


@settings(max_examples=60, deadline=None)
@given(places, places, st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]))
def test_axes_stay_perpendicular_whichever_end_is_dragged(
    place: np.ndarray, b: np.ndarray, end: tuple[int, int]
) -> None:
    a = np.array([7.0, 55.0, 55.0])
    long = np.stack([a, b])
    if end[0] == 0 and length_mm(np.stack([place, long[1 - end[1]]])) < 1:
        return
    points = np.stack([long, across(long, (a + b) / 2 + [0, 3, 1], (a + b) / 2 - [0, 4, 2], UP)])
    new = moved(points, *end, place, UP)
    way, cross = new[0, 1] - new[0, 0], new[1, 1] - new[1, 0]
    assert abs(way @ cross) < 1e-6 * max(length_mm(new[1]), 1) * length_mm(new[0])
    if end[0] == 0:
        np.testing.assert_allclose(new[0, end[1]], place)
        assert length_mm(new[1]) == pytest.approx(length_mm(points[1]))
    else:
        np.testing.assert_allclose(new[0], long)


def test_lengths_in_words_the_longer_first() -> None:
    ruler = Ruler(kind="axes", lines=[[(0, 0, 0), (3, 4, 0)], [(0, 0, 5), (0, 12.34, 5)]])
    assert ruler.in_words == "12.3 x 5.0 mm"


# -- tables ----------------------------------------------------------------------------


def test_rulers_as_csv(tmp_path: Path) -> None:
    axes = Ruler(
        kind="axes", lines=[[(1, 2, 3), (1, 2, 13)], [(0, 2, 8), (4, 2, 8)]], finding="one"
    )
    alone = Ruler(kind="ruler", lines=[[(0, 0, 0), (0, 3, 4)]], finding="gone")
    save_rulers([axes, alone], {"one": 7}, tmp_path / "a_rulers.csv")
    with (tmp_path / "a_rulers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["measure"], r["kind"], float(r["length_mm"]), r["label"]) for r in rows] == [
        ("1", "long axis", 10.0, "7"),
        ("1", "short axis", 4.0, "7"),
        ("2", "ruler", 5.0, ""),
    ]
    assert [float(rows[0][f"{axis}2_mm"]) for axis in "xyz"] == [1, 2, 13]
    with pytest.raises(OutputError):
        save_rulers([alone], {}, tmp_path / "a_rulers.csv" / "no folder.csv")


def test_rows_beside_what_is_measured_by_itself() -> None:
    import pandas as pd

    findings = Findings().follow_labels([4, 9])
    uid = findings.of_label(9).uid
    table = pd.DataFrame({"label": [4, 9], "long_axis_mm": [5, 12.4], "short_axis_mm": [3, 8.0]})
    axes = Ruler(kind="axes", lines=[[(0, 0, 0), (12, 0, 0)], [(5, 0, 0), (5, 8.5, 0)]])
    on, off = axes.model_copy(update={"finding": uid}), axes
    rows = rows_of([on, off], findings, table)
    assert (rows[0].nodule, rows[0].by_hand) == ("9", "12.0 x 8.5")
    assert (rows[0].automatic, rows[0].difference) == ("12.4 x 8.0", "-0.4, +0.5")
    assert rows[1].automatic == rows[1].nodule == "–"  # noqa: RUF001
    # a label is no identity: the nodule that has another one now is still the same
    assert rows_of([on], findings.relabel({9: 2}), table)[0].nodule == "2"


# -- a session without a window -----------------------------------------------------------


def test_undo_delete_and_a_round_trip_through_a_project(
    model_session: Session, scan: Volume, mask: Volume, tmp_path: Path
) -> None:
    from napari.components import ViewerModel

    model_session.add_scan(scan)
    layer = model_session.add_mask(mask, "mask")
    book = ruler_book_of(model_session)
    uid = of.findings_of(layer).of_label(3).uid
    ends = scan.geometry.index_to_world([[14, 50, 52], [14, 50, 78]]).tolist()
    one = Ruler(kind="ruler", lines=[ends])
    assert book.finding_at(one) == uid
    other = Ruler(kind="ruler", lines=[[(0, 0, 0), (0, 0, 9)]])
    book.put(one)
    book.put(other)
    book.remove(one.uid)
    assert book.rulers == (other,)
    book.undo()
    assert book.rulers == (one, other)
    book.undo()
    book.redo()
    assert book.rulers == (one, other)
    assert book.layer in model_session.unsaved_layers
    assert model_session.mask is layer
    save_project(model_session, tmp_path / "p.ctlns")
    assert not model_session.unsaved_layers
    viewer = ViewerModel()
    again = session_of(viewer)
    restore(again, read_project_file(tmp_path / "p.ctlns"))
    assert ruler_book_of(again).rulers == (one, other)
    shown = ruler_book_of(again).layer
    assert shown is not None
    # of both, only the first lies in the plane on show
    assert [shown.data_to_world(p) for p in shown.data[0]] == [
        pytest.approx(tuple(layer.data_to_world(p)), abs=1e-3) for p in ([14, 50, 52], [14, 50, 78])
    ]
    assert len(shown.data) == 1
    assert list(shown.features["words"]) == ["23.4 mm"]


def test_rulers_belong_to_their_scan(model_session: Session, scan: Volume) -> None:
    from dataclasses import replace

    first = model_session.add_scan(scan)
    book = ruler_book_of(model_session)
    book.put(Ruler(kind="ruler", lines=[[(0, 0, 0), (0, 9, 0)]]))
    model_session.add_scan(replace(scan, scan_id="another"))
    assert not book.rulers
    model_session.choose(first)
    assert len(book.rulers) == 1


@pytest.mark.parametrize(
    "lines", [[], [[(0, 0, 0), (0, 0, float("nan"))]], [[(0, 0), (1, 1)]], "no lines"]
)
def test_damaged_rulers_are_refused(lines: object) -> None:
    with pytest.raises(ValueError, match="Ruler"):
        Ruler.model_validate_json(json.dumps({"kind": "ruler", "lines": lines}))


# -- in a real window --------------------------------------------------------------------


class Hand:
    """Drags the mouse from place to place of the canvas, millimetres as displayed."""

    def __init__(self, viewer: Viewer, qtbot: QtBot) -> None:
        self._viewer, self._qtbot = viewer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native

    def pixel(self, place: tuple[float, float]) -> QPointF:
        camera = self._viewer.scene.camera
        y, x = (np.asarray(place) - np.asarray(camera.center)[-2:]) * camera.zoom
        return QPointF(self.canvas.width() / 2 + x, self.canvas.height() / 2 + y)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        first, last = self.pixel(start), self.pixel(end)
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        self._send(QEvent.Type.MouseMove, first, none, none)
        self._send(QEvent.Type.MouseButtonPress, first, left, left)
        self._send(QEvent.Type.MouseMove, (first + last) / 2, none, left)
        self._send(QEvent.Type.MouseMove, last, none, left)
        self._send(QEvent.Type.MouseButtonRelease, last, left, none)

    def _send(
        self, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton, held: Qt.MouseButton
    ) -> None:
        none = Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, at, self.canvas.mapToGlobal(at), button, held, none)
        QApplication.sendEvent(self.canvas, event)
        self._qtbot.wait(20)  # napari throttles moves


def test_measuring_with_the_mouse(
    viewer: Viewer,
    session: Session,
    scan: Volume,
    mask: Volume,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session.add_scan(scan)
    layer = session.add_mask(mask, "mask")
    viewer.window.resize(900, 600)  # a small canvas is drawn faster
    panel = RulersPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Rulers")
    qtbot.wait(100)  # until the canvas has given room to the panel
    viewer.dims.set_point(0, -300 + 14 * 2.5)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 55.0, 68.5), 6
    hand, book = Hand(viewer, qtbot), ruler_book_of(session)
    slider = viewer.dims.range

    panel.tools["axes"].click()
    hand.drag((45.0, 55.0), (65.0, 82.0))
    hand.drag((50.0, 72.0), (61.0, 64.0))
    (axes,) = book.rulers
    pixel = 1 / 6
    assert axes.lengths_mm[0] == pytest.approx(np.hypot(20, 27), abs=2 * pixel)
    (long, short) = axes.points
    assert abs((long[1] - long[0]) @ (short[1] - short[0])) < 1e-6
    assert axes.finding == of.findings_of(layer).of_label(3).uid
    assert panel.table.item(0, 0).text() == "3"

    # an end that is dragged takes the other axis along, and nothing else is drawn
    hand.drag((65.0, 82.0), (65.0, 70.0))
    assert len(book.rulers) == 1
    (long, after) = book.rulers[0].points
    assert length_mm(long) == pytest.approx(25, abs=2 * pixel)
    assert length_mm(after) == pytest.approx(length_mm(short), abs=1e-6)
    assert abs((long[1] - long[0]) @ (after[1] - after[0])) < 1e-6
    QTest.keyClick(hand.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert book.rulers == (axes,)

    # in a coronal view one axis is z, whose voxels are 2.5 mm
    panel.tools["axes"].click()
    assert session.mask is layer
    assert viewer.layers.selection.active is layer
    viewer.dims.order = (1, 0, 2)
    panel.tools["ruler"].click()
    viewer.scene.camera.center = (0, -265.0, 68.5)
    hand.drag((-290.0, 50.0), (-260.0, 90.0))
    line = book.rulers[1]
    assert line.lengths_mm[0] == pytest.approx(50, abs=2 * pixel)
    index = scan.geometry.world_to_index(line.points[0])
    assert np.ptp(index[:, 0]) == pytest.approx(30 / 2.5, abs=2 * pixel)
    assert viewer.dims.range == slider
    assert book.layer is not None
    assert len(book.layer.data) == 1

    # a row goes there, in the plane it was drawn in
    panel.table.selectRow(0)
    assert viewer.dims.order == (0, 1, 2)
    assert viewer.dims.point[0] == pytest.approx(-265.0)
    target = tmp_path / "x_rulers.csv"
    ask: Callable[..., Path] = lambda *_: target  # noqa: E731
    monkeypatch.setattr("napari_ctlns.plugin.panels.rulers_panel.ask_save_path", ask)
    panel.save.click()
    assert len(target.read_text().splitlines()) == 4
    target = tmp_path / "picture.png"
    panel.picture.click()
    assert target.read_bytes().startswith(b"\x89PNG")
    assert b"somebody" not in target.read_bytes()
    assert not viewer.canvas.overlays.scale_bar.visible
    panel.delete.click()
    assert book.rulers == (line,)
    viewer.dims.ndisplay = 3
    assert ruler_tool_of(session).kind is None
    assert "3D" in panel.tools["ruler"].toolTip()
    assert any(map(is_rulers, viewer.layers))


def test_the_tool_and_others_make_way_for_each_other(model_session: Session, scan: Volume) -> None:
    from napari_ctlns.plugin.click_tool import click_tool_of
    from napari_ctlns.plugin.correction_tools import correction_tools_of

    model_session.add_scan(scan)
    layer = model_session.add_mask(scan.mask(np.zeros(scan.geometry.shape, np.uint8)), "mask")
    ruler, click = ruler_tool_of(model_session), click_tool_of(model_session)
    corrections = correction_tools_of(model_session)
    before = list(model_session.viewer.mouse_drag_callbacks)
    for other in (lambda: click.switch(True), lambda: corrections.use("delete")):
        other()
        ruler.use("axes")
        assert (click.on, corrections.tool, ruler.kind) == (False, "", "axes")
        other()
        assert ruler.kind is None
    ruler.use("ruler")
    layer.mode = "paint"  # of a layer that is not selected: it is none of the tool's business
    assert ruler.kind == "ruler"
    model_session.viewer.layers.selection.active = layer
    assert ruler.kind is None
    assert list(model_session.viewer.mouse_drag_callbacks) == before
