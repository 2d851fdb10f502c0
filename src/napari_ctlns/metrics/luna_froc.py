"""FROC and CPM as in the LUNA16 evaluation, with bootstrap bands over scans.

Setio et al. 2017, doi:10.1016/j.media.2017.06.015: the curve has a point for each
probability from which marks count; between two points it is a straight line. The
competition performance metric (CPM; Niemeijer et al. 2011, doi:10.1109/TMI.2010.2072789)
is the mean of the sensitivities at seven rates of false positives.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from napari_ctlns.metrics.bootstrap import CONFIDENCE
from napari_ctlns.metrics.luna_matching import MISSED, Fate, LunaMatches
from napari_ctlns.metrics.nodules import FrocCurve
from napari_ctlns.volume import FloatArray

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives a scan at which sensitivity is told."""
RESAMPLES = 1000
_STEPS_AN_OCTAVE = 6
_BATCH = 250
"""Resamples at a time: with a thousand nodules some ten MB."""


@dataclass(frozen=True, eq=False)
class FrocBands:
    """Between what the curve would wander had other scans been read, at 95 % confidence.

    Attributes
    ----------
    rates
        False positives a scan, ascending; each of `RATES` is among them.
    low, high
        Of the sensitivity at each rate; NaN where fewer than two scans have nodules.
    cpm_low, cpm_high
        Of the CPM.
    """

    rates: FloatArray
    low: FloatArray
    high: FloatArray
    cpm_low: float
    cpm_high: float

    def at(self, rate: float) -> tuple[float, float]:
        """Return both bounds at one of the rates."""
        place = int(np.abs(self.rates - rate).argmin())
        return float(self.low[place]), float(self.high[place])


def luna_froc(matches: LunaMatches) -> FrocCurve:
    """Return the curve: a point for each probability that a mark that counts has.

    A nodule that no mark hits counts as one that is found below all of them, so the curve
    ends below 1. Sensitivity is NaN where there is no nodule.
    """
    entries = _Entries(matches)
    false, found = (
        np.append(0, np.cumsum(which)[entries.ends]) for which in (~entries.is_hit, entries.is_hit)
    )
    nodules = entries.nodules.sum()
    return FrocCurve(
        thresholds=np.append(np.inf, entries.scores[entries.ends]),
        false_positives_per_scan=false / max(len(matches.scan_ids), 1),
        sensitivity=found / nodules if nodules else np.full(len(found), np.nan),
    )


def sensitivities(curve: FrocCurve, rates: npt.ArrayLike = RATES) -> FloatArray:
    """Return the sensitivity at rates of false positives a scan, straight between points.

    Where several points have one rate, the highest counts; beyond the last point the curve
    goes on as high as that.
    """
    return np.interp(np.asarray(rates, float), curve.false_positives_per_scan, curve.sensitivity)


def cpm(curve: FrocCurve) -> float:
    """Return the mean of the sensitivities at `RATES`; NaN where there is no nodule."""
    return float(sensitivities(curve).mean())


def froc_bands(matches: LunaMatches, seed: int = 0, resamples: int = RESAMPLES) -> FrocBands:
    """Return percentile bootstrap bands: scans are drawn with replacement, as many as there are.

    Parameters
    ----------
    matches
        Of all scans.
    seed
        The same seed gives the same draws.
    resamples
        How often to draw.
    """
    octaves = np.log2(RATES[-1] / RATES[0])
    rates = RATES[0] * 2.0 ** (np.arange(round(octaves * _STEPS_AN_OCTAVE) + 1) / _STEPS_AN_OCTAVE)
    entries = _Entries(matches)
    if np.count_nonzero(entries.nodules) < 2:
        unknown = np.full(len(rates), np.nan)
        return FrocBands(rates, unknown, unknown, np.nan, np.nan)
    scans = len(matches.scan_ids)
    times = np.random.default_rng(seed).multinomial(scans, np.full(scans, 1 / scans), resamples)
    times = times[times @ entries.nodules > 0]  # of a draw without nodules nothing can be said
    corners = _Corners(entries)
    drawn = np.concatenate(
        [corners.drawn(times[i : i + _BATCH], rates) for i in range(0, len(times), _BATCH)]
    )
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail], axis=0)
    cpms = drawn[:, ::_STEPS_AN_OCTAVE].mean(axis=1)
    cpm_low, cpm_high = (float(v) for v in np.percentile(cpms, [tail, 100 - tail]))
    return FrocBands(rates, low, high, cpm_low, cpm_high)


def cpm_in_words(curve: FrocCurve, bands: FrocBands) -> str:
    """Say the CPM, with its interval where one is known."""
    value = cpm(curve)
    if value != value:  # NaN
        return "CPM not known: no nodules"
    known = bands.cpm_low == bands.cpm_low
    interval = f" (95 %: {bands.cpm_low:.3f} to {bands.cpm_high:.3f})" if known else ""
    return f"CPM {value:.3f}{interval}"


def froc_summary(matches: LunaMatches, curve: FrocCurve, bands: FrocBands) -> dict[str, Any]:
    """Return what ``ctlns froc`` tells, in its own names."""
    names = [f"{rate:g}" for rate in RATES]
    bounds = [bands.at(rate) for rate in RATES]
    return {
        "sensitivity": dict(zip(names, sensitivities(curve).tolist(), strict=True)),
        "cpm": cpm(curve),
        "true_positives": matches.true_positives,
        "false_positives": matches.count(Fate.false),
        "missed": matches.missed,
        "candidates": matches.candidates,
        "ignored_excluded": matches.count(Fate.excluded),
        "double_marks": matches.double_marks,
        "scans": len(matches.scan_ids),
        "nodules": matches.true_positives + matches.missed,
        "sensitivity_95": {n: list(b) for n, b in zip(names, bounds, strict=True)},
        "cpm_95": [bands.cpm_low, bands.cpm_high],
    }


class _Entries:
    """Hits and false marks from the most probable on, and how many nodules each scan has.

    ``ends`` are the last entries of those that have one probability: they come together.
    """

    def __init__(self, matches: LunaMatches) -> None:
        false = np.flatnonzero(matches.fates == Fate.false)
        found = np.flatnonzero(matches.best != MISSED)
        scores = np.concatenate([matches.scores[false], matches.scores[matches.best[found]]])
        order = np.argsort(-scores, kind="stable")
        self.scores = scores[order]
        self.is_hit = (np.arange(len(scores)) >= len(false))[order]
        scans = np.concatenate([matches.mark_scans[false], matches.nodule_scans[found]])
        self.scans = scans[order]
        self.ends = np.flatnonzero(np.append(np.diff(self.scores) != 0, len(scores) > 0))
        of_scans = matches.nodule_scans[matches.nodule_scans >= 0]
        self.nodules = np.bincount(of_scans, minlength=len(matches.scan_ids))


class _Corners:
    """The points at which a curve may rise, and those before them; it is level between others.

    They are as few as nodules, and so a thousand curves are drawn at once.
    """

    def __init__(self, entries: _Entries) -> None:
        self._nodules = entries.nodules
        rises = np.diff(np.cumsum(entries.is_hit)[entries.ends], prepend=0) > 0
        ends = entries.ends[rises | np.append(rises[1:], True)[: len(rises)]]
        corner = np.searchsorted(ends, np.arange(len(entries.scores)))
        shape = (len(ends), len(entries.nodules))
        self._false, self._found = (
            csr_array((np.ones(which.sum()), (corner[which], entries.scans[which])), shape=shape)
            for which in (~entries.is_hit, entries.is_hit)
        )

    def drawn(self, times: npt.NDArray[Any], rates: FloatArray) -> FloatArray:
        """Return the sensitivity at rates of false positives a scan, for draws of scans (rows).

        Parameters
        ----------
        times
            How often each draw (rows) has each scan (columns).
        rates
            False positives a scan.
        """
        false, found = (
            np.pad(np.cumsum(counts @ times.T, axis=0), ((1, 0), (0, 0))).T
            for counts in (self._false, self._found)
        )
        shares = found / (times @ self._nodules)[:, None]
        false = false / times.shape[1]
        return np.array([np.interp(rates, *curve) for curve in zip(false, shares, strict=True)])
