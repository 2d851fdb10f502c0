"""Annotated nodules with the borders that they have in the scan, instead of spheres."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_ctlns.errors import ClickError
from napari_ctlns.findings import Annotation
from napari_ctlns.masks.click import Clicks, click_mask
from napari_ctlns.masks.components import Bools, Box, LabelArray, smallest_dtype
from napari_ctlns.masks.spheres import check_annotation, distance_in_radii
from napari_ctlns.volume import Volume

LARGEST = 1.5
"""Of its annotated diameter, what a nodule does not exceed."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What became of annotations.

    Attributes
    ----------
    mask
        uint8 or uint16, (z, y, x): ``i + 1`` in the voxels of annotation ``i``.
    spheres
        Those that had to be drawn as spheres, by their place in the table, and why.
    """

    mask: LabelArray
    spheres: dict[int, str]


def fitted_mask(scan: Volume, annotations: Sequence[Annotation]) -> Fitted:
    """Draw annotated nodules with their own borders.

    Each is what a click at its centre gives that knows the diameter, as far as that
    lies within `LARGEST` times the annotated sphere; where that finds nothing, the sphere
    itself. A voxel of several nodules goes to the one whose centre is nearest, measured
    in its own radius.

    Parameters
    ----------
    scan
        A CT in HU.
    annotations
        Centres (LPS mm) and diameters (mm), all inside the scan.

    Raises
    ------
    AnnotationError
        If a centre lies outside the scan, or a diameter is not a positive number.
    """
    *_, fitted = fitting(scan, annotations)
    return fitted


def fitting(scan: Volume, annotations: Sequence[Annotation]) -> Iterator[Fitted]:
    """Do the same step by step.

    Yields
    ------
    Fitted
        What became of the annotations so far, first of none; always the same array.
    """
    mask = np.zeros(scan.geometry.shape, smallest_dtype(len(annotations)))
    nearest = np.zeros(scan.geometry.shape, np.float32)  # 3 at a centre, to 0
    spheres: dict[int, str] = {}
    yield Fitted(mask, spheres)
    for number, annotation in enumerate(annotations):
        check_annotation(scan.geometry, annotation)
        wide = replace(annotation, diameter_mm=LARGEST * annotation.diameter_mm)
        box, distance = distance_in_radii(scan.geometry, wide)
        distance *= LARGEST
        try:
            inside = _border(scan, annotation, box) & (distance <= LARGEST)
        except ClickError as error:
            spheres[number] = str(error)
            inside = _sphere(scan, annotation, box)
        closeness = 3 - distance
        own = inside & (closeness > nearest[box])
        mask[box][own] = number + 1
        nearest[box][own] = closeness[own]
        yield Fitted(mask, spheres)


def _border(scan: Volume, annotation: Annotation, box: Box) -> Bools:
    """Return in a box what a click at the centre gives."""
    part = click_mask(scan, Clicks((annotation.centre,), diameter_mm=annotation.diameter_mm))
    return _seen_in(box, part.box, part.inside)


def _sphere(scan: Volume, annotation: Annotation, box: Box) -> Bools:
    """Return the sphere of an annotation in a box."""
    own, distance = distance_in_radii(scan.geometry, annotation)
    return _seen_in(box, own, distance <= 1)


def _seen_in(box: Box, own: Box, inside: Bools) -> Bools:
    """Return what a box shows of voxels that lie in a box of their own."""
    seen = np.zeros([s.stop - s.start for s in box], bool)
    low = [max(a.start, b.start) for a, b in zip(box, own, strict=True)]
    high = [max(min(a.stop, b.stop), n) for a, b, n in zip(box, own, low, strict=True)]
    shared = list(zip(low, high, strict=True))
    here = tuple(slice(n - s.start, m - s.start) for (n, m), s in zip(shared, box, strict=True))
    there = tuple(slice(n - s.start, m - s.start) for (n, m), s in zip(shared, own, strict=True))
    seen[here] = inside[there]
    return seen
