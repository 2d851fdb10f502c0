"""Painting in any plane gives the very voxels that napari's own tools give in it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import Dims
from napari.layers import Labels

from napari_ctlns.plugin.plane_brush import Stroke
from napari_ctlns.plugin.plane_geometry import PLANES, Plane
from napari_ctlns.volume import Triple

SHAPE = (9, 14, 12)
ORDERS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
"""How napari shows each plane itself."""


def layer_in(plane: Plane, spacing: Triple, labels: np.ndarray | None = None) -> Labels:
    """Return a labels layer that napari shows in a plane."""
    data = np.zeros(SHAPE, np.uint8) if labels is None else labels.copy()
    layer = Labels(data, scale=spacing, translate=(-3, 5, 8))
    layer._slice_dims(Dims(ndim=3, order=ORDERS[plane.axis]))  # as a viewer does
    return layer


def at(layer: Labels, voxel: Triple) -> Triple:
    """Return a voxel's place on the canvas."""
    z, y, x = (float(v) for v in layer.data_to_world(voxel))
    return z, y, x


def stroke(layer: Labels, plane: Plane, *voxels: Triple) -> None:
    """Draw through voxels, from pressing to letting go."""
    one = Stroke(layer, plane)
    for voxel in voxels:
        one.to(at(layer, voxel))
    one.end()


def some_labels() -> np.ndarray:
    """Return nodules 1, 2 and 3, two of them in one piece each."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:6, 2:9, 3:9] = 1
    labels[3:7, 6:12, 5:8] = 2
    labels[8, 1, 1] = labels[2, 12, 10] = 1
    return labels


@settings(max_examples=30, deadline=None)
@given(
    plane=st.sampled_from(PLANES),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), (5.0, 0.7, 0.7), (0.5, 1.0, 2.0)]),
    size=st.integers(1, 12),
    dimensions=st.sampled_from([2, 3]),
    voxel=st.tuples(*(st.integers(0, n - 1) for n in SHAPE)),
    erase=st.booleans(),
)
def test_a_dab_is_that_of_napari(
    plane: Plane, spacing: Triple, size: int, dimensions: int, voxel: Triple, erase: bool
) -> None:
    ours, theirs = (layer_in(plane, spacing, some_labels()) for _ in range(2))
    for layer in (ours, theirs):
        layer.brush_size, layer.n_edit_dimensions, layer.selected_label = size, dimensions, 7
        layer.mode = "erase" if erase else "paint"
    stroke(ours, plane, voxel)
    theirs.paint(voxel, 0 if erase else 7)
    assert np.array_equal(ours.data, theirs.data)


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
def test_a_stroke_has_no_gaps_and_is_one_step(plane: Plane) -> None:
    layer = layer_in(plane, (2.5, 1.0, 1.0))
    layer.mode, layer.brush_size, layer.selected_label = "paint", 1, 4
    told: list[object] = []
    layer.events.paint.connect(told.append)
    ends = np.full((2, 3), 4)
    ends[:, plane.across] = (1, 10)
    stroke(layer, plane, *(tuple(end) for end in ends.tolist()))
    line = tuple(slice(1, 11) if axis == plane.across else 4 for axis in range(3))
    assert (layer.data[line] == 4).all()
    assert np.count_nonzero(layer.data) == 10
    assert len(told) == 1
    layer.undo()
    assert not layer.data.any()
    layer.redo()
    assert (layer.data[line] == 4).all()


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
@pytest.mark.parametrize("label", [7, 0])
def test_preserved_labels_stay_as_in_napari(plane: Plane, label: int) -> None:
    ours, theirs = (layer_in(plane, (1, 1, 1), some_labels()) for _ in range(2))
    for layer in (ours, theirs):
        layer.brush_size, layer.preserve_labels, layer.mode = 9, True, "paint"
        layer.selected_label = 2  # what 0 erases afterwards
        layer.selected_label = label
    stroke(ours, plane, (4, 7, 6))
    theirs.paint((4, 7, 6), label)
    assert np.array_equal(ours.data, theirs.data)
    assert (ours.data != some_labels()).any()


@pytest.mark.parametrize("plane", PLANES, ids=lambda plane: plane.name)
@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("voxel", [(2, 4, 4), (8, 1, 1), (4, 8, 6)])
def test_the_bucket_is_that_of_napari(
    plane: Plane, contiguous: bool, dimensions: int, voxel: Triple
) -> None:
    ours, theirs = (layer_in(plane, (3, 1, 1), some_labels()) for _ in range(2))
    for layer in (ours, theirs):
        layer.contiguous, layer.n_edit_dimensions = contiguous, dimensions
        layer.selected_label, layer.mode = 9, "fill"
    stroke(ours, plane, voxel)
    theirs.fill(voxel, 9)
    assert np.array_equal(ours.data, theirs.data)


def test_picking_takes_the_label_that_is_there() -> None:
    layer = layer_in(PLANES[1], (3, 1, 1), some_labels())
    layer.mode = "pick"
    stroke(layer, PLANES[1], (4, 8, 6))
    assert layer.selected_label == 2
    stroke(layer, PLANES[1], (40, 8, 6))  # beside the mask
    assert layer.selected_label == 0


@pytest.mark.parametrize("mode", ["paint", "fill"])
def test_beside_the_mask_nothing_is_drawn(mode: str) -> None:
    layer = layer_in(PLANES[2], (3, 1, 1), some_labels())
    layer.mode, layer.selected_label = mode, 5
    stroke(layer, PLANES[2], (4, 8, 12))
    assert np.array_equal(layer.data, some_labels())
