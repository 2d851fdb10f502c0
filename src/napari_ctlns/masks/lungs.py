"""The lungs of a CT, without learning: fast, and safe on slabs and crops.

They are found on cells of some 2.5 mm, of which a whole chest has two million; then
their surface is drawn at full resolution. Every constant is a length, a volume or a
density that anatomy or physics gives; none is fitted to scans.
"""

from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.masks.coarse import (
    AIR_OR_LUNG_HU,
    PURE_AIR_HU,
    Bools,
    CoarseGrid,
    coarse_hu,
    distance,
    eroded,
    grown,
    middle_column,
    thick_parts,
    upper_hull,
)
from napari_ctlns.masks.components import without_holes
from napari_ctlns.masks.dense_lung import airless_lobes, costal_notches
from napari_ctlns.volume import Triple, Volume

SMALLEST_LUNG_MM3 = 10_000
"""Parts of the lungs smaller than this cannot be told from gas in the gut."""
SMALLEST_SHARE = 0.02
"""Likewise parts smaller than a fiftieth of the largest one."""
WIDEST_AIRWAY_MM2 = 700
"""The section of a trachea 30 mm wide; healthy ones are narrower."""
CLOSING_MM = 10
"""Bridges vessels, and nodules on the pleura, up to twice this thickness."""
SMALLEST_WHOLE_LUNG_MM3 = 1_000_000
"""A pocket of gas in the gut holds less than a litre."""
EMPHYSEMA_HU = -950
"""Most of a lung is never darker than this, but for gas in the gut it is the rule."""

Labels = npt.NDArray[Any]


def lung_mask(volume: Volume) -> Volume:
    """Find the lungs of a chest CT.

    Air and lung are what is darker than halfway to muscle; of that, the air around
    the patient, gas in airways and gut and the insides of tables are dropped. Vessels and
    nodules inside the lungs and on the pleura are filled, and so are airless lobes where
    the other side has lung. The lungs may be cut by any face of the array. Trachea and
    main bronchi are left out where their walls part them from the lungs on a slice.

    Parameters
    ----------
    volume
        A CT in HU, (z, y, x) with z along the patient, any spacing.

    Returns
    -------
    Volume
        A mask on the same grid, uint8: 1 in both lungs, 0 elsewhere; all 0 if there
        are no lungs.
    """
    grid = CoarseGrid.over(volume.geometry)
    hu, padding = coarse_hu(volume, grid)
    tissue = hu >= AIR_OR_LUNG_HU
    airy = _parts_of_lungs(hu, tissue, padding, grid)
    lungs = _filled(airy, grid.spacing)
    if not grid.is_part_of_a_chest:
        middle = middle_column(tissue)
        lungs |= costal_notches(lungs, middle, grid.spacing[2])
        lungs |= airless_lobes(lungs, middle, grid.spacing) & tissue
    lungs &= ~padding
    return volume.mask(_drawn(volume.array, grid, airy, lungs, tissue))


def _parts_of_lungs(
    hu: npt.NDArray[np.float32], tissue: Bools, padding: Bools, grid: CoarseGrid
) -> Bools:
    """Return the cells of lung and airways, vessels left out."""
    spacing, cropped = grid.spacing, grid.is_part_of_a_chest
    air = ~(tissue | padding)
    hull = _body_hull(tissue)
    dark = hu < PURE_AIR_HU

    # Slice by slice, so that air which reaches the lungs through the mouth stays apart,
    # and the trachea from the lungs. Edges, neither air nor wall, don't tell what it is.
    labels, count = ndimage.label(air, _IN_PLANE)
    core = np.where(eroded(air, axes=(1, 2)), labels, 0)
    area = np.bincount(labels.ravel(), minlength=count + 1) * spacing[1] * spacing[2]
    airway = (area <= WIDEST_AIRWAY_MM2) & _mostly(core, count, dark)
    at_edge = np.zeros(count + 1, bool)
    for face in (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]):
        at_edge[face] = True
    at_edge[labels[grown(padding)]] = True
    around = at_edge & _outside(labels, count, hull, dark, cropped)
    inside = air & ~(around | airway)[labels]

    labels, count = cc3d.connected_components(inside, connectivity=6, return_N=True)
    voxels = np.bincount(labels.ravel(), minlength=count + 1)
    voxels[0] = 0
    volumes = voxels * np.prod(spacing)
    gas = _mostly(labels, count, dark)
    gas |= (volumes < SMALLEST_WHOLE_LUNG_MM3) & _mostly(labels, count, hu < EMPHYSEMA_HU)
    lung = ~(gas | _outside(labels, count, hull, dark, cropped))
    lung &= volumes >= SMALLEST_LUNG_MM3
    lung &= voxels >= SMALLEST_SHARE * np.max(voxels * lung)
    return np.asarray(lung[labels])


_IN_PLANE = np.array([np.zeros((3, 3)), [[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.zeros((3, 3))])


def _outside(labels: Labels, count: int, hull: Bools, dark: Bools, cropped: bool) -> Bools:
    """Return which labels are air around the patient.

    Such air lies mostly outside the convex hull of the body. In a crop, lung may do so
    too; there air must also be as dark as air.
    """
    beyond = ~_mostly(labels, count, hull)
    return beyond & _mostly(labels, count, dark) if cropped else beyond


def _mostly(labels: Labels, count: int, where: Bools) -> Bools:
    """Return for labels 0 to ``count`` whether at least half their voxels are in ``where``."""
    voxels = np.bincount(labels.ravel(), minlength=count + 1)
    return np.bincount(labels[where], minlength=count + 1) * 2 >= np.maximum(voxels, 1)


def _body_hull(tissue: Bools) -> Bools:
    """Return the convex hull, slice by slice, of the largest piece of tissue."""
    body = cc3d.largest_k(eroded(tissue), k=1, connectivity=6) != 0  # tables are thin
    rows = body.any(axis=2)
    n = tissue.shape[2]
    before, after = body.argmax(axis=2), body[:, :, ::-1].argmax(axis=2)
    left = [n - upper_hull(n - b, r) for b, r in zip(before, rows, strict=True)]
    right = [upper_hull(n - a, r) for a, r in zip(after, rows, strict=True)]
    columns = np.arange(n)
    inside: Bools = (columns >= np.array(left)[..., None]) & (columns < np.array(right)[..., None])
    return inside


def _filled(lungs: Bools, spacing: Triple) -> Bools:
    """Return the lungs closed by a ball, and with all holes filled.

    Done where the lungs are. Beyond a face of the array its outermost layer goes on, so
    that a lung cut by a face stays whole and tissue at a face stays tissue.
    """
    if not lungs.any():
        return lungs
    margin = np.ceil(CLOSING_MM / np.asarray(spacing)).astype(int) + 1
    around, inside = [], []
    for where, m, n in zip(np.nonzero(lungs), margin, lungs.shape, strict=True):
        reach = np.arange(where.min() - m, where.max() + m + 1)
        around.append(np.clip(reach, 0, n - 1))
        inside.append((reach >= 0) & (reach < n))
    padded = lungs[np.ix_(*around)]
    near = distance(padded, spacing) <= CLOSING_MM
    closed = padded | (distance(~near, spacing) > CLOSING_MM)
    result = lungs.copy()
    here = np.ix_(*(np.unique(a) for a in around))
    result[here] = without_holes(closed[np.ix_(*inside)])
    return result


def _drawn(
    array: npt.NDArray[Any], grid: CoarseGrid, airy: Bools, lungs: Bools, tissue: Bools
) -> npt.NDArray[np.uint8]:
    """Return the lungs at full resolution: at their surface each voxel's own HU decides.

    That is in the outermost cells of the lungs, unless tissue was filled in there, and in
    cells of tissue next to them. Elsewhere what holds for a cell holds for its voxels.
    """
    inside = eroded(lungs) | thick_parts(lungs & ~airy)
    asked = (lungs & ~inside) | (grown(lungs) & ~lungs & tissue)
    lowest, highest = _limits(array.dtype)
    darker_than = np.full(lungs.shape, lowest, array.dtype)
    darker_than[inside] = highest
    darker_than[asked] = max(AIR_OR_LUNG_HU, lowest)
    rows, columns = grid.cell_of(1), grid.cell_of(2)
    mask = np.zeros(array.shape, np.uint8)
    for plane in np.flatnonzero((lungs | asked).any(axis=(1, 2))):
        limit = darker_than[plane].take(columns, axis=1).take(rows, axis=0)
        for z in np.flatnonzero(grid.cell_of(0) == plane):
            np.less(array[z], limit, out=mask[z].view(np.bool_))
    return mask


def _limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    if np.issubdtype(dtype, np.integer):
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    return -np.inf, np.inf
