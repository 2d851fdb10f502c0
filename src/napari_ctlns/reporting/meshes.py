"""The nodules of a mask as surfaces in a mesh file."""

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np
from scipy import ndimage

from napari_ctlns.errors import MaskError
from napari_ctlns.formats.meshes import check_mesh_extension, write_surfaces
from napari_ctlns.measurement.surfaces import nodule_mesh, smoothed
from napari_ctlns.volume import Volume


def write_meshes(
    mask: Volume,
    path: str | os.PathLike[str],
    labels: Collection[int] = (),
    smooth: bool = False,
) -> None:
    """Write the surface of each nodule, as it is measured: marching cubes through voxel centres.

    Parameters
    ----------
    mask
        One label per nodule, 0 outside.
    path
        ``.obj`` or ``.stl``, see `formats.meshes.write_surfaces`; objects are called
        ``nodule_1`` and so on, after their labels.
    labels
        Only these; none: all.
    smooth
        Take off the steps of voxels, keeping each volume.

    Raises
    ------
    MaskError
        If there is no nodule, or not one of ``labels``.
    OutputError
        If the extension is another, or the file cannot be written.
    """
    check_mesh_extension(Path(path))
    array = mask.array.view(np.uint8) if mask.array.dtype == np.bool_ else mask.array
    boxes = enumerate(ndimage.find_objects(array), start=1)
    there = {label: box for label, box in boxes if box is not None}
    missing = sorted(set(labels) - set(there))
    if missing or not there:
        what = f"label {missing[0]}" if missing else "nodule"
        named = ", ".join(map(str, there)) or "none"
        raise MaskError(f"no {what} in the mask; its labels are: {named}")
    surfaces = {}
    for label in sorted(labels or there):
        box = there[label]
        inside = array[box] == label
        grid = mask.geometry.cropped([part.start for part in box], inside.shape)
        mesh = nodule_mesh(inside, grid)
        mesh = smoothed(mesh) if smooth else mesh
        surfaces[f"nodule_{label}"] = (mesh.vertices, mesh.faces)
    write_surfaces(path, surfaces)
