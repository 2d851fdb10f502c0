"""Nodules: what is drawn, and the truth about them."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ctlns.phantom.anatomy import Anatomy
from napari_ctlns.phantom.grid import Grid, filled
from napari_ctlns.phantom.lattice import Array, box_between
from napari_ctlns.phantom.shapes import Shape

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Nodule:
    """A nodule in the body's frame: what is drawn.

    Attributes
    ----------
    shape, centre
        The whole shape, and where (z, y, x) its own centre lies.
    density, attachment
        As in `PhantomSpec`.
    hu
        Of its solid part, and of its ground glass where it has any.
    core, core_offset
        Of a part-solid nodule: how large the solid part is, 0 to 1, and how far off
        the centre.
    centroid
        (z, y, x) of the part that lies in the lung.
    volume_mm3
        Of that part.
    """

    shape: Shape
    centre: Points
    density: str
    attachment: str
    hu: float
    glass_hu: float
    core: float
    core_offset: Points
    centroid: Points
    volume_mm3: float

    @property
    def diameter_mm(self) -> float:
        """Of the sphere of equal volume."""
        return float(np.cbrt(6 / np.pi * self.volume_mm3))

    def depth(self, z: Array, y: Array, x: Array) -> Array:
        """Return depth inside the whole shape at coordinates of the body."""
        c = self.centre.astype(np.float32)
        return self.shape.depth(z - c[0], y - c[1], x - c[2])

    def core_depth(self, z: Array, y: Array, x: Array) -> Array:
        """Return depth inside the solid part of a part-solid nodule."""
        c = (self.centre + self.core_offset).astype(np.float32)
        inner = replace(self.shape, scale=self.shape.scale * self.core)
        return inner.depth(z - c[0], y - c[1], x - c[2])


def measured(shape: Shape, centre: Points, anatomy: Anatomy) -> tuple[float, Points]:
    """Return volume (mm3) and centroid (z, y, x) of the part of a shape inside the lung.

    Computed in steps of about a thirtieth of its size, with partial volume.
    """
    step = max(shape.extent / 24, 0.15)
    n = int(np.ceil(shape.extent / step)) + 1
    offset = (np.arange(-n, n + 1) * step).astype(np.float32)
    c = centre.astype(np.float32)
    depth = shape.depth(offset[:, None, None], offset[None, :, None], offset[None, None, :])
    lung = anatomy.lattice.on_grid(anatomy.lung, offset + c[0], offset + c[1], offset + c[2])
    inside = np.clip(np.minimum(depth, lung) / np.float32(step) + 0.5, 0, 1).astype(np.float64)
    total = float(inside.sum())
    if total <= 0:
        return 0.0, centre
    mean = [
        float((inside.sum(axis=tuple(a for a in range(3) if a != k)) * offset).sum()) / total
        for k in range(3)
    ]
    return total * step**3, centre + np.array(mean)


@dataclass(frozen=True)
class Stamp:
    """How far each voxel of a box is filled by a nodule.

    Attributes
    ----------
    box
        Slices (z, y, x) of the grid.
    inside
        Part of each voxel inside the nodule and the lung: the truth.
    solid, glass
        Parts filled by its solid and its ground-glass tissue.
    """

    box: tuple[slice, slice, slice]
    inside: Array
    solid: Array
    glass: Array


def stamp_nodule(grid: Grid, nodule: Nodule, anatomy: Anatomy) -> Stamp:
    """Draw one nodule with 2 to 4 samples along each side of a voxel."""
    reach = nodule.shape.extent + np.asarray(grid.spacing)
    axes = (grid.z, grid.y, grid.x)
    box = box_between(axes, nodule.centre - reach, nodule.centre + reach)
    if box is None:
        raise ValueError("the nodule lies outside the grid")
    parts = [int(np.clip(np.ceil(s / 0.4), 2, 12)) for s in grid.spacing]
    local = [
        _subdivided(a[s], step, n)
        for a, s, step, n in zip(axes, box, grid.spacing, parts, strict=True)
    ]
    z, y, x = local[0][:, None, None], local[1][None, :, None], local[2][None, None, :]
    width = float(np.cbrt(np.prod(np.asarray(grid.spacing) / parts)))
    depth = nodule.depth(z, y, x)
    lung = anatomy.lattice.on_grid(anatomy.lung, *local)
    inside = _averaged(filled(np.minimum(depth, lung), width), parts)
    # what reaches into the chest wall is drawn too: there it looks like the wall
    whole = _averaged(filled(depth, width), parts)
    none = np.zeros_like(whole)
    if nodule.density == "solid":
        return Stamp(box, inside, whole, none)
    # ground glass has no sharp edge
    hazy = _averaged(filled(depth, 1.2), parts)
    if nodule.density == "ground-glass":
        return Stamp(box, inside, none, hazy)
    core = np.minimum(nodule.core_depth(z, y, x), depth - 0.8)
    return Stamp(box, inside, _averaged(filled(core, width), parts), hazy)


def _subdivided(centres: Array, step: float, parts: int) -> Array:
    within = ((np.arange(parts) + 0.5) / parts - 0.5) * step
    return (centres[:, None] + within.astype(np.float32)).ravel().astype(np.float32)


def _averaged(fine: Array, parts: list[int]) -> Array:
    a, b, c = parts
    nz, ny, nx = (n // p for n, p in zip(fine.shape, parts, strict=True))
    return np.asarray(fine.reshape(nz, a, ny, b, nx, c).mean(axis=(1, 3, 5)), np.float32)
