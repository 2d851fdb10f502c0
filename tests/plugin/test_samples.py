"""The sample that napari's File menu offers."""

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.samples import phantom_chest
from napari_ctlns.plugin.session import session_of


def test_the_sample_is_a_scan_with_its_annotations() -> None:
    viewer = ViewerModel()
    session = session_of(viewer)
    for data in phantom_chest():
        viewer.add_layer(Layer.create(*data))
    scan, points = viewer.layers
    annotations = of.annotations_of_layer(points)
    assert session.scan is scan
    assert session.annotations is points
    assert len(annotations) == 8
    assert all(session.volume.geometry.contains(a.centre) for a in annotations)
    assert {a.scan_id for a in annotations} == {session.volume.scan_id}
    inside = np.percentile(session.volume.array, (5, 95))
    assert inside[0] < -800
    assert inside[1] > 0
    assert 2 < min(a.diameter_mm for a in annotations) < max(a.diameter_mm for a in annotations)
