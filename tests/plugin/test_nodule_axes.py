"""The axes of the picked nodule: on the right slice, at the right place of the canvas."""

from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from napari.utils.key_bindings import coerce_keybinding
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_ctlns.plugin.nodule_axes import KEY, axes_of, nodule_axes_of
from napari_ctlns.plugin.palette import AXES_COLOUR
from napari_ctlns.plugin.project import snapshot
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Geometry, Volume

SEMI = (9.0, 14.0, 6.0)
"""Of an ellipsoid, mm: along z, and in the plane along and across a diagonal."""
MIDDLE = (14, 50, 60)
ALONG = np.array([0.8, 0.6])
TURNED = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0))


@pytest.fixture
def scan() -> Volume:
    geometry = Geometry((30, 100, 120), (2.5, 0.7, 0.9), (10.0, 20.0, -300.0), TURNED)
    return Volume(np.full(geometry.shape, -850, np.int16), geometry, scan_id="a scan")


@pytest.fixture
def mask(scan: Volume) -> Volume:
    index = np.indices(scan.geometry.shape).transpose(1, 2, 3, 0) - MIDDLE
    z, y, x = np.moveaxis(index * scan.geometry.spacing, -1, 0)
    long, short = y * ALONG[0] + x * ALONG[1], y * -ALONG[1] + x * ALONG[0]
    inside = (z / SEMI[0]) ** 2 + (long / SEMI[1]) ** 2 + (short / SEMI[2]) ** 2 <= 1
    return scan.mask(np.where(inside, 3, 0).astype(np.uint8))


def test_axes_lie_where_the_ellipsoid_lies(mask: Volume) -> None:
    found = axes_of(mask, 3)
    assert found is not None
    axes, box = found
    middle = np.array(MIDDLE) * mask.geometry.spacing + (-300.0, 20.0, 10.0)
    ends = middle[1:] + np.outer((-1, 1), ALONG) * SEMI[1]
    shown = axes.lines[0][np.argsort(axes.lines[0][:, 1])]
    assert np.abs(shown[:, 1:] - ends).max() < 1.5  # the tip of an ellipse is flat
    assert (axes.lines[..., 0] == middle[0]).all()
    assert axes.lengths_mm == pytest.approx((28, 12), abs=1.2)
    way, cross = axes.lines[:, 1] - axes.lines[:, 0]
    assert abs(way @ cross) < 1e-6 * 28 * 12
    assert (mask.array[box] == 3).sum() == (mask.array == 3).sum()
    assert axes_of(mask, 4) is None


def test_they_follow_strokes_picks_slices_and_planes(
    model_session: Session, scan: Volume, mask: Volume, qtbot: QtBot
) -> None:
    model_session.add_scan(scan)
    layer = model_session.add_mask(mask, "mask")
    axes, dims = nodule_axes_of(model_session), model_session.viewer.dims
    layer.selected_label = 3
    qtbot.waitUntil(lambda: axes.axes is not None, timeout=2000)
    dims.set_point(0, -300 + 14 * 2.5)
    assert axes.seen
    assert axes.axes is not None
    before = axes.axes.lengths_mm
    layer.data_setitem((np.full(60, 14), np.full(60, 50), np.arange(50, 110)), 3)
    qtbot.waitUntil(lambda: axes.axes.lengths_mm != before, timeout=2000)
    assert axes.axes.lengths_mm[0] > 40
    layer.undo()
    qtbot.waitUntil(lambda: axes.axes.lengths_mm == before, timeout=2000)
    dims.set_point(0, -300 + 15 * 2.5)
    assert not axes.seen
    dims.set_point(0, -300 + 14 * 2.5)
    dims.order = (0, 2, 1)
    assert axes.seen  # still axial, only turned
    dims.order = (1, 0, 2)
    dims.set_point(1, 20 + 50 * 0.7)
    assert not axes.seen
    dims.order = (0, 1, 2)
    layer.visible = False
    assert not axes.seen
    layer.visible = True
    layer.selected_label = 8
    qtbot.waitUntil(lambda: axes.axes is None, timeout=2000)


def coloured(viewer: Viewer) -> np.ndarray:
    """Rows and columns of the canvas that have the colour of axes."""
    wanted = np.array([int(AXES_COLOUR[k : k + 2], 16) for k in (1, 3, 5)])
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    return np.argwhere(np.abs(picture - wanted).max(axis=-1) < 12)


def test_they_are_seen_on_the_canvas_and_nowhere_else(
    viewer: Viewer, session: Session, scan: Volume, mask: Volume, qtbot: QtBot, tmp_path: Path
) -> None:
    session.add_scan(scan)
    layer = session.add_mask(mask, "mask")
    layer.selected_label = 3
    axes = nodule_axes_of(session)
    axes.bind_key()
    viewer.dims.set_point(0, -300 + 14 * 2.5)
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0, 55.0, 64.0), 8
    qtbot.waitUntil(lambda: axes.seen, timeout=2000)
    qtbot.wait(50)
    there = coloured(viewer)
    size = np.array(viewer.screenshot(canvas_only=True, flash=False).shape[:2])
    assert axes.axes is not None
    for end in axes.axes.lines[..., 1:].reshape(-1, 2):
        at = (end - (55.0, 64.0)) * camera.zoom + size / 2
        assert np.linalg.norm(there - at, axis=1).min() < 4
    assert len(viewer.layers) == 2
    assert len(snapshot(session)[0].contents.layers) == 2
    assert session.mask is layer
    viewer.dims.set_point(0, -300 + 16 * 2.5)
    assert not len(coloured(viewer))
    viewer.dims.set_point(0, -300 + 14 * 2.5)
    assert len(coloured(viewer))
    assert KEY == "Shift-X"
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    qtbot.wait(50)
    assert not len(coloured(viewer))


def test_a_key_that_a_person_gave_to_something_else_is_left_alone(model_session: Session) -> None:
    viewer = model_session.viewer
    viewer.bind_key(KEY, mine := lambda _viewer: None)
    nodule_axes_of(model_session).bind_key()
    assert viewer.keymap[coerce_keybinding(KEY)] is mine
