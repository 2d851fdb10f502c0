"""Small pictures of nodules: an axial crop of the scan with the outline of the mask; without Qt."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.events import Event, Finished, Started
from napari_ctlns.masks.components import Box
from napari_ctlns.masks.label_box import box_of
from napari_ctlns.plugin.windowing import PRESETS, Window
from napari_ctlns.volume import Volume

PIXELS = 40
"""Along each side of a picture."""
_AROUND = 2.2
"""How wide a picture is, as a multiple of what the nodule measures on its slice."""
_LEAST_MM = 22.0


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A picture of a nodule.

    Attributes
    ----------
    grey
        (y, x), 0 to 255.
    outline
        (y, x), where the mask's border is drawn, in the colour the label has now.
    """

    grey: npt.NDArray[np.uint8]
    outline: npt.NDArray[np.bool_]


def thumbnails_job(mask: Volume, scan: Volume, within: Mapping[int, Box]) -> Iterator[Event]:
    """Draw nodules; `Finished` has ``thumbnails``, by label, of those that have voxels.

    Parameters
    ----------
    mask, scan
        On one grid; both are read as they are.
    within
        Boxes that hold all of each nodule.
    """
    yield Started(title="Draw nodules")
    drawn = {label: thumbnail(mask, scan, label, box) for label, box in within.items()}
    found = {label: picture for label, picture in drawn.items() if picture is not None}
    yield Finished(result={"thumbnails": found})


def thumbnail(
    mask: Volume, scan: Volume, label: int, within: Box, window: Window = PRESETS["lung"]
) -> Thumbnail | None:
    """Draw a nodule on the axial slice that has most of it; None if it has no voxels."""
    box = box_of(mask.array, label, within)
    if box is None:
        return None
    inside = mask.array[box] == label
    z = int(inside.sum(axis=(1, 2)).argmax())
    spacing = np.array(mask.geometry.spacing[1:])
    edges = [np.flatnonzero(inside[z].any(axis=1 - axis))[[0, -1]] for axis in range(2)]
    low, high = np.array([b.start for b in box[1:]]) + np.transpose(edges)
    side = max(float(((high - low + 1) * spacing).max()) * _AROUND, _LEAST_MM)
    steps = (np.arange(PIXELS) + 0.5) / PIXELS * side - side / 2
    rows, columns = (((low + high) / 2)[axis] + steps / spacing[axis] for axis in range(2))
    plane = box[0].start + z
    grey = _sampled(scan.array[plane], rows, columns, order=1, beyond=window.low)
    drawn = _sampled(mask.array[plane] == label, rows, columns, order=0, beyond=0).astype(bool)
    shade = np.clip((grey - window.low) / max(window.high - window.low, 1e-6), 0, 1) * 255
    return Thumbnail(shade.astype(np.uint8), ndimage.binary_dilation(drawn) & ~drawn)


def _sampled(
    plane: npt.NDArray[Any],
    rows: npt.NDArray[np.floating[Any]],
    columns: npt.NDArray[np.floating[Any]],
    order: int,
    beyond: float,
) -> npt.NDArray[np.float32]:
    """Return a plane at some rows and columns, read no further than they go."""
    corner = [max(int(np.floor(axis[0])), 0) for axis in (rows, columns)]
    end = [
        min(int(np.ceil(axis[-1])) + 1, n)
        for axis, n in zip((rows, columns), plane.shape, strict=True)
    ]
    crop = plane[corner[0] : end[0], corner[1] : end[1]].astype(np.float32)
    grid = np.meshgrid(rows - corner[0], columns - corner[1], indexing="ij")
    return ndimage.map_coordinates(crop, grid, order=order, mode="constant", cval=beyond)
