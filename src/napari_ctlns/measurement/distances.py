"""The greatest distance between points."""

import contextlib

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from napari_ctlns.volume import FloatArray


def longest(points: FloatArray) -> tuple[float, FloatArray]:
    """Return the greatest distance between two of some points, and those two.

    Parameters
    ----------
    points
        (n, dimensions), two or more.

    Returns
    -------
    tuple
        The distance, and the two points, (2, dimensions).
    """
    with contextlib.suppress(QhullError):  # all in one plane or line: keep all
        points = points[ConvexHull(points).vertices]
    distances = pdist(points)
    ends = [axis[distances.argmax()] for axis in np.triu_indices(len(points), 1)]
    return float(distances.max()), points[ends]
