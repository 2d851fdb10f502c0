"""Curves for reports: PNG bytes, drawn without a display and without global state."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from napari_ctlns.drawing import png_of

_GREY = "#8a919c"
_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#D55E00", "#0072B2")


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
