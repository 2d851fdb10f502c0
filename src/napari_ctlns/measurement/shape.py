"""Surfaces and diameters of one nodule."""

import contextlib
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist
from skimage.measure import find_contours, marching_cubes

from napari_ctlns.volume import FloatArray, Triple


class MeshShape(NamedTuple):
    """What the surface mesh of a nodule tells; mm, mm2, mm3."""

    volume_mm3: float
    surface_area_mm2: float
    sphericity: float
    max_3d_diameter_mm: float


class Axes(NamedTuple):
    """The in-plane diameters of a nodule, mm."""

    long_mm: float
    short_mm: float


def mesh_shape(inside: npt.NDArray[Any], spacing: Triple) -> MeshShape:
    """Measure the surface mesh of a mask.

    The mesh is that of marching cubes at 0.5 through the voxel centres, as the Image
    Biomarker Standardisation Initiative (Zwanenburg et al. 2020,
    doi:10.1148/radiol.2020191145) asks: volume RNU0 by the divergence theorem, area
    C0JK, sphericity QCFX, maximum 3D diameter L0JK between mesh vertices.

    Parameters
    ----------
    inside
        (z, y, x), not empty; beyond the array is outside.
    spacing
        Millimetres between voxels along (z, y, x).
    """
    padded = np.pad(np.asarray(inside) != 0, 1).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(padded, 0.5, spacing=spacing)
    corners = vertices.astype(float)[faces]
    corners -= corners.mean(axis=(0, 1))
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    volume = abs(float(np.einsum("ij,ij->", a, np.cross(b, c)))) / 6
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    return MeshShape(
        volume_mm3=volume,
        surface_area_mm2=area,
        sphericity=float((36 * np.pi * volume**2) ** (1 / 3) / area),
        max_3d_diameter_mm=_longest(vertices.astype(float))[0],
    )


def axial_axes(inside: npt.NDArray[Any], spacing: Triple) -> Axes:
    """Measure the long and short axis on axial slices, as RECIST does.

    The outline of a slice runs through the midpoints of the edges between pixels
    inside and outside, joined by straight lines; so a row of n pixels is n pixels
    long, and a disc as wide as it was before it was made of pixels, one pixel at most
    apart. Long axis: the greatest distance between two points of the outline, on the
    slice where that is greatest. Short axis: on that slice, the longest chord
    perpendicular to it, from outline to outline (RECIST 1.1, Eisenhauer et al. 2009,
    doi:10.1016/j.ejca.2008.10.026). Pieces that lie apart on a slice count together.

    Parameters
    ----------
    inside
        (z, y, x), not empty; beyond the array is outside.
    spacing
        Millimetres between voxels along (z, y, x).
    """
    plane = np.asarray(spacing[1:])
    best, where, direction = 0.0, 0, np.array([0.0, 1.0])
    for z, pixels in enumerate(np.asarray(inside) != 0):
        if pixels.any():
            length, along = _longest(_outermost(pixels) * plane)
            if length > best:
                best, where, direction = length, z, along
    return Axes(best, _longest_chord(np.asarray(inside)[where] != 0, plane, direction))


def _outermost(pixels: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the outline's points (n, 2) that end a row or a column."""
    points = []
    for turned in (pixels, pixels.T):
        lines = np.flatnonzero(turned.any(axis=1))
        first = turned[lines].argmax(axis=1) - 0.5
        last = turned.shape[1] - turned[lines, ::-1].argmax(axis=1) - 0.5
        points.append(np.concatenate([np.c_[lines, first], np.c_[lines, last]]))
    return np.concatenate([points[0], points[1][:, ::-1]])


def _longest(points: FloatArray) -> tuple[float, FloatArray]:
    """Return the greatest distance between two points, and the unit vector along it."""
    with contextlib.suppress(QhullError):  # all in one plane or line: keep all
        points = points[ConvexHull(points).vertices]
    distances = pdist(points)
    first, second = (axis[distances.argmax()] for axis in np.triu_indices(len(points), 1))
    length = float(distances.max())
    return length, (points[second] - points[first]) / length


def _longest_chord(
    pixels: npt.NDArray[np.bool_], plane: FloatArray, direction: FloatArray
) -> float:
    """Return the length of the longest chord perpendicular to ``direction``."""
    turn = np.stack([direction, [-direction[1], direction[0]]])
    contours = find_contours(np.pad(pixels, 1).astype(float), 0.5)
    starts, ends = [], []
    for contour in contours:
        turned = contour * plane @ turn.T  # columns: along the long axis, across it
        starts.append(turned[:-1])
        ends.append(turned[1:])
    start, end = np.concatenate(starts), np.concatenate(ends)
    # between two vertices the chord's length changes evenly: the longest is at a vertex
    at = np.unique(start[:, 0])[:, None]
    step = end[:, 0] - start[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(step == 0, 0.0, (at - start[:, 0]) / step)
    crossed = np.where(step == 0, at == start[:, 0], (share >= 0) & (share <= 1))
    across = start[:, 1] + share * (end[:, 1] - start[:, 1])
    highest = np.where(crossed, across, -np.inf).max(axis=1)
    lowest = np.where(crossed, across, np.inf).min(axis=1)
    return float((highest - lowest).max())
