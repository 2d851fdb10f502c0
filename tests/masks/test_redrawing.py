"""A nodule is drawn again: strokes, erased voxels and other nodules stay as they are."""

import numpy as np
from hypothesis import given, settings
from hypothesis.extra import numpy as nst

from napari_ctlns.masks.islands import Part
from napari_ctlns.masks.redrawing import redrawn

SHAPE = (3, 5, 5)
MASKS = nst.arrays(bool, SHAPE)


def whole(inside: np.ndarray) -> Part:
    return Part((slice(0, 3), slice(0, 5), slice(0, 5)), inside, int(inside.sum()))


def cropped(inside: np.ndarray) -> Part:
    """The part in the smallest box."""
    index = np.argwhere(inside)
    low, high = index.min(axis=0), index.max(axis=0) + 1
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Part((z, y, x), inside[z, y, x], int(inside.sum()))


@settings(max_examples=60)
@given(others=MASKS, first=MASKS, painted=MASKS, erased=MASKS, second=MASKS)
def test_every_voxel_is_as_the_rules_say(
    others: np.ndarray,
    first: np.ndarray,
    painted: np.ndarray,
    erased: np.ndarray,
    second: np.ndarray,
) -> None:
    labels = np.where(others, 7, 0).astype(np.uint8)
    drawing = redrawn(labels, 3, None, whole(first))
    labels[drawing.correction.box] = drawing.correction.labels
    assert np.array_equal(labels == 3, first & ~others)
    assert np.array_equal(labels == 7, others)
    assert drawing.by_hand == 0
    drawn = labels == 3
    labels[painted & (labels == 0)] = 3
    labels[erased & (labels == 3)] = 0
    by_hand = labels == 3
    for found in (second, first, second):  # again and again: what was done by hand is not lost
        drawing = redrawn(labels, 3, drawing.drawn, whole(found))
        labels[drawing.correction.box] = drawing.correction.labels
        assert np.array_equal(labels == 7, others)
        touched = by_hand != drawn
        assert np.array_equal((labels == 3)[touched], by_hand[touched])
        free = ~touched & ~others
        assert np.array_equal((labels == 3)[free], found[free])


@given(first=MASKS.filter(np.any), second=MASKS.filter(np.any))
def test_boxes_may_differ(first: np.ndarray, second: np.ndarray) -> None:
    labels = np.zeros(SHAPE, np.uint16)
    drawing = redrawn(labels, 1, None, cropped(first))
    labels[drawing.correction.box] = drawing.correction.labels
    drawing = redrawn(labels, 1, drawing.drawn, cropped(second))
    labels[drawing.correction.box] = drawing.correction.labels
    assert np.array_equal(labels == 1, second)
    assert drawing.drawn.voxels == second.sum()
    assert labels.dtype == np.uint16
