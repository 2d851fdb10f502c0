"""Three planes through a nodule: voxels as PNG, outline and axes as lines over them, in mm.

The lines are vectors of the page, so they stay sharp at any size and on paper.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage.measure import find_contours

from napari_ctlns.drawing import LUNG_WINDOW_HU
from napari_ctlns.masks.components import Box
from napari_ctlns.volume import FloatArray, Volume

SMALLEST_FIELD_MM = 50.0
"""So much is seen at least: enough of the lung around a small nodule to know the place by."""
_ROOM = 1.3
_MANY_MM = 100.0

_PLANES = (
    # name, axis looked along, axis of rows, of columns, letters at the left, right, top, bottom
    ("axial", 0, 1, 2, "RLAP"),
    ("coronal", 1, 0, 2, "RLHF"),
    ("sagittal", 2, 0, 1, "APHF"),
)

Line = tuple[float, float, float, float]
"""From x, y to x, y."""


@dataclass(frozen=True)
class KeyPicture:
    """A plane through a nodule; places are mm from the middle, x to the right, y down.

    Attributes
    ----------
    plane, place
        Its name, and where it lies in words.
    png
        The voxels that are seen, grey, in the lung window.
    box
        x, y, width and height of them.
    outline
        Of the nodule, as an SVG path.
    long_axis, short_axis
        Where they lie on this plane.
    letters
        Of the patient's sides at the left, right, top and bottom.
    """

    plane: str
    place: str
    png: bytes
    box: Line
    outline: str
    letters: str
    long_axis: Line | None = None
    short_axis: Line | None = None


@dataclass(frozen=True)
class KeyPictures:
    """The pictures of a nodule: ``field_mm`` wide and high, with a bar of ``bar_mm``."""

    field_mm: float
    bar_mm: float
    pictures: tuple[KeyPicture, ...]


def key_pictures(scan: Volume, mask: Volume, box: Box, row: Mapping[str, Any]) -> KeyPictures:
    """Return the axial plane of a nodule's long axis, and coronal and sagittal through its middle.

    Parameters
    ----------
    scan, mask
        On one grid, axes along LPS as nearly as can be.
    box
        That fits the nodule.
    row
        Of the table with details: label, centroid, the slice and the ends of the axes.
    """
    geometry = scan.geometry
    spacing = np.asarray(geometry.spacing)
    middle = geometry.world_to_index([row[f"centroid_{axis}_mm"] for axis in "xyz"])
    edges = np.array([[part.start - 0.5, part.stop - 0.5] for part in box])
    reach = (np.abs(edges - middle[:, None]) * spacing[:, None]).max()
    field_mm = float(max(SMALLEST_FIELD_MM, 2 * _ROOM * reach))
    at = np.clip(np.rint(middle), 0, np.array(geometry.shape) - 1).astype(int)
    at[0] = int(row["long_axis_slice"])
    pictures = tuple(_picture(scan, mask, row, middle, at, field_mm, *plane) for plane in _PLANES)
    return KeyPictures(field_mm, 20.0 if field_mm > _MANY_MM else 10.0, pictures)


def _picture(
    scan: Volume,
    mask: Volume,
    row: Mapping[str, Any],
    middle: FloatArray,
    at: npt.NDArray[Any],
    field_mm: float,
    name: str,
    along: int,
    down: int,
    across: int,
    letters: str,
) -> KeyPicture:
    geometry = scan.geometry
    parts: list[Any] = [int(k) for k in at]
    for axis in (down, across):
        reach = field_mm / 2 / geometry.spacing[axis] + 1
        start = max(int(np.floor(middle[axis] - reach)), 0)
        parts[axis] = slice(start, min(int(np.ceil(middle[axis] + reach)), geometry.shape[axis]))
    view = _View(
        (parts[down].start, parts[across].start),
        (middle[down], middle[across]),
        # z grows towards the head, rows of a picture towards its foot
        (
            -geometry.spacing[down] if down == 0 else geometry.spacing[down],
            geometry.spacing[across],
        ),
    )
    hu = scan.array[tuple(parts)]
    inside = mask.array[tuple(parts)] == int(row["label"])
    place = float(geometry.index_to_world(at)[2 - along])
    long_axis, short_axis = _axes(scan, row, view) if along == 0 else (None, None)
    return KeyPicture(
        plane=name,
        place=f"{'zyx'[along]} = {place:.1f} mm".replace("-", "\N{MINUS SIGN}"),
        png=_png(hu[::-1] if down == 0 else hu),
        box=view.box(hu.shape),
        outline=view.path(inside),
        letters=letters,
        long_axis=long_axis,
        short_axis=short_axis,
    )


@dataclass(frozen=True)
class _View:
    """From voxels of a piece of a plane (row, column) to mm from the nodule's middle.

    ``start`` is the piece's first voxel, ``middle`` the nodule's, in the plane; ``step``
    millimetres of a voxel, below 0 where rows run upwards.
    """

    start: tuple[int, int]
    middle: tuple[float, float]
    step: tuple[float, float]

    def places(self, voxels: npt.ArrayLike) -> FloatArray:
        """Return (n, xy) of (n, row column) of the piece."""
        there = np.asarray(voxels, float) + self.start - self.middle
        return np.asarray((there * self.step)[:, ::-1])

    def box(self, shape: tuple[int, ...]) -> Line:
        """Return x, y, width and height of the whole piece."""
        corners = self.places([(-0.5, -0.5), (shape[0] - 0.5, shape[1] - 0.5)])
        x, y = (float(v) for v in corners.min(axis=0))
        width, height = (float(v) for v in np.ptp(corners, axis=0))
        return x, y, width, height

    def path(self, inside: npt.NDArray[np.bool_]) -> str:
        """Return the outline of a mask of the piece as an SVG path."""
        contours = find_contours(np.pad(inside, 1).astype(float), 0.5)
        return "".join(f"M{_points(self.places(contour[:-1] - 1))}Z" for contour in contours)


def _points(places: FloatArray) -> str:
    return "L".join(f"{x:.2f} {y:.2f}" for x, y in places.tolist())


def _axes(scan: Volume, row: Mapping[str, Any], view: _View) -> tuple[Line, Line]:
    lines = []
    for axis in ("long", "short"):
        ends = [[row[f"{axis}_axis_{end}_{k}_mm"] for k in "xyz"] for end in ("start", "end")]
        index = scan.geometry.world_to_index(ends)[:, 1:]
        (x, y), (to_x, to_y) = view.places(index - view.start).tolist()
        lines.append((x, y, to_x, to_y))
    return lines[0], lines[1]


def _png(hu: npt.NDArray[Any]) -> bytes:
    low, high = LUNG_WINDOW_HU
    share = np.clip((np.nan_to_num(hu.astype(float), nan=low) - low) / (high - low), 0, 1)
    file = io.BytesIO()
    grey = np.rint(share * 255).astype(np.uint8)
    Image.fromarray(np.ascontiguousarray(grey)).save(file, format="png", optimize=True)
    return file.getvalue()
