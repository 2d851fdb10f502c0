"""Random changes of where a patch's voxels come from: rotation, scaling, shift and bending."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import grid_sample

from napari_ctlns.recipe import Augmentation, Size

Spacing = tuple[float, float, float]
_Array = npt.NDArray[np.float64]

_BEND_REACH = 3.0
"""Of its standard deviation: how far a bend is expected to reach at most."""


@dataclass(frozen=True, eq=False)
class Move:
    """Where the voxels of one patch are taken from.

    The voxel at offset q from the middle of the patch comes from offset
    ``matrix @ (q - shift) + u(q)``; u is a cubic B-spline with the coefficients
    ``bend`` (Rueckert et al. 1999, "Nonrigid registration using free-form deformations").

    Attributes
    ----------
    matrix
        (3, 3), of offsets (z, y, x) in voxels.
    shift
        How far what is shown is shifted, voxels (z, y, x).
    bend
        (gz, gy, gx, 3): displacements along (z, y, x), voxels, at points that lie
        ``step`` voxels apart around the middle.
    step
        Voxels between the points.
    """

    matrix: _Array
    shift: _Array
    bend: _Array
    step: int


def draw_move(
    recipe: Augmentation, size: Size, spacing: Spacing, random: np.random.Generator
) -> Move | None:
    """Draw how a patch is rotated, scaled, shifted and bent; None if it is not.

    Rotations are rigid in millimetres, also where slices are thicker than pixels,
    and scaling is the same along all axes. A patch of one slice stays in its plane.

    Parameters
    ----------
    recipe
        How much at most, and how often.
    size
        Voxels (z, y, x) of the patch.
    spacing
        Millimetres (z, y, x) between them.
    random
        What decides.
    """
    turned = _moves(recipe) and random.random() < recipe.affine_probability
    bent = recipe.elastic_voxels > 0 and random.random() < recipe.elastic_probability
    if not (turned or bent):
        return None
    matrix, shift = np.eye(3), np.zeros(3)
    if turned:
        matrix, shift = _draw_affine(recipe, size, spacing, random)
    bend = np.zeros((*_points(size, recipe.elastic_grid), 3))
    if bent:
        thick = np.greater(size, 1)
        # of independent coefficients a spline's mean over points and between them keeps about
        # this share of their standard deviation along each axis (0.68 to 0.71)
        kept = 0.5 ** (thick.sum() / 2)
        bend += random.normal(0, recipe.elastic_voxels / kept, bend.shape) * thick
    return Move(matrix, shift, bend, recipe.elastic_grid)


def margin(
    recipe: Augmentation, size: Size, spacing: Spacing = (1.0, 1.0, 1.0)
) -> tuple[int, int, int]:
    """Return how many voxels (z, y, x) must be read around a patch to move it at will.

    With them, rotated, shrunken or shifted patches show what really lies beyond
    their faces. No more than the sides of the patch: whoever shrinks by more than a
    half sees the outermost voxels repeated.

    Parameters
    ----------
    recipe
        How much patches are changed at most.
    size
        Voxels (z, y, x) of the patch.
    spacing
        Millimetres (z, y, x) between them.
    """
    if not recipe.enabled:
        return (0, 0, 0)
    half = (np.asarray(size) - 1) / 2
    reach = half * spacing
    if _moves(recipe):
        reach += recipe.translation * np.asarray(size) * spacing
        for axis, angle in enumerate(_allowed_deg(recipe, size)):
            one, other = (n for n in range(3) if n != axis)
            a, b = reach[one], reach[other]
            reach[one], reach[other] = _turned(a, b, angle), _turned(b, a, angle)
        reach /= 1 - recipe.scaling
    beyond = reach / spacing - half + _BEND_REACH * recipe.elastic_voxels
    needed = np.where(np.greater(size, 1), np.ceil(beyond - 1e-9), 0)
    z, y, x = (int(n) for n in np.minimum(needed, size))
    return z, y, x


def moved(
    image: Tensor, mask: Tensor, moves: Sequence[Move | None], size: Size
) -> tuple[Tensor, Tensor]:
    """Take every patch from where its move says; those without one from the middle.

    Parameters
    ----------
    image, mask
        (n, 1, z, y, x) with the margin, of any type.
    moves
        One for each patch, or none at all.
    size
        Voxels (z, y, x) of the patches.

    Returns
    -------
    Tensor, Tensor
        Image, float32, interpolated linearly, and mask, its nearest voxels, of the type
        that it had; both (n, 1, z, y, x).
    """
    new_image = _middle(image, size).to(torch.float32, copy=True)
    new_mask = _middle(mask, size).clone()
    chosen = {n: move for n, move in enumerate(moves) if move is not None}
    if not chosen:
        return new_image, new_mask
    places = _places(list(chosen.values()), size, image.shape[2:], image.device)
    # one patch after the other: memory that fits the caches is twice as fast on a CPU
    for n, there in zip(chosen, places, strict=True):
        new_image[n, 0] = _linear(image[n], there)
        new_mask[n, 0] = _nearest(mask[n, 0], there)
    return new_image, new_mask


def _moves(recipe: Augmentation) -> bool:
    return any(recipe.rotation_deg) or recipe.scaling > 0 or recipe.translation > 0


def _allowed_deg(recipe: Augmentation, size: Size) -> _Array:
    """Return the largest angles about (z, y, x); none that would turn a slice out of its plane."""
    thick = np.greater(size, 1)
    in_plane = [thick[[n for n in range(3) if n != axis]].all() for axis in range(3)]
    return np.asarray(recipe.rotation_deg) * in_plane


def _draw_affine(
    recipe: Augmentation, size: Size, spacing: Spacing, random: np.random.Generator
) -> tuple[_Array, _Array]:
    angles = random.uniform(-1, 1, 3) * _allowed_deg(recipe, size)
    scale = random.uniform(1 - recipe.scaling, 1 + recipe.scaling)
    thick = np.greater(size, 1)
    shift = random.uniform(-1, 1, 3) * recipe.translation * np.asarray(size) * thick
    # what is shown is turned forwards, so that places are turned backwards
    backwards = Rotation.from_euler("XYZ", angles, degrees=True).as_matrix().T
    in_voxels = backwards * np.asarray(spacing) / np.asarray(spacing)[:, None]
    return in_voxels / np.where(thick, scale, 1.0)[:, None], shift


def _turned(along: float, across: float, degrees: float) -> float:
    """Return how far a box reaches along an axis when it is turned by up to an angle."""
    angle = min(np.radians(degrees), np.arctan2(across, along))
    return float(along * np.cos(angle) + across * np.sin(angle))


def _points(size: Size, step: int) -> tuple[int, int, int]:
    """Return how many coefficients a spline needs along each axis."""
    z, y, x = (1 if n == 1 else -(-(n - 1) // step) + 3 for n in size)
    return z, y, x


def _spline(length: int, points: int, step: int) -> _Array:
    """Return what each point counts at each voxel of a side, (length, points)."""
    if points == 1:
        return np.ones((length, 1))
    voxels = (np.arange(length) - (length - 1) / 2) / step
    distance = np.abs(voxels[:, None] - (np.arange(points) - (points - 1) / 2))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, near, far)


def _places(
    moves: Sequence[Move], size: Size, block: Sequence[int], device: torch.device
) -> Iterator[Tensor]:
    """Yield for each move where its voxels lie in a block, as `grid_sample` wants it.

    That is (z, y, x, 3): along (x, y, z), -1 to 1 from face to face. A spline goes
    through straight lines as they are, so that it carries rotation and scaling too.
    """
    # on CUDA float32 may be multiplied with 10 bits only, as somebody has set (TF32)
    exact = torch.float64 if device.type == "cuda" else torch.float32
    shape = moves[0].bend.shape[:3]
    wanted = np.stack([(2 * _knots(move) / block)[..., ::-1] for move in moves])
    knots = torch.from_numpy(wanted).to(device, exact)
    weights = [_spline(n, g, moves[0].step) for n, g in zip(size, shape, strict=True)]
    along_z, along_y = (torch.from_numpy(w).to(device, exact) for w in weights[:2])
    # along x for all three coordinates at once: the result lies in memory as it is wanted
    along_x = torch.from_numpy(np.kron(weights[2].T, np.eye(3))).to(device, exact)
    for each in knots:
        rows = torch.einsum("zi,yj,ijkc->zykc", along_z, along_y, each).flatten(2)
        yield (rows @ along_x).float().view(*size, 3)


def _knots(move: Move) -> _Array:
    """Return where the points of a move lie, as offsets from the middle (gz, gy, gx, 3)."""
    axes = [(np.arange(n) - (n - 1) / 2) * move.step for n in move.bend.shape[:3]]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    places: Any = (offsets - move.shift) @ move.matrix.T + move.bend
    return np.asarray(places, np.float64)


def _linear(image: Tensor, places: Tensor) -> Tensor:
    """Interpolate an image (1, z, y, x); slices stand for a batch, which threads share."""
    block = image.float().expand(len(places), 1, *image.shape[1:])
    taken = grid_sample(block, places[:, None], padding_mode="border", align_corners=False)
    return taken[:, 0, 0]


def _nearest(mask: Tensor, places: Tensor) -> Tensor:
    """Take the nearest voxels of a mask (z, y, x): a fifth of the time `grid_sample` needs."""
    depth, height, width = mask.shape
    x, y, z = (
        (places[..., n] + 1).mul_(side / 2).clamp_(0, side - 1).int()
        for n, side in enumerate((width, height, depth))
    )
    flat = z.mul_(height).add_(y).mul_(width).add_(x)
    return mask.flatten().index_select(0, flat.flatten()).view(flat.shape)


def _middle(block: Tensor, size: Size) -> Tensor:
    z, y, x = (
        slice((whole - part) // 2, (whole + part) // 2)
        for whole, part in zip(block.shape[2:], size, strict=True)
    )
    return block[:, :, z, y, x]
