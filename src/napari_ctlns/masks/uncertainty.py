"""How unsure a model is of a whole scan, from the probability that it gave its voxels."""

import numpy as np
import numpy.typing as npt

from napari_ctlns.volume import Volume

FLOOR = 0.1
"""What is less probable is surely outside to the model: nearly all of a scan."""


def scan_uncertainty(probability: Volume, spread: Volume | None = None) -> float:
    """Return how unsure a model is of what it sees in a scan, 0 (sure) to 1.

    With one model it is the mean entropy, in bits (Shannon 1948), of the voxels that are
    probable at all: high where borders are soft and where much nearly reached the threshold
    or only just did. With several answers it is the mean of their standard deviation there,
    doubled, which is 1 where half of them say yes and half no. Scans are to be compared only
    with others that the same models looked at.

    Parameters
    ----------
    probability
        0 to 1, (z, y, x).
    spread
        The standard deviation of several answers, 0 to 0.5.

    Returns
    -------
    float
        0 where nothing is probable.
    """
    total, voxels = 0.0, 0
    # plane by plane: copies of a whole scan are large
    for z, plane in enumerate(probability.array):
        looked_at = plane >= FLOOR
        voxels += int(np.count_nonzero(looked_at))
        if spread is None:
            total += float(_entropy(plane[looked_at]).sum(dtype=float))
        else:
            total += 2 * float(spread.array[z][looked_at].sum(dtype=float))
    return total / voxels if voxels else 0.0


def _entropy(probability: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    inside = np.clip(probability.astype(float), FLOOR, 1)
    outside = 1 - inside
    # x log x is 0 for 0
    return -(inside * np.log2(inside) + outside * np.log2(np.maximum(outside, 1e-12)))
