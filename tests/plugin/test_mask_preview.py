"""A preview of the mask while annotations are edited."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.annotating import drawn_mask
from napari_ctlns.plugin.mask_preview import OF_ANNOTATIONS, MaskPreview, drawing_of
from napari_ctlns.plugin.session import Session
from napari_ctlns.volume import Geometry, Volume

Rows = tuple[Annotation, ...]


@pytest.fixture
def preview(model_session: Session, volume: Volume, qtbot: QtBot) -> MaskPreview:
    model_session.add_scan(volume)
    return MaskPreview(model_session, OF_ANNOTATIONS)


def show(preview: MaskPreview, geometry: Geometry, rows: Rows) -> None:
    preview.show(geometry, partial(drawing_of, geometry, rows))


def shows(preview: MaskPreview, volume: Volume, rows: Rows) -> bool:
    layer = preview.layer
    return layer is not None and np.array_equal(layer.data, drawn_mask(volume.geometry, rows))


def test_it_follows_the_annotations(
    preview: MaskPreview, volume: Volume, annotations: Rows, qtbot: QtBot
) -> None:
    larger = (replace(annotations[0], diameter_mm=18.0), annotations[1])
    for rows in (annotations, larger, annotations[1:], ()):
        show(preview, volume.geometry, rows)
        qtbot.waitUntil(lambda rows=rows: shows(preview, volume, rows))


def test_what_is_asked_while_it_draws_is_drawn_after(
    preview: MaskPreview, volume: Volume, annotations: Rows, qtbot: QtBot
) -> None:
    show(preview, volume.geometry, annotations)
    preview._draw()
    show(preview, volume.geometry, annotations[:1])
    preview._draw()
    qtbot.waitUntil(lambda: shows(preview, volume, annotations[:1]))


def test_nobody_works_on_it(
    preview: MaskPreview,
    model_session: Session,
    volume: Volume,
    annotations: Rows,
    qtbot: QtBot,
) -> None:
    points = model_session.add_annotations(annotations, volume)
    show(preview, volume.geometry, annotations)
    qtbot.waitUntil(lambda: preview.layer is not None)
    assert model_session.mask is None
    assert model_session.viewer.layers.selection.active is points
    assert model_session.viewer.layers[-1] is points
    assert not preview.layer.editable


def test_hidden_it_stays_away(
    preview: MaskPreview, volume: Volume, annotations: Rows, qtbot: QtBot
) -> None:
    show(preview, volume.geometry, annotations)
    preview._draw()
    work = preview._work
    with qtbot.waitSignal(work.came, check_params_cb=lambda _event: work.over):
        preview.hide()
    assert preview.layer is None
    show(preview, volume.geometry, annotations)
    qtbot.waitUntil(lambda: preview.layer is not None)
    preview.hide()
    assert preview.layer is None


def test_it_tells_that_its_layer_was_deleted(
    preview: MaskPreview, model_session: Session, volume: Volume, annotations: Rows, qtbot: QtBot
) -> None:
    show(preview, volume.geometry, annotations)
    qtbot.waitUntil(lambda: preview.layer is not None)
    with qtbot.waitSignal(preview.gone):
        model_session.viewer.layers.remove(preview.layer)


def test_another_scan_gets_a_layer_of_its_own(
    preview: MaskPreview, volume: Volume, annotations: Rows, qtbot: QtBot
) -> None:
    show(preview, volume.geometry, annotations)
    qtbot.waitUntil(lambda: preview.layer is not None)
    finer = volume.geometry.resampled((1.0, 1.0, 1.0))
    with qtbot.assertNotEmitted(preview.gone):
        show(preview, finer, annotations)
        qtbot.waitUntil(lambda: preview.layer is not None and preview.layer.scale[0] == 1)
    assert np.array_equal(preview.layer.data, drawn_mask(finer, annotations))


def test_a_failure_is_told_in_words(
    preview: MaskPreview, volume: Volume, annotations: Rows, qtbot: QtBot
) -> None:
    endless = replace(annotations[0], diameter_mm=float("inf"))
    with qtbot.waitSignal(preview.failed) as told:
        show(preview, volume.geometry, (endless,))
    assert "positive" in told.args[0]
