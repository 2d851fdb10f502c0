"""The session that napari's menus mean, and its scans.

napari hands its readers, writers and samples files and layer data, but not the
viewer that they are for: it is the one in front.
"""

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels, Layer

from napari_ctlns.plugin import layers as of
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session


def current_session() -> "Session | None":
    """Return the session of the viewer in front; None where there is no window."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return None
    from napari_ctlns.plugin.session import session_of

    return session_of(viewer)


def open_scans(session: "Session") -> list[Volume]:
    """Return the scans that are open: the one worked on, then the others from the top down."""
    layers = [session.scan, *reversed(session.layers_for("scan"))]
    volumes = (of.scan_of(layer) for layer in dict.fromkeys(layers))
    return [volume for volume in volumes if volume is not None]


def scan_under(session: "Session", layer: Layer) -> Volume | None:
    """Return the scan that a layer belongs to, for a foreign one that whose canvas it shares.

    Layers of ours know their scan. A new labels layer of napari's has the grid of
    the layer that was selected when it was made, whatever is worked on now.
    """
    if of.KEY not in layer.metadata and isinstance(layer, Labels):
        for volume in open_scans(session):
            if _same_canvas(layer, volume):
                return volume
    return session.volume_under(layer)


def _same_canvas(layer: Labels, volume: Volume) -> bool:
    """Whether a layer has the voxels that a scan has on the canvas."""
    own = volume.geometry
    return (
        layer.data.shape == own.shape
        and np.allclose(layer.scale, own.spacing, atol=1e-4)
        and np.allclose(layer.translate, own.origin[::-1], atol=1e-3)
    )
