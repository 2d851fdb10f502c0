"""What a model thought of each voxel, as layers that are looked at: probability, uncertainty."""

from dataclasses import dataclass, replace

import numpy as np
from napari.layers import Layer

from napari_ctlns.plugin.canvas import placed
from napari_ctlns.plugin.layers import KEY, LayerTuple
from napari_ctlns.plugin.project_contents import MapKind
from napari_ctlns.volume import Geometry, Volume

_COLOURS: dict[MapKind, str] = {"probability": "magma", "uncertainty": "bop blue"}
"""From black, which adds nothing to the scan below, ever brighter: lightness tells the value."""
_HIGHEST: dict[MapKind, float] = {"probability": 1.0, "uncertainty": 0.5}
"""A standard deviation of values from 0 to 1 is 0.5 at most."""


@dataclass(frozen=True, eq=False)
class MapLayer:
    """What the layer of a probability or an uncertainty remembers: it is no scan."""

    kind: MapKind
    geometry: Geometry
    scan_id: str = ""
    patient_id: str = ""


def halved(volume: Volume) -> Volume:
    """Return a map in half precision: three digits, and half the memory."""
    return replace(volume, array=volume.array.astype(np.float16, copy=False))


def map_tuple(volume: Volume, kind: MapKind, name: str) -> LayerTuple:
    """Return a probability or an uncertainty as layer data, hidden at first."""
    known = MapLayer(kind, volume.geometry, volume.scan_id, volume.patient_id)
    return (
        volume.array,
        {
            **placed(volume.geometry),
            "name": name,
            "rgb": False,
            "colormap": _COLOURS[kind],
            "contrast_limits": (0.0, _HIGHEST[kind]),
            "blending": "additive",
            "projection_mode": "none",
            "visible": False,
            "metadata": {KEY: known},
        },
        "image",
    )


def map_of(layer: Layer) -> MapLayer | None:
    """Return what a layer of a probability or an uncertainty remembers; None of any other."""
    known = layer.metadata.get(KEY)
    return known if isinstance(known, MapLayer) else None
