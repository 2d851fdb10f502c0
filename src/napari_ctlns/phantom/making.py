"""From a spec to a scan, its mask and the list of its nodules."""

from dataclasses import dataclass

import numpy as np

from napari_ctlns.findings import Annotation
from napari_ctlns.phantom.anatomy import build_anatomy
from napari_ctlns.phantom.body import draw_body
from napari_ctlns.phantom.grid import Grid
from napari_ctlns.phantom.lattice import Lattice
from napari_ctlns.phantom.nodules import Nodule, Stamp, stamp_nodule
from napari_ctlns.phantom.noise import add_noise, cut_field_of_view
from napari_ctlns.phantom.placing import place_nodules
from napari_ctlns.phantom.rendering import Scene, render
from napari_ctlns.phantom.scars import draw_scars
from napari_ctlns.phantom.spec import WHOLE_CHEST_MM, PhantomSpec
from napari_ctlns.phantom.vessels import grow_lungs
from napari_ctlns.volume import Geometry, Volume

FINE_STEP_MM = 2.5
COARSE_STEP_MM = 5.0


@dataclass(frozen=True)
class PhantomNodule:
    """The truth about one nodule.

    Attributes
    ----------
    label
        Its label in the mask.
    annotation
        Centroid and diameter (of the sphere of equal volume) of the part in the lung.
    shape, density, attachment
        Its kinds, as `PhantomSpec` names them.
    volume_mm3
        Of the part in the lung, supersampled; independent of the grid.
    """

    label: int
    annotation: Annotation
    shape: str
    density: str
    attachment: str
    volume_mm3: float


@dataclass(frozen=True)
class Phantom:
    """A scan and its truth.

    Attributes
    ----------
    volume
        CT, int16 HU.
    mask
        Nodules, uint8, one label each.
    lungs
        uint8: 1 in both lungs, vessels, airways and nodules in them included; not in
        trachea and main bronchi outside them.
    nodules
        What is known of each.
    """

    volume: Volume
    mask: Volume
    lungs: Volume
    nodules: tuple[PhantomNodule, ...]

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """Centre and diameter of every nodule, by label."""
        return tuple(n.annotation for n in self.nodules)


def make_phantom(spec: PhantomSpec) -> Phantom:
    """Make a chest CT with nodules.

    Parameters
    ----------
    spec
        What it shall be. The same spec gives the same voxels.

    Returns
    -------
    Phantom
        Scan and masks (z, y, x) on one grid, LPS axes, and the truth.

    Raises
    ------
    ScanError
        If there is no room for so many nodules.
    """
    seeds = np.random.SeedSequence(spec.seed).spawn(7)
    body = draw_body(np.random.default_rng(seeds[0]))
    grid, geometry = _grid(spec, np.random.default_rng(seeds[1]))
    half = np.asarray(WHOLE_CHEST_MM) / 2
    coarse = build_anatomy(body, Lattice.covering(-half, half, COARSE_STEP_MM), seeds[2])
    half = np.asarray(spec.extent) / 2 + 2
    anatomy = build_anatomy(body, Lattice.covering(-half, half, FINE_STEP_MM), seeds[2])
    vessels, airways = grow_lungs(coarse, np.random.default_rng(seeds[3]))
    scars = draw_scars(coarse, np.random.default_rng(seeds[4]))
    nodules, vessels = place_nodules(spec, anatomy, vessels, np.random.default_rng(seeds[5]))
    stamps = [stamp_nodule(grid, nodule, anatomy) for nodule in nodules]
    hu, in_lungs = render(Scene(anatomy, vessels, airways, scars, nodules), grid, stamps)
    add_noise(hu, grid, spec.noise_hu, spec.kernel, np.random.default_rng(seeds[6]))
    np.clip(hu, -1024, 3071, out=hu)
    if spec.field_of_view:
        cut_field_of_view(hu, grid)
    volume = Volume(
        np.rint(hu, out=hu).astype(np.int16), geometry, scan_id=spec.name, patient_id=spec.name
    )
    mask = volume.mask(_mask(grid.shape, stamps))
    truth = tuple(_truth(i + 1, n, spec.name, grid, geometry) for i, n in enumerate(nodules))
    lungs = volume.mask((in_lungs | (mask.array > 0)).view(np.uint8))
    return Phantom(volume, mask, lungs, truth)


def _grid(spec: PhantomSpec, rng: np.random.Generator) -> tuple[Grid, Geometry]:
    """Return the voxels in the body's frame, and in the patient's: z starts anywhere."""
    shape = [max(round(e / s), 1) for e, s in zip(spec.extent, spec.spacing, strict=True)]
    z, y, x = (
        ((np.arange(n) - (n - 1) / 2) * s).astype(np.float32)
        for n, s in zip(shape, spec.spacing, strict=True)
    )
    away = np.round(rng.uniform((-8, -30, -400), (8, 30, 100)), 2)
    origin = [float(a[0]) + float(o) for a, o in zip((x, y, z), away, strict=True)]
    geometry = Geometry(
        (shape[0], shape[1], shape[2]), spec.spacing, (origin[0], origin[1], origin[2])
    )
    return Grid(z, y, x, spec.spacing), geometry


def _mask(
    shape: tuple[int, int, int], stamps: list[Stamp]
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Label voxels of which at least half is nodule; each nodule has at least one."""
    mask = np.zeros(shape, np.uint8)
    for label, stamp in enumerate(stamps, start=1):
        inside = stamp.inside >= min(0.5, float(stamp.inside.max()))
        mask[stamp.box][inside] = label
    return mask


def _truth(label: int, nodule: Nodule, name: str, grid: Grid, geometry: Geometry) -> PhantomNodule:
    """Carry a nodule from the body's frame to the patient's."""
    start = np.array([grid.z[0], grid.y[0], grid.x[0]], float)
    index = (nodule.centroid - start) / np.asarray(grid.spacing)
    x, y, z = (float(c) for c in geometry.index_to_world(index))
    return PhantomNodule(
        label=label,
        annotation=Annotation(name, x, y, z, nodule.diameter_mm),
        shape=nodule.shape.kind,
        density=nodule.density,
        attachment=nodule.attachment,
        volume_mm3=nodule.volume_mm3,
    )
