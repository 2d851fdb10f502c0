"""Spheres at annotated places: masks that need nothing but a table."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import AnnotationError
from napari_ctlns.findings import Annotation
from napari_ctlns.masks.components import LabelArray, smallest_dtype
from napari_ctlns.volume import Geometry

Box = tuple[slice, slice, slice]


def sphere_mask(geometry: Geometry, annotations: Sequence[Annotation]) -> LabelArray:
    """Draw annotated nodules as spheres.

    Parameters
    ----------
    geometry
        The grid to draw on; it may be anisotropic and oblique.
    annotations
        Centres (LPS mm) and diameters (mm), all inside the grid.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, (z, y, x): ``i + 1`` in the voxels whose centres lie within
        the radius of ``annotations[i]``, 0 elsewhere. Where spheres overlap, the one
        whose centre is nearest, measured in its own radius, has the voxel. A sphere
        that holds no voxel centre gets the voxel its own centre lies in.

    Raises
    ------
    AnnotationError
        If a centre lies outside the grid, or a diameter is not a positive number.
    """
    mask = np.zeros(geometry.shape, smallest_dtype(len(annotations)))
    # 2 at the centre of a sphere, 1 on it; zeros cost no memory until they are written
    closeness = np.zeros(geometry.shape, np.float32)
    for label, annotation in enumerate(annotations, start=1):
        check_annotation(geometry, annotation)
        box, distance = distance_in_radii(geometry, annotation)
        closer = (distance <= 1) & (2 - distance > closeness[box])
        mask[box][closer] = label
        closeness[box][closer] = 2 - distance[closer]
    return mask


def check_annotation(geometry: Geometry, annotation: Annotation) -> None:
    """Raise `AnnotationError` if an annotation cannot be drawn on a grid."""
    place = "({:g}, {:g}, {:g}) mm".format(*annotation.centre)
    if not (np.isfinite(annotation.diameter_mm) and annotation.diameter_mm > 0):
        message = f"diameter {annotation.diameter_mm:g} mm at {place}: give a positive number"
        raise AnnotationError(message)
    if not (np.isfinite(annotation.centre).all() and geometry.contains(annotation.centre)):
        message = (
            f"annotation at {place} lies outside the scan; "
            "check that it belongs to this series and is in LPS coordinates"
        )
        raise AnnotationError(message)


def distance_in_radii(
    geometry: Geometry, annotation: Annotation
) -> tuple[Box, npt.NDArray[np.float32]]:
    """Return the box around a sphere, and there (z, y, x) the distances to its centre in radii.

    A sphere that holds no voxel centre has the voxel that its own centre lies in, at 0.
    """
    radius = annotation.diameter_mm / 2
    centre = geometry.world_to_index(annotation.centre)
    nearest = np.clip(np.rint(centre), 0, np.asarray(geometry.shape) - 1).astype(int)
    # how far along each index axis the sphere reaches, whatever the directions
    reach = radius * np.linalg.norm(np.linalg.inv(geometry.matrix), axis=1)
    low = np.clip(np.ceil(centre - reach), 0, nearest).astype(int)
    high = np.clip(np.floor(centre + reach), nearest, np.asarray(geometry.shape) - 1).astype(int)
    box = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    steps = np.ogrid[box]
    squared = np.zeros([s.stop - s.start for s in box])
    for row in geometry.matrix:  # x, y and z of the offset in mm
        offset = sum(m * (s - c) for m, s, c in zip(row, steps, centre, strict=True))
        squared += offset * offset
    # a hair of tolerance: a voxel centre exactly on the sphere belongs to it
    distance = np.sqrt(squared) / (radius * (1 + 1e-9))
    if (distance > 1).all():  # smaller than a voxel
        distance[tuple(nearest - low)] = 0
    return (box[0], box[1], box[2]), distance.astype(np.float32)
