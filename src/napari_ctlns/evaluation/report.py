"""A report of one HTML file that needs nothing else: no script, no network."""

import base64
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

import jinja2
import pandas as pd

from napari_ctlns.atomic import write_text

_DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class SummaryRow:
    """One measured quantity: ours beside a baseline's, and what was aimed at.

    Values are numbers or words; None shows as a dash.
    """

    name: str
    ours: object
    baseline: object = None
    aim: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG and the words under it."""

    caption: str
    png: bytes


@dataclass(frozen=True, eq=False)
class DemoReport:
    """What a report tells, from top to bottom.

    Attributes
    ----------
    title, lead
        The heading and the sentence under it.
    summary
        The table at the top.
    ours, baseline
        Headings of its two columns of values; an empty ``baseline`` leaves its out.
    curves
        PNG of a training's curves.
    overlays
        Pictures of scans with outlines of truth (orange) and prediction (blue).
    tables
        (title, table); units belong into the columns' names.
    facts
        Versions, times, paths: shown small, at the end.
    """

    title: str
    lead: str = ""
    summary: Sequence[SummaryRow] = ()
    ours: str = "this model"
    baseline: str = "baseline"
    curves: bytes | None = None
    overlays: Sequence[Picture] = ()
    tables: Sequence[tuple[str, pd.DataFrame]] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


def write_report(path: str | os.PathLike[str], report: DemoReport) -> None:
    """Write a report as one self-contained HTML file.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("napari_ctlns.evaluation", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"shown": shown, "columns": _columns, "data_uri": _data_uri}
    write_text(path, environment.get_template("report.html.j2").render(report=report) + "\n")


def shown(value: object) -> str:
    """Return a value as people read it: three significant digits, a dash for nothing."""
    if value is None or value is pd.NA:
        return _DASH
    if isinstance(value, str):
        return value
    if isinstance(value, Real) and not _is_bool(value):
        number = float(value)
        if not math.isfinite(number):
            return _DASH if math.isnan(number) else str(number)
        if number == round(number) and abs(number) < 1e15:
            return f"{int(number):,}".replace(",", "\u2009")
        return f"{number:.3g}" if abs(number) < 1000 else f"{number:.0f}"
    if _is_bool(value):
        return "yes" if value else "no"
    return str(value)


def _columns(table: pd.DataFrame) -> list[tuple[str, bool, list[str]]]:
    """Return each column's heading, whether it holds numbers, and its values in words."""
    columns = []
    for name, column in table.items():
        numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if pd.api.types.is_float_dtype(column):
            largest = float(column.abs().max())
            digits = 3 if largest <= 1 else 2 if largest < 100 else 1 if largest < 10_000 else 0
            values = [shown(None) if pd.isna(v) else f"{v:.{digits}f}" for v in column]
        else:
            values = [shown(v) for v in column.tolist()]
        columns.append((str(name).replace("_", " "), numeric, values))
    return columns


def _is_bool(value: object) -> bool:
    return type(value).__name__ in ("bool", "bool_")


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
