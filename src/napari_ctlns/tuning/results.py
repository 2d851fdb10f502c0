"""What a search writes beside its trials: a table, a plot, and the best recipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_ctlns.atomic import atomic_path, write_csv, write_text
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import TuneSpec
from napari_ctlns.tuning.plot import search_png
from napari_ctlns.tuning.rows import Row, best_row
from napari_ctlns.tuning.space import settled


def write_results(spec: TuneSpec, rows: Sequence[Row]) -> list[Path]:
    """Write ``trials.csv`` and, once a trial is complete, ``search.png`` and ``best.toml``.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    csv_file, plot, recipe = (spec.out / n for n in ("trials.csv", "search.png", "best.toml"))
    lines = table(spec.recipe, rows)
    write_csv(csv_file, list(lines[0]) if lines else ["trial"], lines)
    best = best_row(rows, spec.recipe)
    if best is None:
        return [csv_file]
    with atomic_path(plot) as temporary:
        temporary.write_bytes(search_png(spec.recipe, rows))
    write_text(recipe, best_recipe(spec.recipe, best).to_toml())
    return [csv_file, plot, recipe]


def table(recipe: Recipe, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a row for each trial: how it ended, what it reached, what it tried."""
    return [
        {
            "trial": row.number,
            "state": row.state,
            recipe.optimisation.best_by: row.value,
            "epochs": row.epochs,
            "seconds": None if row.seconds is None else round(row.seconds, 1),
            **{key: row.values.get(key) for key in recipe.search},
            "problem": row.problem,
        }
        for row in rows
    ]


def best_recipe(recipe: Recipe, best: Row) -> Recipe:
    """Return the recipe with the best trial's values, named after the search.

    What was searched is settled in it, so that it searches nothing any more.
    """
    score = f"{recipe.optimisation.best_by} {best.value:.4f}"
    changes = {
        **best.values,
        "name": f"{recipe.name}-tuned",
        "description": f"{recipe.name} with the values of trial {best.number}: {score}.",
    }
    return settled(recipe, changes)
