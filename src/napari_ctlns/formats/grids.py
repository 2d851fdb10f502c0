"""From the numbers of a header to a grid that is sure to be possible."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.volume import Geometry, direction_rows

_RIGHT_ANGLE = 1e-3
_SPACING_MM = (1e-6, 1e6)
_FARTHEST_MM = 1e9
_MOST_VOLUMES = 10_000


def straight_grid(
    path: Path,
    shape: tuple[int, int, int],
    spacing: npt.ArrayLike,
    origin: npt.ArrayLike,
    columns: npt.ArrayLike,
) -> Geometry:
    """Return the grid that a header describes.

    Parameters
    ----------
    path
        The file, for messages.
    shape
        Voxels along (z, y, x).
    spacing
        Millimetres along (x, y, z). A negative one turns its axis round, as in ITK.
    origin
        Centre of the first voxel, LPS millimetres (x, y, z).
    columns
        (3, 3), the unit vectors of the axes x, y and z in LPS as columns.

    Raises
    ------
    ScanError
        If spacing or origin is impossible, or the axes are not at right angles.
    """
    spacing, origin, columns = (np.asarray(v, float) for v in (spacing, origin, columns))
    low, high = _SPACING_MM
    size = np.abs(spacing)
    # written so that NaN fails
    if not ((size > low).all() and (size < high).all() and (np.abs(origin) < _FARTHEST_MM).all()):
        message = f"impossible spacing {_words(spacing)} or origin {_words(origin)} in {path}"
        raise ScanError(f"{message}; mend its header")
    if not is_straight(columns, _RIGHT_ANGLE):
        message = f"the axes are not at right angles in {path}, or not of length 1"
        raise ScanError(f"{message}; resample it onto a straight grid")
    x, y, z = (float(v) for v in size)
    first_x, first_y, first_z = (float(v) for v in origin)
    return Geometry(
        shape=shape,
        spacing=(z, y, x),
        origin=(first_x, first_y, first_z),
        # adding 0.0 turns -0.0 into 0.0
        direction=direction_rows(np.where(spacing < 0, -columns, columns) + 0.0),
    )


def is_straight(columns: npt.NDArray[np.float64], tolerance: float) -> bool:
    """Whether the columns (3, 3) are unit vectors at right angles; never for NaN."""
    return bool(np.abs(columns.T @ columns - np.eye(3)).max() <= tolerance)


def shape_and_volumes(path: Path, size: Sequence[int]) -> tuple[tuple[int, int, int], int]:
    """Return the shape (z, y, x) of one volume and how many a file of ``size`` (x, y, z, n) holds.

    Raises
    ------
    ScanError
        If it has fewer than three axes, more than four, one without voxels, or more
        volumes than anybody could choose from.
    """
    kept = list(size)
    while len(kept) > 3 and kept[-1] == 1:
        kept.pop()
    if len(kept) not in (3, 4) or min(kept) < 1 or max(kept[3:], default=1) > _MOST_VOLUMES:
        message = f"not a three-dimensional scan: {path} has the size {_words(size)}"
        raise ScanError(f"{message}; give one volume of (x, y, z)")
    return (kept[2], kept[1], kept[0]), kept[3] if len(kept) == 4 else 1


def data_beside(path: Path, name: str) -> Path:
    """Return the data file that the header ``path`` calls ``name``, in its own folder or below.

    Raises
    ------
    ScanError
        If it lies elsewhere, links followed: a header must not make us read any file.
    """
    data = path.parent / name
    try:
        inside = data.resolve().is_relative_to(path.parent.resolve())
        data.is_file()  # no matter whether: this raises for what cannot be a name
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a ring
        message = f"impossible name of a data file in {path}: {name[:40]!r}"
        raise ScanError(f"{message}; mend its header") from error
    if not inside:
        message = f"the data file {name} lies outside the folder of {path}; put both together"
        raise ScanError(message)
    return data


def _words(numbers: npt.ArrayLike) -> str:
    return " x ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in np.ravel(numbers)[:8])
