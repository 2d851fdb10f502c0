"""What is no nodule often tells by its shape: pieces of vessels and of the lung wall."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_ctlns.findings import Lookalike
from napari_ctlns.volume import Triple, Volume

SLIM = 0.48
"""Longer than about twice its width: of true nodules next to none, of vessels nearly all."""
FLAT = 0.42
"""Wider in both directions than about 2.4 times its thickness."""
FILLED = 0.6
"""A piece of the wall fills the ellipse that it lies in, branches leave most of it free."""


def lookalike(inside: npt.NDArray[np.bool_], spacing: Triple) -> Lookalike:
    """Tell what an object resembles by its shape alone.

    Its principal axes (IBSI TDIC, P9VJ, 7J51) are compared: a tube has one long axis, a
    piece of the wall two, a nodule three alike. A vessel that branches is flat too, but
    with gaps.

    Parameters
    ----------
    inside
        (z, y, x), not empty.
    spacing
        Millimetres (z, y, x).

    Returns
    -------
    str
        "vessel", "lung wall", or "" for what may well be a nodule.
    """
    major, minor, least = _axes(inside, spacing)
    if minor / major < SLIM:
        return "vessel"
    if least / minor < FLAT:
        filled = _area(inside, spacing) / (4 * np.pi * major * minor)
        return "lung wall" if filled > FILLED else "vessel"
    return ""


def lookalikes_of(mask: Volume) -> dict[int, Lookalike]:
    """Return the labels of a mask that resemble something else than a nodule, and what."""
    boxes = enumerate(ndimage.find_objects(mask.array), start=1)
    kinds = {
        label: lookalike(mask.array[box] == label, mask.geometry.spacing)
        for label, box in boxes
        if box is not None
    }
    return {label: kind for label, kind in kinds.items() if kind}


def _axes(inside: npt.NDArray[np.bool_], spacing: Triple) -> tuple[float, float, float]:
    """Return the standard deviations (mm) along the principal axes, the greatest first."""
    places = np.argwhere(inside) * spacing
    away = places - places.mean(axis=0)
    # a voxel is no point: without its own extent two of them would be a line
    spread = away.T @ away / len(places) + np.diag(np.square(spacing) / 12)
    least, minor, major = np.sqrt(np.linalg.eigvalsh(spread))
    return float(major), float(minor), float(least)


def _area(inside: npt.NDArray[np.bool_], spacing: Triple) -> float:
    """Return the area (mm2) of something flat: its volume over its greatest thickness."""
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=spacing)
    thickness = 2 * float(depth.max()) - min(spacing)  # its border lies half a voxel before air
    return float(np.count_nonzero(inside) * np.prod(spacing)) / thickness
