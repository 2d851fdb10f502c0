"""Pictures of a CT with outlines of truth and prediction: PNG bytes, drawn without a display."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from napari_ctlns.drawing import (
    LUNG_WINDOW_HU,
    PREDICTED_COLOUR,
    TRUE_COLOUR,
    Dashes,
    draw_outline,
    png_of,
)
from napari_ctlns.volume import Geometry

CLOSE_UP_MM = 64.0

_ROW_INCHES = 2.5
_HEAD_INCHES = 0.5
_FOOT_INCHES = 0.28
_GAP_INCHES = 0.05
_PLANES = (("axial", 0), ("coronal", 1), ("sagittal", 2))

_TRUE_DASHES: Dashes = "solid"
_PREDICTED_DASHES: Dashes = (0, (2, 1.5))
"""Through the gaps the truth is seen where both agree."""

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Place:
    """Where to look in a scan: an index (z, y, x), and words to put above the picture."""

    index: tuple[int, int, int]
    title: str = ""


@dataclass(frozen=True, eq=False)
class _View:
    """A piece of a plane as it will be shown, the first row on top; ``pixel_mm`` is (y, x)."""

    title: str
    hu: _Array
    true: _Array | None
    predicted: _Array | None
    pixel_mm: tuple[float, float]

    @property
    def width_inches(self) -> float:
        """Of a picture that is one row high."""
        height, width = (n * mm for n, mm in zip(self.hu.shape, self.pixel_mm, strict=True))
        return float(_ROW_INCHES * width / height)


def close_ups_png(
    hu: _Array,
    geometry: Geometry,
    true: _Array | None,
    predicted: _Array | None,
    places: Sequence[Place],
    title: str = "",
    size_mm: float = CLOSE_UP_MM,
) -> bytes:
    """Draw axial pieces of a CT, side by side: bare, and below with both outlines.

    Parameters
    ----------
    hu
        (z, y, x).
    geometry
        Its grid.
    true, predicted
        Masks (z, y, x); None: not drawn.
    places
        The centres of the pieces, at least one.
    title
        Stands above them all.
    size_mm
        Sides of a piece; cut where the scan ends.

    Returns
    -------
    bytes
        PNG.
    """
    views = []
    for place in places:
        box = (place.index[0], *_piece(geometry, place.index, size_mm))
        views.append(_view(place.title, hu, true, predicted, box, geometry.spacing[1:]))
    return _sheet(title, views)


def planes_png(
    hu: _Array,
    geometry: Geometry,
    true: _Array,
    predicted: _Array,
    index: tuple[int, int, int],
    title: str = "",
) -> bytes:
    """Draw a CT's whole axial, coronal and sagittal plane: bare, and with both outlines.

    Parameters
    ----------
    hu
        (z, y, x), LPS as nearly as can be, as all prepared scans are.
    geometry
        Its grid.
    true, predicted
        Masks (z, y, x).
    index
        The voxel (z, y, x) through which the planes go.
    title
        Stands above them all.

    Returns
    -------
    bytes
        PNG; the head is on top of the coronal and the sagittal plane.
    """
    views = []
    for name, axis in _PLANES:
        # z grows towards the head, rows of a picture towards its foot
        box: list[Any] = [slice(None, None, -1), slice(None), slice(None)]
        box[axis] = index[axis]
        row_mm, column_mm = (s for k, s in enumerate(geometry.spacing) if k != axis)
        views.append(_view(name, hu, true, predicted, tuple(box), (row_mm, column_mm)))
    return _sheet(title, views)


def _view(
    title: str,
    hu: _Array,
    true: _Array | None,
    predicted: _Array | None,
    box: tuple[Any, ...],
    pixel_mm: tuple[float, ...],
) -> _View:
    parts = [None if mask is None else np.asarray(mask[box]) != 0 for mask in (true, predicted)]
    return _View(title, np.asarray(hu[box]), parts[0], parts[1], (pixel_mm[0], pixel_mm[1]))


def _sheet(title: str, views: Sequence[_View]) -> bytes:
    """Draw views in a row, bare above and outlined below, with a heading and a legend."""
    widths = [view.width_inches for view in views]
    width = max(sum(widths) + _GAP_INCHES * (len(views) + 1), 2 * _ROW_INCHES)
    height = _HEAD_INCHES + 2 * _ROW_INCHES + _GAP_INCHES + _FOOT_INCHES
    figure = Figure(figsize=(width, height), dpi=110, facecolor="black")
    left = (width - sum(widths) - _GAP_INCHES * (len(views) - 1)) / 2
    for view, view_width in zip(views, widths, strict=True):
        for row in (0, 1):
            bottom = _FOOT_INCHES + row * (_ROW_INCHES + _GAP_INCHES)
            place = (left / width, bottom / height, view_width / width, _ROW_INCHES / height)
            ax = figure.add_axes(place)
            _draw(ax, view)
            if row:
                ax.set_title(view.title, color="white", fontsize=8, pad=3)
            else:
                _outline(ax, view.true, TRUE_COLOUR, _TRUE_DASHES)
                _outline(ax, view.predicted, PREDICTED_COLOUR, _PREDICTED_DASHES)
        left += view_width + _GAP_INCHES
    figure.text(0.5, 1 - 0.06 / height, title, color="white", fontsize=9, ha="center", va="top")
    _legend(figure)
    return png_of(figure)


def _draw(ax: Axes, view: _View) -> None:
    low, high = LUNG_WINDOW_HU
    ax.imshow(view.hu, cmap="gray", vmin=low, vmax=high, aspect=view.pixel_mm[0] / view.pixel_mm[1])
    ax.set_axis_off()


def _outline(ax: Axes, mask: _Array | None, colour: str, dashes: Dashes) -> None:
    if mask is not None:
        draw_outline(ax, mask, colour, 1.5, dashes)


def _legend(figure: Figure) -> None:
    kinds = ((TRUE_COLOUR, _TRUE_DASHES), (PREDICTED_COLOUR, _PREDICTED_DASHES))
    lines = [Line2D([], [], color=c, linewidth=2, linestyle=dashes) for c, dashes in kinds]
    figure.legend(
        lines,
        ["truth", "prediction"],
        loc="lower center",
        ncols=2,
        frameon=False,
        fontsize=8,
        labelcolor="white",
        borderaxespad=0.1,
    )


def _piece(geometry: Geometry, index: tuple[int, int, int], size_mm: float) -> tuple[slice, slice]:
    """Return rows and columns of ``size_mm`` around an index, moved to lie in the scan."""
    parts = []
    for axis in (1, 2):
        length = geometry.shape[axis]
        count = min(max(round(size_mm / geometry.spacing[axis]), 2), length)
        start = int(np.clip(index[axis] - count // 2, 0, length - count))
        parts.append(slice(start, start + count))
    return parts[0], parts[1]
