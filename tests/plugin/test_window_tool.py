"""The HU window of the scan worked on, and changing it by dragging with the right button."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from napari import Viewer
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.window_tool import WindowTool, scan_window_of, window_tool_of
from napari_ctlns.plugin.windowing import PRESETS, Window
from napari_ctlns.volume import Volume

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
LUNG = PRESETS["lung"]
Drag = Callable[..., None]


# -- the window -------------------------------------------------------------------


def test_the_window_is_that_of_the_scan_worked_on(
    qtbot: QtBot, model_session: Session, volume: Volume
) -> None:
    window = scan_window_of(model_session)
    assert scan_window_of(model_session) is window
    assert window.window is None
    window.choose(LUNG)  # nothing to draw through it
    with qtbot.waitSignal(window.changed):
        first = model_session.add_scan(volume, PRESETS["bone"])
    with qtbot.waitSignal(window.changed):
        second = model_session.add_scan(volume, LUNG)
    assert window.window == LUNG
    with qtbot.waitSignal(window.changed):
        second.contrast_limits = (-100, 200)  # as napari's own slider does
    assert window.window == Window(-100, 200)
    model_session.choose(first)
    assert window.window == PRESETS["bone"]
    with qtbot.assertNotEmitted(window.changed):
        second.contrast_limits = (-50, 50)
    window.choose(PRESETS["nodule"])
    assert first.contrast_limits == [-1000, 400]
    with qtbot.waitSignal(window.changed):
        model_session.viewer.layers.clear()
    assert window.window is None


# -- the tool, in a real window ---------------------------------------------------


@pytest.fixture
def tool(session: Session, volume: Volume) -> Iterator[WindowTool]:
    """The tool of a session with a scan, on."""
    session.add_scan(volume)
    tool = window_tool_of(session)
    tool.switch(True)
    yield tool
    tool.switch(False)


@pytest.fixture
def drag(qtbot: QtBot, viewer: Viewer) -> Drag:
    """Drag over the canvas with real mouse events, from its middle through offsets in pixels."""
    canvas = viewer.window._qt_viewer.canvas.native

    def send(kind: QEvent.Type, at: QPointF, button: Qt.MouseButton, held: Qt.MouseButton) -> None:
        none = Qt.KeyboardModifier.NoModifier
        event = QMouseEvent(kind, at, canvas.mapToGlobal(at), button, held, none)
        QApplication.sendEvent(canvas, event)
        qtbot.wait(20)  # napari throttles moves

    def drag(*offsets: tuple[int, int], button: Qt.MouseButton = RIGHT) -> None:
        middle = QPointF(canvas.width() // 2, canvas.height() // 2)
        none = Qt.MouseButton.NoButton
        send(QEvent.Type.MouseMove, middle, none, none)
        send(QEvent.Type.MouseButtonPress, middle, button, button)
        at = middle
        for right, down in offsets:
            at = middle + QPointF(right, down)
            send(QEvent.Type.MouseMove, at, none, button)
        send(QEvent.Type.MouseButtonRelease, at, button, none)

    return drag


def camera_of(viewer: Viewer) -> tuple[object, ...]:
    camera = viewer.scene.camera
    return (camera.zoom, tuple(camera.center), tuple(camera.angles))


def window_of(session: Session) -> Window:
    window = scan_window_of(session).window
    assert window is not None
    return window


def test_right_drag_changes_width_and_level_and_the_camera_rests(
    viewer: Viewer, session: Session, tool: WindowTool, drag: Drag
) -> None:
    before = camera_of(viewer)
    drag((20, 0), (60, 0))
    assert window_of(session).width == pytest.approx(LUNG.width * 1.2)
    assert window_of(session).level == LUNG.level
    drag((0, -30))  # upwards
    assert window_of(session).level > LUNG.level
    assert window_of(session).width == pytest.approx(LUNG.width * 1.2)
    assert camera_of(viewer) == before
    assert viewer.scene.camera.mouse_pan


def test_dragging_back_brings_the_window_back(
    session: Session, tool: WindowTool, drag: Drag
) -> None:
    drag((-2000, 300), (0, 0))  # narrower than can be, on the way
    assert window_of(session) == LUNG


def test_the_other_button_still_moves_the_picture(
    viewer: Viewer, session: Session, tool: WindowTool, drag: Drag
) -> None:
    before = camera_of(viewer)
    drag((40, 0), (60, 0), button=LEFT)
    assert camera_of(viewer) != before
    assert window_of(session) == LUNG


def test_off_the_right_button_is_naparis(
    viewer: Viewer, session: Session, tool: WindowTool, drag: Drag
) -> None:
    tool.switch(False)
    before = camera_of(viewer)
    drag((20, 0), (60, -30))
    assert camera_of(viewer)[0] != before[0]  # it zooms
    assert window_of(session) == LUNG


def test_a_brush_misses_the_right_drag_and_works_on(
    viewer: Viewer, session: Session, volume: Volume, tool: WindowTool, drag: Drag
) -> None:
    mask = session.add_mask(volume.mask(np.ones(volume.array.shape, np.uint8)), "mask")
    mask.mode = "erase"  # its right button erases, too
    drag((20, 0), (60, 0))
    assert mask.data.all()
    assert window_of(session).width > LUNG.width
    assert not viewer.scene.camera.mouse_pan  # as in any mode that paints
    drag((20, 0), (60, 0), button=LEFT)
    assert not mask.data.all()


def test_the_tool_works_in_3d(
    viewer: Viewer, session: Session, tool: WindowTool, drag: Drag
) -> None:
    viewer.dims.ndisplay = 3
    before = camera_of(viewer)
    drag((20, 0), (60, 0))
    assert window_of(session).width > LUNG.width
    assert camera_of(viewer) == before


def test_going_off_during_a_drag_gives_the_canvas_back(
    viewer: Viewer, session: Session, tool: WindowTool, drag: Drag
) -> None:
    scan = session.scan
    assert scan is not None

    def off() -> None:
        tool.switch(False)

    scan.events.contrast_limits.connect(off)
    drag((20, 0), (40, 0))
    assert viewer.scene.camera.mouse_pan
    before = camera_of(viewer)
    drag((20, 0), (60, -30))
    assert camera_of(viewer)[0] != before[0]


def test_without_a_scan_the_tool_leaves_the_button_alone(
    viewer: Viewer, tool: WindowTool, drag: Drag
) -> None:
    viewer.layers.clear()
    viewer.add_points([[0, 0, 0]], size=5)
    before = camera_of(viewer)
    drag((20, 0), (60, -30))
    assert camera_of(viewer)[0] != before[0]


def test_switching_is_told_once(qtbot: QtBot, model_session: Session) -> None:
    tool = window_tool_of(model_session)
    assert window_tool_of(model_session) is tool
    told: list[bool] = []
    tool.switched.connect(told.append)
    for on in (True, True, False, False):
        tool.switch(on)
        assert tool.on == on
    assert told == [True, False]
    assert tool._drag not in model_session.viewer.mouse_drag_callbacks
