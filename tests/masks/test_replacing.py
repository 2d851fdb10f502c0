"""Drawing a mask anew: nothing a person worked on changes, and nodules keep their labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_ctlns.masks.islands import Part
from napari_ctlns.masks.replacing import changed_voxels, nodules_of, redrawn, same_voxels

SHAPE = (6, 12, 14)
EVERYWHERE = np.ones((3, 3, 3))


def part(*slices):
    box = tuple(slice(*s) for s in slices)
    inside = np.ones([s.stop - s.start for s in box], bool)
    return Part(box, inside, int(inside.sum()))


def mask_with(dtype=np.uint8, **labelled):
    labels = np.zeros(SHAPE, dtype)
    for label, one in labelled.items():
        labels[one.box][one.inside] = int(label[1:])
    return labels


def drawn_into(labels, parts, kept=(), erased=()):
    """Return the mask after parts were drawn into it, and which label each became."""
    there = nodules_of(labels)
    wanted = redrawn(labels, there, kept, parts, erased)
    where, values = changed_voxels(labels, there, kept, wanted)
    assert values.dtype == labels.dtype
    assert (labels[where] != values).all()
    result = labels.copy()
    result[where] = values
    return result, wanted.labels


SMALL = part((1, 3), (1, 5), (1, 5))
LARGE = part((1, 3), (1, 6), (1, 7))
ELSEWHERE = part((2, 4), (8, 11), (8, 11))


def test_an_old_nodule_keeps_its_label_however_large_it_gets():
    labels = mask_with(_3=SMALL, _7=ELSEWHERE)
    result, became = drawn_into(labels, [LARGE, ELSEWHERE])
    assert became == (3, 7)
    np.testing.assert_array_equal(result, mask_with(_3=LARGE, _7=ELSEWHERE))


def test_what_is_no_more_goes_and_what_is_new_takes_the_lowest_free_label():
    labels = mask_with(_1=SMALL)
    result, became = drawn_into(labels, [ELSEWHERE])
    assert became == (2,)  # not 1, which something else was a moment ago
    np.testing.assert_array_equal(result, mask_with(_2=ELSEWHERE))


def test_the_largest_overlap_hands_the_label_on():
    old = part((1, 3), (1, 5), (1, 11))
    left, right = part((1, 3), (1, 5), (1, 4)), part((1, 3), (1, 5), (5, 11))
    result, became = drawn_into(mask_with(_4=old), [left, right])
    assert became == (1, 4)
    np.testing.assert_array_equal(result, mask_with(_1=left, _4=right))
    _, became = drawn_into(mask_with(_1=left, _4=right), [old])
    assert became == (4,)


@pytest.mark.parametrize("shared", range(1, 5))
def test_half_of_a_kept_nodule_or_of_the_part_is_that_nodule(shared):
    kept = part((1, 3), (1, 3), (6, 10))
    new = part((1, 3), (1, 3), (shared, 6 + shared))  # 6 wide, the kept one 4
    result, became = drawn_into(mask_with(_5=kept), [new], kept={5})
    if shared >= 2:
        assert became == (0,)
        np.testing.assert_array_equal(result, mask_with(_5=kept))
    else:
        assert became == (1,)
        assert (result == 5).sum() == kept.voxels
        assert (result == 1).sum() == new.voxels - 4 * shared


def test_what_was_erased_does_not_come_back():
    labels = mask_with()
    result, became = drawn_into(labels, [LARGE, ELSEWHERE], erased=[SMALL])
    assert became == (0, 1)
    np.testing.assert_array_equal(result, mask_with(_1=ELSEWHERE))
    result, became = drawn_into(labels, [LARGE], erased=[ELSEWHERE])
    assert became == (1,)


def test_a_part_that_kept_nodules_cover_wholly_is_not_drawn():
    thirds = [part((0, 1), (0, 9), (x, x + 3)) for x in (0, 3, 6)]
    middle = part((0, 1), (4, 5), (0, 9))  # a third of it on each, a ninth of each
    labels = mask_with(_1=thirds[0], _2=thirds[1], _3=thirds[2])
    result, became = drawn_into(labels, [middle], kept={1, 2, 3})
    assert became == (0,)
    np.testing.assert_array_equal(result, labels)


def test_of_voxels_that_two_parts_share_the_later_one_has_them():
    whole, core = part((0, 5), (0, 5), (0, 5)), part((2, 3), (2, 3), (2, 3))
    result, became = drawn_into(mask_with(), [whole, core])
    assert became == (1, 2)
    assert (result == 1).sum() == 124
    assert result[2, 2, 2] == 2


def test_where_labels_run_out_the_last_parts_are_left_out():
    labels = np.zeros((1, 1, 600), np.uint8)
    parts = [part((0, 1), (0, 1), (2 * k, 2 * k + 1)) for k in range(300)]
    result, became = drawn_into(labels, parts)
    assert became == (*range(1, 256), *[0] * 45)
    assert result.max() == 255


def test_nothing_to_draw_and_nothing_there():
    result, became = drawn_into(mask_with(), [])
    assert became == ()
    assert not result.any()


def test_nodules_are_found_as_tight_boxes():
    there = nodules_of(mask_with(_2=SMALL, _9=ELSEWHERE))
    assert list(there) == [2, 9]
    assert same_voxels(there[2], SMALL)
    assert not same_voxels(there[2], there[9])
    assert (there[9].voxels, there[9].box) == (18, ELSEWHERE.box)


def blobs(seed, share):
    """Return a mask of components of noise, and the noise."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1)
    labels, _ = ndimage.label(noise > np.quantile(noise, 1 - share), EVERYWHERE)
    return labels.astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    seeds=st.tuples(st.integers(0, 500), st.integers(0, 500)),
    shares=st.tuples(st.floats(0.02, 0.4), st.floats(0.02, 0.4)),
    chosen=st.integers(0, 2**12),
)
def test_of_any_two_masks(seeds, shares, chosen):
    labels, new = blobs(seeds[0], shares[0]), blobs(seeds[1], shares[1])
    there, parts = nodules_of(labels), tuple(nodules_of(new).values())
    kept = {label for label in there if chosen >> label & 1}
    result, became = drawn_into(labels, parts, kept)
    of_kept = np.isin(labels, list(kept))
    np.testing.assert_array_equal(result[of_kept], labels[of_kept])
    assert not np.isin(result[~of_kept], list(kept)).any()
    given_out = [label for label in became if label]
    assert len(set(given_out)) == len(given_out)
    for one, label in zip(parts, became, strict=True):
        whole = np.zeros(SHAPE, bool)
        whole[one.box] = one.inside
        shared = {k: (whole & (labels == k)).sum() for k in kept}
        is_kept = any(2 * n >= min(one.voxels, there[k].voxels) for k, n in shared.items() if n)
        assert (label == 0) == (is_kept or not (whole & ~of_kept).any())
        if label:
            np.testing.assert_array_equal(result == label, whole & ~of_kept)
            if label in there:
                assert (whole & (labels == label)).any()
    drawn = np.isin(result, given_out)
    np.testing.assert_array_equal(drawn | of_kept, result > 0)
    again, _ = drawn_into(result, parts, kept)
    np.testing.assert_array_equal(again > 0, result > 0)
