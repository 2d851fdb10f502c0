"""Slices as thick as the largest nodule, so that annotations are seen beside their centre too.

napari draws a point as large as its sphere is in the slice on show, but only looks for
points within the margins of that slice. Layers whose ``projection_mode`` is "none"
don't notice the margins; our CT's is. A foreign image's is "mean" unless told
otherwise, and would be blurred while annotations are in sight.
"""

import weakref
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from napari.utils.events import disconnect_events

from napari_ctlns.plugin.layers import is_annotations

_STEP_MM = 5.0
_CHANGES = ("data", "size", "visible")


class ThickSlices:
    """Keeps the margins of a viewer's slices as wide as its annotations need.

    Margins that a person made wider are left alone, and come back when there are no
    annotations to be seen any more.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._given = 0.0
        viewer.layers.events.inserted.connect(self._inserted)
        viewer.layers.events.removed.connect(self._removed)
        viewer.dims.events.ndim.connect(self.settle)
        for layer in viewer.layers:
            self._watch(layer)
        self.settle()

    def settle(self, _event: Any = None) -> None:
        """Make the margins as wide as the largest nodule in sight needs them."""
        viewer = self._viewer()
        if viewer is None:
            return
        dims, needed = viewer.dims, _margin_for(viewer)
        for side in ("margin_left", "margin_right"):
            before = getattr(dims, side)
            theirs = tuple(0.0 if width == self._given else width for width in before)
            after = tuple(max(width, needed) for width in theirs)
            if after != before:  # each change draws every layer again
                setattr(dims, side, after)
        self._given = needed

    def _inserted(self, event: Any) -> None:
        self._watch(event.value)
        self.settle()

    def _removed(self, event: Any) -> None:
        disconnect_events(event.value.events, self)
        self.settle()

    def _watch(self, layer: Layer) -> None:
        if is_annotations(layer):
            for name in _CHANGES:
                getattr(layer.events, name).connect(self.settle)


def _margin_for(viewer: ViewerModel) -> float:
    """Return the largest radius in sight, mm, rounded up so that it seldom changes in a drag."""
    largest = max(
        (
            float(np.max(layer.size)) * float(layer.scale[-1])
            for layer in viewer.layers
            if is_annotations(layer) and layer.visible and len(layer.data)
        ),
        default=0.0,
    )
    return float(np.ceil(largest / 2 / _STEP_MM) * _STEP_MM)
