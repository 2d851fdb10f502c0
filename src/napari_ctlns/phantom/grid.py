"""Voxels, and how much of each a surface or a tube fills.

A voxel's value is the mean of what lies in it, each by the part of the voxel that
it fills: a clipped ramp of the depth across one voxel.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ctlns.phantom.lattice import Array, piece_depth
from napari_ctlns.phantom.pieces import Pieces


@dataclass(frozen=True)
class Grid:
    """Voxel centres along (z, y, x) in the body's frame."""

    z: Array
    y: Array
    x: Array
    spacing: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (z, y, x)."""
        return len(self.z), len(self.y), len(self.x)

    def slices(self, first: int, last: int) -> "Grid":
        """Return some of the slices."""
        return Grid(self.z[first:last], self.y, self.x, self.spacing)

    def refined(self, parts: int) -> "Grid":
        """Return the grid with every slice cut into ``parts``."""
        step = self.spacing[0] / parts
        within = ((np.arange(parts) - (parts - 1) / 2) * step).astype(np.float32)
        z = (self.z[:, None] + within).ravel()
        return Grid(z, self.y, self.x, (step, *self.spacing[1:]))


def filled(depth: Array, width: float) -> Array:
    """Return the part of a voxel of a width (mm) inside a surface at a depth."""
    part = depth * np.float32(1 / width)
    part += np.float32(0.5)
    np.maximum(part, 0, out=part)
    return np.minimum(part, 1, out=part)


def draw_tubes(grid: Grid, pieces: Pieces) -> Array:
    """Return the part of each voxel that tubes fill; thin ones fill as much as their area."""
    out = np.zeros(grid.shape, np.float32)
    width = float(np.cbrt(np.prod(grid.spacing)))
    axes = (grid.z, grid.y, grid.x)
    reach = np.maximum(pieces.start_radius, pieces.end_radius)[:, None] + width
    low = np.minimum(pieces.start, pieces.end) - reach
    high = np.maximum(pieces.start, pieces.end) + reach
    first = [np.searchsorted(a, low[:, k]) for k, a in enumerate(axes)]
    last = [np.searchsorted(a, high[:, k]) for k, a in enumerate(axes)]
    seen = np.all([b > a for a, b in zip(first, last, strict=True)], axis=0)
    strength = _thin_tubes(pieces.radius, width)
    for i in np.flatnonzero(seen):
        box = tuple(slice(int(a[i]), int(b[i])) for a, b in zip(first, last, strict=True))
        local = [a[s] for a, s in zip(axes, box, strict=True)]
        depth = piece_depth(
            local, pieces.start[i], pieces.end[i], pieces.start_radius[i], pieces.end_radius[i]
        )
        part = filled(depth, width) * np.float32(strength[i])
        np.maximum(out[box], part, out=out[box])
    return out


def _thin_tubes(radius: npt.NDArray[np.float64], width: float) -> npt.NDArray[np.float64]:
    """Return by what to multiply the ramp of `filled` so that a tube keeps its cross-section.

    The ramp's integral over the plane is a cone when the radius is below half a voxel,
    else a blunted one, pi (r^2 + w^2 / 12).
    """
    h = width / 2
    blunt = radius**2 + width**2 / 12
    cone = (radius + h) ** 3 / (3 * width)
    return np.asarray(radius**2 / np.where(radius < h, cone, blunt))
