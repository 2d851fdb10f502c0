"""The Correct panel in a real window: buttons, keys, and a line drawn with the mouse."""

from collections.abc import Iterator

import numpy as np
import pytest
from napari import Viewer
from napari.components import ViewerModel
from napari.layers import Labels, Vectors
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_ctlns.plugin.correction_tools import LINE_LAYER, correction_tools_of
from napari_ctlns.plugin.layers import findings_of
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.panels.correct_panel import CorrectPanel
from napari_ctlns.plugin.panels.nodules_panel import NodulesPanel
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Volume

LONG = 60_000
LEFT, NO_BUTTON = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


def labels_of(volume: Volume) -> np.ndarray:
    """The balls of `volume`, labels 1 and 2."""
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[:12], labels[12:] = volume.array[:12] == 60, 2 * (volume.array[12:] == 60)
    return labels


# -- without a window -----------------------------------------------------------------


@pytest.fixture
def panel(model_viewer: ViewerModel, qtbot: QtBot) -> CorrectPanel:
    panel = CorrectPanel(model_viewer)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def test_it_says_why_nothing_can_be_done(
    panel: CorrectPanel, model_session: Session, volume: Volume
) -> None:
    buttons = [*panel.shape.values(), *panel.tools.values(), panel.undo]
    assert {button.toolTip() for button in buttons} == {"There is no labels layer"}
    assert not any(button.isEnabled() for button in buttons)
    layer = model_session.add_mask(volume.mask(labels_of(volume)), "mask")
    assert all(button.isEnabled() for button in buttons)
    layer.selected_label = 0
    assert panel.nodule.text() == "none picked"
    assert panel.shape["grow"].toolTip().startswith("Pick a nodule first")
    model_session.viewer.dims.ndisplay = 3
    assert panel.tools["split"].toolTip().startswith("In 3D a click has no depth")


def test_buttons_do_what_they_say_and_trouble_is_coloured(
    panel: CorrectPanel, model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    layer = model_session.add_mask(volume.mask(labels_of(volume)), "mask")
    layer.selected_label = 2
    before = layer.data.copy()
    qtbot.mouseClick(panel.shape["grow"], LEFT)
    assert panel.status.text().startswith("Nodule 2: grown by 1 mm, ")
    assert panel.status.styleSheet() == ""
    assert np.count_nonzero(layer.data == 2) > np.count_nonzero(before == 2)
    qtbot.mouseClick(panel.undo, LEFT)
    assert np.array_equal(layer.data, before)
    qtbot.mouseClick(panel.redo, LEFT)
    assert not np.array_equal(layer.data, before)
    qtbot.mouseClick(panel.shape["fill_holes"], LEFT)
    assert "no hole" in panel.status.text()
    assert panel.status.styleSheet() != ""
    qtbot.mouseClick(panel.tools["split"], LEFT)
    assert panel.tools["split"].isChecked()
    qtbot.mouseClick(panel.tools["delete"], LEFT)
    assert [button.isChecked() for button in panel.tools.values()] == [False, False, True, False]
    layer.mode = "paint"
    assert not panel.tools["delete"].isChecked()


# -- in a real window ------------------------------------------------------------------


class Hand:
    """A hand on mouse and keyboard."""

    def __init__(self, viewer: Viewer, qtbot: QtBot) -> None:
        self.viewer, self._qtbot = viewer, qtbot
        self._canvas = viewer.window._qt_viewer.canvas.native

    def at(self, y_mm: float, x_mm: float) -> QPointF:
        """Where a point of the slice on show lies on the canvas."""
        camera = self.viewer.scene.camera
        away = (np.array([y_mm, x_mm]) - camera.center[-2:]) * camera.zoom
        middle = QPointF(self._canvas.width() / 2, self._canvas.height() / 2)
        return middle + QPointF(float(away[1]), float(away[0]))

    def send(
        self, kind: QEvent.Type, at: QPointF, button: Qt.MouseButton, held: Qt.MouseButton
    ) -> None:
        none = Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, at, self._canvas.mapToGlobal(at), button, held, none)
        QApplication.sendEvent(self._canvas, event)
        self._qtbot.wait(20)  # napari throttles moves

    def press(self, at: QPointF) -> None:
        self.send(QEvent.Type.MouseMove, at, NO_BUTTON, NO_BUTTON)
        self.send(QEvent.Type.MouseButtonPress, at, LEFT, LEFT)

    def move(self, at: QPointF) -> None:
        self.send(QEvent.Type.MouseMove, at, NO_BUTTON, LEFT)

    def release(self, at: QPointF) -> None:
        self.send(QEvent.Type.MouseButtonRelease, at, LEFT, NO_BUTTON)

    def click(self, at: QPointF) -> None:
        self.press(at)
        self.release(at)

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier | None = None) -> None:
        self._canvas.setFocus()
        self._qtbot.keyClick(self._canvas, key, modifier or Qt.KeyboardModifier.NoModifier)
        self._qtbot.wait(20)


@pytest.fixture
def window(
    viewer: Viewer, session: Session, volume: Volume, qtbot: QtBot
) -> Iterator[tuple[CorrectPanel, NodulesPanel, Labels]]:
    """Both panels beside the scan with its two nodules, measured, at the first one's centre."""
    correct, nodules = CorrectPanel(viewer), NodulesPanel(viewer)
    viewer.window.add_dock_widget(correct, name="Correct", area="right")
    viewer.window.add_dock_widget(nodules, name="Nodules", area="right")
    session.add_scan(volume)
    layer = session.add_mask(volume.mask(labels_of(volume)), "mask")
    layer.selected_label = 1
    qtbot.waitUntil(lambda: session.table(layer) is not None, timeout=LONG)
    viewer.scene.camera.zoom = 8
    go_to(viewer, centre_of(layer, 1))
    qtbot.wait(50)
    yield correct, nodules, layer
    correction_tools_of(session).use("")


def centre_of(layer: Labels, label: int) -> np.ndarray:
    index = np.argwhere(layer.data == label).mean(axis=0)
    return np.asarray(layer.data_to_world(index), float)


def rows(panel: NodulesPanel) -> dict[int, float]:
    columns = panel.table._model._columns
    return dict(zip(columns["label"], columns["voxels"], strict=True))


def test_a_nodule_is_split_grown_merged_and_cleaned_by_hand(
    window: tuple[CorrectPanel, NodulesPanel, Labels],
    viewer: Viewer,
    session: Session,
    qtbot: QtBot,
) -> None:
    correct, nodules, layer = window
    hand = Hand(viewer, qtbot)

    def settled() -> dict[int, float]:
        qtbot.waitUntil(lambda: not session.is_stale(layer), timeout=LONG)
        return rows(nodules)

    uid = findings_of(layer).of_label(1).uid
    _, y, x = centre_of(layer, 1)
    before = layer.data.copy()
    camera = viewer.scene.camera.center
    hand.key(Qt.Key.Key_K)
    assert correct.tools["split"].isChecked()
    hand.press(hand.at(y - 12, x + 0.3))
    hand.move(hand.at(y - 4, x + 0.3))
    line = viewer.layers[LINE_LAYER]
    assert isinstance(line, Vectors)
    assert len(line.data) == 1  # it is seen while it is drawn
    hand.move(hand.at(y + 12, x + 0.3))
    hand.release(hand.at(y + 12, x + 0.3))
    assert len(line.data) == 0
    assert viewer.scene.camera.center == camera  # the picture stayed where it was
    assert "split, its smaller part is nodule 3" in correct.status.text()
    assert (np.unique(layer.data[:, :, : int(x + 20)]) != 3).all()
    table = settled()
    assert set(table) == {1, 2, 3}
    assert table[1] + table[3] == np.count_nonzero(before == 1)
    child = findings_of(layer).of_label(3)
    assert child.parents == (uid,)

    hand.key(Qt.Key.Key_J)  # and together again
    assert LINE_LAYER not in viewer.layers
    hand.click(hand.at(*centre_of(layer, 3)[1:]))
    assert "merged with nodule 3" in correct.status.text()
    assert set(settled()) == {1, 2}
    assert findings_of(layer).of_label(1).uid == uid
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert set(settled()) == {1, 2, 3}
    assert findings_of(layer).of_label(3).uid == child.uid
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(layer.data, before)
    assert set(settled()) == {1, 2}

    hand.key(Qt.Key.Key_G)
    assert settled()[1] > np.count_nonzero(before == 1)
    hand.key(Qt.Key.Key_Q)
    hand.click(hand.at(y, x))
    assert "piece deleted" in correct.status.text()
    assert set(settled()) == {2}


def test_a_stroke_of_the_brush_is_followed_by_its_row(
    window: tuple[CorrectPanel, NodulesPanel, Labels],
    viewer: Viewer,
    session: Session,
    qtbot: QtBot,
) -> None:
    correct, nodules, layer = window
    hand = Hand(viewer, qtbot)
    hand.key(Qt.Key.Key_K)
    hand.key(Qt.Key.Key_P)  # napari's brush takes the mouse
    assert not correct.tools["split"].isChecked()
    layer.brush_size = 3
    _, y, x = centre_of(layer, 1)
    before = rows(nodules)
    hand.press(hand.at(y, x + 5))
    hand.move(hand.at(y, x + 11))
    hand.release(hand.at(y, x + 11))
    qtbot.waitUntil(lambda: rows(nodules) != before, timeout=LONG)
    assert rows(nodules)[1] == np.count_nonzero(layer.data == 1)
    assert rows(nodules)[2] == before[2]
    assert f"{correct.nodule.text()}".startswith("1, ")


def test_a_closed_panel_gives_the_mouse_back(
    window: tuple[CorrectPanel, NodulesPanel, Labels], viewer: Viewer, qtbot: QtBot
) -> None:
    correct, _, layer = window
    before = list(viewer.mouse_drag_callbacks)
    correct.tools["split"].click()
    assert viewer.mouse_drag_callbacks != before
    viewer.window.remove_dock_widget(correct)
    correct.deleteLater()
    qtbot.waitUntil(lambda: viewer.mouse_drag_callbacks == before, timeout=LONG)
    assert LINE_LAYER not in viewer.layers
    layer.paint((3, 3, 3), 2)
    layer.selected_label = 2
    viewer.dims.ndisplay = 3
