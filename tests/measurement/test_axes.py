"""The axes' ends: they lie on the outline, where the lengths say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ctlns.measurement.axes import axial_axes

SPACING = (2.0, 0.7, 0.9)


def ellipse(semi_axes, angle, offset=(0.0, 0.0)):
    y, x = np.mgrid[-20:21, -20:21].astype(float)
    place = np.stack([(y - offset[0]) * SPACING[1], (x - offset[1]) * SPACING[2]], axis=-1)
    turned = place @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (turned**2 / np.square(semi_axes)).sum(-1) <= 1


def ends_of(pair):
    return (np.array(pair[1]) - pair[0]) * SPACING[1:]


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.floats(2, 11), st.floats(2, 11)),
    st.floats(0, np.pi),
    st.tuples(*[st.floats(-0.5, 0.5)] * 2),
)
def test_ends_are_as_far_apart_as_the_axes_are_long_and_perpendicular(semi_axes, angle, offset):
    inside = np.zeros((5, 41, 41), bool)
    inside[3] = ellipse(semi_axes, angle, offset)
    axes = axial_axes(inside, SPACING)
    long, short = ends_of(axes.long_ends), ends_of(axes.short_ends)
    assert np.linalg.norm(long) == pytest.approx(axes.long_mm)
    assert np.linalg.norm(short) == pytest.approx(axes.short_mm)
    assert long @ short == pytest.approx(0, abs=1e-6)
    assert axes.slice_index == 3
    for end in (*axes.long_ends, *axes.short_ends):
        # the outline is nowhere further than half a pixel from both inside and outside, but
        # in corners that it cuts
        for pixels in (inside[3], ~inside[3]):
            assert np.abs(np.argwhere(pixels) - end).max(axis=1).min() <= 0.75 + 1e-9


def test_ends_of_a_row_of_pixels():
    inside = np.zeros((3, 9, 12))
    inside[1, 4, 2:8] = 1
    axes = axial_axes(inside, (5.0, 0.7, 0.8))
    assert np.sort(axes.long_ends, axis=0) == pytest.approx(np.array([[4, 1.5], [4, 7.5]]))
    ends = np.sort(axes.short_ends, axis=0)
    assert ends[:, 0] == pytest.approx([3.5, 4.5])
    assert ends[0, 1] == pytest.approx(ends[1, 1])


def test_the_slice_is_the_one_where_the_long_axis_is_longest():
    sizes = [3, 7, 5]
    inside = np.stack([ellipse((n, n / 2), 0.3) for n in sizes])
    assert axial_axes(inside, SPACING).slice_index == 1
