"""Which nodule of the later scan is which of the earlier one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from napari_ctlns.volume import FloatArray

ERROR_MM = 6.0
"""How far off the alignment of one patient may be: three times what was measured on phantoms
that breathed differently by 40 mm."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Rows that belong together.

    Attributes
    ----------
    earlier, later
        Indices of the nodules, pair by pair, shape (n,).
    distances_mm
        Between their centres, one on the other scan, shape (n,).
    """

    earlier: npt.NDArray[np.intp]
    later: npt.NDArray[np.intp]
    distances_mm: FloatArray


def pair(
    centres: FloatArray,
    radii: FloatArray,
    later_centres: FloatArray,
    later_radii: FloatArray,
    error_mm: float = ERROR_MM,
) -> Pairs:
    """Pair nodules of two scans, each at most once, so that all pairs together fit best.

    Two nodules can be one if ``distance^2 <= error^2 + radius^2 + later_radius^2``: the
    alignment errs, and the centre of what grew to one side moves by part of its radius. Of
    all ways to pair, that one is taken in which the squares of the distances stay furthest
    below these bounds, all together (assignment, Crouse 2016, doi:10.1109/TAES.2016.140952).
    Because a bound is a sum of what each nodule brings, an error of the alignment that
    neighbours share, be it larger than half their distance, does not swap them.

    Parameters
    ----------
    centres, later_centres
        (n, 3) and (m, 3), millimetres, both in the frame of one scan.
    radii, later_radii
        Millimetres, (n,) and (m,).
    error_mm
        How far off the alignment may be.
    """
    if not len(centres) or not len(later_centres):
        none = np.zeros(0, np.intp)
        return Pairs(none, none, np.zeros(0))
    distances = cdist(centres, later_centres)
    bounds = error_mm**2 + np.add.outer(np.square(radii), np.square(later_radii))
    gain = np.maximum(bounds - distances**2, 0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    fits = gain[rows, columns] > 0
    rows, columns = rows[fits], columns[fits]
    return Pairs(rows, columns, distances[rows, columns])
