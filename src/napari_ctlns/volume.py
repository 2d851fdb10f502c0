"""A scan or mask in memory, and where its voxels lie in the patient.

World coordinates are LPS millimetres in (x, y, z) order, as in DICOM, ITK and
the CSV files of LUNA16. Arrays and indices are in (z, y, x) order.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

AIR_HU = -1024
"""The lowest value shown and computed with; scanners pad with anything below it."""

Kind = Literal["ct", "mask", "probability"]
FloatArray = npt.NDArray[np.float64]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Geometry:
    """The grid of a volume in the patient.

    Attributes
    ----------
    shape
        Voxels along (z, y, x).
    spacing
        Millimetres between voxel centres along (z, y, x).
    origin
        Centre of voxel (0, 0, 0), LPS millimetres (x, y, z).
    direction
        ITK's direction matrix, three rows: column 0 is the unit vector of the x
        axis of the array in LPS, column 1 that of y, column 2 that of z.
    source_axes, source_flips
        How the array came from the source: axis k of the source's own array is
        our axis ``source_axes[k]``, run backwards if ``source_flips[k]``.
    """

    shape: tuple[int, int, int]
    spacing: Triple = (1.0, 1.0, 1.0)
    origin: Triple = (0.0, 0.0, 0.0)
    direction: tuple[Triple, Triple, Triple] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    source_axes: tuple[int, int, int] = (0, 1, 2)
    source_flips: tuple[bool, bool, bool] = (False, False, False)

    @cached_property
    def matrix(self) -> FloatArray:
        """The (3, 3) matrix from index offsets (z, y, x) to millimetres (x, y, z)."""
        columns = np.asarray(self.direction, float)[:, ::-1]
        return columns * np.asarray(self.spacing, float)

    @cached_property
    def _inverse(self) -> FloatArray:
        return np.asarray(np.linalg.inv(self.matrix), float)

    def index_to_world(self, index: npt.ArrayLike) -> FloatArray:
        """Return LPS millimetres (..., xyz) of (fractional) indices (..., zyx)."""
        return np.asarray(index, float) @ self.matrix.T + np.asarray(self.origin)

    def world_to_index(self, world: npt.ArrayLike) -> FloatArray:
        """Return fractional indices (..., zyx) of LPS millimetres (..., xyz)."""
        return (np.asarray(world, float) - np.asarray(self.origin)) @ self._inverse.T

    def contains(self, world: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether LPS points (..., xyz) lie inside a voxel of the grid; shape (...)."""
        index = self.world_to_index(world)
        inside = (index >= -0.5) & (index < np.asarray(self.shape) - 0.5)
        return np.asarray(inside.all(axis=-1))

    @property
    def voxel_volume(self) -> float:
        """Cubic millimetres of one voxel."""
        return float(np.prod(self.spacing))

    @property
    def size_mm(self) -> Triple:
        """Millimetres covered along (z, y, x), outer voxel faces included."""
        z, y, x = (n * s for n, s in zip(self.shape, self.spacing, strict=True))
        return (z, y, x)

    @property
    def is_oblique(self) -> bool:
        """Whether the axes differ from the patient's by more than flips and permutations."""
        largest = np.abs(np.asarray(self.direction)).max(axis=0)
        return bool((largest < 1 - 1e-6).any())

    def same_grid(self, other: "Geometry", tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have one shape and corners within ``tolerance_mm``."""
        if self.shape != other.shape:
            return False
        corners = np.array([[0, 0, 0], *np.diag(np.asarray(self.shape) - 1)])
        distance = self.index_to_world(corners) - other.index_to_world(corners)
        return bool(np.abs(distance).max() <= tolerance_mm)

    def cropped(self, start: npt.ArrayLike, shape: tuple[int, int, int]) -> "Geometry":
        """Return the grid of ``array[start : start + shape]``; ``start`` may be negative."""
        x, y, z = self.index_to_world(start)
        return replace(self, shape=shape, origin=(float(x), float(y), float(z)))

    def resampled(self, spacing: Triple) -> "Geometry":
        """Return the grid of other ``spacing`` (z, y, x) that covers the same box.

        The outer faces of the first voxels coincide; the last ones may reach
        up to half a voxel further.
        """
        new = np.asarray(spacing, float)
        shape = np.maximum(np.rint(np.asarray(self.size_mm) / new), 1).astype(int)
        first = (new / np.asarray(self.spacing) - 1) / 2
        z, y, x = (int(n) for n in shape)
        zs, ys, xs = (float(s) for s in new)
        return replace(self.cropped(first, (z, y, x)), spacing=(zs, ys, xs))

    # -- orientation --------------------------------------------------------------

    def oriented(self) -> "Geometry":
        """Return this grid reordered so that its axes run along LPS as nearly as can be.

        Flips and permutations only. ``oriented().to_source(array)`` undoes what
        ``oriented().from_source(array)`` does.
        """
        axes, flips = self._to_lps()
        return replace(self._turned(axes, flips), source_axes=axes, source_flips=flips)

    def _turned(self, axes: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> "Geometry":
        """Return this grid with axis k as axis ``axes[k]``, run backwards if ``flips[k]``."""
        z, y, x = (axes.index(k) for k in range(3))
        own = np.asarray(self.direction, float)[:, ::-1]
        columns = np.where(flips, -own, own)[:, [z, y, x]]
        corner = np.where(flips, np.asarray(self.shape) - 1, 0)
        first_x, first_y, first_z = (float(c) for c in self.index_to_world(corner))
        return Geometry(
            shape=(self.shape[z], self.shape[y], self.shape[x]),
            spacing=(self.spacing[z], self.spacing[y], self.spacing[x]),
            origin=(first_x, first_y, first_z),
            # adding 0.0 turns -0.0 into 0.0, which headers would otherwise show
            direction=direction_rows(columns[:, ::-1] + 0.0),
        )

    def _to_lps(self) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        """Match each array axis with the patient axis it runs along, best match first."""
        own = np.asarray(self.direction, float)[::-1, ::-1]  # rows z y x, columns z y x
        weight = np.abs(own)
        axes = [0, 0, 0]
        flips = [False, False, False]
        for _ in range(3):
            patient, axis = np.unravel_index(int(weight.argmax()), (3, 3))
            axes[axis] = int(patient)
            flips[axis] = bool(own[patient, axis] < 0)
            weight[patient, :] = -1
            weight[:, axis] = -1
        return (axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2])

    @property
    def source(self) -> "Geometry":
        """The source's own grid, before flips and permutations."""
        z, y, x = (self.source_axes.index(k) for k in range(3))
        flips = self.source_flips
        return self._turned((z, y, x), (flips[z], flips[y], flips[x]))

    def from_source(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a view, on this grid, of an array that lies on the source's own grid."""
        flipped = array[tuple(slice(None, None, -1 if f else 1) for f in self.source_flips)]
        return flipped.transpose(np.argsort(self.source_axes))

    def to_source(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a view, on the source's own grid, of an array that lies on this grid."""
        turned = array.transpose(self.source_axes)
        return turned[tuple(slice(None, None, -1 if f else 1) for f in self.source_flips)]


def direction_rows(matrix: npt.ArrayLike) -> tuple[Triple, Triple, Triple]:
    """Return a (3, 3) direction matrix as the rows that `Geometry` holds."""
    one, two, three = ((float(a), float(b), float(c)) for a, b, c in np.asarray(matrix))
    return one, two, three


@dataclass(frozen=True)
class SourceSlice:
    """One DICOM slice that a scan was read from.

    Attributes
    ----------
    path
        Its file.
    uid
        SOP instance UID; all frames of a multi-frame file have the same.
    frame
        The number of the frame in its file, from 1; 0 in a file of one slice.
    position
        Centre of its first pixel, LPS millimetres (x, y, z).
    """

    path: Path
    uid: str
    frame: int
    position: Triple


@dataclass(frozen=True)
class Source:
    """Where a volume came from.

    Attributes
    ----------
    path
        The file or DICOM folder, or None for what was made in memory.
    format
        ``"dicom"``, ``"mhd"``, ``"mha"``, ``"nifti"``, ``"nrrd"`` or ``"memory"``;
        of masks also ``"seg"`` or ``"rtstruct"``.
    series_uid
        DICOM series instance UID, or an empty string.
    modality
        DICOM modality, ``"CT"`` where the format does not tell.
    window_hu
        (low, high) that the header proposes for display, if any.
    warnings
        What was mended on reading, in words.
    slices
        Of a DICOM series its slices, in order along the z axis of the source's
        own grid; else none. One slice for each plane of that grid, unless the
        series was tilted or uneven and had to be resampled.
    plane
        The grid (1, rows, columns) of the first slice; the others differ in
        position only.
    """

    path: Path | None = None
    format: str = "memory"
    series_uid: str = ""
    modality: str = "CT"
    window_hu: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    slices: tuple[SourceSlice, ...] = ()
    plane: Geometry | None = None


@dataclass(frozen=True, eq=False)
class Volume:
    """A (z, y, x) array with its geometry.

    Attributes
    ----------
    array
        Voxels in (z, y, x) order, stored values and dtype as in the source:
        HU for a CT, labels for a mask, 0 to 1 for a probability.
    geometry
        The grid; ``geometry.shape == array.shape``.
    kind
        What the values mean.
    scan_id
        Series UID, or the file stem where there is none.
    patient_id
        DICOM patient, a column the user named, or ``scan_id``.
    source
        Where it came from.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    kind: Kind = "ct"
    scan_id: str = ""
    patient_id: str = ""
    source: Source = field(default_factory=Source)

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            message = f"array {self.array.shape} and geometry {self.geometry.shape} differ"
            raise ValueError(message)

    @property
    def title(self) -> str:
        """What a person knows it by: its file, or the last two folders of a DICOM series."""
        path = self.source.path
        if path is None:
            return self.scan_id or "no name"
        # folders of slices are often all called alike
        return "/".join(path.parts[-2:]) if self.source.format == "dicom" else path.name

    def hu(self) -> npt.NDArray[Any]:
        """Return a copy of a CT in which padding, out-of-field values and NaN are -1024 HU."""
        if np.issubdtype(self.array.dtype, np.integer) and np.iinfo(self.array.dtype).min > AIR_HU:
            return self.array.copy()
        # fmax, not maximum: it prefers a number to NaN
        return np.fmax(self.array, np.asarray(AIR_HU, dtype=self.array.dtype))

    def mask(self, array: npt.NDArray[Any]) -> "Volume":
        """Return a mask on the grid of this volume, known by the same ids."""
        return replace(self, array=array, kind="mask")

    def probability(self, array: npt.NDArray[Any]) -> "Volume":
        """Return a probability on the grid of this volume, known by the same ids."""
        return replace(self, array=array, kind="probability")
