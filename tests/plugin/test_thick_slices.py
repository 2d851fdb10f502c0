"""Slices are as thick as the annotations in sight need them."""

from collections.abc import Callable

import numpy as np
import pytest
from napari import Viewer

from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.annotating import resize, undo
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Geometry, Volume

Rows = tuple[Annotation, ...]
ORANGE = (230, 159, 0)


def margins(session: Session) -> set[float]:
    dims = session.viewer.dims
    return {*dims.margin_left, *dims.margin_right}


def test_margins_follow_the_annotations(
    model_session: Session, volume: Volume, annotations: Rows
) -> None:
    model_session.add_scan(volume)
    assert margins(model_session) == {0}
    layer = model_session.add_annotations(annotations, volume)
    assert min(margins(model_session)) >= 6
    resize(layer, 1, 31.0)
    assert min(margins(model_session)) >= 15.5
    undo(layer)
    assert 6 <= min(margins(model_session)) < 15.5
    model_session.viewer.dims.roll()
    assert min(margins(model_session)) >= 6
    layer.visible = False
    assert margins(model_session) == {0}
    layer.visible = True
    assert min(margins(model_session)) >= 6
    layer.selected_data = {0, 1}
    layer.remove_selected()
    assert margins(model_session) == {0}


def test_margins_go_with_the_layer(
    model_session: Session, volume: Volume, annotations: Rows
) -> None:
    model_session.add_scan(volume)
    layer = model_session.add_annotations(annotations, volume)
    model_session.viewer.layers.remove(layer)
    assert margins(model_session) == {0}
    resize(layer, 0, 40.0)  # nobody sees it
    assert margins(model_session) == {0}


def test_margins_come_back_when_all_was_closed(
    model_session: Session, volume: Volume, annotations: Rows
) -> None:
    for _ in range(2):
        model_session.add_scan(volume)
        model_session.add_annotations(annotations, volume)
        assert min(margins(model_session)) >= 6
        for layer in list(model_session.viewer.layers):
            layer.locked = False
            model_session.viewer.layers.remove(layer)


def test_wider_margins_of_a_person_stay(
    model_session: Session, volume: Volume, annotations: Rows
) -> None:
    model_session.add_scan(volume)
    model_session.viewer.dims.margin_left = (33.0,) * 3
    layer = model_session.add_annotations(annotations, volume)
    assert set(model_session.viewer.dims.margin_left) == {33}
    model_session.viewer.layers.remove(layer)
    assert set(model_session.viewer.dims.margin_left) == {33}


def test_annotations_are_drawn_as_spheres_and_the_scan_is_not_blurred(
    make_napari_viewer: Callable[..., Viewer],
) -> None:
    viewer = make_napari_viewer(show=True)
    session = session_of(viewer)
    geometry = Geometry((24, 48, 48), (2.5, 0.8, 0.8), (-20.0, -15.0, 100.0))
    array = np.full(geometry.shape, -1000, np.int16)
    array[::2] = 400  # every other slice is bright
    session.add_scan(Volume(array, geometry, scan_id="1"))
    centre = geometry.index_to_world((12, 24, 24))
    session.add_annotations(
        (Annotation("1", *map(float, centre), 16.0),), Volume(array, geometry, scan_id="1")
    )
    viewer.scene.camera.zoom = zoom = 10
    for away in range(5):
        viewer.dims.set_point(0, 130 + 2.5 * away)
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        background = picture[picture.shape[0] // 2, picture.shape[1] // 2]
        assert background == pytest.approx([60] * 3 if away % 2 else [255] * 3, abs=5)
        columns = np.flatnonzero((np.abs(picture - ORANGE).sum(axis=-1) < 60).any(axis=0))
        expected = 2 * np.sqrt(max(8**2 - (2.5 * away) ** 2, 0))
        if expected == 0:
            assert columns.size == 0
        else:  # the line is 0.6 mm wide, half of it outside
            drawn = (columns[-1] - columns[0] + 1) / zoom - 0.6
            assert drawn == pytest.approx(expected, abs=0.3)
