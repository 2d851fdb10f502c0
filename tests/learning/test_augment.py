"""Patches are moved and toned as drawn, image and mask together, against independent tools."""

import itertools

import numpy as np
import pytest
import scipy.ndimage as ndi
import SimpleITK as sitk
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_ctlns.learning.augment import draw_change
from napari_ctlns.learning.augment_resampling import moved
from napari_ctlns.learning.augment_space import Move, draw_move, margin
from napari_ctlns.learning.augment_values import Tone, draw_tone, toned
from napari_ctlns.recipe import Augmentation

SIZE = (12, 17, 20)
RICH = Augmentation(
    rotation_deg=(30, 20, 10),
    scaling=0.2,
    translation=0.1,
    affine_probability=1.0,
    elastic_voxels=1.5,
    elastic_grid=7,
    elastic_probability=1.0,
)


def a_scan(shape: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth HU and a mask that is the bright part of them."""
    rough = np.random.default_rng(seed).normal(0, 1, shape)
    hu = ndi.gaussian_filter(rough, 2) * 4000 - 500
    return hu.astype(np.int16), (hu > -400).astype(np.uint8)


def as_batch(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))[None, None]


def with_margin(recipe: Augmentation, size=SIZE, spacing=(1.0, 1.0, 1.0)):
    return tuple(n + 2 * m for n, m in zip(size, margin(recipe, size, spacing), strict=True))


def offsets(shape) -> np.ndarray:
    axes = [np.arange(n) - (n - 1) / 2 for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def sources(move: Move, size) -> np.ndarray:
    """Where voxels come from as offsets (3, z, y, x), its spline evaluated by scipy."""
    offset = offsets(size)
    points = np.asarray(move.bend.shape[:3])[:, None, None, None]
    at = offset / move.step + (points - 1) / 2
    bent = [
        ndi.map_coordinates(move.bend[..., axis], at, order=3, prefilter=False, mode="constant")
        for axis in range(3)
    ]
    straight = np.tensordot(move.matrix, offset - move.shift[:, None, None, None], 1)
    return straight + np.stack(bent)


IN_PLANE = RICH.model_copy(update={"rotation_deg": (90, 0, 0), "elastic_voxels": 0.0})
"""As in 2.5 dimensions: turned about z only."""


@pytest.mark.parametrize(
    ("recipe", "size"),
    [(RICH, SIZE), (RICH, (1, 24, 30)), (RICH, (5, 16, 16)), (IN_PLANE, (7, 20, 16))],
)
def test_image_and_mask_lie_where_scipy_puts_them(recipe: Augmentation, size) -> None:
    random = np.random.default_rng(3)
    spacing = (2.0, 0.8, 0.8)
    block = with_margin(recipe, size, spacing)
    scans = [a_scan(block, seed) for seed in range(3)]
    moves = [draw_move(recipe, size, spacing, random) for _ in range(3)]
    moves[1] = None
    image = torch.from_numpy(np.stack([hu for hu, _ in scans]))[:, None]
    mask = torch.from_numpy(np.stack([labels for _, labels in scans]))[:, None]
    new_image, new_mask = moved(image, mask, moves, size)
    assert new_image.shape == new_mask.shape == (3, 1, *size)
    assert (new_image.dtype, new_mask.dtype) == (torch.float32, torch.uint8)
    middle = tuple(slice((b - n) // 2, (b + n) // 2) for b, n in zip(block, size, strict=True))
    assert (new_image[1, 0].numpy() == scans[1][0][middle]).all()
    assert (new_mask[1, 0].numpy() == scans[1][1][middle]).all()
    for place in (0, 2):
        hu, labels = scans[place]
        at = sources(moves[place], size) + (np.reshape(block, (3, 1, 1, 1)) - 1) / 2
        expected = ndi.map_coordinates(hu.astype(float), at, order=1, mode="nearest")
        assert np.abs(new_image[place, 0].numpy() - expected).max() < 0.1
        expected = ndi.map_coordinates(labels, at, order=0, mode="nearest")
        assert (new_mask[place, 0].numpy() != expected).mean() < 0.002  # ties, rounded either way
        assert (scans[place][1][middle] != new_mask[place, 0].numpy()).mean() > 0.02


def test_rotation_and_scaling_are_those_of_simpleitk_in_millimetres() -> None:
    spacing = (2.5, 0.7, 0.9)
    recipe = RICH.model_copy(update={"elastic_voxels": 0.0})
    move = draw_move(recipe, SIZE, spacing, np.random.default_rng(1))
    hu, _ = a_scan(with_margin(recipe, SIZE, spacing))
    scan = sitk.GetImageFromArray(hu.astype(np.float64))
    scan.SetSpacing(spacing[::-1])
    centre = (np.array(hu.shape) - 1) / 2 * spacing
    millimetres = np.asarray(spacing)
    matrix = move.matrix * millimetres[:, None] / millimetres
    # in millimetres it turns and scales alike along all axes
    scale = 1 / np.cbrt(np.linalg.det(matrix))
    assert 0.8 <= scale <= 1.2
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3) / scale**2, atol=1e-12)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(centre[::-1].tolist())
    affine.SetMatrix(matrix[::-1, ::-1].ravel().tolist())
    affine.SetTranslation((-matrix @ (move.shift * millimetres))[::-1].tolist())
    start = [(whole - part) // 2 for whole, part in zip(hu.shape, SIZE, strict=True)]
    grid = sitk.Image([*SIZE[::-1]], sitk.sitkFloat64)
    grid.SetSpacing(spacing[::-1])
    grid.SetOrigin((np.asarray(start) * millimetres)[::-1].tolist())
    expected = sitk.GetArrayFromImage(sitk.Resample(scan, grid, affine, sitk.sitkLinear))
    image, _ = moved(as_batch(hu), as_batch(hu), [move], SIZE)
    np.testing.assert_allclose(image[0, 0].numpy(), expected, atol=0.1)


def test_bending_is_the_b_spline_of_simpleitk() -> None:
    size, step = (13, 13, 13), 6
    recipe = Augmentation(elastic_voxels=1.0, elastic_grid=step, elastic_probability=1.0)
    move = draw_move(recipe, size, (1, 1, 1), np.random.default_rng(0))
    spline = sitk.BSplineTransform(3, 3)
    spline.SetTransformDomainOrigin([-6.0] * 3)  # offsets are its millimetres
    spline.SetTransformDomainPhysicalDimensions([12.0] * 3)
    spline.SetTransformDomainMeshSize([2] * 3)
    # all displacements along x first, then along y, then along z; x runs fastest
    coefficients = [move.bend[..., axis].ravel() for axis in (2, 1, 0)]
    spline.SetParameters(np.concatenate(coefficients).tolist())
    expected = np.array(
        [spline.TransformPoint((x, y, z))[::-1] for z, y, x in offsets(size).reshape(3, -1).T]
    )
    block = [n + 4 for n in with_margin(recipe, size)]  # some reach further than expected
    # an image of its own offsets tells where voxels come from
    found = [
        moved(as_batch(axis), as_batch(axis), [move], size)[0][0, 0].numpy().ravel()
        for axis in offsets(block)
    ]
    np.testing.assert_allclose(np.stack(found, -1), expected, atol=2e-5)


@given(seed=st.integers(0, 2**32))
def test_moved_patches_show_what_lies_beyond_them_and_no_padding(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = tuple(int(n) for n in random.integers(2, 30, 3))
    spacing = tuple(float(s) for s in random.uniform(0.5, 3, 3))
    recipe = Augmentation(
        rotation_deg=tuple(random.uniform(0, 180, 3)),
        scaling=random.uniform(0, 0.3),
        translation=random.uniform(0, 0.3),
        affine_probability=1.0,
    )
    around = margin(recipe, size, spacing)
    move = draw_move(recipe, size, spacing, random)
    reach = np.abs(sources(move, size)).reshape(3, -1).max(1)
    allowed = np.where(np.less(around, size), (np.array(size) - 1) / 2 + around, np.inf)
    assert (reach <= allowed + 1e-9).all()


def test_margin_is_no_larger_than_needed() -> None:
    whole_turn = Augmentation(rotation_deg=(180, 0, 0))
    # a square's corner reaches sqrt(2) as far as its sides
    assert margin(whole_turn, (7, 64, 64)) == (0, 14, 14)
    assert margin(Augmentation(scaling=0.2), (1, 64, 64)) == (0, 8, 8)
    assert margin(Augmentation(translation=0.25), (8, 8, 16)) == (2, 2, 4)
    assert margin(Augmentation(elastic_voxels=2), (8, 8, 8)) == (6, 6, 6)
    assert margin(Augmentation(scaling=0.9), (8, 8, 8)) == (8, 8, 8)
    assert margin(Augmentation(), (64, 64, 64)) == (0, 0, 0)
    assert margin(RICH.model_copy(update={"enabled": False}), SIZE) == (0, 0, 0)


def test_one_slice_stays_in_its_plane() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        move = draw_move(RICH, (1, 16, 16), (3.0, 0.7, 0.7), random)
        assert np.abs(sources(move, (1, 16, 16))[0]).max() == 0
        assert np.abs(sources(move, (1, 16, 16)) - offsets((1, 16, 16))).max() > 0.5


def test_what_is_drawn_stays_within_the_recipe_and_fills_it() -> None:
    random = np.random.default_rng(0)
    turns, scales, shifts = [], [], []
    recipe = Augmentation(
        rotation_deg=(40, 0, 0), scaling=0.25, translation=0.1, affine_probability=1
    )
    for _ in range(300):
        move = draw_move(recipe, (10, 20, 40), (1, 1, 1), random)
        scale = 1 / np.cbrt(np.linalg.det(move.matrix))
        scales.append(scale)
        turns.append(np.degrees(np.arcsin(move.matrix[1, 2] * scale)))
        shifts.append(move.shift / (10, 20, 40))
        assert move.matrix[0] == pytest.approx([1 / scale, 0, 0])
    for drawn, least, most in ((turns, -40, 40), (scales, 0.75, 1.25), (shifts, -0.1, 0.1)):
        assert least <= np.min(drawn) < least + 0.02 * (most - least)
        assert most >= np.max(drawn) > most - 0.02 * (most - least)


@pytest.mark.parametrize("size", [(1, 40, 40), (20, 20, 20)])
def test_a_bend_has_the_deviation_of_the_recipe_everywhere(size) -> None:
    random = np.random.default_rng(0)
    recipe = Augmentation(elastic_voxels=2.0, elastic_grid=12, elastic_probability=1)
    where = offsets(size)
    bends = np.stack(
        [sources(draw_move(recipe, size, (1, 1, 1), random), size) - where for _ in range(70)]
    )
    along = range(1, 3) if size[0] == 1 else range(3)
    for axis in along:
        assert bends[:, axis].std() == pytest.approx(1.9, rel=0.1)
        deviations = ndi.uniform_filter(bends[:, axis].std(0), 8)
        assert deviations.min() > 1.4
        assert deviations.max() < 2.5


def test_chances_are_those_of_the_recipe() -> None:
    recipe = Augmentation(
        flip_axes=("y",),
        flip_probability=0.3,
        rotation_deg=(5, 0, 0),
        affine_probability=0.2,
        elastic_voxels=1,
        elastic_probability=0.4,
        brightness=1,
        contrast=0.5,
        intensity_probability=0.6,
        noise=1,
        noise_probability=0.7,
        blur_voxels=1,
        blur_probability=0.8,
    )
    random = np.random.default_rng(0)
    drawn = [draw_change(recipe, (8, 8, 8), random) for _ in range(1000)]
    moves = [c.move for c in drawn]
    shares = {
        "mirrored along y": ([c.flips[1].step == -1 for c in drawn], 0.3),
        "mirrored along others": ([c.flips[0].step == -1 for c in drawn], 0.0),
        "turned": ([m is not None and m.matrix[1, 2] != 0 for m in moves], 0.2),
        "bent": ([m is not None and m.bend.any() for m in moves], 0.4),
        "brighter": ([c.tone.brightness != 0 for c in drawn], 0.6),
        "more contrast": ([c.tone.contrast != 1 for c in drawn], 0.6),
        "noisy": ([c.tone.noise != 0 for c in drawn], 0.7),
        "blurred": ([c.tone.blur != 0 for c in drawn], 0.8),
    }
    for what, (seen, expected) in shares.items():
        assert np.mean(seen) == pytest.approx(expected, abs=0.05), what
    never = recipe.model_copy(update={"enabled": False})
    change = draw_change(never, (8, 8, 8), random)
    assert change.move is None
    assert change.tone == Tone()
    assert all(flip.step is None for flip in change.flips)


def test_flips_mirror_only_the_axes_named_and_every_one_of_them() -> None:
    random = np.random.default_rng(0)
    patch = np.arange(24).reshape(2, 3, 4)
    recipe = Augmentation(flip_axes=("z", "x"))
    seen = {tuple(patch[draw_change(recipe, (2, 3, 4), random).flips].ravel()) for _ in range(60)}
    wanted = [patch, patch[::-1], patch[:, :, ::-1], patch[::-1, :, ::-1]]
    assert seen == {tuple(w.ravel()) for w in wanted}


def test_values_are_blurred_then_stretched_then_lifted_then_noisy() -> None:
    random = np.random.default_rng(0)
    patches = random.normal(0.5, 0.2, (3, 1, 10, 12, 14)).astype(np.float32)
    tones = [Tone(blur=0.8, contrast=1.2, brightness=-0.1), Tone(noise=0.05, seed=7), Tone()]
    result = toned(torch.from_numpy(patches.copy()), tones).numpy()
    blurred = ndi.gaussian_filter(patches[0, 0].astype(float), 0.8, mode="nearest")
    expected = (blurred - blurred.mean()) * 1.2 + blurred.mean() - 0.1
    # scipy samples the Gaussian, MONAI takes its mean over each voxel: a little wider
    assert np.abs(result[0, 0] - expected).max() < 0.03
    assert np.corrcoef(result[0].ravel(), expected.ravel())[0, 1] > 0.995
    noise = (result - patches)[1]
    assert noise.std() == pytest.approx(0.05, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.005)
    assert (result[2] == patches[2]).all()


def test_blur_keeps_flat_patches_and_one_slice_as_they_are() -> None:
    flat = torch.full((1, 1, 1, 9, 9), 0.3)
    assert torch.allclose(toned(flat.clone(), [Tone(blur=1.5)]), flat)


def test_tones_stay_within_the_recipe() -> None:
    random = np.random.default_rng(0)
    recipe = Augmentation(brightness=0.3, contrast=0.2, noise=0.1, blur_voxels=1.5)
    drawn = [draw_tone(recipe, random) for _ in range(400)]
    limits = {
        "brightness": (-0.3, 0.3),
        "contrast": (0.8, 1.2),
        "noise": (0, 0.1),
        "blur": (0, 1.5),
    }
    for name, (least, most) in limits.items():
        values = [getattr(tone, name) for tone in drawn]
        assert least <= min(values) < least + 0.05 * (most - least)
        assert most >= max(values) > most - 0.05 * (most - least)


def test_a_patch_is_changed_alike_in_any_company() -> None:
    recipe = RICH.model_copy(update={"noise": 0.1, "blur_voxels": 1.0})
    block = with_margin(recipe)
    scans = [a_scan(block, seed) for seed in range(4)]
    image = torch.from_numpy(np.stack([hu for hu, _ in scans]))[:, None]
    mask = torch.from_numpy(np.stack([labels for _, labels in scans]))[:, None]
    changes = [draw_change(recipe, SIZE, np.random.default_rng(n)) for n in range(4)]

    def changed(order) -> list[torch.Tensor]:
        moves = [changes[n].move for n in order]
        there, labels = moved(image[order], mask[order], moves, SIZE)
        return [toned(there, [changes[n].tone for n in order]), labels]

    together, alone = changed([0, 1, 2, 3]), [changed([n]) for n in range(4)]
    backwards = changed([3, 2, 1, 0])
    for part, n in itertools.product(range(2), range(4)):
        assert torch.equal(together[part][n], alone[n][part][0])
        assert torch.equal(together[part][n], backwards[part][3 - n])


def test_what_was_cut_is_left_alone() -> None:
    block = with_margin(RICH)
    hu, labels = (as_batch(part) for part in a_scan(block))
    before = hu.clone(), labels.clone()
    move = draw_move(RICH, SIZE, (1, 1, 1), np.random.default_rng(0))
    for moves in ([move], [None], []):
        image, mask = moved(hu, labels, moves, SIZE)
        image.zero_()
        mask.zero_()
        assert torch.equal(hu, before[0])
        assert torch.equal(labels, before[1])
