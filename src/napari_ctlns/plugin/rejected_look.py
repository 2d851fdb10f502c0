"""Draws what was rejected faintly: it is still there, but no nodule any more."""

import weakref
from collections import defaultdict

import numpy as np
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.colormaps.colormap import CyclicLabelColormap, LabelColormapBase
from qtpy.QtCore import QObject

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.session import Session

_FAINT = 0.3
"""Of its opacity what a rejected nodule keeps."""
_AHEAD = 64
"""Labels beyond the highest that have their colour too, for nodules that will be painted."""


class RejectedLook(QObject):
    """Gives the masks of a session colours by which rejected nodules are faint.

    All other labels keep the colours that napari gave them, which come back when nothing is
    rejected. It belongs to the session; colours that a person chose for single labels stay.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._usual: weakref.WeakKeyDictionary[Layer, CyclicLabelColormap] = (
            weakref.WeakKeyDictionary()
        )
        self._ours: weakref.WeakKeyDictionary[Layer, LabelColormapBase] = (
            weakref.WeakKeyDictionary()
        )
        self._faint: weakref.WeakKeyDictionary[Layer, tuple[frozenset[int], int]] = (
            weakref.WeakKeyDictionary()
        )
        for signal in (session.measured, session.label_picked, session.recoloured):
            signal.connect(self._settle)

    def _settle(self, layer: Labels) -> None:
        known = layer.metadata.get(of.KEY)
        if not isinstance(known, of.MaskLayer):
            return
        usual = self._usual_of(layer)
        if usual is None:
            return
        rejected = known.findings.rejected_labels
        highest = max([*known.findings.labels, int(layer.selected_label), 0])
        if not rejected:
            if layer in self._ours:
                self._forget(layer)
                layer.colormap = _selecting_as(layer, usual)
            return
        drawn, up_to = self._faint.get(layer, (frozenset(), -1))
        if rejected != drawn or highest > up_to or layer not in self._ours:
            up_to = highest + _AHEAD
            self._faint[layer] = (rejected, up_to)
            self._usual[layer] = usual
            ours = self._ours[layer] = _selecting_as(layer, _with_faint(usual, rejected, up_to))
            layer.colormap = ours

    def _usual_of(self, layer: Labels) -> CyclicLabelColormap | None:
        """Return the colours napari gives labels; None where a person chose some."""
        now = layer.colormap
        if isinstance(now, CyclicLabelColormap):  # new ones, or never changed
            self._forget(layer)
            return now
        return self._usual.get(layer) if now is self._ours.get(layer) else None

    def _forget(self, layer: Labels) -> None:
        for known in (self._usual, self._ours, self._faint):
            known.pop(layer, None)


def _selecting_as(layer: Labels, colours: LabelColormapBase) -> LabelColormapBase:
    """Let colours be only those of the selected label where the layer shows that alone."""
    colours.use_selection = layer.show_selected_label
    colours.selection = int(layer.selected_label)
    return colours


def _with_faint(
    usual: CyclicLabelColormap, rejected: frozenset[int], up_to: int
) -> DirectLabelColormap:
    labels = np.arange(1, up_to + 1)
    colours = usual.model_copy(update={"use_selection": False}).map(labels)
    drawn: defaultdict[int | None, np.ndarray] = defaultdict(lambda: colours[-1])
    drawn[None], drawn[0] = colours[-1], np.zeros(4)
    for label, colour in zip(labels.tolist(), colours, strict=True):
        faint = _FAINT if label in rejected else 1.0
        drawn[label] = colour * [1, 1, 1, faint]
    return DirectLabelColormap(color_dict=drawn)
