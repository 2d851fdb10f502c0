"""Surfaces of nodules and lungs as napari layers, coloured by what is known of the nodules."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.utils.colormaps.standardize_color import transform_color

from napari_ctlns.findings import Findings
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import COMMON, lps_to_canvas
from napari_ctlns.plugin.palette import LUNG_COLOUR, STATUS_COLOURS, TYPE_COLOURS
from napari_ctlns.volume import Geometry

if TYPE_CHECKING:
    from napari_ctlns.measurement.surfaces import Mesh  # loads pandas

ColourBy = Literal["status", "type", "label"]
NODULES, LUNGS = "nodules in 3D", "lungs in 3D"
_LUNG_OPACITY = 0.2
_DIM = 0.6  # of its colour, beside a nodule that is picked
_LIGHT = np.array([-0.5, -0.7, 0.5]) / np.sqrt(0.99)
"""From where light comes, LPS: before the patient, above and to the right."""
_SHADE = 0.25  # of its colour, where a surface is turned away
_Colours = npt.NDArray[np.float32]


def nodules_tuple(
    meshes: "Mapping[int, Mesh]", colours: Mapping[int, npt.ArrayLike], geometry: Geometry
) -> of.LayerTuple:
    """Return nodules as one surface as layer data, each in its colour."""
    data, unit = joined_meshes(meshes, geometry)
    return (
        data,
        {
            **_common(geometry, NODULES, unit),
            "vertex_colors": vertex_colours(meshes, colours),
            "shading": "none",
        },
        "surface",
    )


def lungs_tuple(mesh: "Mesh", geometry: Geometry) -> of.LayerTuple:
    """Return lungs as layer data: a veil that nodules are seen through."""
    data, unit = joined_meshes({1: mesh}, geometry)
    colour = {1: transform_color(LUNG_COLOUR)[0]}
    return (
        data,
        {
            **_common(geometry, LUNGS, unit),
            "vertex_colors": vertex_colours({1: mesh}, colour),
            "opacity": _LUNG_OPACITY,
            "blending": "translucent_no_depth",
            "shading": "none",
        },
        "surface",
    )


def _common(geometry: Geometry, kind: str, unit: float) -> dict[str, Any]:
    known = of.PreviewLayer(geometry, kind)
    return {**COMMON, "scale": (unit,) * 3, "name": kind, "metadata": {of.KEY: known}}


def joined_meshes(
    meshes: "Mapping[int, Mesh]", geometry: Geometry
) -> tuple[tuple[npt.NDArray[Any], npt.NDArray[Any]], float]:
    """Return meshes as one, in canvas coordinates, and how many millimetres their unit is.

    It is the scan's widest spacing: by a smaller one napari's slider would stop between slices.
    """
    unit = max(geometry.spacing)
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), int)], 0
    for mesh in meshes.values():
        vertices.append(lps_to_canvas(geometry, mesh.vertices) / unit)
        faces.append(mesh.faces + count)
        count += len(mesh.vertices)
    return (np.concatenate(vertices), np.concatenate(faces)), unit


def vertex_colours(meshes: "Mapping[int, Mesh]", colours: Mapping[int, npt.ArrayLike]) -> _Colours:
    """Return the colour of each vertex of joined meshes, (n, 4), as it is lit.

    napari's own light shines from behind where the camera does not mirror the patient; and
    a light that stays where it is shows better which way a nodule was turned.
    """
    each = [np.zeros((0, 4), np.float32)]
    for label, mesh in meshes.items():
        bright = 0.5 + 0.5 * (mesh.normals @ _LIGHT)
        lit = np.outer(_SHADE + (1 - _SHADE) * bright, np.asarray(colours[label]))
        lit[:, 3] = 1
        each.append(lit.astype(np.float32))
    return np.concatenate(each)


def colours_of(layer: Labels, labels: list[int], by: ColourBy) -> dict[int, _Colours]:
    """Return the colour of each nodule; where one is picked, the others are dim."""
    findings = of.findings_of(layer)
    if by == "label":
        own = of.colours_of_labels(layer, labels)
        colours = {k: np.asarray(v, np.float32) for k, v in own.items()}
    else:
        names = _names(findings, by)
        palette: Mapping[Any, str] = STATUS_COLOURS if by == "status" else TYPE_COLOURS
        least = "new" if by == "status" else "unknown"
        colours = {k: transform_color(palette[names.get(k, least)])[0] for k in labels}
    picked = int(layer.selected_label)
    if picked in colours:
        dim = np.array([_DIM, _DIM, _DIM, 1], np.float32)
        colours = {k: v if k == picked else v * dim for k, v in colours.items()}
    return {k: np.append(v[:3], 1).astype(np.float32) for k, v in colours.items()}


def _names(findings: Findings, by: Literal["status", "type"]) -> dict[int, str]:
    return {f.label: getattr(f, by) for f in findings.items if f.label is not None}
