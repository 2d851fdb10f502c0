"""Options that say in which circumstances guidelines are asked, for each command that asks."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from napari_ctlns.errors import MaskError

if TYPE_CHECKING:
    import pandas as pd

    from napari_ctlns.measurement.guidelines import Circumstances


class Setting(StrEnum):
    """Why a scan was made."""

    screening = "screening"
    incidental = "incidental"


class Risk(StrEnum):
    """Of lung cancer."""

    low = "low"
    high = "high"


class Prior(StrEnum):
    """What is known of earlier scans without their growth table."""

    none = "none"
    awaited = "awaited"


class PriorCategory(StrEnum):
    """Lung-RADS of the earlier scan."""

    two = "2"
    three = "3"
    four_a = "4A"
    four_b = "4B"
    four_x = "4X"


class SizeBy(StrEnum):
    """What counts as size."""

    diameter = "diameter"
    volume = "volume"


SETTING = Annotated[
    Setting | None,
    typer.Option(help="Ask Lung-RADS v2022 (screening) or Fleischner 2017 (incidental)."),
]
RISK = Annotated[Risk | None, typer.Option(help="Of lung cancer, as you judge it.")]
AGE = Annotated[int | None, typer.Option(min=0, max=130, metavar="N", help="In years.")]
EXCLUDED = Annotated[
    bool,
    typer.Option(
        "--cancer-or-immunosuppression", help="The patient has either; Fleischner leaves them out."
    ),
]
PRIOR = Annotated[
    Prior | None, typer.Option(help="There is no earlier scan, or it is awaited; else --growth.")
]
PRIOR_CATEGORY = Annotated[
    PriorCategory | None, typer.Option(help="Lung-RADS of the nodules on the earlier scan.")
]
GROWTH = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="What ctlns growth wrote; this scan is the later one."),
]
SIZE_BY = Annotated[SizeBy, typer.Option(help="Which limits of the guidelines count.")]
REMARKS = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LABEL=WORD",
        help="What you saw: benign, juxtapleural, suspicious, infectious, airway or cyst.",
    ),
]


def circumstances_of(
    setting: Setting | None,
    risk: Risk | None,
    age: int | None,
    excluded: bool,
    prior: Prior | None,
    prior_category: PriorCategory | None,
    size_by: SizeBy,
    remarks: Sequence[str] | None,
) -> "Circumstances":
    """Return what the options say.

    Raises
    ------
    MaskError
        If a remark is none.
    """
    from napari_ctlns.measurement.guidelines import Circumstances

    return Circumstances(
        setting=None if setting is None else setting.value,
        risk=None if risk is None else risk.value,
        age=age,
        excluded=excluded,
        prior=None if prior is None else prior.value,
        prior_category=None if prior_category is None else prior_category.value,
        size_by=size_by.value,
        remarks=dict(map(_remark, remarks or ())),
    )


def read_prior(path: Path) -> "pd.DataFrame":
    """Read what became of the nodules since an earlier scan."""
    from napari_ctlns.measurement.guidelines import read_growth

    return read_growth(path)


def advised(
    table: "pd.DataFrame",
    circumstances: "Circumstances",
    growth: "pd.DataFrame | None",
    columns: Sequence[str],
) -> "tuple[pd.DataFrame, list[str]]":
    """Return a table with advice, and which columns to write; say what holds for the scan."""
    from napari_ctlns.measurement.guidelines import (
        ADVICE_COLUMNS,
        NOTICE,
        advise_scan,
        with_advice,
    )

    for one in advise_scan(table, circumstances, growth):
        typer.echo(f"{one.guideline}: {one.category} ({one.rule})", err=True)
    typer.echo(NOTICE, err=True)
    return with_advice(table, circumstances, growth), [*columns, *ADVICE_COLUMNS]


def _remark(words: str) -> tuple[int, Any]:
    from napari_ctlns.measurement.guidelines.advice import Remark

    label, _, word = words.partition("=")
    if not label.isdecimal() or word not in get_args(Remark):
        known = ", ".join(get_args(Remark))
        raise MaskError(f"no remark: {words}; write LABEL=WORD, with a word of {known}")
    return int(label), word
