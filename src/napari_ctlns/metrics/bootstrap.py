"""How far a mean would wander had other patients been measured."""

import numpy as np
import numpy.typing as npt

from napari_ctlns.volume import FloatArray

RESAMPLES = 5000
CONFIDENCE = 0.95


def bootstrap_intervals(
    sums: npt.ArrayLike, counts: npt.ArrayLike, seed: int = 0, resamples: int = RESAMPLES
) -> FloatArray:
    """Return percentile bootstrap intervals of means over patients (Efron 1979).

    Patients are drawn with replacement, as many as there are, with all that belongs
    to them: two nodules of one patient are no two independent ones. The same draws
    serve all means.

    Parameters
    ----------
    sums, counts
        (patients, means): what each patient adds to the numerator and to the
        denominator of each mean; for example the sum of the Dice of its nodules, and
        how many it has.
    seed
        The same seed gives the same draws.
    resamples
        How often to draw.

    Returns
    -------
    numpy.ndarray
        (means, 2): the lower and the upper bound at 95 % confidence. NaN where fewer than
        two patients count, from which nothing can be said. Draws in which
        none of them came up are left out.
    """
    above, below = np.asarray(sums, float), np.asarray(counts, float)
    patients = len(above)
    picks = np.random.default_rng(seed).integers(0, patients, (resamples, patients))
    times = np.stack([np.bincount(row, minlength=patients) for row in picks]).astype(float)
    drawn = times @ below
    means = np.full(drawn.shape, np.nan)
    np.divide(times @ above, drawn, out=means, where=drawn > 0)
    tail = 100 * (1 - CONFIDENCE) / 2
    intervals = np.full((above.shape[1], 2), np.nan)
    for row in np.flatnonzero(np.count_nonzero(below, axis=0) >= 2):
        intervals[row] = np.nanpercentile(means[:, row], [tail, 100 - tail])
    return intervals
