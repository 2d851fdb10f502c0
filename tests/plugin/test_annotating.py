"""Adding, sizing, undoing annotations, and drawing them, without a window."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Points

from napari_ctlns.errors import AnnotationError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import write_annotations
from napari_ctlns.plugin.annotating import (
    TableRows,
    drawn_mask,
    next_diameter,
    redo,
    resize,
    rows_of_scan,
    set_diameter,
    size_by_dragging,
    trouble_with,
    undo,
)
from napari_ctlns.plugin.annotation_history import history_of
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.layers import annotations_of_layer
from napari_ctlns.plugin.navigation import go_to
from napari_ctlns.plugin.saving import save_rows
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Geometry, Volume

Rows = tuple[Annotation, ...]


@pytest.fixture
def layer(model_session: Session, volume: Volume, annotations: Rows) -> Points:
    model_session.add_scan(volume)
    return model_session.add_annotations(annotations, volume)


def diameters(layer: Points) -> list[float]:
    return [row.diameter_mm for row in annotations_of_layer(layer)]


# -- millimetres ------------------------------------------------------------------


def test_numbers_of_a_table_stay_the_very_same(model_session: Session, volume: Volume) -> None:
    oblique = np.linalg.qr([[1, 0.2, 0.1], [-0.2, 1, 0.3], [0, -0.3, 1]])[0]
    geometry = replace(volume.geometry, direction=tuple(map(tuple, oblique)))
    turned = replace(volume, geometry=geometry)
    rows = (Annotation(volume.scan_id, -12.6994211, -7.3192718, 118.3875064, 5.651470635),)
    for scan in (volume, turned):
        assert annotations_of_layer(model_session.add_annotations(rows, scan)) == rows


def test_scrolling_still_goes_from_slice_to_slice(
    model_session: Session, volume: Volume, annotations: Rows
) -> None:
    model_session.add_scan(volume)
    alone = model_session.viewer.dims.range
    model_session.add_annotations(annotations, volume)
    assert model_session.viewer.dims.range == alone


def test_a_typed_diameter_is_of_the_next_nodule_and_of_those_selected(layer: Points) -> None:
    layer.selected_data = set()
    set_diameter(layer, 7.0)
    assert next_diameter(layer) == 7
    assert diameters(layer) == [12, 8]
    layer.selected_data = {1}
    set_diameter(layer, 9.5)
    assert diameters(layer) == [12, 9.5]


def test_one_nodule_is_resized_and_the_session_hears_of_it(
    model_session: Session, layer: Points
) -> None:
    resize(layer, 0, 13.5)
    assert diameters(layer) == [13.5, 8]
    assert model_session.is_unsaved(layer)


# -- by mouse ---------------------------------------------------------------------


def drag(layer: Points, *path: tuple[float, float], displayed: int = 2, button: int = 1) -> None:
    """Drag along pixels (x, y); ten are a millimetre, (0, 0) is at y = -10, x = 0."""
    z = 120.0
    event = SimpleNamespace(button=button, dims_displayed=[0, 1, 2][-displayed:])

    def move(kind: str, pixel: tuple[float, float]) -> None:
        event.type, event.pos = kind, pixel
        event.position = (z, -10 + pixel[1] / 10, pixel[0] / 10)

    move("mouse_press", path[0])
    callback = size_by_dragging(layer, event)
    if next(callback, "over") == "over":
        return
    for pixel in path[1:]:
        move("mouse_move", pixel)
        next(callback)
    move("mouse_release", path[-1])
    assert next(callback, "over") == "over"


def test_a_nodule_is_dragged_to_its_size(layer: Points) -> None:
    layer.mode = "add"
    drag(layer, (0, 0), (10, 0), (30, 0), (30, 40))
    added = annotations_of_layer(layer)[-1]
    assert added.centre == pytest.approx((0, -10, 120))
    assert added.diameter_mm == pytest.approx(2 * 5)
    assert next_diameter(layer) == 10
    assert layer.selected_data == {2}
    assert layer.mouse_pan


def test_the_picture_stays_while_a_nodule_is_dragged(layer: Points) -> None:
    layer.mode = "add"
    event = SimpleNamespace(
        button=1, dims_displayed=[1, 2], pos=(0, 0), position=(120.0, 0.0, 0.0), type="mouse_press"
    )
    callback = size_by_dragging(layer, event)
    next(callback)
    assert not layer.mouse_pan
    callback.close()  # as napari does if the drag is never finished
    assert layer.mouse_pan


def test_a_drag_back_to_its_start_is_a_click(layer: Points) -> None:
    set_diameter(layer, 6.0)
    layer.mode = "add"
    drag(layer, (0, 0), (100, 0), (1, 0))
    assert len(layer.data) == 2  # napari's own mode adds one now
    assert next_diameter(layer) == 6
    assert not history_of(layer).can_undo


@pytest.mark.parametrize(
    ("mode", "displayed", "button"), [("select", 2, 1), ("add", 3, 1), ("add", 2, 2)]
)
def test_other_drags_are_left_to_napari(
    layer: Points, mode: str, displayed: int, button: int
) -> None:
    layer.mode = mode
    drag(layer, (0, 0), (100, 0), displayed=displayed, button=button)
    assert len(layer.data) == 2


# -- undo -------------------------------------------------------------------------


def test_every_kind_of_change_is_undone_and_done_again(layer: Points) -> None:
    states = [annotations_of_layer(layer)]

    def did() -> None:
        states.append(annotations_of_layer(layer))

    layer.add(lps_to_canvas(Geometry((1, 1, 1)), (0, 0, 0)))
    did()
    resize(layer, 0, 20.0)
    did()
    layer.selected_data = {1}
    layer.remove_selected()
    did()
    layer.mode = "add"
    drag(layer, (0, 0), (30, 0), (50, 0))
    did()
    for state in reversed(states[:-1]):
        undo(layer)
        assert annotations_of_layer(layer) == state
    assert not history_of(layer).can_undo
    undo(layer)
    for state in states[1:]:
        redo(layer)
        assert annotations_of_layer(layer) == state
    redo(layer)
    assert annotations_of_layer(layer) == states[-1]


def test_a_move_is_undone(layer: Points) -> None:
    before = annotations_of_layer(layer)
    layer._move({0}, layer.data[0])  # what napari's select mode calls
    layer._move({0}, layer.data[0] + 3)
    assert annotations_of_layer(layer) != before
    while history_of(layer).can_undo:
        undo(layer)
    assert annotations_of_layer(layer) == before


def test_the_way_of_a_slider_is_one_step(layer: Points) -> None:
    layer.selected_data = {0}
    for size in (5.0, 6.0, 7.0):
        layer.current_size = size
    layer.selected_data = {1}
    layer.current_size = 3.0
    undo(layer)
    assert diameters(layer) == [7 * 2.5, 8]
    undo(layer)
    assert diameters(layer) == [12, 8]


def test_a_new_change_forgets_what_was_undone(layer: Points) -> None:
    resize(layer, 0, 20.0)
    undo(layer)
    resize(layer, 1, 5.0)
    redo(layer)
    assert diameters(layer) == [12, 5]


def test_keys_undo_and_redo(layer: Points) -> None:
    resize(layer, 0, 20.0)
    keys = {str(key): function for key, function in layer.keymap.items()}
    keys["Ctrl+Z"](layer)
    assert diameters(layer) == [12, 8]
    keys["Ctrl+Shift+Z"](layer)
    assert diameters(layer) == [20, 8]


# -- masks and files ----------------------------------------------------------------


def test_labels_are_the_numbers_of_the_rows(volume: Volume, annotations: Rows) -> None:
    outside = replace(annotations[0], x_mm=5000.0)
    mask = drawn_mask(volume.geometry, (annotations[0], outside, annotations[1]))
    centres = volume.geometry.world_to_index([a.centre for a in annotations]).round().astype(int)
    assert [mask[tuple(centre)] for centre in centres] == [1, 3]
    assert set(np.unique(mask)) == {0, 1, 3}


def test_what_cannot_be_drawn_is_said(volume: Volume, annotations: Rows) -> None:
    sound = annotations[0]
    assert trouble_with(sound, volume.geometry) == ""
    assert "outside" in trouble_with(replace(sound, z_mm=-5000.0), volume.geometry)
    assert "diameter" in trouble_with(replace(sound, diameter_mm=0.0), volume.geometry)


def test_rows_of_this_scan_only(tmp_path: Path, volume: Volume, annotations: Rows) -> None:
    table = tmp_path / "annotations.csv"
    save_rows(table, (*annotations, replace(annotations[0], scan_id="another")))
    assert rows_of_scan(table, volume) == TableRows(annotations, 3)
    with table.open("a", encoding="utf-8") as file:
        file.write(f"{volume.scan_id},0,0,0,-1\n")
    bad = rows_of_scan(table, volume)
    assert (bad.rows, bad.total) == (annotations, 3)
    assert bad.bad == ("line 5: diameter_mm is -1, not above 0",)
    write_annotations(table, [replace(annotations[0], scan_id="another")])
    with pytest.raises(AnnotationError, match="other series"):
        rows_of_scan(table, volume)


# -- going there --------------------------------------------------------------------


def test_going_to_a_point_shows_its_slice_in_the_middle(
    model_viewer: ViewerModel, layer: Points, annotations: Rows
) -> None:
    point = layer.data[1] * layer.scale
    go_to(model_viewer, point)
    assert model_viewer.dims.point == pytest.approx(point)
    assert model_viewer.scene.camera.center[1:] == pytest.approx(point[1:])
    model_viewer.dims.order = (2, 0, 1)
    go_to(model_viewer, layer.data[0] * layer.scale)
    assert model_viewer.scene.camera.center[1:] == pytest.approx((layer.data[0] * layer.scale)[:2])


def test_there_is_nowhere_to_go_without_layers() -> None:
    viewer = ViewerModel()
    before = viewer.dims.point
    go_to(viewer, (1, 2, 3))
    assert viewer.dims.point == before
