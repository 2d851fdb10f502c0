"""Which slices of prepared scans hold a nodule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_ctlns.dataset.folder import PreparedScan

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SliceTable:
    """All slices of some scans, each as (the scan's number, z).

    Attributes
    ----------
    positive, negative
        Those with a voxel of the mask, and those without; shape (n, 2), in order.
    """

    positive: Rows
    negative: Rows

    def drawn(self, random: np.random.Generator) -> tuple[int, int, bool]:
        """Return one slice, its scan and z, and whether it holds a nodule.

        Slices are weighted by the inverse frequency of their kind. So both kinds come
        equally often, and within a kind every slice does.
        """
        kinds = [rows for rows in (self.positive, self.negative) if len(rows)]
        rows = kinds[random.integers(len(kinds))]
        scan, z = rows[random.integers(len(rows))]
        return int(scan), int(z), rows is self.positive


def slice_table(scans: Sequence[PreparedScan]) -> SliceTable:
    """Look through all masks, slice by slice.

    Raises
    ------
    DatasetError
        If a mask is missing or damaged.
    """
    rows = [
        (number, z, bool(plane.any()))
        for number, scan in enumerate(scans)
        for z, plane in enumerate(scan.mask())
    ]
    table = np.array(rows, np.int64).reshape(-1, 3)
    there = table[:, 2] > 0
    return SliceTable(table[there, :2], table[~there, :2])
