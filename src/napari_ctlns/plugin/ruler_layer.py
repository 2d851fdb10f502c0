"""Rulers as a shapes layer in millimetres: what a person measured by hand, drawn on its slices.

The layer only shows them; what they are stands in its metadata, in LPS millimetres, and the
mouse changes them through `ruler_tool`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Layer, Shapes

from napari_ctlns.plugin.canvas import COMMON, canvas_to_lps, lps_to_canvas
from napari_ctlns.plugin.layers import KEY, LayerTuple
from napari_ctlns.plugin.palette import RULER_COLOUR
from napari_ctlns.plugin.rulers import Ruler, flat_axes
from napari_ctlns.volume import FloatArray, Geometry

NAME = "rulers"
_LINE_PIXELS = 2.0
_LETTERS = 11


@dataclass(frozen=True, eq=False)
class RulerLayer:
    """What a shapes layer of rulers remembers: the scan they lie on, and what they are."""

    geometry: Geometry
    scan_id: str
    rulers: tuple[Ruler, ...] = ()


def rulers_tuple(
    rulers: Iterable[Ruler], geometry: Geometry, scan_id: str, name: str = NAME
) -> LayerTuple:
    """Return rulers as layer data; `draw` shows them."""
    return (
        None,
        {
            **COMMON,
            "ndim": 3,
            "opacity": 1.0,
            "name": name,
            **_placed(geometry, 0),
            "text": {
                "string": "{words}",
                "color": RULER_COLOUR,
                "size": _LETTERS,
                "anchor": "upper_left",
            },
            "features": {"words": np.empty(0, object)},
            "metadata": {KEY: RulerLayer(geometry, scan_id, tuple(rulers))},
        },
        "shapes",
    )


def is_rulers(layer: Layer | None) -> bool:
    """Whether a layer holds rulers of ours."""
    return isinstance(layer, Shapes) and isinstance(layer.metadata.get(KEY), RulerLayer)


def canvas_points(ruler: Ruler, geometry: Geometry) -> FloatArray:
    """Return the ends of a ruler on the canvas, (lines, 2, 3), millimetres (z, y, x)."""
    return lps_to_canvas(geometry, ruler.points)


def on_canvas(ruler: Ruler, points: FloatArray, geometry: Geometry) -> Ruler:
    """Return a ruler with ends (lines, 2, 3) on the canvas."""
    return ruler.with_points(canvas_to_lps(geometry, points))


def draw(layer: Shapes, hidden: int, zoom: float) -> None:
    """Show the rulers that lie in the planes of a view.

    Those in other planes would be seen shortened, or as points, on slices that they only cross.

    Parameters
    ----------
    layer
        Of rulers.
    hidden
        The axis of the canvas that the view has a slider for.
    zoom
        Pixels a millimetre: lines are as wide in every view.
    """
    known: RulerLayer = layer.metadata[KEY]
    place = _placed(known.geometry, hidden)
    scale, corner = np.asarray(place["scale"]), np.asarray(place["translate"])
    lines, words = [], []
    for ruler in known.rulers:
        points = canvas_points(ruler, known.geometry)
        if hidden in flat_axes(points):
            lines.extend((points - corner) / scale)
            words.extend([ruler.in_words, *[""] * (len(points) - 1)])
    if lines or len(layer.data):
        layer.scale, layer.translate = scale, corner
        layer.data = [(line, "line") for line in lines]
        layer.features = {"words": np.asarray(words, object)}
        layer.edge_color = RULER_COLOUR
        set_width(layer, zoom)
    layer.editable = False


def set_width(layer: Shapes, zoom: float) -> None:
    """Draw lines as wide in a view of another zoom."""
    if len(layer.data):
        layer.edge_width = [_LINE_PIXELS / (zoom * float(max(layer.scale)))] * len(layer.data)


def _placed(geometry: Geometry, hidden: int) -> dict[str, Any]:
    """Return scale and place of the layer in a view.

    Along the slider it has the steps of the scan: by smaller ones napari would stop between
    slices. In the plane both axes have one scale, by which widths of lines are multiplied.
    """
    scale = [max(geometry.spacing)] * 3
    scale[hidden] = geometry.spacing[hidden]
    return {"scale": tuple(scale), "translate": tuple(np.asarray(geometry.origin, float)[::-1])}
