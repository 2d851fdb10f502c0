"""How two scans of one patient lie to each other: points from one to the other, and back."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.volume import FloatArray, Geometry

DOUBTFUL_AGREEMENT = 0.35
"""Below it the vessels of both scans hardly lie on each other. Measured after the alignment:
0.79 and more on two scans of one phantom patient; 0.26 and less on different phantoms, which
are built alike, and 0.15 and less on real scans of different patients."""
DOUBTFUL_OVERLAP = 0.7
_ROUNDS_BACK = 30


@dataclass(frozen=True, eq=False)
class Alignment:
    """Maps LPS points of the earlier scan to the later one and back.

    A point p of the earlier scan lies at ``matrix @ (p + step(p)) + offset`` in the later
    one; ``step`` is what breathing moved, read between the samples of ``steps``.

    Attributes
    ----------
    matrix, offset
        (3, 3) and (3,), millimetres: how the patient lies, and how he grew or shrank as a
        whole.
    steps
        Millimetres (z, y, x, 3), the last axis x, y, z, float32; beyond its grid the
        nearest sample counts.
    grid
        Where the steps lie in the earlier scan.
    agreement
        The correlation of vessels and what else is small inside both lungs: 1 is the same,
        0 has nothing in common.
    overlap
        Dice of both lungs where both scans were taken.
    warnings
        What is to be doubted, in words.
    """

    matrix: FloatArray
    offset: FloatArray
    steps: npt.NDArray[np.float32]
    grid: Geometry
    agreement: float = 1.0
    overlap: float = 1.0
    warnings: tuple[str, ...] = ()

    @property
    def is_doubtful(self) -> bool:
        """Whether the scans may be of different patients, or lie wrongly on each other."""
        return self.agreement < DOUBTFUL_AGREEMENT or self.overlap < DOUBTFUL_OVERLAP

    def to_later(self, points: npt.ArrayLike) -> FloatArray:
        """Return where LPS points (..., xyz) of the earlier scan lie in the later one."""
        at = np.asarray(points, float)
        return (at + self._step(at)) @ self.matrix.T + self.offset

    def to_earlier(self, points: npt.ArrayLike) -> FloatArray:
        """Return where LPS points (..., xyz) of the later scan lie in the earlier one.

        The step is undone by fixed-point iteration (Chen et al. 2008,
        doi:10.1118/1.2816107); it changes by less than a millimetre a millimetre.
        """
        straight = (np.asarray(points, float) - self.offset) @ np.linalg.inv(self.matrix).T
        at = straight
        for _ in range(_ROUNDS_BACK):
            at = straight - self._step(at)
        return np.asarray(at)

    def _step(self, points: FloatArray) -> FloatArray:
        index = np.moveaxis(self.grid.world_to_index(points), -1, 0)
        each = [
            ndimage.map_coordinates(self.steps[..., k], index, order=1, mode="nearest")
            for k in range(3)
        ]
        return np.stack(each, axis=-1).astype(float)
