"""The long and short axis of the nodule that is picked, on the slice where they were measured."""

import weakref
from typing import Any, NamedTuple

import numpy as np
from napari import Viewer
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.masks.components import Box
from napari_ctlns.masks.label_box import box_of
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.canvas import lps_to_canvas
from napari_ctlns.plugin.keys import bind_free_keys
from napari_ctlns.plugin.measuring import LARGEST_FOLLOWED
from napari_ctlns.plugin.palette import AXES_COLOUR
from napari_ctlns.plugin.row_following import joined
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.steps import Step, StepWatch
from napari_ctlns.plugin.views.line_marks import LineMarks, Words
from napari_ctlns.volume import FloatArray, Volume

KEY = "Shift-X"
"""Neither napari nor a tool of ours uses it."""
_2D = 2
_TICK = 0.06  # of the long axis, to each side
_WORDS_PIXELS = 30  # from the end of an axis to the middle of its length in words


class DrawnAxes(NamedTuple):
    """Where the axes of a nodule lie on the canvas.

    Attributes
    ----------
    label
        Of the nodule.
    lines
        Long and short axis from end to end, (2, 2, 3), canvas millimetres (z, y, x).
    lengths_mm
        Of both.
    """

    label: int
    lines: FloatArray
    lengths_mm: tuple[float, float]


def axes_of(mask: Volume, label: int, within: Box | None = None) -> tuple[DrawnAxes, Box] | None:
    """Measure a nodule's axes where its voxels are.

    Parameters
    ----------
    mask
        One label a nodule.
    label
        Of the nodule.
    within
        Where all its voxels lie, if that is known.

    Returns
    -------
    tuple, or None
        The axes, and the box that fits the nodule; None if it has no voxels, or so many
        that it is none.
    """
    from napari_ctlns.measurement.axes import axial_axes

    box = box_of(mask.array, label, within)
    if box is None or np.prod([s.stop - s.start for s in box]) > LARGEST_FOLLOWED:
        return None
    axes = axial_axes(mask.array[box] == label, mask.geometry.spacing)
    ends = np.array([axes.long_ends, axes.short_ends])
    index = np.concatenate([np.full((2, 2, 1), float(axes.slice_index)), ends], axis=-1)
    index += [s.start for s in box]
    lines = lps_to_canvas(mask.geometry, mask.geometry.index_to_world(index))
    return DrawnAxes(label, lines, (axes.long_mm, axes.short_mm)), box


class NoduleAxes(QObject):
    """Draws the axes of the nodule that is picked, and draws them anew after each stroke.

    They are axial: in a view of other planes nothing is drawn, and on other slices neither.

    Attributes
    ----------
    switched
        They are drawn from now on, or are not.
    axes
        Of the nodule that is picked; None if it has no voxels.
    on
        Whether they are drawn.
    """

    switched = Signal(bool)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.on = True
        self.axes: DrawnAxes | None = None
        self._boxes: weakref.WeakKeyDictionary[Labels, dict[int, Box]] = weakref.WeakKeyDictionary()
        viewer = session.viewer
        own = getattr(viewer, "__wrapped__", viewer)
        self._marks = LineMarks(own, AXES_COLOUR) if isinstance(own, Viewer) else None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._measure)
        for signal in (session.label_picked, session.mask_changed, session.layers_changed):
            signal.connect(self._later)
        session.part(StepWatch).went.connect(self._stepped)
        for name in ("point", "order", "ndisplay"):
            getattr(viewer.dims.events, name).connect(self._draw)
        viewer.scene.camera.events.zoom.connect(self._draw)
        self._later()

    def switch(self, on: bool) -> None:
        """Draw them from now on, or don't."""
        if on != self.on:
            self.on = on
            self._later()
            self.switched.emit(on)

    def bind_key(self) -> None:
        """Let `KEY` switch them, unless a person gave that key to something else."""
        bind_free_keys(self._session.viewer, {"": KEY}, {"": self._toggle})

    def _toggle(self) -> None:
        self.switch(not self.on)

    # -- measuring ------------------------------------------------------------------------

    def _later(self, _what: object = None) -> None:
        self._soon.start()

    def _stepped(self, layer: Labels, step: Step | None, _way: str) -> None:
        if step is None:
            self._boxes.pop(layer, None)
        else:
            known = self._boxes.get(layer, {})
            for label in step.labels & known.keys():
                known[label] = joined(known[label], step.box)
        if layer is self._session.mask:
            self._soon.start()  # napari tells of some steps before it writes them

    def _measure(self) -> None:
        if self._session.gone:
            return
        self.axes, layer = None, self._session.mask
        if self.on and layer is not None and layer.selected_label > 0:
            label = int(layer.selected_label)
            known = self._boxes.setdefault(layer, {})
            mask = of.mask_of(layer, self._session.volume_under(layer))
            found = axes_of(mask, label, known.get(label))
            if found is None:
                known.pop(label, None)
            else:
                self.axes, known[label] = found
        self._draw()

    # -- drawing --------------------------------------------------------------------------

    @property
    def seen(self) -> bool:
        """Whether the slice of the axes is on show."""
        layer, dims = self._session.mask, self._session.viewer.dims
        if not self.on or self.axes is None or layer is None or not layer.visible:
            return False
        first = dims.ndim - 3
        if dims.ndisplay != _2D or sorted(dims.displayed) != [first + 1, first + 2]:
            return False
        away = abs(float(self.axes.lines[0, 0, 0]) - dims.point[first])
        return away < float(layer.scale[0]) / 2

    def _draw(self, _event: Any = None) -> None:
        if self._marks is None or self._session.gone:
            return
        if self.axes is None or not self.seen:
            self._marks.hide()
            return
        viewer = self._session.viewer
        shown = [axis - (viewer.dims.ndim - 3) for axis in viewer.dims.displayed]
        lines = self.axes.lines[..., shown]
        gap = _WORDS_PIXELS / viewer.scene.camera.zoom
        words = [
            _words(line, mm, gap) for line, mm in zip(lines, self.axes.lengths_mm, strict=True)
        ]
        self._marks.show(np.concatenate([lines, _ticks(lines)]), words)


def _ticks(lines: FloatArray) -> FloatArray:
    """Return short strokes across both ends of lines (n, 2, 2)."""
    reach = _TICK * float(np.linalg.norm(lines[0, 1] - lines[0, 0]))
    ticks = []
    for start, end in lines:
        aside = _unit(end - start)[::-1] * (-1, 1) * reach
        ticks += [[start - aside, start + aside], [end - aside, end + aside]]
    return np.asarray(ticks)


def _words(line: FloatArray, length_mm: float, gap: float) -> Words:
    """Return a length in words, beyond the end of its line that is further right."""
    start, end = line[np.argsort(line[:, 1])]
    y, x = end + gap * _unit(end - start)
    return Words(f"{length_mm:.1f} mm", (float(y), float(x)))


def _unit(way: FloatArray) -> FloatArray:
    length = float(np.linalg.norm(way))
    return way / length if length > 0 else np.array([0.0, 1.0])


def nodule_axes_of(session: Session) -> NoduleAxes:
    """Return the axes of a session; the first call makes them."""
    return session.part(NoduleAxes)
