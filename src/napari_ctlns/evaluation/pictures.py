"""Pictures for reports: PNG bytes, drawn without a display and without global state."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from napari_ctlns.volume import Geometry

TRUE_COLOUR = "#E69F00"
PREDICTED_COLOUR = "#56B4E9"
"""Orange and sky blue (Okabe and Ito 2008) differ for every kind of colour vision."""

LUNG_WINDOW_HU = (-1350, 150)
_GREY = "#8a919c"
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2")


@dataclass(frozen=True)
class Place:
    """Where to look in a scan: an index (z, y, x), and words to put above the picture."""

    index: tuple[int, int, int]
    title: str = ""


def overlay_png(
    hu: npt.NDArray[Any],
    geometry: Geometry,
    true: npt.NDArray[Any] | None,
    predicted: npt.NDArray[Any] | None,
    places: Sequence[Place],
    size_mm: float = 64.0,
) -> bytes:
    """Draw axial pieces of a CT, side by side, with outlines of truth and prediction.

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
    size_mm
        Sides of a piece; cut where the scan ends.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(2.6 * len(places), 2.85), dpi=110, facecolor="black")
    axes = figure.subplots(1, len(places), squeeze=False)[0]
    for ax, place in zip(axes, places, strict=True):
        rows, columns = _piece(geometry, place.index, size_mm)
        z = place.index[0]
        extent = (columns.start - 0.5, columns.stop - 0.5, rows.stop - 0.5, rows.start - 0.5)
        low, high = LUNG_WINDOW_HU
        ax.imshow(
            hu[z, rows, columns],
            cmap="gray",
            vmin=low,
            vmax=high,
            extent=extent,
            aspect=geometry.spacing[1] / geometry.spacing[2],
        )
        _outline(ax, true, z, rows, columns, TRUE_COLOUR, 1.6)
        _outline(ax, predicted, z, rows, columns, PREDICTED_COLOUR, 1.1)
        ax.set_title(place.title, color="white", fontsize=8)
        ax.set_axis_off()
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.91, wspace=0.03)
    return png_of(figure)


def curves_png(history: pd.DataFrame) -> bytes:
    """Draw a training's losses, and beside them what it reached, epoch by epoch.

    Parameters
    ----------
    history
        A row an epoch, as in ``history.csv``: columns with "loss" in their names go
        left, those with "dice" or "accuracy" right. "epoch" is counted where missing.

    Returns
    -------
    bytes
        PNG with a transparent ground, legible on light and dark pages.
    """
    losses = [c for c in history.columns if "loss" in c]
    scores = [c for c in history.columns if "loss" not in c and ("dice" in c or "accuracy" in c)]
    epochs = history["epoch"] if "epoch" in history else pd.Series(range(1, len(history) + 1))
    figure = Figure(figsize=(9, 3.2), dpi=130)
    left, right = figure.subplots(1, 2)
    for ax, columns, label in ((left, losses, "loss"), (right, scores, "score")):
        for column, colour in zip(columns, _COLOURS * len(columns), strict=False):
            marker = "o" if len(history) < 30 else ""
            ax.plot(
                epochs,
                history[column],
                color=colour,
                label=column.replace("_", " "),
                marker=marker,
                markersize=3,
                linewidth=1.6,
            )
        _plain(ax, label)
    right.set_ylim(0, 1.02)
    figure.tight_layout()
    return png_of(figure)


def png_of(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png")  # Agg, as for every figure that pyplot does not manage
    return file.getvalue()


def _piece(geometry: Geometry, index: tuple[int, int, int], size_mm: float) -> tuple[slice, slice]:
    """Return rows and columns of ``size_mm`` around an index, moved to lie in the scan."""
    parts = []
    for axis in (1, 2):
        length = geometry.shape[axis]
        count = min(max(round(size_mm / geometry.spacing[axis]), 2), length)
        start = int(np.clip(index[axis] - count // 2, 0, length - count))
        parts.append(slice(start, start + count))
    return parts[0], parts[1]


def _outline(
    ax: Axes,
    mask: npt.NDArray[Any] | None,
    z: int,
    rows: slice,
    columns: slice,
    colour: str,
    width: float,
) -> None:
    if mask is None:
        return
    # a frame of background closes outlines at the edge of the piece
    part = np.pad((mask[z, rows, columns] != 0).astype(float), 1)
    if part.any():
        x = np.arange(columns.start - 1, columns.stop + 1)
        y = np.arange(rows.start - 1, rows.stop + 1)
        ax.contour(x, y, part, levels=[0.5], colors=[colour], linewidths=[width])


def _plain(ax: Axes, label: str) -> None:
    """Make axes that are quiet and legible on any ground."""
    ax.set_facecolor("none")
    ax.get_figure().patch.set_alpha(0)  # type: ignore[union-attr]
    ax.set_xlabel("epoch", color=_GREY)
    ax.set_ylabel(label, color=_GREY)
    ax.tick_params(colors=_GREY)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(color=_GREY, alpha=0.25, linewidth=0.6)
    for name, spine in ax.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(_GREY)
    if ax.lines:
        ax.legend(frameon=False, labelcolor=_GREY, fontsize=8)
