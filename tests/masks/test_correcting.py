"""Corrections of one nodule: millimetres on any grid, and nobody else's voxels."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_ctlns.errors import MaskError
from napari_ctlns.masks import pieces
from napari_ctlns.masks.between_slices import filled_between
from napari_ctlns.masks.correcting import (
    Correction,
    changed_by,
    filled,
    grown,
    merged,
    shrunk,
    smoothed,
)
from napari_ctlns.masks.cutting import split
from napari_ctlns.masks.islands import Part
from napari_ctlns.masks.label_box import box_of
from napari_ctlns.volume import Triple

ISO: Triple = (0.7, 0.7, 0.7)
THICK: Triple = (5.0, 0.7, 0.7)
Make = Callable[[np.ndarray], Correction]


def ball(
    shape: tuple[int, int, int], spacing: Triple, centre: Triple, radius_mm: float
) -> np.ndarray:
    """Which voxels lie in a ball; centre as index."""
    offset = np.indices(shape) - np.reshape(centre, (3, 1, 1, 1))
    return ((offset * np.reshape(spacing, (3, 1, 1, 1))) ** 2).sum(axis=0) <= radius_mm**2


def corrected(labels: np.ndarray, correction: Correction) -> np.ndarray:
    where, values = changed_by(labels, correction)
    assert (labels[where] != values).all()
    result = labels.copy()
    result[where] = values
    return result


def volume(mask: np.ndarray, spacing: Triple) -> float:
    return float(np.count_nonzero(mask) * np.prod(spacing))


# -- larger and smaller ------------------------------------------------------------------


@pytest.mark.parametrize("radius", [4.0, 9.0])
@pytest.mark.parametrize("spacing", [ISO, (1.0, 0.7, 0.7), (1.25, 0.65, 0.65)])
def test_a_ball_becomes_one_millimetre_larger_or_smaller(spacing: Triple, radius: float) -> None:
    shape = tuple(2 * int((radius + 3) / s) + 3 for s in spacing)
    centre = tuple((n - 1) / 2 + 0.2 for n in shape)
    labels = ball(shape, spacing, centre, radius).astype(np.uint8)
    for make, wanted in ((grown, radius + 1), (shrunk, radius - 1)):
        result = corrected(labels, make(labels, spacing, 1, 1.0))
        true = ball(shape, spacing, centre, wanted)
        dice = 2 * np.count_nonzero(result & true) / (result.sum() + true.sum())
        assert dice > 0.9
        step = volume(result > 0, spacing) - volume(labels > 0, spacing)
        assert step == pytest.approx(volume(true, spacing) - volume(labels > 0, spacing), rel=0.3)


def test_between_thick_slices_only_outlines_move() -> None:
    labels = ball((7, 40, 40), THICK, (3, 20, 20), 9.0).astype(np.uint8)
    slices = np.flatnonzero(labels.any(axis=(1, 2)))
    for make, more in ((grown, True), (shrunk, False)):
        result = corrected(labels, make(labels, THICK, 1, 1.0))
        assert np.flatnonzero(result.any(axis=(1, 2))).tolist() == slices.tolist()
        assert ((result > labels) if more else (result < labels)).any(axis=(1, 2))[slices].all()
        rows = [np.count_nonzero(a[3, 20]) * 0.7 for a in (labels, result)]
        assert abs(rows[1] - rows[0]) == pytest.approx(2.0, abs=0.7)


def test_a_step_that_the_grid_cannot_show_is_refused_in_words() -> None:
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[1:4, 1:4, 1:4] = 2
    with pytest.raises(MaskError, match="too wide for a step of 1 mm"):
        grown(labels, (2.5, 2.5, 2.5), 2, 1.0)
    with pytest.raises(MaskError, match="nothing would be left"):
        shrunk(labels, (0.5, 0.5, 0.5), 2, 1.0)
    with pytest.raises(MaskError, match="has no voxels"):
        grown(labels, ISO, 7, 1.0)
    with pytest.raises(MaskError, match="fills the scan"):
        shrunk(np.ones((3, 3, 3), np.uint8), ISO, 1, 1.0)
    with pytest.raises(MaskError, match="nothing around it is free"):
        grown(np.where(labels, labels, 1).astype(np.uint8), ISO, 2, 1.0)


def test_where_the_scan_ends_nothing_shrinks() -> None:
    labels = np.zeros((9, 12, 12), np.uint8)
    labels[:5, 3:9, 3:9] = 1
    result = corrected(labels, shrunk(labels, (1.0, 1.0, 1.0), 1, 1.0))
    assert result[0].any()
    assert not result[4].any()


# -- surface and holes -------------------------------------------------------------------


def test_smoothing_takes_threads_and_pits_and_keeps_the_volume() -> None:
    clean = ball((30, 40, 40), ISO, (15, 20, 20), 6.0)
    rough = clean.copy()
    rough[15, 20, 29:39] = True  # a thread
    rough[11:13, 20, 20] = False  # a pit in the inside
    result = corrected(rough.astype(np.uint8), smoothed(rough.astype(np.uint8), ISO, 1)) > 0
    assert np.count_nonzero(result) == np.count_nonzero(rough)
    assert not result[15, 20, 33:].any()
    assert result[11:13, 20, 20].all()
    assert np.count_nonzero(result ^ clean) < np.count_nonzero(rough ^ clean)


def test_what_is_smooth_stays() -> None:
    labels = ball((30, 40, 40), ISO, (15, 20, 20), 6.0).astype(np.uint8)
    with pytest.raises(MaskError, match="smooth already"):
        smoothed(labels, ISO, 1)


def test_holes_are_filled_but_for_what_others_have_in_them() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[4:15, 4:15, 4:15] = 3
    labels[7:12, 7:12, 7:12] = 0
    labels[9, 9, 9] = 8
    result = corrected(labels, filled(labels, 3))
    oracle = ndimage.binary_fill_holes(labels == 3)
    assert ((result == 3) | (result == 8) == oracle).all()
    assert result[9, 9, 9] == 8
    open_one = labels.copy()
    open_one[9, 9, :] = 0  # a tunnel
    with pytest.raises(MaskError, match="no hole"):
        filled(open_one, 3)


# -- two, and pieces ---------------------------------------------------------------------


def two_pieces() -> np.ndarray:
    labels = np.zeros((12, 20, 30), np.uint16)
    labels[2:6, 2:8, 2:8] = 5
    labels[2:4, 12:14, 20:24] = 5
    labels[8:11, 2:6, 20:28] = 9
    return labels


def test_a_nodule_takes_in_another() -> None:
    labels = two_pieces()
    result = corrected(labels, merged(labels, kept=5, gone=9))
    assert np.array_equal(result, np.where(labels > 0, 5, 0))
    with pytest.raises(MaskError, match="no voxels"):
        merged(labels, kept=4, gone=9)


def test_a_piece_goes_or_stays() -> None:
    labels = two_pieces()
    large, small = pieces.pieces_of(labels, 5)
    assert (large.voxels, small.voxels) == (144, 16)
    at = (3, 13, 21)
    gone = corrected(labels, pieces.without_piece(labels, at))
    assert np.count_nonzero(gone == 5) == 144
    only = corrected(labels, pieces.with_only_piece(labels, at))
    assert np.count_nonzero(only == 5) == 16
    for result in (gone, only):
        assert np.array_equal(result == 9, labels == 9)
    with pytest.raises(MaskError, match="one piece"):
        pieces.with_only_piece(labels, (9, 3, 21))
    with pytest.raises(MaskError, match="no nodule"):
        pieces.without_piece(labels, (0, 0, 0))


def dab(z: int, y: int, x: int) -> Part:
    return Part((slice(z, z + 1), slice(y, y + 1), slice(x, x + 1)), np.ones((1, 1, 1), bool), 1)


def test_only_what_was_touched_stays() -> None:
    labels = two_pieces()
    for touched in ([dab(3, 13, 21)], [dab(4, 13, 21)]):  # on it, and erased beside it
        result = corrected(labels, pieces.with_only_touched(labels, 5, touched))
        assert np.count_nonzero(result == 5) == 16
    with pytest.raises(MaskError, match="none of its pieces"):
        pieces.with_only_touched(labels, 5, [dab(9, 3, 21)])
    with pytest.raises(MaskError, match="all its 2 pieces"):
        pieces.with_only_touched(labels, 5, [dab(3, 13, 21), dab(2, 2, 2)])
    with pytest.raises(MaskError, match="one piece"):
        pieces.with_only_touched(labels, 9, [])


# -- a line ------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_line_cuts_the_whole_nodule(axis: int) -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[3:17, 3:17, 3:17] = 4
    one, other = (k for k in range(3) if k != axis)
    line = np.full((2, 3), 10.0)
    line[:, one] = 7.5  # nearer to the first face
    line[0, other], line[1, other] = 9.0, 11.0  # short: it goes on beyond its ends
    result = corrected(labels, split(labels, 4, 7, line, axis))
    first = np.take(result, range(8), axis=one)
    second = np.take(result, range(8, 20), axis=one)
    assert set(np.unique(first)) == {0, 7}  # the smaller part
    assert set(np.unique(second)) == {0, 4}
    assert np.array_equal(result > 0, labels > 0)


def test_a_bent_line_cuts_out_a_corner() -> None:
    labels = np.full((4, 20, 20), 1, np.uint8)
    bent = [(0, -1, 5.5), (0, 5.5, 5.5), (0, 5.5, -1)]
    result = corrected(labels, split(labels, 1, 2, bent, axis=0))
    expected = np.zeros((20, 20), bool)
    expected[:6, :6] = True
    assert all(np.array_equal(plane == 2, expected) for plane in result)


def test_a_line_that_misses_or_has_no_length_is_refused() -> None:
    labels = two_pieces()
    with pytest.raises(MaskError, match="does not cross"):
        split(labels, 9, 10, [(9, 0, 0), (9, 0, 29)], axis=0)
    for line in ([(9, 3, 3)], [(9, 3, 3), (2, 3, 3)]):
        with pytest.raises(MaskError, match="no length"):
            split(labels, 9, 10, line, axis=0)


# -- between slices ----------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_ball_that_was_painted_on_some_slices_becomes_a_ball(axis: int) -> None:
    spacing: Triple = (1.25, 0.7, 0.9)
    whole = ball((21, 33, 29), spacing, (10, 16, 14), 8.0)
    there = np.flatnonzero(whole.any(axis=tuple(k for k in range(3) if k != axis)))
    painted = np.zeros_like(whole)
    kept = [slice(None)] * 3
    for k in {*there[::3].tolist(), int(there[-1])}:
        kept[axis] = k
        painted[tuple(kept)] = whole[tuple(kept)]
    labels = painted.astype(np.uint8) * 6
    result = corrected(labels, filled_between(labels, spacing, 6, axis)) == 6
    assert result[painted].all()
    dice = 2 * np.count_nonzero(result & whole) / (result.sum() + whole.sum())
    assert dice > 0.94
    with pytest.raises(MaskError, match=r"no (axial|coronal|sagittal) slice"):
        filled_between((result * 6).astype(np.uint8), spacing, 6, axis)


def test_a_cone_is_as_wide_as_its_height_says() -> None:
    labels = np.zeros((11, 61, 61), np.uint8)
    y, x = np.indices((61, 61)) - 30
    for z, radius in ((0, 10.0), (10, 25.0)):
        labels[z] = y**2 + x**2 <= radius**2
    result = corrected(labels, filled_between(labels, (2.0, 1.0, 1.0), 1, 0))
    radii = np.sqrt(result.sum(axis=(1, 2)) / np.pi)
    assert np.allclose(radii, np.linspace(10, 25, 11), atol=0.7)


def test_outlines_divide_and_move() -> None:
    labels = np.zeros((9, 30, 60), np.uint8)
    labels[0, 10:20, 15:45] = 1
    labels[8, 10:20, 15:25] = labels[8, 10:20, 35:45] = 1  # one becomes two
    result = corrected(labels, filled_between(labels, (1.0, 1.0, 1.0), 1, 0))
    pieces_on = [ndimage.label(plane)[1] for plane in result]
    assert pieces_on == sorted(pieces_on)
    assert (pieces_on[1], pieces_on[-2]) == (1, 2)
    beside = np.zeros((5, 20, 40), np.uint8)
    beside[0, 5:15, 2:12] = beside[4, 5:15, 26:36] = 1  # nothing in common
    result = corrected(beside, filled_between(beside, (1.0, 1.0, 1.0), 1, 0))
    centres = [ndimage.center_of_mass(plane)[1] for plane in result]
    assert np.allclose(centres, np.linspace(6.5, 30.5, 5), atol=0.6)
    assert np.allclose(result.sum(axis=(1, 2)), 100, atol=20)


def test_several_gaps_and_other_nodules_between() -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[[0, 3, 4, 8, 11], 2:9, 2:9] = 1
    labels[6, 4, 4] = 2
    result = corrected(labels, filled_between(labels, ISO, 1, 0))
    assert (result[:, 3:8, 3:8] > 0).all()
    assert result[6, 4, 4] == 2
    blocked = labels[:3].copy()
    blocked[1], blocked[2] = 2, labels[0]
    with pytest.raises(MaskError, match="belongs to other nodules"):
        filled_between(blocked, ISO, 1, 0)


# -- all of them -------------------------------------------------------------------------

MAKES: dict[str, Callable[[np.ndarray, Triple], Correction]] = {
    "grown": lambda a, s: grown(a, s, 1, 1.0),
    "shrunk": lambda a, s: shrunk(a, s, 1, 1.0),
    "smoothed": lambda a, s: smoothed(a, s, 1),
    "filled": lambda a, _s: filled(a, 1),
    "between": lambda a, s: filled_between(a, s, 1, 0),
    "split": lambda a, _s: split(a, 1, 3, [(0, 3.3, -1), (0, 4.1, 9)], 0),
    "piece": lambda a, _s: pieces.without_piece(a, tuple(np.argwhere(a == 1)[0])),
}


@given(
    seed=st.integers(0, 10_000),
    name=st.sampled_from(sorted(MAKES)),
    dtype=st.sampled_from([np.uint8, np.uint16, np.int32]),
    spacing=st.sampled_from([ISO, (1.0, 0.7, 0.7), (2.5, 0.8, 0.8), THICK]),
)
def test_other_nodules_never_change(seed: int, name: str, dtype: type, spacing: Triple) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 10, 3))
    labels = random.choice([0, 1, 2], shape, p=[0.5, 0.3, 0.2]).astype(dtype)
    before = labels.copy()
    try:
        correction = MAKES[name](labels, spacing)
    except (MaskError, IndexError):  # IndexError: no voxel to click on
        assert np.array_equal(labels, before)
        return
    assert np.array_equal(labels, before)  # nothing was written
    result = corrected(labels, correction)
    assert result.dtype == dtype
    assert not np.array_equal(result, labels)
    assert np.array_equal(result == 2, labels == 2)
    assert set(np.unique(result)) <= {0, 1, 2, 3}


@given(seed=st.integers(0, 10_000))
def test_a_box_fits_its_label(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 8, 3))
    labels = (random.random(shape) < 0.1).astype(np.uint8) * 3
    found = ndimage.find_objects(labels, max_label=3)[2]
    assert box_of(labels, 3) == found
    assert box_of(labels, 4) is None
