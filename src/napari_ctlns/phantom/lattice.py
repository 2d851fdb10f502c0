"""Smooth fields of the body, held on a coarse lattice and read at any grid.

Organs are stored as depth fields: millimetres inside their surface, negative
outside. Such a field is nearly linear across a surface, so that a lattice of a
few millimetres holds a smooth surface to a fraction of a millimetre. Lattice
points are whole multiples of the step: a field does not depend on which part of
it is computed. Coordinates are millimetres (z, y, x) in the body's own frame:
z up, y back, x left, zero in the middle of the lungs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

Array = npt.NDArray[np.float32]
Axes = tuple[Array, Array, Array]
FAR = 25.0
"""Depths are cut off here, on both sides."""


@dataclass(frozen=True)
class Lattice:
    """Points at whole multiples of ``step``, from ``start`` (z, y, x) on."""

    step: float
    start: tuple[int, int, int]
    shape: tuple[int, int, int]

    @classmethod
    def covering(cls, low: npt.ArrayLike, high: npt.ArrayLike, step: float) -> "Lattice":
        """Return the lattice that covers a box with some points to spare."""
        first = np.floor(np.asarray(low, float) / step).astype(int) - 3
        last = np.ceil(np.asarray(high, float) / step).astype(int) + 3
        z, y, x = (int(i) for i in first)
        nz, ny, nx = (int(n) for n in last - first + 1)
        return cls(step, (z, y, x), (nz, ny, nx))

    @property
    def axes(self) -> Axes:
        """Coordinates along z, y and x, shaped to broadcast against each other."""
        z, y, x = (
            ((np.arange(n) + s) * self.step).astype(np.float32)
            for n, s in zip(self.shape, self.start, strict=True)
        )
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def at(self, field: Array, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the field at points (..., zyx), linearly interpolated."""
        index = np.asarray(points, float) / self.step - np.asarray(self.start)
        values = ndimage.map_coordinates(
            field, index.reshape(-1, 3).T, np.float64, order=1, mode="nearest"
        )
        return np.asarray(values).reshape(index.shape[:-1])

    def normal(self, field: Array, point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the unit vector (zyx) along which the field rises fastest at a point."""
        h = self.step * np.eye(3)
        slope = self.at(field, point + h) - self.at(field, point - h)
        return slope / max(float(np.linalg.norm(slope)), 1e-9)

    def on_grid(self, field: Array, z: Array, y: Array, x: Array) -> Array:
        """Return the field on the grid that three 1-D coordinate arrays span.

        Interpolated by cubic convolution (Keys 1981), axis by axis.
        """
        (zi, wz), (yi, wy), (xi, wx) = (self._weights(c, k) for k, c in enumerate((z, y, x)))
        block = field[zi, yi, xi]
        nz, ny, nx = len(z), len(y), len(x)
        _, ly, lx = block.shape
        if block.min() == block.max():
            return np.full((nz, ny, nx), block.flat[0], np.float32)
        # sparse products: as quick as dense ones, and they leave other cores alone
        part = (wz @ block.reshape(len(block), -1)).reshape(nz * ly, lx)
        part = np.ascontiguousarray((wx @ np.ascontiguousarray(part.T)).T).reshape(nz, ly, nx)
        return np.stack([wy @ layer for layer in part])

    def _weights(self, coordinates: Array, axis: int) -> tuple[slice, sparse.csr_array]:
        """Return which lattice points matter along an axis, and their weights."""
        position = np.asarray(coordinates, float) / self.step - self.start[axis]
        position = np.clip(position, 0, self.shape[axis] - 1)
        base = np.clip(np.floor(position).astype(int), 0, max(self.shape[axis] - 2, 0))
        t = position - base
        first = max(int(base.min()) - 1, 0)
        last = min(int(base.max()) + 2, self.shape[axis] - 1)
        taps = (
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        )
        weights = np.zeros((len(position), last - first + 1), np.float32)
        rows = np.arange(len(position))
        for offset, tap in zip((-1, 0, 1, 2), taps, strict=True):
            column = np.clip(base + offset, first, last) - first
            np.add.at(weights, (rows, column), tap.astype(np.float32))
        return slice(first, last + 1), sparse.csr_array(weights)


def to_depth(implicit: Array, step: float) -> Array:
    """Turn a function that is positive inside into millimetres of depth (first order)."""
    gz, gy, gx = np.gradient(implicit, np.float32(step))
    slope = np.sqrt(gz * gz + gy * gy + gx * gx) + np.float32(1e-6)
    return np.clip(implicit / slope, -FAR, FAR).astype(np.float32)


def smooth_min(a: Array, b: Array, k: float) -> Array:
    """Return the lesser of two depths (an intersection) with its edge rounded over ``k`` mm."""
    h = np.maximum(np.float32(k) - np.abs(a - b), 0)
    return np.asarray(np.minimum(a, b) - h * h * np.float32(0.25 / k), np.float32)


def smooth_max(a: Array, b: Array, k: float) -> Array:
    """Return the greater of two depths (a union) with its edge filled over ``k`` mm."""
    return -smooth_min(-a, -b, k)


def smooth_step(value: npt.ArrayLike, low: float, high: float) -> Array:
    """Return 0 below ``low``, 1 above ``high``, smoothly between; ``low`` may be the greater."""
    t = np.clip((np.asarray(value, np.float32) - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def ellipsoid(axes: Axes, centre: npt.ArrayLike, radii: npt.ArrayLike) -> Array:
    """Return the depth field of an ellipsoid, all (z, y, x); exact on its surface."""
    c, r = np.asarray(centre, np.float32), np.asarray(radii, np.float32)
    offsets = [(axis - c[k]) / r[k] for k, axis in enumerate(axes)]
    k0 = np.sqrt(offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2)
    k1 = sum(((o / r[k]) ** 2 for k, o in enumerate(offsets)), np.float32(0))
    depth = k0 * (1 - k0) / np.maximum(np.sqrt(k1), np.float32(1e-6))
    # at the very centre k0 and k1 vanish together
    depth = np.where(k0 < 0.05, np.float32(np.min(radii)), depth)
    return np.clip(depth, -FAR, FAR).astype(np.float32)


def add_tube(
    field: Array,
    axes: Axes,
    points: npt.ArrayLike,
    radii: npt.ArrayLike,
    flatten: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> None:
    """Unite a depth field, in place, with a tube along ``points`` (n, zyx).

    Parameters
    ----------
    field, axes
        The depth field and its coordinates.
    points, radii
        Centre line and radius at each of its points.
    flatten
        How much the tube is stretched along (z, y, x).
    """
    centres = np.asarray(points, float)
    thick = np.asarray(radii, float)
    stretch = np.asarray(flatten, float)
    for a, b, ra, rb in zip(centres[:-1], centres[1:], thick[:-1], thick[1:], strict=True):
        reach = (max(ra, rb) + 8.0) * stretch
        box = box_between(axes, np.minimum(a, b) - reach, np.maximum(a, b) + reach)
        if box is None:
            continue
        local = [
            (axis.ravel()[s] / f).astype(np.float32)
            for axis, s, f in zip(axes, box, stretch, strict=True)
        ]
        depth = piece_depth(local, a / stretch, b / stretch, ra, rb)
        np.maximum(field[box], depth, out=field[box])


def piece_depth(
    coordinates: list[Array],
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    ra: float,
    rb: float,
) -> Array:
    """Return the depth inside one piece of a tube, from ``a`` to ``b`` (zyx), tapering."""
    d = (b - a).astype(np.float32)
    length2 = max(float(d @ d), 1e-6)
    oz, oy, ox = (c - np.float32(s) for c, s in zip(coordinates, a, strict=True))
    along = (oz * d[0])[:, None, None] + ((oy * d[1])[:, None] + (ox * d[2])[None, :])[None]
    # np.clip costs more than the arithmetic on boxes as small as these
    t = np.minimum(np.maximum(along / np.float32(length2), 0), 1)
    square = (oz * oz)[:, None, None] + ((oy * oy)[:, None] + (ox * ox)[None, :])[None]
    square -= t * (2 * along - t * np.float32(length2))
    distance = np.sqrt(np.maximum(square, 0))
    return np.float32(ra) + t * np.float32(rb - ra) - distance


def box_between(
    axes: Axes, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> tuple[slice, slice, slice] | None:
    """Return the part of a grid between two corners, or None if there is none."""
    slices = []
    for axis, lo, hi in zip(axes, low, high, strict=True):
        first, last = np.searchsorted(axis.ravel(), (lo, hi))
        if first >= last:
            return None
        slices.append(slice(int(first), int(last)))
    return slices[0], slices[1], slices[2]
