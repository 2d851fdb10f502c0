"""Random changes of where a patch's voxels come from: rotation, scaling, shift and bending."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

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

    @property
    def in_plane(self) -> bool:
        """Whether all slices are moved alike, and every voxel of one comes from one height."""
        apart = not (self.matrix[0, 1:].any() or self.matrix[1:, 0].any())
        one_slice = self.bend.shape[0] == 1
        return apart and not (self.bend[..., 0] if one_slice else self.bend).any()


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
