"""How fast a nodule grows, and how sure that is.

The error of a volume has two parts. One is there however fine the voxels are: a nodule
that did not change, scanned again, has a volume within about 25 % (Hein et al. 2010,
PMC3043750; Marchiano et al. 2009, doi:10.1148/radiol.2512081313), which
is why screening trials and guidelines call 25 % growth (Callister et al. 2015,
doi:10.1136/thoraxjnl-2015-207168). The other comes from the border, which cannot be drawn
better than to part of a voxel, and grows with surface over volume and with thick slices
(Nietert et al. 2009, doi:10.1378/chest.08-2040).
"""

from dataclasses import dataclass

import numpy as np

from napari_ctlns.volume import Triple

REPEATABILITY = 1.25
"""Two volumes of one nodule differ by less than this factor 95 times in 100."""
BORDER_SHARE = 0.05
"""How exactly a border is drawn: within this part of a voxel's width, one standard deviation.
With it a ball of 100 mm3 in slices of 1 mm repeats within a third, a little more than was found."""
Z_95 = 1.959964
"""Standard normal quantile of an interval of 95 %."""
REPEAT_SD = float(np.log(REPEATABILITY) / (Z_95 * np.sqrt(2)))
"""Of the logarithm of one volume, so that the difference of two has that limit."""


@dataclass(frozen=True)
class Size:
    """What is needed of a nodule at one scan.

    Attributes
    ----------
    volume_mm3, surface_mm2
        Of its voxels, and of its surface.
    spacing
        Millimetres between voxels (z, y, x).
    """

    volume_mm3: float
    surface_mm2: float
    spacing: Triple

    @property
    def log_sd(self) -> float:
        """Standard deviation of the logarithm of the volume.

        A border off by b mm all round changes the volume by surface * b. The width of a
        voxel across a surface that faces all ways alike is half the sum of its sides,
        for the mean of the absolute cosine over all directions is one half.
        """
        width = sum(self.spacing) / 2
        border = BORDER_SHARE * width * self.surface_mm2 / self.volume_mm3
        return float(np.hypot(REPEAT_SD, border))


@dataclass(frozen=True)
class Change:
    """What became of a nodule's volume.

    Attributes
    ----------
    percent
        Volume change; `low_percent` to `high_percent` is its interval of 95 %.
    limit_percent
        Growth below it is within measurement error.
    doubling_days
        Volume doubling time; negative: how long until it is half; infinite if both volumes
        are equal.
    low_days, high_days
        The interval of 95 %, the faster end first. ``high_days`` is infinite where it may be
        stable or have changed the other way.
    """

    percent: float
    low_percent: float
    high_percent: float
    limit_percent: float
    doubling_days: float
    low_days: float
    high_days: float

    @property
    def words(self) -> str:
        """Whether it grew: "grown", "smaller" or "within measurement error"."""
        if np.isinf(self.high_days):
            return "within measurement error"
        return "grown" if self.percent > 0 else "smaller"


def change(size: Size, later: Size, days: float) -> Change:
    """Compare a nodule's volumes.

    Volume doubling time by exponential growth: ``days * ln 2 / ln(later / earlier)``
    (Schwartz 1961, Cancer 14:1272-1294). The interval takes the logarithms of both volumes
    as normal, with `Size.log_sd`.

    Parameters
    ----------
    size, later
        At both scans.
    days
        Between them, above 0.
    """
    ratio = float(np.log(later.volume_mm3 / size.volume_mm3))
    reach = Z_95 * float(np.hypot(size.log_sd, later.log_sd))
    low, high = ratio - reach, ratio + reach
    if low > 0:
        ends = _doubling(high, days), _doubling(low, days)
    elif high < 0:
        ends = _doubling(low, days), _doubling(high, days)
    else:
        ends = _doubling(high, days), np.inf
    return Change(
        percent=_percent(ratio),
        low_percent=_percent(low),
        high_percent=_percent(high),
        limit_percent=_percent(reach),
        doubling_days=_doubling(ratio, days),
        low_days=ends[0],
        high_days=float(ends[1]),
    )


def doubling_in_words(days: float, low_days: float, high_days: float) -> str:
    """Say a doubling time with its interval of 95 %, for a person.

    Parameters
    ----------
    days, low_days, high_days
        As in `Change`; NaN where nothing is known.
    """
    if np.isnan(days) or np.isnan(low_days):
        return "not known"
    if np.isinf(high_days):
        return f"doubling no faster than in {_days(low_days)}; it may be stable"
    verb = "doubling in" if days > 0 else "halving in"
    low, high = abs(low_days), abs(high_days)
    return f"{verb} {_days(abs(days))} ({low:.0f} to {high:.0f})"


def _days(days: float) -> str:
    return f"{days:.0f} day" if round(days) == 1 else f"{days:.0f} days"


def _percent(logarithm: float) -> float:
    return float(100 * np.expm1(logarithm))


def _doubling(logarithm: float, days: float) -> float:
    return float(days * np.log(2) / logarithm) if logarithm else float(np.inf)
