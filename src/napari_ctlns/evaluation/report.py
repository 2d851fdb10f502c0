"""A report of one HTML file that needs nothing else: no script, no network."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from napari_ctlns.atomic import write_text
from napari_ctlns.pages import rendered


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
    write_text(path, rendered("napari_ctlns.evaluation", "report.html.j2", report=report))
