"""Three planes: what they show, and what the mouse does in them."""

import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari import Viewer
from napari._qt.utils import QImg2array
from napari.components import ViewerModel
from napari.layers import Labels
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.crosshair import crosshair_of
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.panels.planes_panel import PlanesPanel
from napari_ctlns.plugin.plane_docking import KEY, bind_key
from napari_ctlns.plugin.plane_geometry import PLANES, Plane, Sight
from napari_ctlns.plugin.plane_pictures import LayerPictures
from napari_ctlns.plugin.plane_sights import plane_sights_of
from napari_ctlns.plugin.planes import three_planes_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.views.plane_view import CROSS_COLOUR, PlaneView
from napari_ctlns.plugin.window_tool import scan_window_of
from napari_ctlns.plugin.windowing import Window
from napari_ctlns.volume import Geometry, Triple, Volume

AXIAL, CORONAL, SAGITTAL = PLANES
LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
MIDDLE, NO_BUTTON = Qt.MouseButton.MiddleButton, Qt.MouseButton.NoButton
NO_KEY, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CONTROL = Qt.KeyboardModifier.ControlModifier
PLACE = (8, 16, 18)
"""The voxel in the middle of the larger ball of `volume`."""


@pytest.fixture
def panel(qtbot: QtBot, model_session: Session, volume: Volume) -> Iterator[PlanesPanel]:
    """The planes of a scan in a viewer without a window, all of it in sight, no crosshair."""
    model_session.add_scan(volume, Window(-1000, 400))
    panel = PlanesPanel(model_session.viewer)
    panel.resize(320, 640)
    qtbot.addWidget(panel)
    panel.same_scale.setChecked(False)
    panel.cross.setChecked(False)
    panel.show()
    yield panel
    panel.close()


def view_of(panel: PlanesPanel, plane: Plane) -> PlaneView:
    """Return the view of a plane, drawn once."""
    (view,) = (view for view in panel.views if view.plane is plane)
    view.grab()
    return view


def mm(volume: Volume, voxel: Triple) -> Triple:
    """Return a voxel's place on the canvas."""
    corner, spacing = volume.geometry.origin[::-1], volume.geometry.spacing
    z, y, x = (c + i * s for c, i, s in zip(corner, voxel, spacing, strict=True))
    return z, y, x


def pixel(panel: PlanesPanel, plane: Plane, point: Triple) -> QPointF:
    """Return where a view shows a point."""
    view = view_of(panel, plane)
    assert view._sight is not None
    return QPointF(*view._sight.pixel(point))


def picture(panel: PlanesPanel, plane: Plane) -> np.ndarray:
    """Return what a view shows: rows, columns, red green blue."""
    view = view_of(panel, plane)
    return QImg2array(view.grab().toImage())[..., :3].astype(int)


def colour(panel: PlanesPanel, plane: Plane, point: Triple) -> tuple[int, ...]:
    """Return the colour in which a view shows a point."""
    at = pixel(panel, plane, point)
    return tuple(picture(panel, plane)[round(at.y()), round(at.x())].tolist())


def send(
    view: PlaneView,
    kind: QEvent.Type,
    at: QPointF,
    button: Qt.MouseButton,
    held: Qt.MouseButton,
    keys: Qt.KeyboardModifier = NO_KEY,
) -> None:
    """Send a mouse event to a view."""
    event = QMouseEvent(kind, at, QPointF(view.mapToGlobal(at.toPoint())), button, held, keys)
    QApplication.sendEvent(view, event)


def drag(
    view: PlaneView,
    *places: QPointF,
    button: Qt.MouseButton = LEFT,
    keys: Qt.KeyboardModifier = NO_KEY,
) -> None:
    """Press at the first place, move through the others, and let go."""
    send(view, QEvent.Type.MouseButtonPress, places[0], button, button, keys)
    for place in places[1:]:
        send(view, QEvent.Type.MouseMove, place, NO_BUTTON, button, keys)
    send(view, QEvent.Type.MouseButtonRelease, places[-1], button, NO_BUTTON, keys)


def turn_wheel(
    view: PlaneView, at: QPointF, notches: float, keys: Qt.KeyboardModifier = NO_KEY
) -> None:
    """Turn the wheel over a view."""
    event = QWheelEvent(
        at,
        QPointF(view.mapToGlobal(at.toPoint())),
        QPoint(0, 0),
        QPoint(0, round(120 * notches)),
        NO_BUTTON,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(view, event)


def add_mask(session: Session, volume: Volume) -> Labels:
    """Add an empty mask, ready to be painted with label 3."""
    mask = session.add_mask(volume.mask(np.zeros(volume.array.shape, np.uint8)), "mask")
    mask.mode, mask.brush_size, mask.selected_label, mask.opacity = "paint", 7, 3, 1.0
    return mask


def spread(layer: Labels, voxel: Triple, plane: Plane) -> np.ndarray:
    """Return the voxels of a dab of 7 mm in a plane: round in millimetres."""
    offset = np.indices(layer.data.shape) - np.reshape(voxel, (3, 1, 1, 1))
    way = offset * np.reshape(layer.scale, (3, 1, 1, 1))
    return (offset[plane.axis] == 0) & ((way**2).sum(axis=0) <= 3.5**2)


# -- where things are -------------------------------------------------------------------


@given(
    plane=st.sampled_from(PLANES),
    centre=st.tuples(*(st.floats(-500, 500),) * 3),
    scale=st.floats(0.05, 50),
    at=st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)),
    depth=st.floats(-500, 500),
)
def test_pixels_and_points_are_each_others_inverse(
    plane: Plane, centre: Triple, scale: float, at: tuple[float, float], depth: float
) -> None:
    sight = Sight(plane, centre, scale, (300, 200))
    point = sight.point(at, depth)
    assert point[plane.axis] == depth
    assert sight.pixel(point) == pytest.approx(at, abs=1e-6)


def test_the_patient_is_seen_as_radiologists_do(panel: PlanesPanel, volume: Volume) -> None:
    here = mm(volume, PLACE)
    for plane in (AXIAL, CORONAL):
        left = pixel(panel, plane, (here[0], here[1], here[2] + 5))  # +x: the patient's left
        assert left.x() > pixel(panel, plane, here).x()
        assert (plane.left, plane.right) == ("R", "L")
    for plane in (CORONAL, SAGITTAL):
        head = pixel(panel, plane, (here[0] + 5, here[1], here[2]))
        assert head.y() < pixel(panel, plane, here).y()
        assert (plane.top, plane.bottom) == ("H", "F")
    back = (here[0], here[1] + 5, here[2])
    assert pixel(panel, AXIAL, back).y() > pixel(panel, AXIAL, here).y()
    assert pixel(panel, SAGITTAL, back).x() > pixel(panel, SAGITTAL, here).x()
    assert (AXIAL.top, SAGITTAL.left) == ("A", "A")


@pytest.mark.parametrize("plane", [CORONAL, SAGITTAL], ids=lambda plane: plane.name)
def test_voxels_are_drawn_where_they_are_in_true_proportions(
    panel: PlanesPanel, model_session: Session, volume: Volume, plane: Plane
) -> None:
    here = mm(volume, PLACE)
    go_to(model_session.viewer, here)
    bright = picture(panel, plane)[:, :, 0] == 255 * (60 + 1000) // 1400  # only balls are 60 HU
    middle = pixel(panel, plane, here)
    assert bright[round(middle.y()), round(middle.x())]
    rows, columns = (np.flatnonzero(bright.sum(axis=k) > 5) for k in (1, 0))
    sight = view_of(panel, plane)._sight
    assert sight is not None
    tall, wide = len(rows), len(columns)
    assert tall == pytest.approx(5 * 2.5 * sight.scale, abs=2)  # five slices of 2.5 mm
    assert wide == pytest.approx(13 * sight.scale, abs=2)
    assert (rows[0] + rows[-1]) / 2 == pytest.approx(middle.y(), abs=1.5)
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(middle.x(), abs=1.5)


def test_the_corner_says_where_in_lps(panel: PlanesPanel, model_session: Session) -> None:
    crosshair_of(model_session).go((110.0, -14.0, -2.0))
    planes = three_planes_of(model_session)
    words = {plane: planes.scene(plane, (9, 9)) for plane in PLANES}
    assert [scene.words for scene in words.values() if scene] == [
        "Axial  z 110.0 mm",
        "Coronal  y -14.0 mm",
        "Sagittal  x -2.0 mm",
    ]


def test_an_oblique_scan_says_that_it_is(model_session: Session, qtbot: QtBot) -> None:
    turned = ((0.8, -0.6, 0.0), (0.6, 0.8, 0.0), (0.0, 0.0, 1.0))
    geometry = Geometry((4, 6, 8), (2.0, 1.0, 1.0), (5.0, 6.0, 7.0), turned)
    model_session.add_scan(Volume(np.zeros(geometry.shape, np.int16), geometry, scan_id="o"))
    planes = three_planes_of(model_session)
    planes.switch(True)
    crosshair_of(model_session).go((9.0, 8.0, 7.0))
    scene = planes.scene(CORONAL, (100, 100))
    assert scene is not None
    x, y, z = geometry.index_to_world((1, 2, 2))
    assert "oblique: along the scan's own axes" in scene.words
    assert scene.words.endswith(f"x {x:.1f}, y {y:.1f}, z {z:.1f} mm")
    planes.switch(False)


# -- what is shown ------------------------------------------------------------------------


def test_window_and_colours_are_those_of_the_layer(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    here, scan = mm(volume, PLACE), model_session.scan
    assert scan is not None
    go_to(model_session.viewer, here)
    assert colour(panel, CORONAL, here) == ((60 + 1000) * 255 // 1400,) * 3
    scan.contrast_limits = (0, 120)
    assert colour(panel, CORONAL, here) == (127,) * 3
    scan.colormap = "gray_r"
    assert colour(panel, SAGITTAL, here)[0] == pytest.approx(128, abs=2)
    scan.visible = False
    assert colour(panel, CORONAL, here) == (0, 0, 0)


def test_the_right_button_changes_the_window(panel: PlanesPanel, model_session: Session) -> None:
    window = scan_window_of(model_session)
    before = window.window
    assert before is not None
    view = view_of(panel, CORONAL)
    drag(view, QPointF(60, 60), QPointF(80, 60), QPointF(90, 40), button=RIGHT)
    assert window.window == before.dragged(30, 20)
    drag(view, QPointF(60, 60), QPointF(90, 40), QPointF(60, 60), button=RIGHT)
    assert window.window == before.dragged(30, 20)


def test_labels_are_seen_in_their_colour_and_only_where_they_are(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    here = mm(volume, PLACE)
    mask = add_mask(model_session, volume)
    go_to(model_session.viewer, here)
    mask.data_setitem(tuple(np.array([i]) for i in PLACE), 3)
    expected = tuple(int(255 * part + 0.5) for part in mask.get_color(3)[:3])
    for plane in (CORONAL, SAGITTAL):
        assert colour(panel, plane, here) == pytest.approx(expected, abs=1)
        assert len(set(colour(panel, plane, mm(volume, (8, 20, 22))))) == 1  # grey
    mask.show_selected_label = True
    mask.selected_label = 5
    assert len(set(colour(panel, CORONAL, here))) == 1
    mask.selected_label = 3
    assert colour(panel, CORONAL, here) == pytest.approx(expected, abs=1)
    mask.undo()
    assert len(set(colour(panel, CORONAL, here))) == 1
    mask.data[PLACE] = 3  # as previews are written
    mask.refresh()
    assert colour(panel, CORONAL, here) == pytest.approx(expected, abs=1)


def test_a_contour_leaves_the_inside_free(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    here = mm(volume, PLACE)
    mask = add_mask(model_session, volume)
    go_to(model_session.viewer, here)
    mask.data[4:13, 10:23, 12:25] = 3
    mask.refresh()
    mask.contour = 2
    assert len(set(colour(panel, CORONAL, here))) == 1
    for edge in ((8, 16, 12), (8, 16, 13), (12, 16, 18)):
        assert len(set(colour(panel, CORONAL, mm(volume, edge)))) == 3
    assert len(set(colour(panel, CORONAL, mm(volume, (8, 16, 14))))) == 1


def test_labels_of_any_number_have_colours(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    labels = np.zeros(volume.array.shape, np.int32)
    labels[PLACE], labels[8, 16, 22] = 70_000, -4
    layer = model_session.viewer.add_labels(
        labels, scale=volume.geometry.spacing, translate=volume.geometry.origin[::-1], opacity=1
    )
    go_to(model_session.viewer, mm(volume, PLACE))
    for voxel, label in ((PLACE, 70_000), ((8, 16, 22), -4)):
        expected = [255 * part for part in layer.get_color(label)[:3]]
        assert colour(panel, CORONAL, mm(volume, voxel)) == pytest.approx(expected, abs=1.5)


def test_annotations_are_cut_as_spheres(
    panel: PlanesPanel,
    model_session: Session,
    volume: Volume,
    annotations: tuple[Annotation, ...],
) -> None:
    layer = model_session.add_annotations(annotations, volume)
    z, y, x = mm(volume, PLACE)
    go_to(model_session.viewer, (z, y, x))
    planes = three_planes_of(model_session)
    for away, radius in ((0.0, 6.0), (3.0, 27**0.5), (7.0, None)):
        crosshair_of(model_session).go((z, y - away, x))
        scene = planes.scene(CORONAL, (200, 200))
        assert scene is not None
        assert [disc.radius for disc in scene.discs] == ([] if radius is None else [radius])
    crosshair_of(model_session).go((z, y, x))
    orange = QColor("#e69f00").getRgb()[:3]
    edge = picture(panel, CORONAL)
    assert (np.abs(edge - orange).sum(axis=2) < 30).sum() > 20
    layer.visible = False
    assert not (np.abs(picture(panel, CORONAL) - orange).sum(axis=2) < 30).any()


# -- going to places ------------------------------------------------------------------------


def test_a_click_goes_there_and_the_others_follow(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    go_to(model_session.viewer, mm(volume, PLACE))
    there = mm(volume, (15, 16, 28))
    drag(view_of(panel, CORONAL), pixel(panel, CORONAL, there))
    assert crosshair_of(model_session).point == pytest.approx(there, abs=0.5)
    assert model_session.viewer.dims.current_step[0] == 15
    panel.cross.setChecked(True)
    line = QColor(CROSS_COLOUR).getRgb()[:3]
    drawn = (picture(panel, SAGITTAL) == line).all(axis=2)
    at = pixel(panel, SAGITTAL, crosshair_of(model_session).point)
    assert drawn[round(at.y())].sum() > drawn.shape[1] / 2
    assert drawn[:, round(at.x())].sum() > drawn.shape[0] / 2
    assert not drawn[round(at.y()), round(at.x())]  # what is there stays in sight
    panel.cross.setChecked(False)
    assert not (picture(panel, SAGITTAL) == line).all(axis=2).any()


def test_the_viewer_hears_of_all_axes_when_the_mouse_rests(
    qtbot: QtBot, panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    there = mm(volume, (15, 16, 28))
    crosshair_of(model_session).go(there)
    dims = model_session.viewer.dims
    qtbot.waitUntil(lambda: dims.point == pytest.approx(there), timeout=2000)
    dims.set_point(2, there[2] - 3)
    assert crosshair_of(model_session).point == pytest.approx((*there[:2], there[2] - 3))


def test_shift_takes_the_crosshair_along_on_the_canvas(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    viewer, there = model_session.viewer, mm(volume, (8, 20, 30))
    go_to(viewer, mm(volume, PLACE))
    (callback,) = viewer.mouse_move_callbacks
    for keys, dragging in (((), False), (("Shift",), True)):
        callback(viewer, SimpleNamespace(modifiers=keys, is_dragging=dragging, position=there))
        assert crosshair_of(model_session).point == pytest.approx(mm(volume, PLACE))
    callback(viewer, SimpleNamespace(modifiers=("Shift",), is_dragging=False, position=there))
    assert crosshair_of(model_session).point == pytest.approx(there)


def test_the_wheel_goes_through_the_slices_of_its_plane(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    go_to(model_session.viewer, mm(volume, PLACE))
    for plane in (CORONAL, SAGITTAL):
        before = crosshair_of(model_session).point
        turn_wheel(view_of(panel, plane), QPointF(50, 50), 0.5)
        assert crosshair_of(model_session).point == before
        turn_wheel(view_of(panel, plane), QPointF(50, 50), 1.5)
        after = crosshair_of(model_session).point
        steps = np.subtract(after, before) / volume.geometry.spacing
        assert steps == pytest.approx([2.0 * (axis == plane.axis) for axis in range(3)])
    turn_wheel(view_of(panel, CORONAL), QPointF(50, 50), -500)
    assert crosshair_of(model_session).point[1] == volume.geometry.origin[1]


def test_planes_zoom_and_move_with_the_camera(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    panel.same_scale.setChecked(True)
    camera, sights = model_session.viewer.scene.camera, plane_sights_of(model_session)
    here = mm(volume, PLACE)
    camera.zoom = 6.0
    go_to(model_session.viewer, here)
    for plane in PLANES:
        sight = sights.sight(plane, (200, 200))
        assert (sight.scale, sight.centre) == (6.0, pytest.approx(here))
    view = view_of(panel, CORONAL)
    under = pixel(panel, CORONAL, here) + QPointF(30, 20)
    place = view._point(under)
    turn_wheel(view, under, 2, CONTROL)
    assert camera.zoom == pytest.approx(6 * 1.1**2)
    assert place is not None
    at = pixel(panel, CORONAL, place)
    assert (at.x(), at.y()) == pytest.approx((under.x(), under.y()), abs=1e-6)
    across = camera.center[-1]
    drag(view, QPointF(60, 60), QPointF(60 + camera.zoom * 4, 60), button=MIDDLE)
    assert camera.center[-1] == pytest.approx(across - 4)
    assert camera.center[-2] == pytest.approx(here[1])
    assert sights.sight(AXIAL, (200, 200)).centre[2] == pytest.approx(across - 4)


def test_the_crosshair_stays_in_sight_or_in_the_middle(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    panel.same_scale.setChecked(True)
    model_session.viewer.scene.camera.zoom = 20.0
    go_to(model_session.viewer, mm(volume, PLACE))
    view = view_of(panel, SAGITTAL)
    crosshair_of(model_session).go(mm(volume, (22, 16, 18)))
    at = pixel(panel, SAGITTAL, crosshair_of(model_session).point)
    assert view.rect().contains(at.toPoint())
    panel.centred.setChecked(True)
    crosshair_of(model_session).go(mm(volume, (21, 18, 18)))
    at = pixel(panel, SAGITTAL, crosshair_of(model_session).point)
    assert (at.x(), at.y()) == (view.width() / 2, view.height() / 2)


# -- painting -------------------------------------------------------------------------------


@pytest.mark.parametrize("plane", [CORONAL, SAGITTAL], ids=lambda plane: plane.name)
def test_painting_changes_exactly_the_voxels_under_the_brush(
    panel: PlanesPanel, model_session: Session, volume: Volume, plane: Plane
) -> None:
    mask = add_mask(model_session, volume)
    go_to(model_session.viewer, mm(volume, PLACE))
    edited: list[object] = []
    model_session.edited.connect(edited.append)
    at = pixel(panel, plane, mm(volume, PLACE))
    drag(view_of(panel, plane), at)
    expected = spread(mask, PLACE, plane)
    assert np.array_equal(mask.data == 3, expected)
    assert edited == [mask]
    assert model_session.is_unsaved(mask)
    mask.mode = "erase"
    drag(view_of(panel, plane), at)
    assert not mask.data.any()
    mask.undo()
    assert np.array_equal(mask.data == 3, expected)
    mask.undo()
    assert not mask.data.any()


def test_while_painting_shift_goes_there(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    mask = add_mask(model_session, volume)
    there = mm(volume, (15, 20, 28))
    drag(view_of(panel, CORONAL), pixel(panel, CORONAL, there), keys=SHIFT)
    assert not mask.data.any()
    assert crosshair_of(model_session).point[0] == pytest.approx(there[0], abs=0.5)


def test_a_hidden_or_turned_mask_is_not_painted(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    mask = add_mask(model_session, volume)
    mask.rotate = (0, 0, 10)
    drag(view_of(panel, CORONAL), QPointF(80, 80))
    mask.rotate = (0, 0, 0)
    mask.visible = False
    drag(view_of(panel, CORONAL), QPointF(80, 80))
    assert not mask.data.any()


# -- the viewer changes ------------------------------------------------------------------------


def seen(panel: PlanesPanel) -> set[Plane]:
    """Return the planes that the panel shows."""
    return {view.plane for view in panel.views if not view.isHidden()}


def test_the_panel_has_the_planes_that_the_canvas_has_not(
    panel: PlanesPanel, model_session: Session
) -> None:
    dims, camera = model_session.viewer.dims, model_session.viewer.scene.camera
    assert seen(panel) == {CORONAL, SAGITTAL}
    assert str(camera.orientation[1]) == "down"
    dims.order = (1, 0, 2)
    assert seen(panel) == {AXIAL, SAGITTAL}
    assert str(camera.orientation[1]) == "up"  # the head
    dims.order = (2, 0, 1)
    assert seen(panel) == {AXIAL, CORONAL}
    dims.ndisplay = 3
    assert seen(panel) == set(PLANES)
    assert str(camera.orientation[1]) == "down"
    for plane in PLANES:
        assert picture(panel, plane).any()


def test_layers_come_and_go(panel: PlanesPanel, model_session: Session, volume: Volume) -> None:
    viewer = model_session.viewer
    mask = add_mask(model_session, volume)
    viewer.add_image(np.zeros((5, 5)))  # flat
    viewer.add_image(np.zeros((4, 5, 6, 3), np.uint8), rgb=True)
    viewer.add_points([[1, 2, 3]], size=4)
    viewer.add_shapes(np.zeros((4, 3)))
    mask.name = "another name"
    assert picture(panel, CORONAL).any()
    four = viewer.add_image(np.zeros((2, 4, 5, 6)))
    assert picture(panel, CORONAL).any()
    viewer.layers.remove(four)
    viewer.layers.clear()
    words = picture(panel, CORONAL)
    assert words.any()  # says that nothing is open
    model_session.add_scan(volume)
    assert (picture(panel, CORONAL) != words).any()


def test_another_scan_is_windowed_when_it_becomes_the_current(
    panel: PlanesPanel, model_session: Session, volume: Volume
) -> None:
    first = model_session.scan
    second = model_session.add_scan(volume, Window(-100, 100))
    drag(view_of(panel, CORONAL), QPointF(60, 60), QPointF(90, 60), button=RIGHT)
    assert first is not None
    assert first.contrast_limits == [-1000, 400]
    assert second.contrast_limits != [-100, 100]


def test_closed_it_follows_nothing_and_holds_nothing(
    model_session: Session, volume: Volume, qtbot: QtBot
) -> None:
    scan = model_session.add_scan(volume)
    mask = add_mask(model_session, volume)
    points = model_session.add_annotations((), volume)
    viewer = model_session.viewer
    three_planes_of(model_session)
    groups = [scan.events, mask.events, points.events, viewer.layers.events, viewer.dims.events]

    def listeners() -> list[int]:
        return [len(e.callbacks) for group in groups for e in group.emitters.values()]

    before = listeners()
    panel = PlanesPanel(viewer)
    qtbot.addWidget(panel)
    panel.show()
    panel.grab()
    assert listeners() != before
    kept = weakref.ref(three_planes_of(model_session)._pictures[scan])
    assert isinstance(kept(), LayerPictures)
    panel.close()
    assert listeners() == before
    assert not viewer.mouse_move_callbacks
    gc.collect()
    assert kept() is None


# -- in a real window --------------------------------------------------------------------------


def test_in_a_window_one_key_opens_them_beside_the_canvas(
    qtbot: QtBot, viewer: Viewer, session: Session, volume: Volume
) -> None:
    session.add_scan(volume)
    mask = add_mask(session, volume)
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_O, SHIFT)
    (panel,) = (w for w in viewer.window.dock_widgets.values() if isinstance(w, PlanesPanel))
    qtbot.waitUntil(panel.isVisible)
    panel.same_scale.setChecked(False)
    go_to(viewer, mm(volume, PLACE))
    line = QColor(CROSS_COLOUR).getRgb()[:3]

    def on_canvas() -> int:
        canvas = viewer.screenshot(flash=False)[..., :3].astype(int)
        return int((np.abs(canvas - line) < 9).all(-1).sum())

    assert on_canvas() > 200
    drag(view_of(panel, CORONAL), pixel(panel, CORONAL, mm(volume, PLACE)))
    assert np.array_equal(mask.data == 3, spread(mask, PLACE, CORONAL))
    shown = viewer.screenshot(flash=False)[..., :3].astype(float)
    own = np.array([255 * part for part in mask.get_color(3)[:3]])
    assert (np.abs(shown - own) < 4).all(-1).any()
    QTest.keyClick(view_of(panel, CORONAL), Qt.Key.Key_Z, CONTROL)
    assert not mask.data.any()
    panel.cross.setChecked(False)
    assert on_canvas() == 0
    panel.cross.setChecked(True)
    QTest.keyClick(view_of(panel, SAGITTAL), Qt.Key.Key_O, SHIFT)
    assert not [w for w in viewer.window.dock_widgets.values() if isinstance(w, PlanesPanel)]
    assert on_canvas() == 0
    assert not three_planes_of(session).on


def test_a_key_that_a_person_uses_is_left_to_them(viewer: Viewer) -> None:
    pressed: list[ViewerModel] = []
    viewer.bind_key(KEY, pressed.append, overwrite=True)
    before = dict(viewer.keymap)
    bind_key(viewer)
    assert dict(viewer.keymap) == before
