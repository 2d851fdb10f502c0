"""Nodules of a table as candidates, in the way detectors hand them in to LUNA16."""

import pandas as pd

from napari_ctlns.errors import OutputError
from napari_ctlns.formats.candidates import Candidate


def candidates_of(table: pd.DataFrame, scan_id: str) -> tuple[Candidate, ...]:
    """Return a candidate for each nodule of a table: its centroid and its mean probability.

    Raises
    ------
    OutputError
        If a nodule has no probability.
    """
    unknown = table.loc[table["mean_probability"].isna(), "label"].tolist()
    if unknown:
        message = f"no probability of nodule {unknown[0]}: candidates need one each"
        raise OutputError(f"{message}; predict, or give the probability that was predicted")
    return tuple(
        Candidate(scan_id, float(x), float(y), float(z), probability=float(probability))
        for x, y, z, probability in zip(
            table["centroid_x_mm"],
            table["centroid_y_mm"],
            table["centroid_z_mm"],
            table["mean_probability"],
            strict=True,
        )
    )
