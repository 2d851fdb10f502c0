"""What pictures for people have in common."""

import io
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

TRUE_COLOUR = "#E69F00"
PREDICTED_COLOUR = "#56B4E9"
"""Orange and sky blue (Okabe and Ito 2008) differ for every kind of colour vision."""

LUNG_WINDOW_HU = (-1350.0, 150.0)
"""In which lungs are looked at."""

Dashes = Literal["solid"] | tuple[float, tuple[float, ...]]


def draw_outline(
    ax: Axes,
    mask: npt.NDArray[Any],
    colour: str,
    width: float = 1.0,
    dashes: Dashes = "solid",
) -> None:
    """Draw the outline of a mask (y, x) over the image that axes show."""
    if not mask.any():
        return
    rows, columns = mask.shape
    # a frame of background closes outlines at the edge of the image
    framed = np.pad((mask != 0).astype(float), 1)
    x, y = np.arange(-1, columns + 1), np.arange(-1, rows + 1)
    ax.set_autoscale_on(False)  # an outline at the edge moves nothing
    ax.contour(x, y, framed, levels=[0.5], colors=[colour], linewidths=[width], linestyles=[dashes])


def png_of(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png")  # Agg, as for every figure that pyplot does not manage
    return file.getvalue()
