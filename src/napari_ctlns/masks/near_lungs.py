"""Where nodules are looked for: the lungs, and all that may be lung."""

import cc3d
import numpy as np
import numpy.typing as npt

from napari_ctlns.masks.coarse import (
    AIR_OR_LUNG_HU,
    Bools,
    CoarseGrid,
    distance,
    middle_column,
    mirrored,
)
from napari_ctlns.volume import Triple, Volume

LARGEST_NODULE_MM = 30
"""What is larger is called a mass."""
CLOSING_MM = 25
"""Radius of a ball that enters no dent a nodule leaves, even in a corner at the heart."""


def near_lungs(scan: Volume, lungs: Volume, margin_mm: float) -> npt.NDArray[np.bool_]:
    """Return the lungs with all dents filled that may be nodules, airless lung and a margin.

    A mask made from density alone leaves out what is as dense as muscle and wider than it
    bridges, be it a nodule on the pleura or a lobe full of fluid. Here dents are closed by
    a large ball, and thick tissue on one side counts as airless lung if on the other side,
    mirrored, there is lung. So do the left of the heart and a high diaphragm; that costs a
    look, not a nodule.

    Parameters
    ----------
    scan
        A CT in HU, (z, y, x).
    lungs
        Its lungs, on the same grid.
    margin_mm
        How far beyond all this to go; a little more, for it is done on cells of 2.5 mm.

    Returns
    -------
    numpy.ndarray
        Bool, on the grid of the scan.
    """
    grid = CoarseGrid.over(scan.geometry)
    cells = grid.sampled(lungs.array) != 0
    margin = margin_mm + float(np.linalg.norm(grid.spacing)) / 2  # as far as a sample may miss
    if not grid.is_part_of_a_chest:
        cells |= _airless(cells, grid.sampled(scan.array) >= AIR_OR_LUNG_HU, grid.spacing)
    # grown by the ball and the margin, then shrunk by the ball: closed, and the margin kept
    near = distance(cells, grid.spacing) <= CLOSING_MM + margin
    result = distance(~near, grid.spacing) > CLOSING_MM
    return np.asarray(grid.spread(result), np.bool_)


def _airless(lungs: Bools, tissue: Bools, spacing: Triple) -> Bools:
    """Return the thick pieces of tissue whose mirror image is lung."""
    missing = mirrored(lungs, middle_column(tissue)) & tissue & ~lungs
    pieces = cc3d.connected_components(missing, connectivity=6)
    thick = np.zeros(int(pieces.max(initial=0)) + 1, np.bool_)
    thick[pieces[distance(~missing, spacing) > LARGEST_NODULE_MM / 2]] = True
    thick[0] = False
    return np.asarray(thick[pieces])
