"""Nodules in space: in the place of their voxels, followed, and slices back as they were."""

from pathlib import Path

import numpy as np
import pytest
from napari import Viewer
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_ctlns.events import Finished, Progress, ThreadControl
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.meshing import surfaces_job
from napari_ctlns.plugin.palette import STATUS_COLOURS
from napari_ctlns.plugin.panels.rulers_panel import RulersPanel
from napari_ctlns.plugin.project import snapshot
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.spatial_view import SpatialView, spatial_view_of
from napari_ctlns.plugin.surface_layers import LUNGS, NODULES, colours_of
from napari_ctlns.volume import Geometry, Volume

TURNED = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0))
LONG = 20_000


@pytest.fixture
def mask() -> Volume:
    geometry = Geometry((30, 40, 50), (2.5, 0.7, 0.9), (10.0, 20.0, -300.0), TURNED)
    labels = np.zeros(geometry.shape, np.uint8)
    labels[8:14, 10:20, 12:30] = 2
    labels[20:22, 30:34, 5:9] = 5
    return Volume(labels, geometry, "mask", "a scan")


@pytest.fixture
def scan(mask: Volume) -> Volume:
    return Volume(np.full(mask.geometry.shape, 40, np.int16), mask.geometry, scan_id="a scan")


@pytest.fixture
def shown(model_session: Session, scan: Volume, mask: Volume, qtbot: QtBot) -> SpatialView:
    """A session whose nodules are seen in space; a scan without lungs."""
    model_session.add_scan(scan)
    model_session.add_mask(mask, "mask").selected_label = 9
    view = spatial_view_of(model_session)
    view.toggle()
    qtbot.waitUntil(lambda: view.on, timeout=LONG)
    return view


def nodules(session: Session) -> np.ndarray:
    """The vertices of the nodules in canvas millimetres."""
    layer = session.viewer.layers[NODULES]
    return np.asarray(layer.data[0]) * layer.scale + layer.translate


def test_surfaces_lie_where_the_voxels_lie(shown: SpatialView, model_session: Session) -> None:
    layer = model_session.mask
    assert layer is not None
    points = nodules(model_session)
    left = points[points[:, 0] > -300 + 17 * 2.5]
    low, high = (layer.data_to_world(np.array(at) - 0.5) for at in ((20, 30, 5), (22, 34, 9)))
    for found, wanted in ((left.min(axis=0), low), (left.max(axis=0), high)):
        assert np.abs(found - wanted).max() < 0.5  # smoothed
    slider = model_session.viewer.dims.range
    assert [round(one.step, 6) for one in slider] == [2.5, 0.7, 0.9]


def test_edits_are_followed_and_only_their_nodules(
    shown: SpatialView, model_session: Session, qtbot: QtBot
) -> None:
    layer = model_session.mask
    assert layer is not None
    before = nodules(model_session)
    other = shown._surfaces[layer].meshes[2]
    z, y, x = np.indices((1, 4, 12)).reshape(3, -1)
    layer.data_setitem((z + 22, y + 30, x + 5), 5)
    qtbot.waitUntil(lambda: len(nodules(model_session)) != len(before), timeout=2000)
    assert nodules(model_session)[:, 2].max() == pytest.approx(
        max(before[:, 2].max(), 10 + 16.5 * 0.9), abs=0.5
    )
    assert shown._surfaces[layer].meshes[2] is other
    layer.undo()
    qtbot.waitUntil(lambda: len(nodules(model_session)) == len(before), timeout=2000)
    np.testing.assert_allclose(nodules(model_session), before)
    # the last of a nodule's voxels takes its surface along
    layer.data_setitem(np.nonzero(layer.data == 5), 0)
    qtbot.waitUntil(lambda: nodules(model_session)[:, 0].max() < -260, timeout=2000)
    layer.data_setitem(np.nonzero(layer.data), 0)
    surface = model_session.viewer.layers[NODULES]
    qtbot.waitUntil(lambda: not surface.visible, timeout=2000)
    layer.undo()
    qtbot.waitUntil(lambda: surface.visible, timeout=2000)


def test_colours_say_status_and_which_is_picked(shown: SpatialView, model_session: Session) -> None:
    layer = model_session.mask
    assert isinstance(layer, Labels)
    findings = of.findings_of(layer)
    judged = findings.change(findings.of_label(5).uid, status="accepted")
    of.keep_findings(layer, judged, of.mask_of(layer))
    green = [int(STATUS_COLOURS["accepted"][k : k + 2], 16) / 255 for k in (1, 3, 5)]
    assert colours_of(layer, [2, 5], "status")[5][:3] == pytest.approx(green, abs=1e-6)
    before = np.asarray(model_session.viewer.layers[NODULES].vertex_colors)
    layer.selected_label = 5
    after = np.asarray(model_session.viewer.layers[NODULES].vertex_colors)
    first = slice(0, len(shown._surfaces[layer].meshes[2].vertices))
    assert after[first, :3].mean() < 0.7 * before[first, :3].mean()
    by_label = colours_of(layer, [2, 5], "label")
    assert by_label[5] == pytest.approx(of.colours_of_labels(layer, [5])[5], abs=1e-6)


def test_a_project_knows_nothing_of_it(shown: SpatialView, model_session: Session) -> None:
    contents = snapshot(model_session)[0].contents
    assert [layer.name for layer in contents.layers] == ["a scan", "mask"]
    assert all(layer.visible for layer in contents.layers)
    assert contents.view is not None
    assert contents.view.ndisplay == 2
    assert {layer.visible for layer in model_session.viewer.layers} == {True, False}


def test_napari_s_own_button_leads_back_too(shown: SpatialView, model_session: Session) -> None:
    model_session.viewer.dims.ndisplay = 2
    assert not shown.on
    assert NODULES not in model_session.viewer.layers
    assert all(layer.visible for layer in model_session.viewer.layers)
    shown.toggle()
    assert shown.on  # what was made is still there
    model_session.viewer.layers.remove("mask")
    assert not shown.on
    assert shown.why_not()
    assert model_session.viewer.dims.ndisplay == 2


def test_work_tells_how_far_it_is_and_can_be_stopped(mask: Volume) -> None:
    events = list(surfaces_job(mask, None, ThreadControl()))
    assert [event.done for event in events if isinstance(event, Progress)] == [1, 2]
    assert set(events[-1].result["surfaces"].meshes) == {2, 5}
    control = ThreadControl()
    control.stop()
    last = list(surfaces_job(mask, None, control))[-1]
    assert isinstance(last, Finished)
    assert last.stopped
    assert "surfaces" not in last.result


def test_a_key_leads_there_and_back_to_the_same_slice(
    viewer: Viewer, session: Session, volume: Volume, qtbot: QtBot, tmp_path: Path
) -> None:
    session.add_scan(volume)
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[6:11, 12:20, 14:22] = 1
    layer = session.add_mask(volume.mask(labels), "mask")
    hidden = session.add_annotations((), volume)
    hidden.visible = False
    viewer.layers.selection.active = layer
    layer.mode = "paint"
    panel = RulersPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Rulers")
    viewer.dims.order = (2, 0, 1)
    viewer.dims.set_point(2, -3.0)
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0.0, 120.0, -10.0), 7.5
    before = (viewer.dims.order, viewer.dims.point, camera.center, camera.zoom, camera.angles)
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_D, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: viewer.dims.ndisplay == 3, timeout=LONG)
    seen = {one.name for one in viewer.layers if one.visible}
    assert seen <= {NODULES, LUNGS}
    assert NODULES in seen
    assert viewer.layers.selection.active is layer
    assert layer.mode == "pan_zoom"
    # from the front: the patient's left, where x is greater, is on the right; the head is up
    up, view = np.array(camera.up_direction), np.array(camera.view_direction)
    assert up == pytest.approx((1, 0, 0), abs=1e-6)
    assert view == pytest.approx((0, 1, 0), abs=1e-6)
    assert panel.job_bar.button.text() == "Back to slices"
    QTest.keyClick(canvas, Qt.Key.Key_D, Qt.KeyboardModifier.ShiftModifier)
    now = (viewer.dims.order, viewer.dims.point, camera.center, camera.zoom, camera.angles)
    assert now == before
    assert layer.mode == "paint"
    assert [one.visible for one in viewer.layers] == [True, True, False]
    assert session.slices is None
