"""What a layer looks like in a plane: pictures of one slice, made again only when it changed.

Slices are cut from the layers' own arrays, so nothing is held twice but the slices on show.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.events import disconnect_events
from qtpy.QtGui import QImage

from napari_ctlns.plugin.plane_geometry import LayerGrid, Plane, grid_of
from napari_ctlns.volume import Triple

Array = npt.NDArray[Any]
_CUT_ANEW = ("data", "labels_update", "scale", "translate", "rotate", "shear", "affine")
_COLOUR_ANEW = (
    "contrast_limits",
    "gamma",
    "colormap",
    "contour",
    "selected_label",
    "show_selected_label",
)
_DRAW_ANEW = ("opacity", "blending", "visible", "interpolation2d")
_SHADES = 256
_LARGEST_TABLE = 1 << 16


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, and where it belongs.

    Attributes
    ----------
    image
        Rows from the top of the picture.
    across, down
        Where it begins and ends on the axes of the columns and of the rows, mm.
    opacity
        0 to 1.
    smooth
        Whether to interpolate where it is enlarged.
    adds
        Whether its light is added to what lies below it.
    """

    image: QImage
    across: tuple[float, float]
    down: tuple[float, float]
    opacity: float
    smooth: bool
    adds: bool


@dataclass(eq=False)
class _Cut:
    """A slice of a layer, and its picture once it was drawn."""

    index: int
    values: Array
    picture: tuple[QImage, tuple[float, float], tuple[float, float]] | None = None


class LayerPictures:
    """Pictures of a scan or a labels layer in any plane.

    Parameters
    ----------
    layer
        An image in shades or labels, with three axes.
    viewer
        Where it is shown.
    changed
        Called when it looks different.
    """

    def __init__(
        self, layer: Image | Labels, viewer: ViewerModel, changed: Callable[[], None]
    ) -> None:
        self._layer = layer
        self._viewer = weakref.ref(viewer)
        self._changed = changed
        self._grid: LayerGrid | None = grid_of(layer)
        self._cuts: dict[int, _Cut] = {}
        self._table: Array | None = None
        self._sliced_at: object = None
        names = {
            self._cut_anew: _CUT_ANEW,
            self._colour_anew: _COLOUR_ANEW,
            self._draw_anew: _DRAW_ANEW,
            self._sliced: ("set_data",),
        }
        for does, events in names.items():
            for name in events:
                if name in layer.events.emitters:
                    getattr(layer.events, name).connect(does)

    def leave(self) -> None:
        """Follow the layer no longer."""
        disconnect_events(self._layer.events, self)
        self._cuts.clear()

    def picture(self, plane: Plane, point: Triple) -> Picture | None:
        """Return what the layer looks like in the slice through a point; None: nothing there."""
        layer, grid = self._layer, self._grid
        if grid is None or not layer.visible:
            return None
        index = grid.index(plane.axis, point[plane.axis])
        if not 0 <= index < layer.data.shape[plane.axis]:
            return None
        cut = self._cuts.get(plane.axis)
        if cut is None or cut.index != index:
            key = tuple(index if axis == plane.axis else slice(None) for axis in range(3))
            cut = self._cuts[plane.axis] = _Cut(index, np.array(layer.data[key]))
        if cut.picture is None:
            cut.picture = self._draw(cut.values, plane, grid)
        image, across, down = cut.picture
        return Picture(
            image,
            across,
            down,
            float(layer.opacity),
            getattr(layer, "interpolation2d", "nearest") != "nearest",
            layer.blending == "additive",
        )

    def _draw(
        self, values: Array, plane: Plane, grid: LayerGrid
    ) -> tuple[QImage, tuple[float, float], tuple[float, float]]:
        first_row = first_column = 0
        if isinstance(self._layer, Labels):
            values, first_row, first_column = _where_something_is(values)
            image = self._labels(values, plane.upwards)
        else:
            image = self._shades(self._layer, values, plane.upwards)
        rows, columns = values.shape
        step_down, step_across = grid.spacing[plane.down], grid.spacing[plane.across]
        top = grid.edges(plane.down, rows)[0] + first_row * step_down
        left = grid.edges(plane.across, columns)[0] + first_column * step_across
        return image, (left, left + columns * step_across), (top, top + rows * step_down)

    def _shades(self, layer: Image, values: Array, upwards: bool) -> QImage:
        low, high = (float(v) for v in layer.contrast_limits)
        shades = (values.astype(np.float32) - low) * ((_SHADES - 1) / max(high - low, 1e-9))
        shades = np.nan_to_num(shades, copy=False).clip(0, _SHADES - 1)
        image = _image(shades.astype(np.uint8), QImage.Format.Format_Indexed8, upwards)
        if self._table is None:
            steps = np.linspace(0, 1, _SHADES) ** float(layer.gamma)
            self._table = _packed(np.asarray(layer.colormap.map(steps)))
        image.setColorTable(self._table.tolist())
        return image

    def _labels(self, values: Array, upwards: bool) -> QImage:
        layer = self._layer
        if layer.contour > 0:
            values = np.where(_edge(values, layer.contour), values, 0)
        colours = self._colours(values)
        return _image(colours, QImage.Format.Format_ARGB32_Premultiplied, upwards)

    def _colours(self, values: Array) -> Array:
        """Return the packed colours of labels, by a table where labels are small numbers."""
        low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
        if low < 0 or high >= _LARGEST_TABLE:
            labels, which = np.unique(values, return_inverse=True)
            return _packed(np.asarray(self._layer.colormap.map(labels)))[which]
        if self._table is None or self._table.size <= high:
            self._table = _packed(np.asarray(self._layer.colormap.map(np.arange(high + 1))))
        return self._table[values]

    # -- what napari tells ----------------------------------------------------------------

    def _cut_anew(self, _event: Any = None) -> None:
        self._grid = grid_of(self._layer)
        self._cuts.clear()
        self._changed()

    def _colour_anew(self, _event: Any = None) -> None:
        self._table = None
        for cut in self._cuts.values():
            cut.picture = None
        self._changed()

    def _draw_anew(self, _event: Any = None) -> None:
        self._changed()

    def _sliced(self, _event: Any = None) -> None:
        """Look again where napari drew the slice that it showed before: its voxels are others.

        It tells of undo, and of arrays that were written into, only so.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        dims = viewer.dims
        now = (dims.point, dims.order, dims.ndisplay)
        if now == self._sliced_at:
            self._cut_anew()
        self._sliced_at = now


def can_be_drawn(layer: Layer) -> bool:
    """Whether planes can show a layer: shades or labels, three axes, one resolution."""
    if not isinstance(layer, Image | Labels) or layer.ndim != 3 or layer.multiscale:
        return False
    return not getattr(layer, "rgb", False)


def _where_something_is(values: Array) -> tuple[Array, int, int]:
    """Return the part of a slice that has labels, and its first row and column."""
    rows = np.flatnonzero(values.any(axis=1))
    if not rows.size:
        return values[:0, :0], 0, 0
    columns = np.flatnonzero(values.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return values[top : rows[-1] + 1, left : columns[-1] + 1], top, left


def _edge(values: Array, thickness: int) -> npt.NDArray[np.bool_]:
    """Return what lies within some pixels of another label; outside the part lies none."""
    inner = np.pad(values, 1)
    core = np.ones(values.shape, bool)
    for _ in range(thickness):
        middle = inner[1:-1, 1:-1]
        same = [inner[:-2, 1:-1], inner[2:, 1:-1], inner[1:-1, :-2], inner[1:-1, 2:]]
        core &= np.logical_and.reduce([side == middle for side in same])
        inner = np.pad(np.where(core, values, 0), 1)
    return ~core


def _packed(colours: Array) -> npt.NDArray[np.uint32]:
    """Return colours (n, 4) of 0 to 1 as Qt packs them, alpha multiplied in."""
    parts = np.clip(colours, 0, 1).astype(np.float64)
    parts[:, :3] *= parts[:, 3:]
    red, green, blue, alpha = (np.rint(255 * part).astype(np.uint32) for part in parts.T)
    return (alpha << 24) | (red << 16) | (green << 8) | blue


def _image(values: Array, kind: QImage.Format, upwards: bool) -> QImage:
    """Return an image of its own memory, its rows turned round if they run upwards."""
    values = np.ascontiguousarray(values[::-1] if upwards else values)
    rows, columns = values.shape
    if not values.size:
        return QImage()
    return QImage(values.tobytes(), columns, rows, values.strides[0], kind).copy()
