"""What is edited in masks and annotations, whoever does it: told, and counted."""

import weakref
from typing import Any

from napari.layers import Labels, Layer, Points
from napari.utils.events import disconnect_events
from qtpy.QtCore import QObject, Signal

from napari_ctlns.plugin.annotating import make_editable


class EditWatch(QObject):
    """Follows layers and tells of their edits: strokes, undo and redo, points that move.

    Attributes
    ----------
    edited
        The voxels of a labels layer, or the points of annotations, changed (the layer).
    """

    edited = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._counts: weakref.WeakKeyDictionary[Layer, int] = weakref.WeakKeyDictionary()
        self._undone: weakref.WeakKeyDictionary[Layer, int] = weakref.WeakKeyDictionary()

    def count(self, layer: Layer) -> int:
        """Return how often a layer was edited."""
        return self._counts.get(layer, 0)

    def follow_mask(self, layer: Labels) -> None:
        """Tell of edits of a labels layer from now on."""
        layer.events.paint.connect(self._tell)  # strokes
        layer.events.data.connect(self._tell)  # another array
        layer.events.set_data.connect(self._tell_undo)
        self._undone[layer] = _steps_undone(layer)

    def follow_annotations(self, layer: Points) -> None:
        """Tell of edits of annotations from now on."""
        make_editable(layer)  # first: who hears of an edit may ask whether it can be undone
        layer.events.data.connect(self._tell)
        layer.events.size.connect(self._tell)

    def look(self, layer: Labels) -> None:
        """Tell undo and redo of a layer that is hidden: napari announces none."""
        if self._undone.get(layer) != _steps_undone(layer):
            layer.events.set_data()

    def leave(self, layer: Layer) -> None:
        """Follow a layer no longer."""
        disconnect_events(layer.events, self)

    def _tell(self, event: Any) -> None:
        layer = event.source
        self._undone[layer] = _steps_undone(layer)
        self._counts[layer] = self.count(layer) + 1
        self.edited.emit(layer)

    def _tell_undo(self, event: Any) -> None:
        """Tell undo and redo, which napari announces as it does each new slice, from scrolling."""
        if self._undone.get(event.source) != _steps_undone(event.source):
            self._tell(event)


def _steps_undone(layer: Layer) -> int:
    """Return how many steps could be redone; undo and redo change it, nothing else a stroke does.

    napari tells it nowhere else. What can be undone grows only some time after a stroke.
    """
    return len(getattr(layer, "_redo_history", ()))
