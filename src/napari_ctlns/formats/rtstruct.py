"""DICOM RT structure sets as masks of a scan."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.contours import Planes, planes_of, polygon_pixels
from napari_ctlns.formats.rtstruct_file import (
    Structure,
    StructureSet,
    is_rtstruct,
    read_rtstruct,
)
from napari_ctlns.volume import FloatArray, Volume

__all__ = ["Structure", "StructureSet", "is_rtstruct", "read_rtstruct", "structure_mask"]

_MOST_STRUCTURES = 65535
_SAME_HEIGHT = 0.1
"""Contours nearer than this share of a slice's step lie on one plane."""


def structure_mask(structures: StructureSet, volume: Volume, names: tuple[str, ...] = ()) -> Volume:
    """Return structures as labels on the grid of a scan.

    A voxel belongs to a structure if its centre lies inside an odd number of that
    structure's contours on its slice, so that inner contours cut holes. A slice takes
    the contours nearest to it, if they are less than half a step away: a step of the
    slices or of the contours, whichever is larger. Where structures overlap, the one
    named first keeps the voxel, and a warning counts those it keeps from others.

    Parameters
    ----------
    structures
        As `read_rtstruct` returns it.
    volume
        The scan; its slices and the contours must be parallel.
    names
        Which structures, as the file writes them or but for capitals; without any, all.

    Returns
    -------
    Volume
        Kind "mask": label k for the k-th name of ``names``, or else of the file;
        warnings in ``source.warnings``.

    Raises
    ------
    MaskError
        If a name is unknown or has no contours, or the contours lie beside the scan or on
        planes oblique to its slices.
    """
    chosen = _chosen(structures, names)
    if not any(s.contours for s in chosen):
        message = f"no closed contours of {', '.join(s.name for s in chosen)}"
        raise MaskError(f"{message} in {structures.path}; name another structure")
    planes = planes_of(volume)
    labels = np.zeros(planes.shape, np.uint8 if len(chosen) < 256 else np.uint16)
    words: list[str] = []
    if structures.series_uid and volume.source.series_uid not in ("", structures.series_uid):
        words.append(f"the structures were drawn on another series, {structures.series_uid}")
    for label, structure in enumerate(chosen, start=1):
        words.extend(_draw(structure, label, labels, planes))
    if not labels.any():
        message = f"the contours of {structures.path} lie beside the scan, not on it"
        raise MaskError(f"{message}; give the structures of this scan ({volume.scan_id})")
    mask = volume.mask(planes.onto(volume, labels))
    return replace(mask, source=replace(volume.source, warnings=tuple(words)))


def _chosen(structures: StructureSet, names: tuple[str, ...]) -> list[Structure]:
    exact = {s.name: s for s in structures.structures}
    alike: dict[str, list[Structure]] = {}
    for structure in structures.structures:
        alike.setdefault(structure.name.casefold().strip(), []).append(structure)
    chosen = []
    for name in names or structures.names:
        known = [exact[name]] if name in exact else alike.get(name.casefold().strip(), [])
        if len(known) != 1:
            what = "no structure" if not known else "several structures"
            there = ", ".join(structures.names)
            raise MaskError(f"{what} {name!r} in {structures.path}; there are: {there}")
        if names and not known[0].contours:
            message = f"no closed contours of {name} in {structures.path}"
            raise MaskError(f"{message}; name another structure")
        chosen.append(known[0])
    if len(chosen) > _MOST_STRUCTURES:
        raise MaskError(f"{len(chosen)} structures in {structures.path}; name the ones to draw")
    return chosen


def _draw(structure: Structure, label: int, labels: npt.NDArray[Any], planes: Planes) -> list[str]:
    """Draw one structure where nothing is yet; return what a person should know."""
    if not structure.contours:
        return []
    heights, groups = _by_height(structure, planes)
    step = max(planes.step, float(np.median(np.diff(heights))) if len(heights) > 1 else 0.0)
    words = []
    covered = used = 0
    for number, height in enumerate(planes.heights):
        # halfway between two slices the lower one takes the contours, and only that one
        offsets = heights - height - 1e-6 * step
        nearest = int(np.abs(offsets).argmin())
        if abs(offsets[nearest]) >= step / 2:
            continue
        used += 1
        pixels = [planes.to_pixels(number, c) for c in groups[nearest]]
        drawn = polygon_pixels(pixels, planes.shape[1:])
        taken = drawn & (labels[number] != 0)
        covered += int(taken.sum())
        labels[number][drawn & ~taken] = label
    outside = (heights < planes.heights[0] - step) | (heights > planes.heights[-1] + step)
    if covered:
        words.append(f"{covered} voxels of {structure.name} belong to a structure named before")
    if step > 1.5 * planes.step and used:
        words.append(f"{structure.name} is drawn every {step:.3g} mm only: slices between copy it")
    if outside.any():
        words.append(f"{structure.name} reaches beyond the scan and is cut off")
    return words


def _by_height(structure: Structure, planes: Planes) -> tuple[FloatArray, list[list[FloatArray]]]:
    """Return the planes that contours lie on: heights, ascending, and each one's contours."""
    along = [contour @ planes.normal for contour in structure.contours]
    depth = max(float(np.ptp(a)) for a in along)
    if depth > planes.step / 2:
        message = f"contours of {structure.name} are not parallel to the slices"
        raise MaskError(f"{message} ({depth:.2f} mm deep); give the scan they were drawn on")
    means = np.array([a.mean() for a in along])
    heights: list[float] = []
    groups: list[list[FloatArray]] = []
    for k in np.argsort(means, kind="stable"):
        if not heights or means[k] - heights[-1] > _SAME_HEIGHT * planes.step:
            heights.append(float(means[k]))
            groups.append([])
        groups[-1].append(structure.contours[k])
    return np.array(heights), groups
