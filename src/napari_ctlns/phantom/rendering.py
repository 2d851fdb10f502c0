"""From depths and tubes to HU on a grid, with partial volume.

Slices thicker than `FINE_MM` are drawn as several thin ones and averaged, as a
scanner does.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ctlns.phantom.anatomy import Anatomy
from napari_ctlns.phantom.body import Body
from napari_ctlns.phantom.grid import Grid, draw_tubes, filled
from napari_ctlns.phantom.lattice import Array, Lattice
from napari_ctlns.phantom.nodules import Nodule, Stamp
from napari_ctlns.phantom.pieces import Pieces
from napari_ctlns.phantom.vessels import Airways

FINE_MM = 1.6
SLICES = 16
"""Slices drawn at once, so that memory stays small and near."""


@dataclass(frozen=True)
class Scene:
    """All that is drawn."""

    anatomy: Anatomy
    vessels: Pieces
    airways: Airways
    scars: Pieces
    nodules: tuple[Nodule, ...]


def render(scene: Scene, grid: Grid, stamps: list[Stamp]) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return HU (float32) of the scene on a grid, without noise, and which voxels are lung.

    A voxel is lung if at least half of it lies in the lungs, be it tissue, a vessel, an
    airway or a nodule.
    """
    hu = np.empty(grid.shape, np.float32)
    lungs = np.empty(grid.shape, np.bool_)
    parts = max(1, int(np.ceil(grid.spacing[0] / FINE_MM)))
    size = max(1, SLICES // parts)
    for first in range(0, len(grid.z), size):
        last = min(first + size, len(grid.z))
        fine = grid.slices(first, last).refined(parts)
        here = [
            _cut(s, n, first, last, parts) for n, s in enumerate(stamps) if _meets(s, first, last)
        ]
        drawn, in_lung = _render_slices(scene, fine, here)
        shape = (last - first, parts, *drawn.shape[1:])
        hu[first:last] = drawn.reshape(shape).mean(axis=1)
        lungs[first:last] = in_lung.reshape(shape).mean(axis=1) >= 0.5
    return hu, lungs


def _meets(stamp: Stamp, first: int, last: int) -> bool:
    return stamp.box[0].start < last and stamp.box[0].stop > first


def _cut(stamp: Stamp, number: int, first: int, last: int, parts: int) -> tuple[int, Stamp]:
    """Return the slices ``first`` to ``last`` of a stamp, each repeated ``parts`` times."""
    z, y, x = stamp.box
    low, high = max(z.start, first), min(z.stop, last)
    rows = slice(low - z.start, high - z.start)
    inside, solid, glass = (
        np.repeat(a[rows], parts, axis=0) for a in (stamp.inside, stamp.solid, stamp.glass)
    )
    box = (slice((low - first) * parts, (high - first) * parts), y, x)
    return number, Stamp(box, inside, solid, glass)


def _render_slices(
    scene: Scene, grid: Grid, stamps: list[tuple[int, Stamp]]
) -> tuple[Array, Array]:
    """Draw some slices: first what is inside the lungs, then the body around it.

    Returns HU, and the part of each voxel that is in the lungs.
    """
    lattice, fields = scene.anatomy.lattice, scene.anatomy.fields
    width = float(np.cbrt(np.prod(grid.spacing)))
    in_lung = filled(_read(lattice, fields["lung"], grid), width)
    body = _body(scene.anatomy, grid, width)
    lung = _lung(scene, grid, width, stamps)
    body += in_lung * (lung - body)
    if (in_lung < 1).any():
        _open_airways(scene, grid, body)
    return body, in_lung


def _read(lattice: Lattice, field: Array, grid: Grid) -> Array:
    return lattice.on_grid(field, grid.z, grid.y, grid.x)


def _mix(hu: Array, part: Array, value: npt.ArrayLike) -> None:
    """Fill ``part`` of each voxel with ``value``, in place."""
    hu += part * (np.asarray(value, np.float32) - hu)


def _lung(scene: Scene, grid: Grid, width: float, stamps: list[tuple[int, Stamp]]) -> Array:
    """Return HU as if lung were everywhere: tissue, glass, fissures, vessels, airways, nodules."""
    anatomy = scene.anatomy
    lattice, fields, body = anatomy.lattice, anatomy.fields, anatomy.body
    mottle = _read(lattice, fields["mottle"], grid)
    grain = _read(lattice, fields["grain"], grid)
    # blood sinks to the back
    hu = body.lung_hu + 11 * mottle + 13 * grain + (grid.y[:, None] * np.float32(0.22))
    for number, stamp in stamps:
        uneven = scene.nodules[number].glass_hu + 25 * grain[stamp.box] + 15 * mottle[stamp.box]
        _mix(hu[stamp.box], stamp.glass, uneven)
    sheet = np.clip(1 - _read(lattice, fields["fissure"], grid) / np.float32(max(width, 0.8)), 0, 1)
    _mix(hu, sheet * np.float32(min(0.3 / width, 1)), -50.0)
    if len(scene.scars):
        _mix(hu, draw_tubes(grid, scene.scars), -60.0)
    _mix(hu, draw_tubes(grid, scene.vessels), body.blood_hu)
    _walls(scene, grid, hu)
    for number, stamp in stamps:
        tissue = scene.nodules[number].hu + 8 * grain[stamp.box]
        _mix(hu[stamp.box], stamp.solid, tissue)
    return hu


def _walls(scene: Scene, grid: Grid, hu: Array) -> None:
    """Draw airways: wall, then air, or mucus where they are plugged."""
    airways = scene.airways
    _mix(hu, draw_tubes(grid, airways.outer), 0.0)
    _mix(hu, draw_tubes(grid, airways.inner.take(~airways.plugged)), -985.0)
    _mix(hu, draw_tubes(grid, airways.inner.take(airways.plugged)), 15.0)


def _open_airways(scene: Scene, grid: Grid, hu: Array) -> None:
    """Draw trachea and main bronchi where they run outside the lungs."""
    wide = scene.airways.inner.radius > 4.5
    _mix(hu, draw_tubes(grid, scene.airways.outer.take(wide)), 20.0)
    _mix(hu, draw_tubes(grid, scene.airways.inner.take(wide)), -990.0)


def _body(anatomy: Anatomy, grid: Grid, width: float) -> Array:
    """Return HU of everything but the lungs."""
    lattice, fields, body = anatomy.lattice, anatomy.fields, anatomy.body
    skin = _read(lattice, fields["skin"], grid)
    mottle = _read(lattice, fields["mottle"], grid)
    hu = np.full(grid.shape, -1000.0, np.float32)
    _mix(hu, _table(grid, body), -300.0)
    _mix(hu, filled(skin, width), 20.0)
    fat = -102 + 5 * mottle
    _mix(hu, filled(skin - np.float32(1.8), width), fat)
    muscle = _read(lattice, fields["muscle"], grid)
    _mix(hu, filled(muscle, width), 50.0)
    # fat between two layers of muscle
    sheet = np.clip(1.4 - np.abs(muscle - 10 + 3.5 * mottle), 0, 0.8)
    _mix(hu, sheet.astype(np.float32), fat)
    chest = _read(lattice, fields["chest"], grid)
    _mix(hu, filled(chest + np.float32(1.0), width), 45.0)
    _mix(hu, filled(chest - np.float32(1.5), width), -92 + 12 * mottle)
    _mix(hu, filled(_read(lattice, fields["soft"], grid), width), 62 + 4 * mottle)
    _mix(hu, filled(_read(lattice, fields["blood"], grid), width), body.blood_hu)
    _mix(hu, filled(_read(lattice, fields["gas"], grid), width), -960.0)
    bone = _read(lattice, fields["bone"], grid)
    _mix(hu, filled(bone, width), body.bone_hu)
    _mix(hu, filled(bone - np.float32(1.7), width), 130 + 50 * mottle)
    return hu


def _table(grid: Grid, body: Body) -> Array:
    """Return where the table is: a thin, bent shell below the back."""
    top = body.half_depth + body.muscle + body.fat + 15
    sag = top - (grid.x / 40.0) ** 2
    shell = np.abs(grid.y[:, None] - sag[None, :] - 4)
    half = np.abs(grid.x)[None, :] < 210
    part = np.clip(2.0 - shell, 0, 1) * half
    return np.broadcast_to(part.astype(np.float32), grid.shape)
