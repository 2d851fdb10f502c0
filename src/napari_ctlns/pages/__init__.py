"""Pages of one HTML file that need nothing else: no script, no network.

What all of them share: their look, light and dark, and how values are told.
"""

import base64
import math
from numbers import Real
from typing import Any

import jinja2
import pandas as pd

_DASH = "\N{EN DASH}"


def rendered(package: str, template: str, **values: Any) -> str:
    """Return the page of a template in the folder ``templates`` of a package.

    It may include ``pages/page.css``, and knows the filters ``shown``, ``columns`` (of a
    table) and ``data_uri`` (of PNG bytes).
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader(package, "templates"),
                jinja2.PackageLoader("napari_ctlns", ""),
            ]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"shown": shown, "columns": _columns, "data_uri": data_uri}
    return environment.get_template(template).render(**values) + "\n"


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


def data_uri(png: bytes) -> str:
    """Return a PNG as the address of itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
