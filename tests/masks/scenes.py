"""Pieces of lung with one nodule whose truth is known: drawn with partial volume."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.volume import Geometry, Volume

LUNG, SOLID, GLASS = -860.0, 30.0, -560.0
FINE = 3


@dataclass(frozen=True)
class Lump:
    """A scan of some lung, and the nodule in it."""

    scan: Volume
    truth: npt.NDArray[np.bool_]
    centre: tuple[float, float, float]
    diameter_mm: float

    def place(self, z=0.0, y=0.0, x=0.0):
        """Return the place (LPS mm) that many mm from the centre along the array's axes."""
        index = self.scan.geometry.world_to_index(self.centre)
        moved = index + np.array([z, y, x]) / self.scan.geometry.spacing
        return tuple(float(c) for c in self.scan.geometry.index_to_world(moved))


def lump(
    diameter=10.0,
    *,
    spacing=(1.0, 0.7, 0.7),
    direction=((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    hu=SOLID,
    core_mm=0.0,
    vessel_mm=0.0,
    lobe_mm=0.0,
    wall_mm=None,
    noise=20.0,
    half_mm=28.0,
    seed=0,
):
    """Draw a round nodule.

    Parameters
    ----------
    core_mm
        Diameter of a solid core.
    vessel_mm
        Diameter of a vessel beside it, which touches it.
    lobe_mm
        Diameter of a second ball of the nodule, which lies along y and is joined by a neck.
    wall_mm
        How far from its centre, along x, the chest wall begins.
    """
    size = [2 * round(half_mm / s) + 1 for s in spacing]
    fine = [
        (np.arange(n * FINE) - (n * FINE - 1) / 2) * s / FINE
        for n, s in zip(size, spacing, strict=True)
    ]
    z, y, x = np.meshgrid(*[f.astype(np.float32) for f in fine], indexing="ij", sparse=True)
    away = np.sqrt(z * z + y * y + x * x)
    inside = np.broadcast_to(away <= diameter / 2, [n * FINE for n in size])
    if lobe_mm:
        middle = (diameter + lobe_mm) / 2 + 1
        lobe = z * z + (y - middle) ** 2 + x * x <= lobe_mm**2 / 4
        neck = (z * z + x * x <= (diameter / 4) ** 2) & (y > 0) & (y < middle)
        inside = inside | lobe | neck
    picture = np.full(inside.shape, LUNG, np.float32)
    if vessel_mm:
        beside = np.sqrt((y - (diameter + vessel_mm) / 2 + 0.5) ** 2 + (x - 0.3 * z) ** 2)
        picture[np.broadcast_to(beside <= vessel_mm / 2, picture.shape)] = 40
    picture[inside] = hu
    if core_mm:
        picture[np.broadcast_to(away <= core_mm / 2, picture.shape)] = SOLID
    if wall_mm is not None:
        behind = np.broadcast_to(x > wall_mm, picture.shape)
        picture[behind] = 50
        inside = inside & ~behind
    picture, part = _averaged(picture), _averaged(inside.astype(np.float32))
    blur = [0.5 / s for s in spacing]
    picture = ndimage.gaussian_filter(picture, blur)
    picture += np.random.default_rng(seed).normal(0, noise, picture.shape)
    geometry = Geometry(tuple(size), spacing, (-40.0, 25.0, -300.0), direction)
    scan = Volume(np.rint(picture).astype(np.int16), geometry, scan_id="lump")
    centre = geometry.index_to_world((np.array(size) - 1) / 2)
    return Lump(scan, part >= 0.5, tuple(float(c) for c in centre), diameter)


def _averaged(fine):
    z, y, x = (n // FINE for n in fine.shape)
    return fine.reshape(z, FINE, y, FINE, x, FINE).mean(axis=(1, 3, 5))
