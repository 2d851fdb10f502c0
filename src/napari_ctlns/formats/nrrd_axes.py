"""What a NRRD header says of its axes: which run through space, and where they lie."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.grids import shape_and_volumes, straight_grid
from napari_ctlns.volume import Geometry

_Fields = dict[str, str]
_TO_LPS = {
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
}
_SPATIAL_KINDS = ("domain", "space", "???", "none")
_OTHER_UNITS = {"m", "cm", "um", "\u00b5m", "nm", "in", "meters", "micron", "microns"}
_MOST_AXES = 16


def nrrd_grid(path: Path, fields: _Fields) -> tuple[Geometry, int, tuple[str, ...]]:
    """Return the grid of one volume, how many there are, and warnings in words.

    Parameters
    ----------
    path
        The file, for messages.
    fields
        The header, field names in lower case without spaces.

    Raises
    ------
    ScanError
        If the fields contradict each other, or there are not three axes in space.
    """
    sizes = _sizes(path, fields)
    directions = _directions(path, fields, len(sizes))
    spatial = _spatial(path, fields, len(sizes), directions)
    # an axis of one that is not in space says nothing
    kept = [k for k, n in enumerate(sizes) if spatial[k] or n > 1]
    if not all(spatial[k] for k in kept[:3]):
        message = f"a colour or vector image, or volumes mixed voxel by voxel: {path}"
        raise ScanError(f"{message}; give a CT with one value a voxel, time as the last axis")
    shape, volumes = shape_and_volumes(path, [sizes[k] for k in kept])
    axes = kept[:3]
    words = _unit_words(fields)
    if directions is None:
        spacing, origin = _spacings(path, fields, len(sizes), axes)
        columns: npt.ArrayLike = np.eye(3)
        if "spacings" not in fields:
            words.append("the header tells no voxel spacing: 1 mm is taken")
    else:
        vectors = np.array([directions[k] for k in axes], float).T
        spacing = np.linalg.norm(vectors, axis=0)
        columns = vectors / spacing
        origin = np.array(_vectors(path, fields, "spaceorigin", 1, "(0,0,0)")[0], float)
    space = fields.get("space", "").lower().removesuffix("-time")
    turn = np.array(_TO_LPS.get(space, (1, 1, 1)), float)
    if directions is None or space not in _TO_LPS:
        words.append("the header tells no orientation: left and right may be swapped")
    if directions is not None:
        origin, columns = origin * turn, np.asarray(columns) * turn[:, None]
    return straight_grid(path, shape, spacing, origin, columns), volumes, tuple(words)


def _sizes(path: Path, fields: _Fields) -> list[int]:
    numbers = _numbers(fields["sizes"])
    whole = all(n == int(n) for n in numbers) if np.isfinite(numbers).all() else False
    if not (whole and 0 < len(numbers) <= _MOST_AXES and fields["dimension"] == str(len(numbers))):
        message = f"damaged header in {path}: dimension {fields['dimension'][:40]}"
        raise ScanError(f"{message} does not fit sizes {fields['sizes'][:40]}; mend it")
    return [int(n) for n in numbers]


def _directions(path: Path, fields: _Fields, n: int) -> list[list[float] | None] | None:
    if "spacedirections" not in fields:
        return None
    return _vectors(path, fields, "spacedirections", n, "")


def _vectors(
    path: Path, fields: _Fields, name: str, count: int, otherwise: str
) -> list[list[float] | None]:
    """Return ``count`` vectors (x, y, z); those called none, or of NaN, as None.

    Where space has a fourth dimension, time, this leaves it out.
    """
    text = fields.get(name, otherwise)
    found: list[list[float] | None] = []
    for word in re.findall(r"none|\([^)]*\)|\S+", text):
        numbers = _numbers(word.strip("()").replace(",", " ")) if word != "none" else []
        if not numbers and word != "none":
            break
        found.append(None if np.isnan(numbers).all() else numbers)
    lengths = {len(vector) for vector in found if vector is not None}
    if len(found) != count or len(lengths) != 1:
        message = f"damaged header in {path}: {name} {text[:60]} are not {count} vectors"
        raise ScanError(f"{message}; mend it")
    if not lengths <= {3, 4}:
        message = f"not a three-dimensional scan: {path} has {name} {text[:60]}"
        raise ScanError(f"{message}; give one volume of (x, y, z)")
    if count > 1 and any(v is not None and len(v) == 4 and v[3] != 0 for v in found[:3]):
        raise ScanError(f"axes of space run through time in {path}; save it as one volume")
    return [None if vector is None else vector[:3] for vector in found]


def _spatial(
    path: Path, fields: _Fields, n: int, directions: list[list[float] | None] | None
) -> list[bool]:
    """Tell of each axis whether it runs through space."""
    kinds = fields.get("kinds", "").lower().split()
    if kinds and len(kinds) != n:
        message = f"damaged header in {path}: kinds {fields['kinds'][:60]} are not {n}"
        raise ScanError(f"{message}; mend it")
    if directions is not None:
        return [vector is not None for vector in directions]
    return [not kinds or kinds[k] in _SPATIAL_KINDS for k in range(n)]


def _spacings(
    path: Path, fields: _Fields, n: int, axes: list[int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return spacing and origin of a header that knows of no space.

    The first voxel lies at the axis' minimum, or half a voxel further where the
    minimum is that of a cell's face, as teem takes it for granted.
    """
    spacings, lows = np.ones(n), np.full(n, np.nan)
    for name, target in (("spacings", spacings), ("axismins", lows)):
        if name in fields:
            numbers = _numbers(fields[name])
            if len(numbers) != n:
                message = f"damaged header in {path}: {name} {fields[name][:60]} are not {n}"
                raise ScanError(f"{message}; mend it")
            target[:] = numbers
    spacing = spacings[axes]
    centres = fields.get("centers", fields.get("centerings", "")).lower().split()
    cell = np.array([k >= len(centres) or centres[k] != "node" for k in axes])
    low = lows[axes]
    known = bool(np.isfinite(low).all())
    origin = low + np.where(cell, spacing / 2, 0) if known else np.zeros(3)
    return spacing, origin


def _unit_words(fields: _Fields) -> list[str]:
    told = re.findall(r'"([^"]*)"', fields.get("spaceunits", "") + fields.get("units", ""))
    other = sorted(_OTHER_UNITS.intersection(told))
    if not other:
        return []
    return [f"the header's distances are in {', '.join(other)}: they are taken as mm, as in ITK"]


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return []
