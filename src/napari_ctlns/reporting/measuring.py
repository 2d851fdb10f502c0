"""All that is measured of nodules, for reports."""

import pandas as pd

from napari_ctlns.masks.lungs import lung_mask
from napari_ctlns.measurement import measure, with_details
from napari_ctlns.volume import Volume


def all_measured(mask: Volume, scan: Volume, probability: Volume | None = None) -> pd.DataFrame:
    """Return the nodule table with its details, the lungs found for them.

    Parameters
    ----------
    mask, scan, probability
        As for `measurement.measure`.

    Returns
    -------
    pandas.DataFrame
        `measurement.COLUMNS`, then `measurement.details.DETAILS`; side and distance to the
        pleura are unknown where no lungs are found.

    Raises
    ------
    MaskError
        If the grids differ.
    """
    return with_lungs(measure(mask, scan, probability), mask, scan)


def with_lungs(table: pd.DataFrame, mask: Volume, scan: Volume) -> pd.DataFrame:
    """Return a nodule table with its details, the lungs found for them; as `all_measured`."""
    lungs = lung_mask(scan)
    found = lungs if lungs.array.any() else None
    return with_details(table, mask, scan, found)
