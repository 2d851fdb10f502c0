"""A picture of a search: how it went on, and the value against each thing searched."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from napari_ctlns.drawing import png_of
from napari_ctlns.recipe import Recipe, SearchRange
from napari_ctlns.tuning.rows import Row, best_row, direction

COMPLETE, PRUNED, BEST = "#0072B2", "#8a919c", "#D55E00"
"""Blue, grey and vermilion (Okabe and Ito 2008) differ for every kind of colour vision."""
_COLUMNS = 3
_FEW = 50
"""A log axis over a smaller factor has too few powers of ten to be read."""


def search_png(recipe: Recipe, rows: Sequence[Row]) -> bytes:
    """Draw each trial's value in the order of trials, and against each searched key.

    Parameters
    ----------
    recipe
        What was searched.
    rows
        Trials; at least one is complete.

    Returns
    -------
    bytes
        PNG.
    """
    judged = [row for row in rows if row.value is not None and row.state in ("complete", "pruned")]
    panels = 1 + len(recipe.search)
    columns = min(panels, _COLUMNS)
    lines = -(-panels // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * lines), dpi=120, layout="constrained")
    first, *others = figure.subplots(lines, columns, squeeze=False).ravel()
    low, high = _limits(recipe, rows)
    best = best_row(rows, recipe)
    name = recipe.optimisation.best_by.replace("_", " ")
    _history(first, recipe, judged, best)
    for ax, key in zip(others, recipe.search, strict=False):
        _slice(ax, recipe, key, judged, best)
    for ax in others[len(recipe.search) :]:
        ax.remove()
    for ax in (first, *others[: len(recipe.search)]):
        ax.set_ylim(low, high)
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    figure.supylabel(name, fontsize="medium")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=4,
                  frameon=False, fontsize=9)  # fmt: skip
    return png_of(figure)


def _history(ax: Axes, recipe: Recipe, rows: Sequence[Row], best: Row | None) -> None:
    numbers, values = _points(rows, [row.number for row in rows], "complete")
    running = np.minimum if direction(recipe) == "minimize" else np.maximum
    ax.step(numbers, running.accumulate(values), where="post", color=COMPLETE, linewidth=1.4,
            label="best so far")  # fmt: skip
    _draw(ax, rows, [row.number for row in rows], best)
    ax.set_xlabel("trial")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _slice(ax: Axes, recipe: Recipe, key: str, rows: Sequence[Row], best: Row | None) -> None:
    """Draw the values against one key; choices beside each other."""
    wanted = recipe.search[key]
    places: list[Any] = [row.values.get(key) for row in rows]
    if wanted.choices is not None:
        places = [wanted.choices.index(value) for value in places]
        ax.set_xticks(range(len(wanted.choices)), [_short(choice) for choice in wanted.choices])
        ax.set_xlim(-0.5, len(wanted.choices) - 0.5)
    elif wanted.log:
        _log_axis(ax, wanted)
    _draw(ax, rows, places, best)
    ax.set_xlabel(key)


def _log_axis(ax: Axes, wanted: SearchRange) -> None:
    assert wanted.low is not None
    assert wanted.high is not None
    ax.set_xscale("log")
    few = wanted.high / wanted.low < _FEW
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())


def _draw(ax: Axes, rows: Sequence[Row], places: Sequence[float], best: Row | None) -> None:
    for state, colour, face, label in (
        ("pruned", PRUNED, "none", "given up early"),
        ("complete", COMPLETE, COMPLETE, "trained to its end"),
    ):
        x, y = _points(rows, places, state)
        ax.scatter(x, y, s=26, facecolors=face, edgecolors=colour, label=label, zorder=2)
    if best is not None:
        x, y = _points(rows, places, "complete", best.number)
        ax.scatter(x, y, s=90, marker="*", color=BEST, label="best", zorder=3)


def _points(
    rows: Sequence[Row], places: Sequence[float], state: str, number: int | None = None
) -> tuple[list[float], list[float]]:
    pairs = [
        (place, row.value)
        for row, place in zip(rows, places, strict=True)
        if row.state == state and row.value is not None and number in (None, row.number)
    ]
    return [place for place, _ in pairs], [value for _, value in pairs]


def _limits(recipe: Recipe, rows: Sequence[Row]) -> tuple[float, float]:
    """Return the range of the value axes, so that one far-off trial hides no difference."""
    values = np.array([row.value for row in rows if row.value is not None])
    low, high = float(values.min()), float(values.max())
    if direction(recipe) == "minimize":  # a loss may be off by any factor
        high = min(high, low + 3 * (float(np.median(values)) - low) or high)
    margin = 0.06 * (high - low) or 0.05
    return low - margin, high + margin


def _short(choice: Any) -> str:
    return "x".join(map(str, choice)) if isinstance(choice, list | tuple) else str(choice)
