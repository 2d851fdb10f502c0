"""Contours on slices as voxels: shared by LIDC's readings and by RTSTRUCT.

Contours are drawn on the slices that a series really has. Where a tilted or uneven
series was read onto an even grid, they are filled on its slices first and carried
over as any mask is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.formats.regridding import mask_onto_grid
from napari_ctlns.volume import FloatArray, Geometry, Volume

BoolArray = npt.NDArray[np.bool_]
_AT_ONCE = 4_000_000
"""Crossings computed at a time: bounds the memory for contours of very many points."""


@dataclass(frozen=True, eq=False)
class Planes:
    """The slices that contours of a scan are drawn on.

    Attributes
    ----------
    plane
        The grid (1, rows, columns) of the first; the others differ in position only.
    positions
        Centre of the first pixel of each, LPS millimetres; shape (n, 3).
    uids
        SOP instance UID of each; empty for a scan that is not from DICOM.
    turned
        Whether arrays on them have their axes along LPS, as the volume has, instead of
        the source's own order.
    """

    plane: Geometry
    positions: FloatArray
    uids: tuple[str, ...] = ()
    turned: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows and columns."""
        return (len(self.positions), *self.plane.shape[1:])

    @cached_property
    def normal(self) -> FloatArray:
        """The unit vector at a right angle to the slices, the way they are counted."""
        return np.asarray(self.plane.direction, float)[:, 2]

    @cached_property
    def heights(self) -> FloatArray:
        """Millimetres of each slice along the normal, ascending; shape (n,)."""
        return self.positions @ self.normal

    @property
    def step(self) -> float:
        """Millimetres from one slice to the next, as a rule."""
        if len(self.heights) < 2:
            return self.plane.spacing[0]
        return float(np.median(np.diff(self.heights)))

    def to_pixels(self, number: int, world: npt.ArrayLike) -> FloatArray:
        """Return pixels (..., x y) of slice ``number`` of LPS points, along its normal."""
        offset = np.asarray(world, float) - self.positions[number] + np.asarray(self.plane.origin)
        return self.plane.world_to_index(offset)[..., :0:-1]

    def to_world(self, number: int, pixels: npt.ArrayLike) -> FloatArray:
        """Return LPS points (..., xyz) of pixels (..., x y) of slice ``number``."""
        xy = np.asarray(pixels, float)
        index = np.concatenate([np.zeros_like(xy[..., :1]), xy[..., ::-1]], axis=-1)
        world = self.plane.index_to_world(index) - np.asarray(self.plane.origin)
        return np.asarray(world + self.positions[number], float)

    def onto(self, volume: Volume, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Carry labels (slices, rows, columns) onto the grid of the volume they belong to."""
        if self.turned:
            return labels
        source, own = volume.source, volume.geometry.source
        if source.plane is not None and source.slices:
            labels = mask_onto_grid(labels, source.slices, source.plane, own)
        return np.ascontiguousarray(volume.geometry.from_source(labels))


def planes_of(volume: Volume) -> Planes:
    """Return the slices of a scan; of one that is not from DICOM, its axial planes."""
    return _series_planes(volume) or _grid_planes(volume.geometry, turned=True)


def pixel_planes_of(volume: Volume) -> Planes:
    """Return the slices of a scan with their pixels counted as in its DICOM series.

    What a file of another format kept of that order can be told only in part. MetaImage
    and NRRD keep it (LUNA16's scans of prone patients run from left to right, as their
    series do); a left-handed grid was flipped, and NIfTI's writers flip at will. For
    these the pixels are taken to run along LPS, as in every series of a patient on the
    back, head first.
    """
    series = _series_planes(volume)
    if series is not None:
        return series
    own = volume.geometry.source
    kept = volume.source.format != "nifti" and volume.geometry.source_axes == (0, 1, 2)
    if kept and np.linalg.det(np.asarray(own.direction)) > 0:
        return _grid_planes(own, turned=False)
    return _grid_planes(volume.geometry, turned=True)


def _series_planes(volume: Volume) -> Planes | None:
    source = volume.source
    if source.plane is None or not source.slices:
        return None
    positions = np.array([one.position for one in source.slices], float)
    return Planes(source.plane, positions, tuple(one.uid for one in source.slices))


def _grid_planes(grid: Geometry, *, turned: bool) -> Planes:
    first = np.zeros((grid.shape[0], 3))
    first[:, 0] = np.arange(grid.shape[0])
    plane = grid.cropped((0, 0, 0), (1, *grid.shape[1:]))
    return Planes(plane, grid.index_to_world(first), turned=turned)


def polygon_pixels(polygons: Sequence[npt.ArrayLike], shape: tuple[int, int]) -> BoolArray:
    """Return the pixels whose centres lie inside an odd number of polygons.

    So an inner contour cuts a hole, and a contour that runs to its hole and back along
    one line (the keyhole of DICOM PS3.3 C.8.8.6.3) leaves the line filled.

    Parameters
    ----------
    polygons
        Corners (n, 2) as (x, y) in pixels, the centre of the first pixel at (0, 0);
        the last corner joins the first. Corners may lie outside.
    shape
        Rows and columns.

    Returns
    -------
    numpy.ndarray
        Boolean, of ``shape``. A centre exactly on an edge belongs to the polygon on its
        right or below it, so that polygons that share an edge share no pixel.
    """
    inside = np.zeros(shape, bool)
    starts, ends = _edges(polygons)
    if not len(starts):
        return inside
    low = np.floor(starts.min(axis=0)).clip(0, shape[::-1]).astype(int)
    high = np.ceil(starts.max(axis=0) + 1).clip(0, shape[::-1]).astype(int)
    columns, rows = (int(n) for n in high - low)
    if columns <= 0 or rows <= 0:
        return inside
    crossed = np.zeros((rows, columns + 1), np.int64)
    several = -(-len(starts) * rows // _AT_ONCE)
    for part in np.array_split(np.arange(len(starts)), several):
        crossed += _crossings(starts[part] - low, ends[part] - low, rows, columns)
    # one crossing to its left puts a pixel inside, two put it outside again
    inside[low[1] : high[1], low[0] : high[0]] = crossed[:, :-1].cumsum(axis=1) % 2 == 1
    return inside


def _edges(polygons: Sequence[npt.ArrayLike]) -> tuple[FloatArray, FloatArray]:
    """Return where the edges of all polygons start and end, both (n, 2) as (x, y)."""
    # a millionth of a pixel is what is left of rounding on the way from millimetres
    corners = [np.asarray(p, float).reshape(-1, 2).round(6) for p in polygons]
    starts = np.concatenate([np.zeros((0, 2)), *corners])
    ends = np.concatenate([np.zeros((0, 2)), *(np.roll(c, -1, axis=0) for c in corners)])
    return starts, ends


def _crossings(
    starts: FloatArray, ends: FloatArray, rows: int, columns: int
) -> npt.NDArray[np.int64]:
    """Count edges that cross a row of centres; ``[y, x]``: between columns x - 1 and x."""
    upper = np.where(starts[:, 1:] <= ends[:, 1:], starts, ends)
    lower = np.where(starts[:, 1:] <= ends[:, 1:], ends, starts)
    first = np.ceil(upper[:, 1]).clip(0, rows).astype(int)
    after = np.ceil(lower[:, 1]).clip(0, rows).astype(int)
    counts = after - first
    edge = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts) + first[edge]
    (x0, y0), (x1, y1) = upper[edge].T, lower[edge].T
    x = x0 + (row - y0) * (x1 - x0) / (y1 - y0)
    # the same rounding as the corners', or an edge drawn twice might not meet itself
    column = np.ceil(x.round(6)).clip(0, columns).astype(int)
    flat = np.bincount(row * (columns + 1) + column, minlength=rows * (columns + 1))
    return flat.reshape(rows, columns + 1)


def edge_pixels(points: npt.ArrayLike, shape: tuple[int, int]) -> BoolArray:
    """Return the pixels whose centres lie on a closed contour of whole pixels.

    Parameters
    ----------
    points
        Integers (n, 2) as (x, y), all inside ``shape``; the last joins the first.
    shape
        Rows and columns.
    """
    on = np.zeros(shape, bool)
    starts = np.asarray(points, int).reshape(-1, 2)
    steps = np.roll(starts, -1, axis=0) - starts
    parts = np.maximum(np.gcd(*np.abs(steps).T), 1)
    for part in range(int(parts.max(initial=0))):
        x, y = (starts + steps * part // parts[:, None])[part < parts].T
        on[y, x] = True
    return on
