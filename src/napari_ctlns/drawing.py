"""What pictures for people have in common."""

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

TRUE_COLOUR = "#E69F00"
"""Orange (Okabe and Ito 2008), seen by every kind of colour vision."""


def draw_outline(ax: Axes, mask: npt.NDArray[Any], colour: str, width: float = 1.0) -> None:
    """Draw the outline of a mask (y, x) over the image that axes show."""
    if not mask.any():
        return
    rows, columns = mask.shape
    # a frame of background closes outlines at the edge of the image
    framed = np.pad((mask != 0).astype(float), 1)
    x, y = np.arange(-1, columns + 1), np.arange(-1, rows + 1)
    ax.contour(x, y, framed, levels=[0.5], colors=[colour], linewidths=[width])
