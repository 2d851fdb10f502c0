"""Two scans of one phantom patient, of whom it is known how he lay, breathed and what grew.

Both scans are drawn from one body without noise; each has noise of its own. Nodules are
balls, drawn into each scan where it has them, so that they are as round after the motion.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_ctlns.errors import ScanError
from napari_ctlns.phantom.grid import Grid
from napari_ctlns.phantom.lattice import Array
from napari_ctlns.phantom.making import make_phantom
from napari_ctlns.phantom.noise import add_noise
from napari_ctlns.phantom.spec import PhantomSpec
from napari_ctlns.resampling import resample_moved
from napari_ctlns.volume import AIR_HU, FloatArray, Geometry, Triple, Volume

NODULE_HU = 40.0
SAMPLES = 5
"""Along each side of a voxel that a ball may fill in part."""


@dataclass(frozen=True)
class Motion:
    """How a patient lies and breathes at the later scan.

    Points move down towards the diaphragm first, as the lungs fill, then turn about the
    middle of the scan and shift.

    Attributes
    ----------
    shift_mm
        LPS millimetres (x, y, z).
    turn_degrees
        About the axis (1, 1, 1): in all three planes.
    breath_mm
        How far the diaphragm goes down; the top of the lungs stays. The front wall rises
        by a third of it.
    """

    shift_mm: Triple = (0.0, 0.0, 0.0)
    turn_degrees: float = 0.0
    breath_mm: float = 0.0


@dataclass(frozen=True)
class BallPair:
    """A ball at both scans.

    Attributes
    ----------
    label, later_label
        In the masks; 0 in a scan that lacks it.
    centre, later_centre
        LPS millimetres (x, y, z), where it is or would be.
    diameter_mm, later_diameter_mm
        0 in a scan that lacks it.
    """

    label: int
    later_label: int
    centre: Triple
    later_centre: Triple
    diameter_mm: float
    later_diameter_mm: float


@dataclass(frozen=True)
class ScanPair:
    """Two scans with their masks, and the truth about the nodules."""

    scan: Volume
    mask: Volume
    later_scan: Volume
    later_mask: Volume
    nodules: tuple[BallPair, ...]


class _Moved:
    """The motion of one body, and back."""

    def __init__(self, motion: Motion, geometry: Geometry) -> None:
        half = (np.asarray(geometry.shape) - 1) / 2
        self._middle = geometry.index_to_world(half)
        self._reach = float(geometry.size_mm[0]) / 2
        self._motion = motion
        turn = np.deg2rad(motion.turn_degrees) / np.sqrt(3)
        self._turn = Rotation.from_rotvec([turn] * 3)

    def later(self, points: FloatArray) -> FloatArray:
        """Return where points (n, 3) of the earlier scan lie in the later one."""
        breathed = points + self._breath(points[:, 2])
        turned = self._turn.apply(breathed - self._middle) + self._middle
        return np.asarray(turned + np.asarray(self._motion.shift_mm))

    def earlier(self, points: FloatArray) -> FloatArray:
        """Return where points (n, 3) of the later scan lay in the earlier one."""
        back = self._turn.inv().apply(points - self._middle - np.asarray(self._motion.shift_mm))
        breathed = back + self._middle
        before = breathed[:, 2]
        for _ in range(20):  # it changes by less than a millimetre a millimetre
            before = breathed[:, 2] - self._breath(before)[:, 2]
        return np.asarray(breathed - self._breath(before))

    def _breath(self, z: FloatArray) -> FloatArray:
        """Return millimetres (n, 3): all of it at the bottom, none at the top."""
        depth = np.clip((self._middle[2] - z) / self._reach, -1, 1) / 2 + 0.5
        part = depth**2 * (3 - 2 * depth) * self._motion.breath_mm
        return np.stack([np.zeros_like(part), -part / 3, -part], axis=1)


def make_pair(
    spec: PhantomSpec,
    motion: Motion,
    diameters_mm: tuple[tuple[float, float], ...],
    later_spacing: Triple | None = None,
    neighbours_mm: float = 14.0,
) -> ScanPair:
    """Make two scans of one patient.

    Parameters
    ----------
    spec
        Of the body and the earlier scan; its own nodules are left out.
    motion
        From the earlier scan to the later.
    diameters_mm
        For each nodule its diameter at both scans, 0 where it is not there. The first two
        are neighbours, the others lie far apart.
    later_spacing
        Of the later scan (z, y, x), over the same field; None: as the earlier.
    neighbours_mm
        Between the centres of the first two.

    Raises
    ------
    ScanError
        If the lungs have no room for so many.
    """
    plain = spec.model_copy(update={"n_nodules": 0, "noise_hu": 0.0, "field_of_view": False})
    body = make_phantom(plain)
    geometry = body.volume.geometry
    moved = _Moved(motion, geometry)
    later_geometry = geometry.resampled(later_spacing or geometry.spacing)
    seeds = np.random.SeedSequence([spec.seed, 2]).spawn(3)
    centres = _places(body.lungs, len(diameters_mm), neighbours_mm, np.random.default_rng(seeds[0]))
    later_centres = moved.later(centres)
    at_first = [first for first, _ in diameters_mm]
    at_last = [last for _, last in diameters_mm]
    hu = body.volume.array.astype(np.float32)
    later_hu = resample_moved(hu, geometry, later_geometry, moved.earlier, outside=AIR_HU)
    scan, mask, labels = _finished(
        hu, geometry, centres, at_first, spec, f"{spec.name}-earlier", seeds[1]
    )
    later_scan, later_mask, later_labels = _finished(
        later_hu, later_geometry, later_centres, at_last, spec, f"{spec.name}-later", seeds[2]
    )
    rows = zip(labels, later_labels, centres, later_centres, diameters_mm, strict=True)
    nodules = tuple(
        BallPair(a, b, _triple(p), _triple(q), first, last) for a, b, p, q, (first, last) in rows
    )
    return ScanPair(scan, mask, later_scan, later_mask, nodules)


def _triple(point: FloatArray) -> Triple:
    x, y, z = (float(mm) for mm in point)
    return x, y, z


def _places(lungs: Volume, count: int, apart_mm: float, rng: np.random.Generator) -> FloatArray:
    """Return LPS points (count, 3) well inside the lungs, two of them neighbours."""
    spacing = np.asarray(lungs.geometry.spacing)
    every = [max(int(4 / mm), 1) for mm in spacing]
    inside = lungs.array[:: every[0], :: every[1], :: every[2]] > 0
    deep = ndimage.distance_transform_edt(np.pad(inside, 1), spacing * every)[1:-1, 1:-1, 1:-1]
    index = np.argwhere(deep > 16) * every
    points = rng.permutation(lungs.geometry.index_to_world(index))
    if len(points) == 0:
        raise ScanError("no room for nodules in the phantom; choose a larger extent_mm")
    chosen = [points[0]]
    along = np.array([0.0, 0.0, apart_mm])
    chosen.append(points[0] + (along if lungs.array[_voxel(lungs, points[0] + along)] else -along))
    for point in points[1:]:
        if len(chosen) >= count:
            break
        if np.linalg.norm(np.asarray(chosen) - point, axis=1).min() > 3 * apart_mm:
            chosen.append(point)
    if len(chosen) < count:
        raise ScanError(f"only {len(chosen)} of {count} nodules have room; choose fewer")
    return np.asarray(chosen[:count])


def _voxel(volume: Volume, point: FloatArray) -> tuple[int, ...]:
    index = np.rint(volume.geometry.world_to_index(point)).astype(int)
    return tuple(int(i) for i in np.clip(index, 0, np.asarray(volume.geometry.shape) - 1))


def _finished(
    hu: Array,
    geometry: Geometry,
    centres: FloatArray,
    diameters: list[float],
    spec: PhantomSpec,
    name: str,
    seed: np.random.SeedSequence,
) -> tuple[Volume, Volume, list[int]]:
    """Draw the balls, blur and add noise; return scan, mask and the label of each ball."""
    mask = np.zeros(geometry.shape, np.uint8)
    labels: list[int] = []
    for centre, diameter in zip(centres, diameters, strict=True):
        labels.append(max(labels, default=0) + 1 if diameter else 0)
        if diameter:
            box, part = _ball(geometry, centre, diameter)
            hu[box] += part * (NODULE_HU - hu[box])
            mask[box][part >= min(0.5, float(part.max()))] = labels[-1]
    z, y, x = (
        (np.arange(n) * mm).astype(np.float32)
        for n, mm in zip(geometry.shape, geometry.spacing, strict=True)
    )
    grid = Grid(z, y, x, geometry.spacing)
    add_noise(hu, grid, spec.noise_hu, spec.kernel, np.random.default_rng(seed))
    whole = np.rint(np.clip(hu, AIR_HU, 3071, out=hu), out=hu).astype(np.int16)
    volume = Volume(whole, geometry, scan_id=name, patient_id=spec.name)
    return volume, volume.mask(mask), labels


def _ball(
    geometry: Geometry, centre: FloatArray, diameter: float
) -> tuple[tuple[slice, slice, slice], Array]:
    """Return a box of the grid, and the part of each of its voxels that a ball fills."""
    spacing = np.asarray(geometry.spacing)
    index = geometry.world_to_index(centre)
    reach = diameter / 2 / spacing + 1
    start = np.maximum(np.floor(index - reach), 0).astype(int)
    stop = np.minimum(np.ceil(index + reach) + 1, geometry.shape).astype(int)
    within = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    axes = [
        ((np.arange(a, b)[:, None] + within).ravel() - i) * mm
        for a, b, i, mm in zip(start, stop, index, spacing, strict=True)
    ]
    z, y, x = axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]
    fine = (z**2 + y**2 + x**2 <= diameter**2 / 4).astype(np.float32)
    n = stop - start
    part = fine.reshape(n[0], SAMPLES, n[1], SAMPLES, n[2], SAMPLES).mean(axis=(1, 3, 5))
    box = (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
    return box, np.asarray(part, np.float32)
