"""Statistics of the HU of one nodule, as the IBSI defines them."""

from typing import NamedTuple

import numpy as np

from napari_ctlns.volume import FloatArray


class Intensity(NamedTuple):
    """Intensity-based statistics of the Image Biomarker Standardisation Initiative.

    Zwanenburg et al. 2020 (doi:10.1148/radiol.2020191145), without discretisation. Mean, least
    and greatest HU are in the nodule table.

    Attributes
    ----------
    variance_hu2
        ECT3: of the population.
    skewness, kurtosis
        KE2A and IPH6, the latter as excess over the normal distribution's; 0 where all
        HU are one.
    median_hu, p10_hu, p90_hu, iqr_hu, range_hu
        Y12H, QG58, 8DWT, SALO, 2OJQ; percentiles between two values are interpolated.
    mean_absolute_deviation_hu
        4FUA: mean distance from the mean.
    robust_mean_absolute_deviation_hu
        1128: the same of the values from the 10th to the 90th percentile; NaN where two
        voxels leave none.
    median_absolute_deviation_hu
        N72L: mean distance from the median.
    coefficient_of_variation, quartile_dispersion
        7TET and 9S40; of HU, whose zero is water, they say little. NaN where they would
        be divided by 0.
    energy_hu2, rms_hu
        N8CA and 5ZWQ: the sum of squares, and the root of their mean.
    """

    variance_hu2: float
    skewness: float
    kurtosis: float
    median_hu: float
    p10_hu: float
    p90_hu: float
    iqr_hu: float
    range_hu: float
    mean_absolute_deviation_hu: float
    robust_mean_absolute_deviation_hu: float
    median_absolute_deviation_hu: float
    coefficient_of_variation: float
    quartile_dispersion: float
    energy_hu2: float
    rms_hu: float


def intensity_of(values: FloatArray) -> Intensity:
    """Return the statistics of the HU of a nodule's voxels, (n,), one or more."""
    mean = float(values.mean())
    off = values - mean
    variance = float((off**2).mean())
    p10, p25, median, p75, p90 = np.percentile(values, [10, 25, 50, 75, 90]).tolist()
    robust = values[(values >= p10) & (values <= p90)]
    squares = float((values**2).sum())
    return Intensity(
        variance_hu2=variance,
        skewness=float((off**3).mean()) / variance**1.5 if variance > 0 else 0.0,
        kurtosis=float((off**4).mean()) / variance**2 - 3 if variance > 0 else 0.0,
        median_hu=median,
        p10_hu=p10,
        p90_hu=p90,
        iqr_hu=p75 - p25,
        range_hu=float(values.max() - values.min()),
        mean_absolute_deviation_hu=float(np.abs(off).mean()),
        robust_mean_absolute_deviation_hu=(
            float(np.abs(robust - robust.mean()).mean()) if robust.size else float("nan")
        ),
        median_absolute_deviation_hu=float(np.abs(values - median).mean()),
        coefficient_of_variation=_ratio(variance**0.5, mean),
        quartile_dispersion=_ratio(p75 - p25, p75 + p25),
        energy_hu2=squares,
        rms_hu=(squares / values.size) ** 0.5,
    )


def _ratio(value: float, by: float) -> float:
    return value / by if by else float("nan")
