"""The FROC curve as a picture for people."""

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from napari_ctlns.drawing import png_of
from napari_ctlns.metrics.luna_froc import RATES, FrocBands, cpm_in_words, sensitivities
from napari_ctlns.metrics.nodules import FrocCurve

_COLOUR = "#0072B2"
"""Blue of the Okabe-Ito palette."""


def froc_png(curve: FrocCurve, bands: FrocBands) -> bytes:
    """Draw sensitivity against false positives a scan, on an axis of octaves, with its band.

    Returns
    -------
    bytes
        PNG.
    """
    figure = Figure(figsize=(6.0, 4.2), dpi=150, layout="constrained")
    ax = figure.subplots()
    ax.fill_between(
        bands.rates,
        bands.low,
        bands.high,
        color=_COLOUR,
        alpha=0.18,
        linewidth=0,
        label="95 % band",
    )
    ax.plot(bands.rates, sensitivities(curve, bands.rates), color=_COLOUR, linewidth=1.6)
    ax.plot(RATES, sensitivities(curve), "o", color=_COLOUR, markersize=5, clip_on=False, zorder=3)
    ax.set_xscale("log", base=2)
    ax.set_xlim(RATES[0], RATES[-1])
    ax.set_ylim(0, 1)
    ax.xaxis.set_major_locator(FixedLocator(RATES))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"1/{round(1 / r)}" if r < 1 else f"{r:g}" for r in RATES])
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel("False positives a scan")
    ax.set_ylabel("Nodules found")
    ax.set_title(cpm_in_words(curve, bands), fontsize="medium", loc="left")
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="lower right", fontsize=9)
    return png_of(figure)
