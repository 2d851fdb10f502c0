"""Axial, coronal and sagittal: which axes of the canvas each shows, and which way round.

A scan is opened with its axes along LPS as nearly as they go, so z runs to the head, y to the
back and x to the patient's left. Seen as a radiologist does, the head is up, the patient's left
is on the right of the picture, and a sagittal slice has the front on the left.
"""

from dataclasses import dataclass

import numpy as np
from napari.layers import Layer

from napari_ctlns.volume import Triple

Pixel = tuple[float, float]


@dataclass(frozen=True)
class Plane:
    """One of the three ways to cut a scan.

    Attributes
    ----------
    name
        As people call it.
    axis
        The axis (0: z, 1: y, 2: x) that its slices follow one another on.
    left, right, top, bottom
        What of the patient lies beyond each edge: Right, Left, Anterior, Posterior, Head, Feet.
    """

    name: str
    axis: int
    left: str
    right: str
    top: str
    bottom: str

    @property
    def down(self) -> int:
        """The axis of the rows."""
        return 1 if self.axis == 0 else 0

    @property
    def across(self) -> int:
        """The axis of the columns."""
        return 1 if self.axis == 2 else 2

    @property
    def upwards(self) -> bool:
        """Whether the axis of the rows runs up: only z does."""
        return self.down == 0


PLANES = (
    Plane("Axial", 0, "R", "L", "A", "P"),
    Plane("Coronal", 1, "R", "L", "H", "F"),
    Plane("Sagittal", 2, "A", "P", "H", "F"),
)


@dataclass(frozen=True)
class Sight:
    """The part of a plane that a picture shows.

    Attributes
    ----------
    plane
        Which.
    centre
        What is in the middle, canvas millimetres (z, y, x).
    scale
        Pixels for a millimetre, the same in both directions.
    size
        Of the picture, pixels: width, height.
    """

    plane: Plane
    centre: Triple
    scale: float
    size: tuple[int, int]

    def pixel(self, point: Triple) -> Pixel:
        """Return where a point, or what is right before or behind it, is seen: x, y."""
        right = (point[self.plane.across] - self.centre[self.plane.across]) * self.scale
        down = (point[self.plane.down] - self.centre[self.plane.down]) * self._down
        return self.size[0] / 2 + right, self.size[1] / 2 + down

    def point(self, pixel: Pixel, depth: float) -> Triple:
        """Return what is seen at a pixel, in the slice at ``depth`` on the plane's axis, mm."""
        place = [depth, depth, depth]
        right, down = self.offset((pixel[0] - self.size[0] / 2, pixel[1] - self.size[1] / 2))
        place[self.plane.across] = self.centre[self.plane.across] + right
        place[self.plane.down] = self.centre[self.plane.down] + down
        return place[0], place[1], place[2]

    def offset(self, pixels: Pixel) -> tuple[float, float]:
        """Return a way in pixels (right, down) in millimetres along the columns and rows."""
        return pixels[0] / self.scale, pixels[1] / self._down

    @property
    def _down(self) -> float:
        return -self.scale if self.plane.upwards else self.scale


@dataclass(frozen=True)
class LayerGrid:
    """Where the voxels of a layer lie: the centre of the first, and the way to the next, mm."""

    corner: Triple
    spacing: Triple

    def index(self, axis: int, place: float) -> int:
        """Return the index of the voxels at a place on an axis, as napari rounds it."""
        return int(np.round((place - self.corner[axis]) / self.spacing[axis]))

    def voxel(self, point: Triple) -> Triple:
        """Return the fractional indices of a point."""
        z, y, x = ((p - c) / s for p, c, s in zip(point, self.corner, self.spacing, strict=True))
        return z, y, x

    def edges(self, axis: int, voxels: int) -> tuple[float, float]:
        """Return where some voxels begin and end on an axis, outer faces included, mm."""
        first = self.corner[axis] - self.spacing[axis] / 2
        return first, first + voxels * self.spacing[axis]


def grid_of(layer: Layer) -> LayerGrid | None:
    """Return the grid of a layer with three axes along those of the canvas; None for others."""
    if layer.ndim != 3:
        return None
    corner = np.asarray(layer.data_to_world((0, 0, 0)), float)
    ways = np.array([layer.data_to_world(unit) for unit in np.eye(3)], float) - corner
    steps = np.diag(ways)
    if (steps <= 0).any() or not np.allclose(ways, np.diag(steps), atol=1e-6 * steps.max()):
        return None
    (cz, cy, cx), (sz, sy, sx) = corner.tolist(), steps.tolist()
    return LayerGrid((cz, cy, cx), (sz, sy, sx))
