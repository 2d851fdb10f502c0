"""The body as depth fields: chest wall, lungs, mediastinum and what lies below."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from napari_ctlns.phantom.body import Body, central_airways, great_vessels
from napari_ctlns.phantom.bones import bones, rib_depth
from napari_ctlns.phantom.lattice import (
    FAR,
    Array,
    Axes,
    Lattice,
    add_tube,
    ellipsoid,
    smooth_max,
    smooth_min,
    smooth_step,
    to_depth,
)


@dataclass(frozen=True)
class Anatomy:
    """Depth fields on a lattice, by name, of one body."""

    body: Body
    lattice: Lattice
    fields: dict[str, Array]

    @property
    def lung(self) -> Array:
        """Depth inside the lungs."""
        return self.fields["lung"]


def cavity(body: Body, axes: Axes, step: float) -> tuple[Array, Array]:
    """Return the depths inside the rib cage and inside the two cupolas that close it on top."""
    z, y, x = axes
    wide, deep = body.inner_widths(z)
    shoulder = body.apex - 62.0
    cap = np.maximum(z - shoulder, 0) / (body.apex - shoulder)
    v = np.abs(y - body.back(z)) / deep
    # between an ellipse and a rounded box, as ribs are
    q = ((np.abs(x) / wide) ** 2.35 + v**2.35 + (0.9 * cap) ** 4) ** (1 / 2.35)
    u = np.abs((np.abs(x) - 0.42 * wide) / (0.58 * wide))
    top = (u**2.35 + v**2.35 + cap**2.35) ** (1 / 2.35)
    top = np.where(z > shoulder, top, q)
    return to_depth(np.asarray(1 - q, np.float32), step), to_depth(
        np.asarray(1 - top, np.float32), step
    )


def _outline(body: Body, axes: Axes, step: float, wall: float) -> Array:
    """Return the depth inside the trunk ``wall`` mm outside the rib cage, shoulders included."""
    z, y, x = axes
    wide, deep = body.inner_widths(np.minimum(z, 40.0).astype(np.float32))
    broad = smooth_step(z, 5.0, 85.0)
    neck = smooth_step(z, body.apex + 5, body.apex + 60)
    a = wide + wall + 38 * broad - 70 * neck
    b = deep + wall + 6 + 6 * broad - 20 * neck
    yc = body.back(z) + 6 + 6 * broad
    power = 2.3 + 0.35 * np.sign(y - yc)
    # the table flattens the back; a furrow runs along the spine
    furrow = 7.0 * np.exp(-((x / 14) ** 2)) * smooth_step(y, 0, b.max())
    u = np.abs(x) / a
    v = np.abs(y - yc) / (b - furrow)
    q = (u**power + v**power) ** (1 / power)
    return to_depth(np.asarray(1 - q, np.float32), step)


def _diaphragm(body: Body, axes: Axes, step: float) -> Array:
    """Return the height above the diaphragm: two domes, the right one higher."""
    z, y, x = axes
    top = body.base + body.dome
    heights = []
    for side, peak in ((-1, top), (1, top - 13)):
        away = x * side - 0.48 * body.half_width
        # gently down to the heart, steeply down to the ribs
        across = away / np.where(away < 0, 0.9 * body.half_width, 0.53 * body.half_width)
        far = across**2 + ((y + 10) / (0.97 * body.half_depth)) ** 2
        heights.append(np.asarray(peak - 24 * far - 36 * far**2.6, np.float32))
    height = smooth_max(heights[0], heights[1], 8.0)
    height = np.maximum(height, body.base - 15)
    return to_depth(np.asarray(z - height, np.float32), step)


def _mediastinum(body: Body, axes: Axes, step: float, blood: Array, spine: Array) -> Array:
    """Return the depth inside all that lies between the lungs."""
    z, y, x = axes
    s = body.spine
    front = -body.half_depth + body.back(z)
    v = (y - front) / (s - front)
    upper = smooth_step(z, 22.0, 62.0)
    middle = np.exp(-(((z - 15) / 32) ** 2))
    wide = 8 + 20 * upper + 16 * middle - 7 * smooth_step(z, 70, body.apex)
    where = np.exp(-((np.abs(v - 0.56) / (0.30 + 0.12 * upper)) ** 2.6))
    behind = 3.0 * smooth_step(v, 0.55, 0.95)
    # fat behind the sternum, a triangle on axial slices
    fore = 15.0 * smooth_step(v, 0.26, 0.0)
    half = 3.2 + (wide - 3.2) * where + behind + fore
    lean = 5.0 * (1 - upper) * smooth_step(v, 0.9, 0.2)
    band = to_depth(np.asarray(half - np.abs(x - lean), np.float32), step)
    tissue = smooth_max(band, blood + 3.0, 7.0)
    tube = np.full(tissue.shape, -FAR, np.float32)
    for points, radii in central_airways(body):
        add_tube(tube, axes, points, np.asarray(radii) + 3.0)
    tissue = smooth_max(tissue, tube, 5.0)
    return smooth_max(tissue, spine + 4.0, 6.0)


def _heart(body: Body, axes: Axes) -> Array:
    """Return the depth inside the heart: two overlapping ellipsoids, the apex to the left."""
    k = body.heart
    low = body.base + body.dome
    main = ellipsoid(axes, (low + 34, -16, 20), (46 * k, 38 * k, 44 * k))
    right = ellipsoid(axes, (low + 38, -12, -10), (42 * k, 34 * k, 36 * k))
    tip = ellipsoid(axes, (low + 14, -34, 44), (26 * k, 27 * k, 33 * k))
    return smooth_max(smooth_max(main, right, 8.0), tip, 10.0)


def _fissures(body: Body, axes: Axes, lung: Array, step: float) -> Array:
    """Return the distance to the nearest fissure: oblique in both, horizontal in the right lung."""
    z, y, x = axes
    bend = 5 * np.sin(x / 28 + body.phase) + 4 * np.sin(y / 35 + 2 * body.phase)
    sheet = z - (-22 + 0.95 * (y - 5) + bend + 0.08 * np.abs(x))
    oblique = np.abs(to_depth(np.asarray(sheet + 0 * x, np.float32), step))
    flat = z - (2 + 4 * np.sin(x / 30 + body.phase) + 3 * np.sin(y / 22) + 0.06 * (x + 60))
    horizontal = np.abs(to_depth(np.asarray(flat + 0 * sheet, np.float32), step))
    above = (x < 0) & (sheet > 0)
    distance = np.where(above, np.minimum(oblique, horizontal), oblique)
    return np.where(lung > -6, distance, FAR).astype(np.float32)


def _belly(body: Body, axes: Axes, inside: Array) -> tuple[Array, Array]:
    """Return the depths inside the organs and the gas below the diaphragm."""
    low = body.base + body.dome
    liver = ellipsoid(axes, (low - 62, -8, -52), (70, 82, 92))
    spleen = ellipsoid(axes, (low - 50, 42, 84), (42, 30, 26))
    stomach = ellipsoid(axes, (low - 48, -22, 56), (40, 46, 36))
    gas = ellipsoid(axes, (low - 40, -36, 56), (20, 16, 24))
    organs = np.minimum(np.maximum(np.maximum(liver, spleen), stomach), inside - 4)
    bubble = np.minimum(gas, stomach - 4) if body.gas else np.full_like(gas, -FAR)
    return organs, np.minimum(bubble, inside - 7)


def _texture(rng: np.random.Generator, lattice: Lattice, sigma_mm: float) -> Array:
    """Return smooth noise of standard deviation 1, the same whatever part of it is asked for."""
    # one block of noise, repeated through the body: its place does not depend on the lattice
    block = ndimage.gaussian_filter(
        rng.standard_normal((64, 64, 64), dtype=np.float32), sigma_mm / lattice.step, mode="wrap"
    )
    block /= block.std()
    index = [(np.arange(n) + s) % 64 for n, s in zip(lattice.shape, lattice.start, strict=True)]
    return np.asarray(block[np.ix_(*index)], np.float32)


def build_anatomy(body: Body, lattice: Lattice, seed: np.random.SeedSequence) -> Anatomy:
    """Compute the depth fields of a body on a lattice.

    Parameters
    ----------
    body
        The patient.
    lattice
        Where; any part of the body, at any step.
    seed
        Of the textures.
    """
    axes, step = lattice.axes, lattice.step
    chest, top = cavity(body, axes, step)
    skin = _outline(body, axes, step, body.muscle + body.fat)
    muscle = np.minimum(_outline(body, axes, step, body.muscle), skin - 4)
    ribs = rib_depth(body, axes)
    bone, spine, soft = bones(body, axes, ribs)
    blood = np.full(lattice.shape, -FAR, np.float32)
    for points, radii in great_vessels(body):
        add_tube(blood, axes, points, radii)
    above = _diaphragm(body, axes, step)
    heart = np.minimum(_heart(body, axes), smooth_max(above + 6, blood, 3.0))
    blood = smooth_max(blood, heart, 3.0)
    between = _mediastinum(body, axes, step, blood, spine)
    lung = smooth_min(np.minimum(chest, top), -between, 8.0)
    lung = smooth_min(lung, above, 3.0)
    lung = smooth_min(lung, -ribs - 2.0, 3.0)
    organs, gas = _belly(body, axes, np.minimum(chest, -above))
    rng = np.random.default_rng(seed)
    fields = {
        "skin": skin,
        "muscle": muscle,
        "chest": chest,
        "bone": bone,
        "soft": np.maximum(soft, organs),
        "blood": blood,
        "gas": gas,
        "lung": lung,
        "fissure": _fissures(body, axes, lung, step),
        "mottle": _texture(rng, lattice, 7.0),
        "grain": _texture(rng, lattice, 2.8),
    }
    return Anatomy(body, lattice, fields)
