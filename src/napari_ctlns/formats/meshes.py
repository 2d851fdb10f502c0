"""Surfaces of triangles as mesh files: binary STL and Wavefront OBJ, LPS millimetres.

Neither format can name a unit; both hold what DICOM and 3D Slicer call LPS millimetres.
"""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.atomic import atomic_path
from napari_ctlns.errors import OutputError

MESH_EXTENSIONS = (".stl", ".obj")

Surface = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""Vertices (n, 3), LPS millimetres (x, y, z), and faces (m, 3), three vertices each."""

_STL_HEADER = b"nodules, LPS millimetres"
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def write_surfaces(path: str | os.PathLike[str], surfaces: Mapping[str, Surface]) -> None:
    """Write surfaces in one file; the format follows the extension.

    Parameters
    ----------
    path
        ``.obj`` has an object of each name; ``.stl`` has all triangles and no names.
    surfaces
        By name, which must be a word.

    Raises
    ------
    OutputError
        If the extension is another, or the file cannot be written.
    """
    path = Path(path)
    check_mesh_extension(path)
    content = _stl(surfaces) if path.suffix.lower() == ".stl" else _obj(surfaces)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def check_mesh_extension(path: Path) -> None:
    """Refuse a file that is no mesh by its name.

    Raises
    ------
    OutputError
        If the extension is neither ``.stl`` nor ``.obj``, or there is a folder of that name.
    """
    if path.suffix.lower() not in MESH_EXTENSIONS:
        known = " or ".join(MESH_EXTENSIONS)
        raise OutputError(f"cannot write {path.name}: a mesh is a {known} file")
    if path.is_dir():
        raise OutputError(f"cannot write {path}: there is a folder of that name; choose another")


def _stl(surfaces: Mapping[str, Surface]) -> bytes:
    corners = np.concatenate([np.zeros((0, 3, 3)), *(v[f] for v, f in surfaces.values())])
    triangles = np.zeros(len(corners), _STL_TRIANGLE)
    triangles["corners"] = corners
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    triangles["normal"] = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    count = np.array(len(corners), "<u4").tobytes()
    return _STL_HEADER.ljust(80) + count + triangles.tobytes()


def _obj(surfaces: Mapping[str, Surface]) -> bytes:
    text = io.StringIO()
    text.write("# LPS millimetres\n")
    first = 1  # vertices are counted from 1 through the whole file
    for name, (vertices, faces) in surfaces.items():
        text.write(f"o {name}\n")
        np.savetxt(text, vertices, "v %.5f %.5f %.5f")
        np.savetxt(text, faces + first, "f %d %d %d")
        first += len(vertices)
    return text.getvalue().encode("ascii")
