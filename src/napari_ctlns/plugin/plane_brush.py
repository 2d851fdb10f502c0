"""napari's label tools in a plane that napari does not show: the brush, the rubber, the bucket.

`Labels.paint` and `Labels.fill` know the plane of napari's own canvas only. Here the voxels are
found in any plane, by the same rules, and written by `Labels.data_setitem`: one stroke is one
step of the one history that the layer has, and whoever follows the layer hears of it.
"""

from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from napari_ctlns.plugin.plane_geometry import Plane, grid_of
from napari_ctlns.volume import Triple

Box = tuple[slice, ...]
TOOLS = ("paint", "erase", "fill", "pick")
"""napari's modes of a labels layer that work in every plane."""


def brush_voxels(
    shape: tuple[int, ...],
    spacing: Triple,
    size: float,
    way: tuple[Triple, Triple],
    axes: tuple[int, ...],
) -> tuple[Box, npt.NDArray[np.bool_]] | None:
    """Return the voxels under a brush that goes some way.

    Parameters
    ----------
    shape
        Of the mask (z, y, x).
    spacing
        Of its voxels, mm.
    size
        Diameter of the brush, in voxels of the finest axis painted on, as napari counts it: the
        brush is round in millimetres.
    way
        From where to where, fractional indices.
    axes
        On which it is extended: two for a disc, three for a ball.

    Returns
    -------
    (box, inside) or None
        The box on all three axes, and which of its voxels it meets; None if it meets none.
    """
    radius = np.floor(size / 2) + 0.5
    steps = np.asarray(spacing)
    relative = np.where(np.isin(range(3), axes), steps / steps[list(axes)].min(), np.inf)
    reach = np.floor(radius / relative).astype(int)
    centres = _centres(way, size)
    low = np.maximum(centres.min(axis=0) - reach, 0)
    high = np.minimum(centres.max(axis=0) + reach + 1, shape)
    if (low >= high).any():
        return None
    inside = np.zeros(high - low, bool)
    for centre in centres - low:
        first = np.maximum(centre - reach, 0)
        last = np.minimum(centre + reach + 1, inside.shape)
        if (first >= last).any():
            continue
        box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        squares = 0.0
        for axis, along in enumerate(np.ogrid[box]):
            if axis in axes:
                squares = squares + ((along - centre[axis]) * relative[axis]) ** 2
        inside[box] |= squares <= radius**2
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)), inside


def _centres(way: tuple[Triple, Triple], size: float) -> npt.NDArray[np.int_]:
    """Return the voxels in which the brush is put down on its way, each once."""
    start, end = np.asarray(way, float)
    steps = max(1, round(float(np.abs(end - start).max()) / size * 4))
    shares = np.arange(1, steps + 1)[:, None] / steps
    return np.unique(np.round(start + shares * (end - start)).astype(int), axis=0)


class Stroke:
    """What is done to a labels layer from pressing a button to letting it go: one step of undo.

    Parameters
    ----------
    layer
        In one of the modes of `TOOLS`; its brush size, label, and rules count.
    plane
        The plane that it is done in.
    """

    def __init__(self, layer: Labels, plane: Plane) -> None:
        self._layer = layer
        self._plane = plane
        self._mode = str(layer.mode)
        self._last: Triple | None = None
        self._step = ExitStack()
        self._step.enter_context(layer.block_history())

    def to(self, point: Triple) -> None:
        """Go on to a point of the slice, canvas millimetres; the bucket and picking look there."""
        grid = grid_of(self._layer)
        if grid is None:
            return
        here = grid.voxel(point)
        if self._mode == "pick":
            _pick(self._layer, here)
        elif self._mode == "fill":
            self._write(_flood(self._layer, here, self._axes()))
        else:
            way = (self._last or here, here)
            size = float(self._layer.brush_size)
            shape = self._layer.data.shape
            self._write(brush_voxels(shape, grid.spacing, size, way, self._axes()))
        self._last = here

    def end(self) -> None:
        """Let go: what was done becomes one step."""
        self._step.close()

    def _axes(self) -> tuple[int, ...]:
        if self._layer.n_edit_dimensions == 3:
            return (0, 1, 2)
        return (self._plane.down, self._plane.across)

    def _write(self, found: tuple[Box, npt.NDArray[np.bool_]] | None) -> None:
        if found is None:
            return
        box, inside = found
        layer = self._layer
        nothing = int(layer.colormap.background_value)
        label = nothing if self._mode == "erase" else int(layer.selected_label)
        there = np.asarray(layer.data[box])
        changes = inside & (there != label)
        if layer.preserve_labels:
            changes &= there == _may_be_replaced(layer, label, nothing)
        places = np.nonzero(changes)
        if places[0].size:
            layer.data_setitem(
                tuple(at + side.start for at, side in zip(places, box, strict=True)), label
            )


def _may_be_replaced(layer: Labels, label: int, nothing: int) -> int:
    """Return the one label that gives way while napari preserves labels."""
    if label != nothing:
        return nothing
    # the label that was painted with before 0 was chosen; napari tells it nowhere else
    before = getattr(layer, "_prev_selected_label", None)
    return int(layer.selected_label if before is None else before)


def _inside(layer: Labels, voxel: Triple) -> tuple[int, int, int] | None:
    z, y, x = (int(np.round(v)) for v in voxel)
    fits = all(0 <= i < n for i, n in zip((z, y, x), layer.data.shape, strict=True))
    return (z, y, x) if fits else None


def _pick(layer: Labels, voxel: Triple) -> None:
    at = _inside(layer, voxel)
    layer.selected_label = 0 if at is None else int(layer.data[at])


def _flood(
    layer: Labels, voxel: Triple, axes: tuple[int, ...]
) -> tuple[Box, npt.NDArray[np.bool_]] | None:
    """Return what the bucket fills: all that hangs together there, or has the same label."""
    at = _inside(layer, voxel)
    if at is None:
        return None
    box = tuple(slice(None) if axis in axes else slice(i, i + 1) for axis, i in enumerate(at))
    whole = tuple(slice(*side.indices(n)) for side, n in zip(box, layer.data.shape, strict=True))
    there: npt.NDArray[Any] = np.asarray(layer.data[whole])
    seed = tuple(i - side.start for i, side in zip(at, whole, strict=True))
    if not layer.contiguous:
        return whole, there == there[seed]
    from skimage.segmentation import flood  # slow to import, seldom needed

    return whole, np.asarray(flood(there, seed, connectivity=1), bool)
