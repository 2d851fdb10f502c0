"""Where a NIfTI file says that its voxels lie: it may say so twice, or not at all.

The qform is a rotation and a shift, the sform any affine matrix; both lead to
RAS. Which one counts follows ITK 5.4, and so do SimpleITK and 3D Slicer: the
sform where it is the only one, or speaks of the scanner's own coordinates, or
says the same; else the qform. The spacing is the header's own in any case.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.errors import ScanError
from napari_ctlns.formats.grids import is_straight, straight_grid
from napari_ctlns.volume import Geometry

_Matrix = npt.NDArray[np.float64]

_SCANNER = 1
_MILLIMETRES = {1: (1000.0, "metres"), 3: (0.001, "micrometres")}
_SPACE_UNITS = 0b111
_RIGHT_ANGLE = 1e-4
_SAME_SPACING_MM = 1e-3
_LPS = np.array([-1.0, -1.0, 1.0])


def nifti_grid(
    path: Path, shape: tuple[int, int, int], header: Any
) -> tuple[Geometry, tuple[str, ...]]:
    """Return the grid of one volume, in LPS millimetres, and warnings in words.

    Parameters
    ----------
    path
        The file, for messages.
    shape
        Voxels along (z, y, x).
    header
        A record with the fields pixdim, units, qform_code, sform_code,
        quaternion, qoffset and srow.

    Raises
    ------
    ScanError
        If spacing, origin or direction is impossible.
    """
    spacing = np.asarray(header["pixdim"][1:4], float)
    if (spacing < 0).any():
        message = f"negative voxel spacing in {path}: programs differ on what it means"
        raise ScanError(f"{message}, left and right could be swapped; mend its header")
    forms = {}
    if header["qform_code"] > 0:
        forms["qform"] = straight_grid(path, shape, spacing, *_qform(header))
    if header["sform_code"] > 0 and _is_usable(header):
        forms["sform"] = straight_grid(path, shape, spacing, *_sform(header))
    words = []
    if forms:
        taken = _taken(forms, int(header["sform_code"]))
        grid = forms[taken]
        words = _contradictions(header, forms, taken)
    elif header["sform_code"] > 0:
        message = f"the axes are not at right angles in {path} (sform)"
        raise ScanError(f"{message}; resample it onto a straight grid")
    else:
        grid = straight_grid(path, shape, spacing, np.zeros(3), np.eye(3))
        words.append("the header tells no orientation: left and right may be swapped")
    units = int(header["units"]) & _SPACE_UNITS
    if units in _MILLIMETRES:
        scale, name = _MILLIMETRES[units]
        words.append(f"the header's distances are in {name}: converted to millimetres")
        grid = _scaled(path, grid, scale)
    return grid, tuple(words)


def _qform(header: Any) -> tuple[_Matrix, _Matrix]:
    """Return origin and columns in LPS of the rotation that the quaternion stands for."""
    vector = np.asarray(header["quaternion"], float)
    square = 1 - vector @ vector
    if square < 1e-7:
        # the quaternion is not quite of length 1: half a turn around the vector
        vector = vector / np.linalg.norm(vector)
        square = 0.0
    b, c, d = vector
    cross = np.array([[0, -d, c], [d, 0, -b], [-c, b, 0]])
    # Rodrigues' formula for the unit quaternion (a, b, c, d)
    rotation = np.eye(3) + 2 * np.sqrt(square) * cross + 2 * cross @ cross
    if header["pixdim"][0] < 0:
        rotation[:, 2] *= -1
    return np.asarray(header["qoffset"], float) * _LPS, rotation * _LPS[:, None]


def _sform(header: Any) -> tuple[_Matrix, _Matrix]:
    """Return origin and unit columns in LPS of the affine matrix."""
    affine = np.asarray(header["srow"], float) * _LPS[:, None]
    return affine[:, 3], affine[:, :3] / np.linalg.norm(affine[:, :3], axis=0)


def _is_usable(header: Any) -> bool:
    origin, columns = _sform(header)
    return bool(np.isfinite(origin).all()) and is_straight(columns, _RIGHT_ANGLE)


def _taken(forms: dict[str, Geometry], sform_code: int) -> str:
    if len(forms) == 1:
        return next(iter(forms))
    return "sform" if sform_code == _SCANNER or _apart_mm(forms) < 1e-3 else "qform"


def _contradictions(header: Any, forms: dict[str, Geometry], taken: str) -> list[str]:
    words = []
    if len(forms) == 2:
        apart = _apart_mm(forms)
        # a qform of half a turn is this inexact in single precision
        if apart > min(forms[taken].spacing) / 2:
            words.append(f"sform and qform lie up to {apart:.3g} mm apart: the {taken} is taken")
    elif header["sform_code"] > 0 and taken == "qform":
        words.append("the sform's axes are not at right angles: the qform is taken")
    scales = np.linalg.norm(np.asarray(header["srow"], float)[:, :3], axis=0)
    spacing = np.asarray(header["pixdim"][1:4], float)
    if "sform" in forms and np.abs(scales - spacing).max() > _SAME_SPACING_MM:
        told, own = (", ".join(f"{v:.4g}" for v in values) for values in (scales, spacing))
        words.append(f"the sform's spacing ({told}) is not the header's ({own}): that is taken")
    return words


def _apart_mm(forms: dict[str, Geometry]) -> float:
    """Return the largest distance between the corners of the two grids."""
    one, other = forms.values()
    faces = [(0, n - 1) for n in one.shape]
    corners = np.array(np.meshgrid(*faces, indexing="ij")).reshape(3, -1).T
    between = one.index_to_world(corners) - other.index_to_world(corners)
    return float(np.linalg.norm(between, axis=1).max())


def _scaled(path: Path, grid: Geometry, scale: float) -> Geometry:
    spacing, origin = np.multiply(grid.spacing[::-1], scale), np.multiply(grid.origin, scale)
    return straight_grid(path, grid.shape, spacing, origin, grid.direction)
