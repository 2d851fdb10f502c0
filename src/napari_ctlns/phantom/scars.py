"""Thin dense bands, mostly near the pleura: what is bright, long and no nodule."""

import numpy as np

from napari_ctlns.phantom.anatomy import Anatomy
from napari_ctlns.phantom.pieces import Pieces


def draw_scars(coarse: Anatomy, rng: np.random.Generator) -> Pieces:
    """Return some bands of 10 to 30 mm, each a few bent pieces below 1 mm in radius.

    Parameters
    ----------
    coarse
        The whole body on a coarse lattice.
    rng
        Where randomness comes from.
    """
    lattice = coarse.lattice
    z, y, x = (a.ravel() for a in lattice.axes)
    rim = np.argwhere((coarse.lung > 2) & (coarse.lung < 12))
    count = int(rng.integers(3, 9))
    lines = []
    for at in rim[rng.integers(0, len(rim), count)]:
        point = np.array([z[at[0]], y[at[1]], x[at[2]]], float)
        way = rng.normal(size=3)
        way -= lattice.normal(coarse.lung, point) * rng.uniform(0.2, 0.8)
        for _ in range(int(rng.integers(2, 5))):
            way = way / max(float(np.linalg.norm(way)), 1e-9)
            after = point + way * rng.uniform(4, 8)
            lines.append((point, after))
            point, way = after, way + rng.normal(0, 0.25, 3)
    start = np.array([a for a, _ in lines])
    end = np.array([b for _, b in lines])
    thick = rng.uniform(0.4, 0.9, len(lines))
    return Pieces(
        start, end, thick, thick * rng.uniform(0.7, 1.2, len(lines)), np.arange(1, len(lines) + 1)
    )
