"""The Click panel and its tool in a real window: mouse, wheel, keys, and marks on the canvas."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_ctlns.findings import Annotation
from napari_ctlns.masks.click import Clicks, click_mask
from napari_ctlns.masks.islands import Part
from napari_ctlns.plugin.click_tool import KEY, ClickTool, click_tool_of
from napari_ctlns.plugin.clicking import clicking_of
from napari_ctlns.plugin.correction_tools import correction_tools_of
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.panels.click_panel import ClickPanel
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Volume

from .conftest import BALLS

LONG = 60_000
LEFT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton
NO_BUTTON = Qt.MouseButton.NoButton
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CTRL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier
LUNG = np.array((4, 8, 38))


# -- without a window -----------------------------------------------------------------


@pytest.fixture
def panel(model_viewer: ViewerModel, qtbot: QtBot) -> ClickPanel:
    panel = ClickPanel(model_viewer)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    return panel


def test_it_says_why_nothing_can_be_done(
    panel: ClickPanel, model_session: Session, volume: Volume
) -> None:
    controls = [panel.switch, panel.new_layer, panel.tightness, *panel.doing.values()]
    assert {control.toolTip() for control in controls} == {"Open a scan first"}
    assert panel.status.text() == "Open a scan first."
    panel.switch.click()
    assert not click_tool_of(model_session).on
    model_session.add_scan(volume)
    assert all(control.isEnabled() for control in controls)
    assert panel.status.text() == ""
    assert f"key {KEY}" in panel.switch.toolTip()
    assert "without a model" in panel.method.text()
    panel.switch.click()
    assert panel.status.text() == "Click on a nodule."
    model_session.viewer.dims.ndisplay = 3
    assert panel.status.text().startswith("In 3D a click has no depth")
    assert not panel.switch.isChecked()
    model_session.viewer.dims.ndisplay = 2
    assert panel.status.text() == ""
    panel.new_layer.click()
    assert model_session.mask is not None
    assert panel.undo.isEnabled()


def test_the_tool_and_others_make_way_for_each_other(
    panel: ClickPanel, model_session: Session, volume: Volume, annotations: tuple[Annotation, ...]
) -> None:
    model_session.add_scan(volume)
    points = model_session.add_annotations(annotations, volume)
    points.mode = "add"
    viewer, tool = model_session.viewer, click_tool_of(model_session)
    before = list(viewer.mouse_drag_callbacks), list(viewer.mouse_double_click_callbacks)
    panel.switch.click()
    assert (points.mode, viewer.cursor.style) == ("pan_zoom", "cross")
    assert not viewer.mouse_double_click_callbacks
    layer = model_session.add_mask(volume.mask(np.zeros(volume.geometry.shape, np.uint8)), "mask")
    assert viewer.layers.selection.active is layer
    assert (tool.on, viewer.cursor.style) == (True, "cross")
    layer.mode = "paint"
    assert not panel.switch.isChecked()
    assert layer.mode == "paint"
    assert viewer.cursor.style == "circle"
    assert (list(viewer.mouse_drag_callbacks), list(viewer.mouse_double_click_callbacks)) == before
    panel.doing["take"].click()  # it is for the tool, and takes the mouse
    assert (tool.on, tool.doing, layer.mode) == (True, "take", "pan_zoom")
    corrections = correction_tools_of(model_session)
    corrections.use("delete")
    assert not tool.on
    panel.switch.click()
    assert (tool.on, corrections.tool) == (True, "")
    viewer.layers.clear()
    assert not tool.on
    assert (list(viewer.mouse_drag_callbacks), list(viewer.mouse_double_click_callbacks)) == before


# -- in a real window ------------------------------------------------------------------


class Hand:
    """A hand on mouse and keyboard."""

    def __init__(self, viewer: Viewer, qtbot: QtBot) -> None:
        self.viewer, self._qtbot = viewer, qtbot
        self.canvas = viewer.window._qt_viewer.canvas.native

    def at(self, *away_pixels: float) -> QPointF:
        """A place so many pixels right of the middle, and down."""
        return QPointF(self.canvas.width() / 2, self.canvas.height() / 2) + QPointF(*away_pixels)

    def send(
        self,
        kind: QEvent.Type,
        at: QPointF,
        button: Qt.MouseButton,
        held: Qt.MouseButton,
        keys: Qt.KeyboardModifier,
    ) -> None:
        event = QMouseEvent(kind, at, self.canvas.mapToGlobal(at), button, held, keys)
        QApplication.sendEvent(self.canvas, event)
        self._qtbot.wait(20)  # napari throttles moves

    def press(
        self, at: QPointF, keys: Qt.KeyboardModifier = NONE, button: Qt.MouseButton = LEFT
    ) -> None:
        self.send(QEvent.Type.MouseMove, at, NO_BUTTON, NO_BUTTON, keys)
        self.send(QEvent.Type.MouseButtonPress, at, button, button, keys)

    def move(
        self, at: QPointF, keys: Qt.KeyboardModifier = NONE, button: Qt.MouseButton = LEFT
    ) -> None:
        self.send(QEvent.Type.MouseMove, at, NO_BUTTON, button, keys)

    def release(
        self, at: QPointF, keys: Qt.KeyboardModifier = NONE, button: Qt.MouseButton = LEFT
    ) -> None:
        self.send(QEvent.Type.MouseButtonRelease, at, button, NO_BUTTON, keys)

    def click(self, at: QPointF, keys: Qt.KeyboardModifier = NONE) -> None:
        self.press(at, keys)
        self.release(at, keys)

    def drag(
        self,
        start: QPointF,
        end: QPointF,
        keys: Qt.KeyboardModifier = NONE,
        button: Qt.MouseButton = LEFT,
    ) -> None:
        self.press(start, keys, button)
        self.move((start + end) / 2, keys, button)
        self.move(end, keys, button)
        self.release(end, keys, button)

    def wheel(self, notches: int, keys: Qt.KeyboardModifier) -> None:
        at = self.at(0, 0)
        event = QWheelEvent(
            at,
            self.canvas.mapToGlobal(at),
            QPoint(),
            QPoint(0, 120 * notches),
            NO_BUTTON,
            keys,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(self.canvas, event)
        self._qtbot.wait(20)

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NONE) -> None:
        self.canvas.setFocus()
        self._qtbot.keyClick(self.canvas, key, modifier)
        self._qtbot.wait(20)


Window = tuple[ClickPanel, NodulesPanel, Hand]


@pytest.fixture
def window(viewer: Viewer, session: Session, volume: Volume, qtbot: QtBot) -> Iterator[Window]:
    """Both panels beside the scan, at the first ball, the tool on by its key."""
    click, nodules = ClickPanel(viewer), NodulesPanel(viewer)
    viewer.window.add_dock_widget(click, name="Click", area="right")
    viewer.window.add_dock_widget(nodules, name="Nodules", area="right")
    session.add_scan(volume)
    viewer.scene.camera.zoom = 8
    show(viewer, volume, BALLS[0][0])
    qtbot.wait(50)
    hand = Hand(viewer, qtbot)
    hand.key(Qt.Key.Key_N)
    assert click.switch.isChecked()
    yield click, nodules, hand
    click_tool_of(session).switch(False)


def show(viewer: Viewer, volume: Volume, index: object) -> None:
    go_to(viewer, canvas(volume, index).tolist())


def canvas(volume: Volume, index: object) -> np.ndarray:
    corner = np.array(volume.geometry.origin)[::-1]
    return np.asarray(index, float) * volume.geometry.spacing + corner


def wait(session: Session, qtbot: QtBot) -> Labels:
    """Wait until what was clicked is drawn and measured; return the layer."""
    clicking = clicking_of(session)
    qtbot.waitUntil(lambda: not clicking.busy, timeout=LONG)
    layer = session.mask
    assert layer is not None
    qtbot.waitUntil(lambda: not session.is_stale(layer), timeout=LONG)
    qtbot.wait(20)
    return layer


def test_nodules_are_clicked_corrected_and_taken_back(
    window: Window, viewer: Viewer, session: Session, volume: Volume, qtbot: QtBot
) -> None:
    click, nodules, hand = window
    hand.click(hand.at(0, 0))
    layer = wait(session, qtbot)
    found = layer.data == 1
    truth = volume.array == 60
    truth[12:] = False
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.8
    assert nodules.table._model.labels == [1]  # its row is there by itself
    assert click.status.text().startswith("Nodule 1: ")
    assert "solid" in click.status.text()
    assert viewer.cursor.style == "cross"

    hand.wheel(3, SHIFT)  # looser
    assert clicking_of(session).tightness == pytest.approx(-0.3)
    assert click.tightness.value() == -3
    wait(session, qtbot)
    loose = int((layer.data == 1).sum())
    assert loose >= found.sum()
    hand.wheel(-12, SHIFT)
    wait(session, qtbot)
    assert (layer.data == 1).sum() < loose
    steps, point = clicking_of(session).tightness, viewer.dims.point
    zoom = viewer.scene.camera.zoom
    hand.wheel(1, NONE)  # napari's own
    assert viewer.scene.camera.zoom != zoom
    hand.wheel(1, CTRL)
    assert viewer.dims.point != point
    assert clicking_of(session).tightness == steps
    viewer.scene.camera.zoom = zoom
    show(viewer, volume, BALLS[0][0])

    before = layer.data.copy()
    hand.click(hand.at(3 * 8, 0), CTRL)  # 3 mm right of the middle
    wait(session, qtbot)
    assert (layer.data == 1).sum() < (before == 1).sum()
    hand.click(hand.at(3 * 8, 0), SHIFT)
    wait(session, qtbot)
    uid = findings_of(layer).of_label(1).uid
    clicks = clicking_of(session).nodules.of(layer)[uid].clicks
    assert (len(clicks.inside), len(clicks.outside)) == (2, 0)  # the later one counts

    while layer.data.any():  # by the key, whatever the steps were
        left = layer.data.copy()
        hand.key(Qt.Key.Key_Z, CTRL)
        assert not np.array_equal(layer.data, left)
    assert findings_of(layer).labels == frozenset()
    assert nodules.table._model.labels == []
    hand.key(Qt.Key.Key_Z, CTRL | SHIFT)
    assert np.array_equal(layer.data == 1, found)
    qtbot.waitUntil(lambda: nodules.table._model.labels == [1], timeout=LONG)
    assert findings_of(layer).of_label(1).uid == uid


def test_a_drag_says_how_large_a_nodule_is(
    window: Window, session: Session, volume: Volume, qtbot: QtBot, viewer: Viewer
) -> None:
    click, _, hand = window
    assert click.marks is not None
    where = viewer.scene.camera.center
    hand.press(hand.at(0, 0))
    hand.move(hand.at(56, 0))  # 7 mm at 8 pixels a mm
    assert click.marks.isVisible()
    assert click.marks.width() == pytest.approx(112, abs=8)
    hand.release(hand.at(56, 0))
    assert not click.marks.isVisible()
    layer = wait(session, qtbot)
    (nodule,) = clicking_of(session).nodules.of(layer).values()
    assert nodule.clicks.diameter_mm == pytest.approx(14, abs=0.5)
    assert viewer.scene.camera.center == where
    assert layer.data[BALLS[0][0]] == 1

    show(viewer, volume, BALLS[1][0])
    hand.press(hand.at(-40, -40), SHIFT)
    hand.move(hand.at(40, 40), SHIFT)
    assert click.marks.isVisible()
    hand.release(hand.at(40, 40), SHIFT)
    layer = wait(session, qtbot)
    box = list(clicking_of(session).nodules.of(layer).values())[1].clicks
    assert box.diameter_mm == pytest.approx(10, abs=0.5)
    middle = volume.geometry.index_to_world(BALLS[1][0])
    assert np.allclose(box.inside[0], middle, atol=0.7)
    assert findings_of(layer).labels == {1, 2}


def test_the_picture_can_still_be_moved(
    window: Window, session: Session, viewer: Viewer, qtbot: QtBot
) -> None:
    _, _, hand = window
    where = np.array(viewer.scene.camera.center)
    hand.drag(hand.at(0, 0), hand.at(40, 16), button=MIDDLE)
    moved = np.array(viewer.scene.camera.center) - where
    assert np.allclose(moved[-2:], (-2, -5), atol=0.3)
    hand.canvas.setFocus()
    qtbot.keyPress(hand.canvas, Qt.Key.Key_Space)
    assert viewer.cursor.style == "standard"
    hand.drag(hand.at(0, 0), hand.at(-40, -16))
    qtbot.keyRelease(hand.canvas, Qt.Key.Key_Space)
    assert viewer.cursor.style == "cross"
    assert np.allclose(viewer.scene.camera.center, where, atol=0.6)
    hand.drag(hand.at(0, 0), hand.at(40, 16), ALT)  # napari's own: into a box
    assert not clicking_of(session).busy
    assert session.mask is None
    hand.key(Qt.Key.Key_N)
    assert not click_tool_of(session).on
    where = np.array(viewer.scene.camera.center)
    hand.drag(hand.at(0, 0), hand.at(40, 16))
    assert not np.allclose(viewer.scene.camera.center, where, atol=0.1)
    assert session.mask is None


def test_a_click_on_nothing_is_told_and_marked(
    window: Window, session: Session, volume: Volume, viewer: Viewer, qtbot: QtBot
) -> None:
    click, _, hand = window
    assert click.marks is not None
    viewer.scene.camera.zoom = 4
    hand.click(hand.at(-120, 0))  # left of the picture
    qtbot.waitUntil(click.marks.isVisible, timeout=LONG)
    assert click.status.styleSheet() != ""
    assert click.status.text().startswith("Outside the scan: click on")
    assert session.mask is None
    qtbot.waitUntil(lambda: not click.marks.isVisible(), timeout=LONG)  # it fades
    show(viewer, volume, BALLS[0][0])
    hand.click(hand.at(0, 0))
    wait(session, qtbot)
    assert click.status.styleSheet() == ""


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1), (0, 2, 1)])
def test_it_works_in_every_slice_and_whatever_layer_is_active(
    order: tuple[int, int, int],
    window: Window,
    viewer: Viewer,
    session: Session,
    volume: Volume,
    annotations: tuple[Annotation, ...],
    qtbot: QtBot,
) -> None:
    _, _, hand = window
    points = session.add_annotations(annotations, volume)
    viewer.dims.order = order
    viewer.scene.camera.zoom = 8
    show(viewer, volume, BALLS[0][0])
    middle = canvas(volume, BALLS[0][0])
    viewer.scene.camera.center = tuple(middle[list(order)[1:]])
    assert viewer.layers.selection.active is points
    hand.click(hand.at(0, 0))
    layer = wait(session, qtbot)
    assert len(points.data) == len(annotations)
    assert layer.data[BALLS[0][0]] == 1
    assert 100 < (layer.data == 1).sum() < 700


def test_two_quick_clicks_are_one_and_do_not_zoom(
    window: Window, session: Session, viewer: Viewer, qtbot: QtBot
) -> None:
    _, _, hand = window
    zoom, at = viewer.scene.camera.zoom, hand.at(0, 0)
    hand.click(at)
    hand.send(QEvent.Type.MouseButtonDblClick, at, LEFT, LEFT, NONE)
    hand.release(at)
    layer = wait(session, qtbot)
    assert viewer.scene.camera.zoom == zoom
    assert findings_of(layer).labels == {1}


def test_a_closed_panel_gives_the_mouse_back(
    window: Window, viewer: Viewer, session: Session, qtbot: QtBot
) -> None:
    click, _, _ = window
    tool: ClickTool = click_tool_of(session)
    viewer.window.remove_dock_widget(click)
    click.deleteLater()
    qtbot.waitUntil(lambda: not tool.on, timeout=LONG)
    assert viewer.cursor.style == "standard"
    assert viewer.mouse_double_click_callbacks


def test_a_window_may_be_closed_while_a_click_is_worked_out(
    window: Window, viewer: Viewer, session: Session
) -> None:
    _, _, hand = window

    def slow(scan: Volume, clicks: Clicks) -> Part:
        time.sleep(0.5)
        return click_mask(scan, clicks)

    clicking_of(session).segmenter = slow
    hand.click(hand.at(0, 0))
    assert clicking_of(session).busy
    viewer.close()  # the fixtures look for what stays behind
