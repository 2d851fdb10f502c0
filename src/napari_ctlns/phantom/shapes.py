"""What nodules look like: depth functions about their own centre.

A shape tells, for offsets in millimetres, the depth below its surface (negative
outside); any size, turn and grid can then be drawn from it with partial volume.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.phantom.lattice import Array, smooth_max

Points = npt.NDArray[np.float64]
DepthFunction = Callable[[Array, Array, Array], Array]
IN_PLANE_MM = 0.7
"""The pixel size taken for the readers' contours, which do not tell it."""


@dataclass(frozen=True)
class Shape:
    """A body about its own centre.

    Attributes
    ----------
    kind
        The name of the sort.
    depth_at
        (z, y, x) offsets in mm, broadcastable, to depth in mm, at scale 1.
    reach
        No part lies further than this from the centre, at scale 1.
    turn
        A rotation (3, 3) from the patient's (z, y, x) to the shape's own.
    scale
        How much larger than at scale 1.
    """

    kind: str
    depth_at: DepthFunction
    reach: float
    turn: Points
    scale: float = 1.0

    @property
    def extent(self) -> float:
        """Millimetres from the centre beyond which nothing lies."""
        return self.reach * self.scale

    def depth(self, z: Array, y: Array, x: Array) -> Array:
        """Return depth (mm) at offsets from the centre, three broadcastable arrays."""
        t = (self.turn / self.scale).astype(np.float32)
        own = [t[i, 0] * z + t[i, 1] * y + t[i, 2] * x for i in range(3)]
        return self.depth_at(own[0], own[1], own[2]) * np.float32(self.scale)


def draw_shape(kind: str, diameter: float, solidity: str, rng: np.random.Generator) -> Shape:
    """Return a shape of a kind, near the diameter wanted; the caller scales it to fit.

    Parameters
    ----------
    kind
        "lidc", "sphere", "ellipsoid", "lobulated" or "spiculated".
    diameter
        Millimetres of the sphere of equal volume.
    solidity
        Density of the nodule; readers' shapes are chosen among those of like texture.
    rng
        Where randomness comes from.
    """
    r = diameter / 2
    turn = _random_turn(rng)
    if kind == "lidc":
        number = _choose_lidc(diameter, solidity, rng)
        depth_at, reach, own_diameter = _lidc(number)
        tilt = _turn_about_z(rng)
        return Shape(kind, depth_at, reach, tilt, diameter / own_diameter)
    if kind == "sphere":
        return Shape(kind, _ellipsoid(np.full(3, r)), r, np.eye(3))
    if kind == "ellipsoid":
        radii = r * np.exp(rng.uniform(-0.28, 0.28, 3))
        return Shape(kind, _ellipsoid(radii), float(radii.max()), turn)
    if kind == "lobulated":
        return Shape(kind, _lobulated(r, rng), 1.6 * r, turn)
    return Shape(kind, _spiculated(r, rng), 1.75 * r, turn)


def _random_turn(rng: np.random.Generator) -> Points:
    q, upper = np.linalg.qr(rng.normal(size=(3, 3)))
    return np.asarray(q * np.sign(np.diag(upper)))


def _turn_about_z(rng: np.random.Generator) -> Points:
    """Turn about the body's axis, tilted some 20 degrees; half of them mirrored."""
    angle, tilt = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.3)
    c, s, ct, st = np.cos(angle), np.sin(angle), np.cos(tilt), np.sin(tilt)
    about_z = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_x = np.array([[ct, -st, 0], [st, ct, 0], [0, 0, 1]])
    mirror = np.diag([1.0, 1.0, rng.choice([-1.0, 1.0])])
    return np.asarray(mirror @ about_x @ about_z)


def _ellipsoid(radii: Points) -> DepthFunction:
    smallest = np.float32(radii.min())
    a, b, c = (np.float32(v) for v in radii)

    def depth(z: Array, y: Array, x: Array) -> Array:
        k0 = np.sqrt((z / a) ** 2 + (y / b) ** 2 + (x / c) ** 2)
        k1 = np.sqrt((z / a**2) ** 2 + (y / b**2) ** 2 + (x / c**2) ** 2)
        value = k0 * (1 - k0) / np.maximum(k1, np.float32(1e-6))
        return np.asarray(np.where(k0 < 0.05, smallest, value), np.float32)

    return depth


def _lobulated(r: float, rng: np.random.Generator) -> DepthFunction:
    """Return several balls grown together, their surface waved."""
    n = int(rng.integers(3, 7))
    way = rng.normal(size=(n, 3))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    centres = way * r * rng.uniform(0.3, 0.65, (n, 1))
    sizes = r * rng.uniform(0.45, 0.75, n)
    wave = rng.normal(size=3) * 2.2 / r
    phase = rng.uniform(0, 2 * np.pi)

    def depth(z: Array, y: Array, x: Array) -> Array:
        total: Array | None = None
        for (cz, cy, cx), size in zip(centres.astype(np.float32), sizes, strict=True):
            ball = np.float32(size) - np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2)
            total = ball if total is None else smooth_max(total, ball, 0.25 * r)
        assert total is not None
        bump = np.sin(np.float32(wave[0]) * z + np.float32(wave[1]) * y + np.float32(phase))
        return np.asarray(total + np.float32(0.05 * r) * bump, np.float32)

    return depth


def _spiculated(r: float, rng: np.random.Generator) -> DepthFunction:
    """Return a ball, a little uneven, with thin spikes that taper outwards."""
    n = int(rng.integers(12, 24))
    way = rng.normal(size=(n, 3))
    way = (way / np.linalg.norm(way, axis=1, keepdims=True)).astype(np.float32)
    length = (r * rng.uniform(1.25, 1.7, n)).astype(np.float32)
    thick = np.float32(max(0.36 * r, 0.9))
    core = _ellipsoid(0.8 * r * np.exp(rng.uniform(-0.15, 0.15, 3)))

    def depth(z: Array, y: Array, x: Array) -> Array:
        total = core(z, y, x)
        square = z * z + y * y + x * x
        for (dz, dy, dx), long in zip(way, length, strict=True):
            forward = z * dz + y * dy + x * dx
            along = np.clip(forward, 0, long)
            gap = np.sqrt(np.maximum(square - along * (2 * forward - along), 0))
            total = np.maximum(total, thick * (1 - along / long) - gap)
        return np.asarray(total, np.float32)

    return depth


@dataclass(frozen=True)
class _Library:
    """The readers' masks; see data/ATTRIBUTION.md."""

    bits: npt.NDArray[np.uint8]
    first: npt.NDArray[np.int64]
    shape: npt.NDArray[np.int16]
    slice_spacing: npt.NDArray[np.float32]
    texture: npt.NDArray[np.float32]
    diameter: npt.NDArray[np.float64]

    def mask(self, number: int) -> npt.NDArray[np.bool_]:
        """Return one mask (z, y, x)."""
        shape = tuple(int(n) for n in self.shape[number])
        first = int(self.first[number])
        return self.bits[first : first + int(np.prod(shape))].reshape(shape).astype(bool)


@cache
def library() -> _Library:
    """Return the readers' shapes that come with this package."""
    file = resources.files("napari_ctlns.phantom") / "data" / "lidc_shapes.npz"
    with resources.as_file(file) as path, np.load(path, allow_pickle=False) as data:
        offset, shape = data["offset"], data["shape"]
        unpacked = np.unpackbits(data["bits"])
        sizes = np.prod(shape.astype(np.int64), axis=1)
        spacing = data["slice_spacing_mm"]
        names = [str(n) for n in data["rating_names"]]
        texture = data["ratings"][:, names.index("texture")]
    # each mask begins at a byte of its own; bits left over are zero
    first = offset[:-1] * 8
    if np.any(first + sizes > offset[1:] * 8) or offset[-1] * 8 > len(unpacked):
        raise ValueError("lidc_shapes.npz is damaged: offsets and shapes disagree")
    voxels = np.add.reduceat(unpacked.astype(np.int64), first)
    diameter = np.cbrt(6 / np.pi * voxels * spacing * IN_PLANE_MM**2)
    return _Library(unpacked, first, shape, spacing, texture, diameter)


def _choose_lidc(diameter: float, solidity: str, rng: np.random.Generator) -> int:
    """Choose a nodule of like size, if possible of like texture (1 ground glass, 5 solid)."""
    lib = library()
    wanted = {"solid": 4.8, "part-solid": 3.3, "ground-glass": 2.0}.get(solidity, 4.0)
    size = np.abs(np.log(lib.diameter / diameter)) / 0.25
    texture = np.abs(lib.texture - wanted) / 1.0
    weight = np.exp(-0.5 * (size**2 + texture**2)) + 1e-12
    return int(rng.choice(len(weight), p=weight / weight.sum()))


@cache
def _lidc(number: int) -> tuple[DepthFunction, float, float]:
    """Return depth function, reach and diameter of one of the readers' nodules.

    Slices are interpolated between by the shape (signed distance), which is then
    smoothed by half a voxel or so, since contours step from slice to slice.
    """
    lib = library()
    spacing = np.array([float(lib.slice_spacing[number]), IN_PLANE_MM, IN_PLANE_MM])
    pad = np.ceil(4.0 / spacing).astype(int)
    mask = np.pad(lib.mask(number), [(int(p), int(p)) for p in pad])
    signed = _signed_distance(mask, spacing)
    step = float(np.clip(lib.diameter[number] / 24, 0.4, 0.8))
    fine = ndimage.zoom(signed, spacing / step, order=1, grid_mode=True, mode="nearest")
    fine = ndimage.gaussian_filter(fine, np.minimum(0.5 * spacing, 0.7) / step)
    fine = _same_volume(fine, float(mask.sum()) * float(np.prod(spacing)), step)
    inside = np.argwhere(fine > 0)
    centre = inside.mean(axis=0)
    reach = float(np.linalg.norm(inside - centre, axis=1).max() + 1) * step
    volume = len(inside) * step**3
    field = fine.astype(np.float32)

    def depth(z: Array, y: Array, x: Array) -> Array:
        z, y, x = np.broadcast_arrays(z, y, x)
        index = [
            o / np.float32(step) + np.float32(c) for o, c in zip((z, y, x), centre, strict=True)
        ]
        values = ndimage.map_coordinates(field, index, np.float32, order=1, mode="nearest")
        return np.asarray(values)

    return depth, reach, float(np.cbrt(6 / np.pi * volume))


def _signed_distance(mask: npt.NDArray[np.bool_], spacing: Points) -> Points:
    """Return millimetres of depth: zero half-way between voxels in and out."""
    inner = ndimage.distance_transform_edt(mask, sampling=spacing)
    outer = ndimage.distance_transform_edt(~mask, sampling=spacing)
    return np.asarray(inner - outer)


def _same_volume(depth: Points, volume: float, step: float) -> Points:
    """Shift a depth field so that as much lies inside as before it was smoothed."""
    wanted = min(max(round(volume / step**3), 8), depth.size)
    level = np.partition(depth.ravel(), depth.size - wanted)[depth.size - wanted]
    return np.asarray(depth - level)
