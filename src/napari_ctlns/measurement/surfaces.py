"""Surfaces of nodules and lungs as meshes of triangles, for 3D views and mesh files."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

from napari_ctlns.errors import MaskError
from napari_ctlns.volume import FloatArray, Geometry, Triple

LUNG_CELL_MM = 4.0
"""Lungs drawn as a setting for nodules need no finer detail; a pair has some 60,000 triangles."""

_ROUNDS, _LUNG_ROUNDS = 10, 40
_INWARDS, _OUTWARDS = 0.5, -0.53  # Taubin's factors for a pass-band of 0.1

Faces = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A closed surface of triangles.

    Attributes
    ----------
    vertices
        (n, 3), LPS millimetres (x, y, z).
    faces
        (m, 3), three vertices each, counterclockwise as seen from outside.
    """

    vertices: FloatArray
    faces: Faces

    @property
    def volume_mm3(self) -> float:
        """What the surface encloses, by the divergence theorem."""
        return float(_signed_volumes(self.vertices - self.vertices.mean(axis=0), self.faces).sum())

    @cached_property
    def normals(self) -> FloatArray:
        """Which way the surface faces at each vertex, (n, 3), of unit length, outwards."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        turned = np.cross(b - a, c - a)
        corners = self.faces.T.ravel()
        sums = [
            np.bincount(corners, weights=np.tile(turned[:, axis], 3), minlength=len(self.vertices))
            for axis in range(3)
        ]
        ways = np.stack(sums, axis=1)
        return np.asarray(ways / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-12))


def marched(inside: npt.NDArray[Any], spacing: Triple) -> tuple[FloatArray, Faces]:
    """Return the surface of marching cubes at 0.5 through the voxel centres.

    Parameters
    ----------
    inside
        (z, y, x), not empty; beyond the array is outside.
    spacing
        What one step along (z, y, x) is worth.

    Returns
    -------
    vertices : numpy.ndarray
        (n, 3) in (z, y, x) order; voxel (0, 0, 0) has its centre at 0.
    faces
        (m, 3), three vertices each.
    """
    padded = np.pad(np.asarray(inside) != 0, 1).astype(np.float32)
    vertices, faces, _, _ = marching_cubes(padded, 0.5)
    return (vertices.astype(float) - 1) * spacing, faces.astype(np.int64)


def nodule_mesh(inside: npt.NDArray[Any], geometry: Geometry) -> Mesh:
    """Return the surface of a nodule where its voxels lie in the patient.

    The mesh is the one that `measurement.shape.mesh_shape` measures: its volume is the
    table's ``mesh_volume_mm3``.

    Parameters
    ----------
    inside
        (z, y, x): not 0 in the nodule; beyond the array is outside.
    geometry
        The grid of this array; of a crop, ``geometry.cropped``.

    Raises
    ------
    MaskError
        If there is no voxel inside.
    """
    if not np.any(inside):
        raise MaskError("no voxel of this nodule is left: it has no surface")
    vertices, faces = marched(inside, (1.0, 1.0, 1.0))
    mesh = Mesh(geometry.index_to_world(vertices), faces)
    # a grid that mirrors the patient turns every triangle over
    return mesh if mesh.volume_mm3 > 0 else replace(mesh, faces=faces[:, ::-1])


def smoothed(mesh: Mesh, rounds: int = _ROUNDS) -> Mesh:
    """Take the steps of voxels off a surface, and keep the volume of each of its pieces.

    Each round moves every vertex half way to the mean of its neighbours and then a little
    further back (Taubin 1995, doi:10.1145/218380.218473), which flattens steps but hardly
    shrinks the body; what a nodule of few voxels still loses is given back by scaling each
    piece about its own middle.
    """
    count = len(mesh.vertices)
    ways = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    ones = np.ones(len(ways))
    joined = sparse.coo_array((ones, (ways[:, 0], ways[:, 1])), (count, count)).tocsr()
    joined = ((joined + joined.T) > 0).astype(float)
    to_mean = sparse.diags_array(1 / joined.sum(axis=1)) @ joined
    # far from 0, as patient coordinates may be, digits would be lost
    middle = mesh.vertices.mean(axis=0)
    points = mesh.vertices - middle
    before = points
    for _ in range(rounds):
        for factor in (_INWARDS, _OUTWARDS):
            points = points + factor * (to_mean @ points - points)
    pieces = connected_components(joined, directed=False)[1]
    return replace(mesh, vertices=_as_large(points, before, mesh.faces, pieces) + middle)


def lung_mesh(lungs: npt.NDArray[Any], geometry: Geometry) -> Mesh:
    """Return the surface of the lungs in few triangles, as a setting for nodules.

    Parameters
    ----------
    lungs
        (z, y, x): not 0 in the lungs, as of `masks.lungs.lung_mask`.
    geometry
        Its grid; every so many-th voxel is looked at that cells are `LUNG_CELL_MM` wide.

    Raises
    ------
    MaskError
        If there are no lungs.
    """
    steps = np.maximum(np.rint(LUNG_CELL_MM / np.asarray(geometry.spacing)), 1).astype(int)
    first = steps // 2
    cells = lungs[tuple(slice(f, None, s) for f, s in zip(first, steps, strict=True))]
    if not np.any(cells):
        raise MaskError("no lungs in this scan: there is nothing to draw around the nodules")
    zs, ys, xs = (float(s) for s in steps * np.asarray(geometry.spacing))
    coarse = replace(geometry.cropped(first, cells.shape), spacing=(zs, ys, xs))
    return smoothed(nodule_mesh(cells, coarse), _LUNG_ROUNDS)


def _as_large(
    points: FloatArray, before: FloatArray, faces: Faces, pieces: npt.NDArray[Any]
) -> FloatArray:
    """Return ``points`` with each piece where, and as large as, it was ``before``."""
    count = int(pieces.max()) + 1
    sizes = np.bincount(pieces, minlength=count)[:, None]

    def middles(of: FloatArray) -> FloatArray:
        sums = [np.bincount(pieces, weights=of[:, axis], minlength=count) for axis in range(3)]
        return np.asarray(np.stack(sums, axis=1) / sizes)

    def volumes(of: FloatArray) -> FloatArray:
        parts = _signed_volumes(of, faces)
        return np.bincount(pieces[faces[:, 0]], weights=parts, minlength=count).astype(float)

    there, was = middles(points), middles(before)
    around = points - there[pieces]
    wanted, left = volumes(before - was[pieces]), volumes(around)
    share = np.divide(wanted, left, out=np.ones(count), where=left != 0)
    grown = around * np.cbrt(share)[pieces, None]
    return np.asarray(grown + was[pieces])


def _signed_volumes(vertices: FloatArray, faces: Faces) -> FloatArray:
    """Return the volume between each triangle and 0, above 0 where it faces away from it."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.asarray(np.einsum("ij,ij->i", a, np.cross(b, c)) / 6)
