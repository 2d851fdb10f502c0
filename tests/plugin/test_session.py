"""What the panels of one viewer share."""

import gc
import weakref

import numpy as np
from napari.components import ViewerModel

from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.session import Session, session_of
from napari_ctlns.volume import Geometry, Volume


def test_a_viewer_has_one_session(model_viewer: ViewerModel) -> None:
    assert session_of(model_viewer) is session_of(model_viewer)
    assert session_of(ViewerModel()) is not session_of(model_viewer)


def test_a_session_goes_with_its_viewer(volume: Volume) -> None:
    viewer = ViewerModel()
    gone = weakref.ref(session_of(viewer))
    session_of(viewer).add_scan(volume)
    del viewer
    gc.collect()
    assert gone() is None


def test_a_scan_is_worked_on_when_added(model_session: Session, volume: Volume) -> None:
    layer = model_session.add_scan(volume)
    assert model_session.scan is layer
    assert model_session.volume is volume
    assert layer.data.min() == -1024
    assert volume.array.min() == -2000


def test_a_scan_of_four_columns_is_no_picture_in_colours(model_session: Session) -> None:
    narrow = Volume(np.full((6, 5, 4), -800, np.int16), Geometry((6, 5, 4)))
    assert model_session.add_scan(narrow).data.shape == (6, 5, 4)


def test_what_is_chosen_stays_until_it_goes(model_session: Session, volume: Volume) -> None:
    empty = np.zeros(volume.geometry.shape, np.uint8)
    first = model_session.add_mask(volume.mask(empty), "first")
    second = model_session.add_mask(volume.mask(empty.copy()), "second")
    assert model_session.mask is second
    model_session.choose(first)
    assert model_session.mask is first
    model_session.viewer.layers.remove(first)
    assert model_session.mask is second


def test_strokes_undo_and_redo_are_edits_but_scrolling_is_none(
    model_session: Session, volume: Volume
) -> None:
    model_session.add_scan(volume)
    layer = model_session.add_mask(volume.mask(np.zeros(volume.geometry.shape, np.uint8)), "mask")
    model_session.saved(layer)
    edits = []
    model_session.edited.connect(edits.append)
    model_session.viewer.dims.set_current_step(0, 7)
    layer.visible = False
    layer.visible = True
    assert edits == []
    assert not model_session.is_unsaved(layer)
    layer.paint((5, 10, 10), 1)
    assert edits == [layer]
    assert model_session.is_unsaved(layer)
    for step in (layer.undo, layer.redo):
        model_session.saved(layer)
        step()
        assert model_session.is_unsaved(layer)


def test_a_table_is_stale_after_a_stroke(model_session: Session, volume: Volume) -> None:
    from napari_ctlns.measurement import measure

    mask = volume.mask((volume.array == 60).astype(np.uint8))
    layer = model_session.add_mask(mask, "mask")
    table = measure(mask, volume)
    model_session.keep_table(layer, table)
    assert model_session.table(layer) is table
    assert not model_session.is_stale(layer)
    layer.paint((5, 10, 10), 2)
    assert model_session.is_stale(layer)


def test_a_table_of_an_older_state_is_stale_from_the_start(
    model_session: Session, volume: Volume
) -> None:
    from napari_ctlns.measurement import measure

    mask = volume.mask((volume.array == 60).astype(np.uint8))
    layer = model_session.add_mask(mask, "mask")
    seen = model_session.edits(layer)
    table = measure(mask, volume)
    layer.paint((5, 10, 10), 2)
    model_session.keep_table(layer, table, seen)
    assert model_session.is_stale(layer)


def test_picking_and_recolouring_labels_is_told(model_session: Session, volume: Volume) -> None:
    layer = model_session.add_mask(volume.mask(np.zeros(volume.geometry.shape, np.uint8)), "mask")
    picked, recoloured = [], []
    model_session.label_picked.connect(picked.append)
    model_session.recoloured.connect(recoloured.append)
    layer.selected_label = 3
    assert picked == [layer]
    assert recoloured == []
    layer.new_colormap()
    assert recoloured
    assert set(recoloured) == {layer}


def test_annotations_stand_where_they_are(
    model_session: Session, volume: Volume, annotations: tuple[Annotation, ...]
) -> None:
    from napari_ctlns.plugin.layers import annotations_of_layer

    layer = model_session.add_annotations(annotations, volume)
    assert np.allclose(layer.data * layer.scale, [a.centre[::-1] for a in annotations])
    assert np.allclose(layer.size * layer.scale[-1], [a.diameter_mm for a in annotations])
    assert annotations_of_layer(layer) == annotations
