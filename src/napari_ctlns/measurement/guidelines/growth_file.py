"""The growth table as guidelines read it."""

import json
import os
from pathlib import Path

import pandas as pd

from napari_ctlns.errors import MaskError

_NEEDED = {"label", "later_label", "status", "days", "mean_diameter_mm", "volume_mm3"}


def read_growth(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read what ``ctlns growth`` wrote, ``.csv`` or ``.json``.

    Raises
    ------
    MaskError
        If the file is missing or holds no growth table.
    """
    try:
        if Path(path).suffix.lower() == ".json":
            table = pd.DataFrame(json.loads(Path(path).read_text("utf-8")))
        else:
            table = pd.read_csv(path, float_precision="round_trip")
        missing = _NEEDED - set(table.columns)
        if missing:
            raise ValueError(missing)
        for name in ("days", "mean_diameter_mm", "volume_mm3"):
            table[name] = table[name].astype(float)
        for name in ("label", "later_label"):
            table[name] = table[name].astype(float).astype("Int64")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise MaskError(f"no growth table in {path}; write one with ctlns growth") from error
    return table
