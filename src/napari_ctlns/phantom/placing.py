"""Where nodules lie."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.phantom.anatomy import Anatomy
from napari_ctlns.phantom.nodules import Nodule, measured
from napari_ctlns.phantom.pieces import Pieces, without_twigs
from napari_ctlns.phantom.shapes import Shape, draw_shape
from napari_ctlns.phantom.spec import PhantomSpec, weighted

Points = npt.NDArray[np.float64]

GAP_MM = 3.0
"""Nodules keep this far apart, and this far from the faces of the picture."""
TRIES = 60
"""Places tried for one kind of nodule before another kind is drawn."""
THICK_MM = 1.4
"""Vessels of at least this radius are not cut off to make room for an isolated nodule."""


def place_nodules(
    spec: PhantomSpec, anatomy: Anatomy, vessels: Pieces, rng: np.random.Generator
) -> tuple[tuple[Nodule, ...], Pieces]:
    """Place the nodules of a spec, largest first.

    Parameters
    ----------
    spec
        How many, of what kinds and sizes.
    anatomy
        The body, at least where the picture is taken.
    vessels
        Of both lungs.
    rng
        Where randomness comes from.

    Returns
    -------
    nodules, vessels
        The nodules, and the vessels without twigs that would touch isolated ones.

    Raises
    ------
    ScanError
        If there is no room for so many.
    """
    low, high = np.log(np.array(spec.diameter_mm))
    drawn = np.exp(low + (high - low) * rng.uniform(0.02, 0.98, spec.n_nodules))
    nodules: list[Nodule] = []
    for diameter in sorted(drawn, reverse=True):
        nodule = _place(spec, anatomy, vessels, nodules, float(diameter), rng)
        if nodule is None:
            room = f"only {len(nodules)} of {spec.n_nodules} nodules have room in the phantom"
            raise ScanError(f"{room}; choose fewer or smaller ones, or a larger extent_mm")
        if nodule.attachment == "isolated":
            reach = nodule.shape.extent + 0.5
            vessels = without_twigs(vessels, nodule.centre, reach, THICK_MM)
        nodules.append(nodule)
    return tuple(nodules[i] for i in rng.permutation(len(nodules))), vessels


def _place(
    spec: PhantomSpec,
    anatomy: Anatomy,
    vessels: Pieces,
    others: list[Nodule],
    diameter: float,
    rng: np.random.Generator,
) -> Nodule | None:
    """Place one nodule of a drawn kind; after many vain tries, of another kind."""
    for _ in range(12):
        attachment = _draw(spec.attachments, rng)
        density = _draw(spec.densities, rng)
        shape = draw_shape(_draw(spec.shapes, rng), diameter, density, rng)
        for _ in range(TRIES):
            centre = _centre(attachment, anatomy, vessels, shape, diameter, spec, rng)
            if centre is None or not _free(centre, shape, spec, others):
                continue
            nodule = _fitted(shape, centre, diameter, anatomy)
            if nodule is None or not _free(centre, nodule.shape, spec, others):
                continue
            return _coloured(nodule, density, attachment, rng)
    return None


def _draw(weights: object, rng: np.random.Generator) -> str:
    kinds, chances = zip(*weighted(weights), strict=True)  # type: ignore[arg-type]
    return str(kinds[int(rng.choice(len(kinds), p=np.array(chances)))])


def _free(centre: Points, shape: Shape, spec: PhantomSpec, others: list[Nodule]) -> bool:
    """Whether a nodule is wholly in the picture and away from the others."""
    margin = np.asarray(spec.extent) / 2 - shape.extent - GAP_MM / 2
    if np.any(np.abs(centre) > margin):
        return False
    return all(
        np.linalg.norm(centre - o.centre) > shape.extent + o.shape.extent + GAP_MM for o in others
    )


def _centre(
    attachment: str,
    anatomy: Anatomy,
    vessels: Pieces,
    shape: Shape,
    diameter: float,
    spec: PhantomSpec,
    rng: np.random.Generator,
) -> Points | None:
    """Propose a centre, or None where the draw does not suit."""
    half = np.asarray(spec.extent) / 2 - diameter / 2
    if np.any(half <= 0):
        return None
    if attachment == "vessel":
        return _on_vessel(anatomy, vessels, diameter, half, rng)
    # drawn points outside the lungs are many: take the first of some that suits
    points = rng.uniform(-half, half, (200, 3))
    depth = anatomy.lattice.at(anatomy.lung, points)
    if attachment == "pleura":
        near = points[(depth > 1.0) & (depth < 8.0)]
        return _on_pleura(anatomy, near[0], diameter, rng) if len(near) else None
    deep = points[depth > shape.extent + 2.0]
    thick = vessels.take(vessels.radius >= THICK_MM)
    for point in deep[:8]:
        if len(thick) == 0 or thick.distance(point).min() > shape.extent + 1.0:
            return np.asarray(point)
    return None


def _on_vessel(
    anatomy: Anatomy, vessels: Pieces, diameter: float, half: Points, rng: np.random.Generator
) -> Points | None:
    """Beside or around a vessel of 0.8 to 3.5 mm radius, away from the pleura."""
    middle = (vessels.start + vessels.end) / 2
    r = vessels.radius
    fits = (r > 0.8) & (r < 3.5) & (np.abs(middle) < half).all(axis=1)
    fits &= anatomy.lattice.at(anatomy.lung, middle) > 0.45 * diameter + 2
    chosen = np.flatnonzero(fits)
    if not len(chosen):
        return None
    i = int(rng.choice(chosen))
    along = vessels.end[i] - vessels.start[i]
    aside = np.cross(along, rng.normal(size=3))
    aside /= max(float(np.linalg.norm(aside)), 1e-9)
    centre = (
        vessels.start[i] + rng.uniform(0, 1) * along + aside * rng.uniform(0.1, 0.95) * diameter / 2
    )
    big = vessels.take(r >= 4.0)
    if anatomy.lattice.at(anatomy.lung, centre) < 0.5 * diameter + 1:
        return None
    if len(big) and big.distance(centre).min() < 0.5 * diameter:
        return None
    return np.asarray(centre)


def _on_pleura(
    anatomy: Anatomy, point: Points, diameter: float, rng: np.random.Generator
) -> Points | None:
    """On the lung's surface, three times in four where it faces the ribs."""
    lattice, lung = anatomy.lattice, anatomy.lung
    for _ in range(3):
        inward = lattice.normal(lung, point)
        point = point - inward * float(lattice.at(lung, point))
    inward = lattice.normal(lung, point)
    facing_ribs = float(lattice.at(anatomy.fields["chest"], point)) < 4.0
    if not facing_ribs and rng.random() < 0.6:
        return None
    r = diameter / 2
    beyond = point + inward * 2.0 * r
    if abs(float(lattice.at(lung, point))) > 1.0 or float(lattice.at(lung, beyond)) < 0.6 * r:
        return None
    return np.asarray(point + inward * r * rng.uniform(0.0, 0.75))


def _fitted(shape: Shape, centre: Points, diameter: float, anatomy: Anatomy) -> Nodule | None:
    """Scale a shape until the part in the lung has the diameter wanted; None if it cannot."""
    first = shape.scale
    for _ in range(8):
        volume, centroid = measured(shape, centre, anatomy)
        if volume <= 0:
            return None
        factor = diameter / float(np.cbrt(6 / np.pi * volume))
        if abs(factor - 1) < 0.004:
            none = np.zeros(3)
            return Nodule(shape, centre, "", "", 0, 0, 0, none, centroid, volume)
        shape = replace(shape, scale=shape.scale * factor)
        if shape.scale > 1.6 * first:
            return None
    return None


def _coloured(nodule: Nodule, density: str, attachment: str, rng: np.random.Generator) -> Nodule:
    """Give a nodule its densities."""
    away = rng.normal(size=3)
    away *= rng.uniform(0, 0.2) * nodule.diameter_mm / max(float(np.linalg.norm(away)), 1e-9)
    return replace(
        nodule,
        density=density,
        attachment=attachment,
        hu=rng.uniform(5, 55),
        glass_hu=rng.uniform(-660, -560) if density == "part-solid" else rng.uniform(-650, -450),
        core=rng.uniform(0.4, 0.65),
        core_offset=away,
    )
