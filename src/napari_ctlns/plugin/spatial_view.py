"""Nodules in space: surfaces in translucent lungs in place of slices, and back again."""

import weakref
from typing import TYPE_CHECKING, Any

from napari.layers import Labels, Layer, Surface
from qtpy.QtCore import QObject, QTimer, Signal

from napari_ctlns.events import Event, Finished, ThreadControl
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.keys import bind_free_keys
from napari_ctlns.plugin.meshing import Surfaces, surfaces_job
from napari_ctlns.plugin.project import look, view_of
from napari_ctlns.plugin.row_following import joined
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.steps import Step, StepWatch
from napari_ctlns.plugin.surface_layers import (
    LUNGS,
    NODULES,
    ColourBy,
    colours_of,
    lungs_tuple,
    nodules_tuple,
    vertex_colours,
)
from napari_ctlns.plugin.work import ThreadWork
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.measurement.surfaces import Mesh  # loads pandas

KEY = "Shift-D"
"""Neither napari nor a tool of ours uses it."""
_2D, _3D = 2, 3
_MS_BETWEEN_LOOKS = 100
_FROM_THE_FRONT = (0.0, 1.0, 0.0)
_HEAD_UP = (1.0, 0.0, 0.0)


class SpatialView(QObject):
    """Shows the nodules of the mask that is worked on as surfaces, and follows its edits.

    Meanwhile all other layers are hidden: drawing a whole CT in 3D takes seconds a frame.

    Attributes
    ----------
    switched
        Surfaces are shown now, or slices again; or whether they can be is different.
    working
        Surfaces are being made, and shown when they are there (the work).
    on
        Whether surfaces are shown.
    colour_by
        What their colours say.
    """

    switched = Signal()
    working = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.on = False
        self.colour_by: ColourBy = "status"
        self._surfaces: weakref.WeakKeyDictionary[Layer, Surfaces] = weakref.WeakKeyDictionary()
        self._old: weakref.WeakKeyDictionary[Layer, dict[int, Any]] = weakref.WeakKeyDictionary()
        self._lungs: weakref.WeakKeyDictionary[Layer, Mesh | None] = weakref.WeakKeyDictionary()
        self._layers: dict[str, Surface] = {}
        self._shown: Labels | None = None
        self._mode: tuple[Layer, Any] | None = None
        self._work: ThreadWork | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._follow)
        self._clock = QTimer(self)
        self._clock.setInterval(_MS_BETWEEN_LOOKS)
        self._clock.timeout.connect(self._look_for_undo)
        viewer = session.viewer
        viewer.dims.events.ndisplay.connect(self._turned)
        viewer.layers.events.removed.connect(self._removed)
        session.part(StepWatch).went.connect(self._stepped)
        for signal in (session.label_picked, session.recoloured, session.measured):
            signal.connect(self._recolour)
        for signal in (session.mask_changed, session.scan_changed):
            signal.connect(self._others)

    def why_not(self) -> str:
        """Say why surfaces cannot be shown; empty if they can."""
        if self._session.mask is None:
            return "There is no labels layer: click on a nodule, predict, or open a mask"
        if self._session.viewer.dims.ndim != _3D:
            return "Close what has more than three dimensions first"
        return ""

    def bind_key(self) -> None:
        """Let `KEY` switch it, unless a person gave that key to something else."""
        bind_free_keys(self._session.viewer, {"": KEY}, {"": self.toggle})

    def toggle(self) -> None:
        """Show surfaces, or slices again; the first time they are made in a thread."""
        if self.on:
            self.leave()
        elif self._work is None and not self.why_not():
            self._make_and_show()

    def set_colours(self, by: ColourBy) -> None:
        """Let colours say this."""
        self.colour_by = by
        self._recolour()

    # -- making ---------------------------------------------------------------------------

    def _make_and_show(self) -> None:
        layer, scan = self._session.mask, self._session.scan
        if layer is None:
            return
        if layer in self._surfaces and (scan is None or scan in self._lungs):
            self._enter(layer)
            return
        self._old[layer] = {}
        control = ThreadControl()
        lungless = None if scan is None or scan in self._lungs else of.scan_of(scan)
        job = surfaces_job(self._mask(layer), lungless, control)
        self._work = work = ThreadWork(job, control, self)
        made_of = weakref.ref(layer), None if scan is None else weakref.ref(scan)

        def hear(event: Event) -> None:
            if work.over:
                self._work = None
                work.deleteLater()
            if isinstance(event, Finished) and not event.stopped and not self._session.gone:
                self._keep(event.result, *(one() if one else None for one in made_of))

        work.came.connect(hear)
        self.working.emit(work)

    def _keep(self, result: dict[str, Any], layer: Layer | None, scan: Layer | None) -> None:
        if scan is not None and scan not in self._lungs:
            self._lungs[scan] = result["lungs"]
        if isinstance(layer, Labels):
            self._surfaces[layer] = result["surfaces"]
            if layer is self._session.mask:
                self._enter(layer)

    def _mask(self, layer: Labels) -> Volume:
        return of.mask_of(layer, self._session.volume_under(layer))

    # -- there and back ---------------------------------------------------------------------

    def _enter(self, layer: Labels) -> None:
        session, viewer = self._session, self._session.viewer
        active = viewer.layers.selection.active
        if not self.on:
            session.slices = view_of(viewer)
            if active is not None:
                # so that the mouse turns the camera and does not paint in what is hidden
                self._mode, active.mode = (active, active.mode), "pan_zoom"
            for one in viewer.layers:
                of.hide_for_now(one)
        self._mesh_again(layer)
        self._shown, self.on = layer, True
        self._clock.start()
        self._show_layers(layer)
        viewer.layers.selection.active = active
        if viewer.dims.ndisplay != _3D:
            viewer.dims.order = (0, 1, 2)
            viewer.dims.ndisplay = _3D
            viewer.fit_to_view(layers=list(self._layers.values()))
            viewer.scene.camera.set_view_direction(_FROM_THE_FRONT, _HEAD_UP)
            layer.set_view_slice()  # else the next edit, of a hidden layer, meets the old slice
        self.switched.emit()

    def _show_layers(self, layer: Labels) -> None:
        mask, scan = self._mask(layer), self._session.scan
        meshes = self._surfaces[layer].meshes
        lungs = None if scan is None else self._lungs.get(scan)
        colours = colours_of(layer, list(meshes), self.colour_by)
        if lungs is not None:
            self._show(LUNGS, lungs_tuple(lungs, mask.geometry))
        elif LUNGS in self._layers:
            self._layers[LUNGS].visible = False
        if meshes:
            self._show(NODULES, nodules_tuple(meshes, colours, mask.geometry))
        elif NODULES in self._layers:
            self._layers[NODULES].visible = False

    def _show(self, kind: str, data: of.LayerTuple) -> None:
        """Show a surface; one that is there takes its place, because none is removed in 3D."""
        layer = self._layers.get(kind)
        if layer is None:
            self._layers[kind] = layer = Layer.create(*data)
            self._session.viewer.add_layer(layer)
            return
        surface, look, _ = data
        layer.vertex_colors = None  # of as many vertices as there were
        layer.data, layer.scale = surface, look["scale"]
        layer.vertex_colors = look["vertex_colors"]
        layer.visible = True

    def _remove_layers(self) -> None:
        layers, self._layers = self._layers, {}
        for layer in layers.values():
            if layer in self._session.viewer.layers:
                self._session.viewer.layers.remove(layer)

    def leave(self) -> None:
        """Show slices again, as they were looked at before."""
        if not self.on:
            return
        self.on, self._shown = False, None
        self._clock.stop()
        session, viewer = self._session, self._session.viewer
        active = viewer.layers.selection.active
        view, session.slices = session.slices, None
        # measured, napari 0.9.2: where a brush was on before, the process ends in 2D after a
        # surface was removed in 3D; and a CT that is seen in 3D takes seconds
        for layer in self._layers.values():
            layer.visible = False
        viewer.dims.ndisplay = _2D
        self._remove_layers()
        for layer in viewer.layers:
            of.show_again(layer)
        if view is not None:
            look(viewer, view)
        if active in viewer.layers:
            viewer.layers.selection.active = active
        if self._mode is not None and self._mode[0] is active:
            active.mode = self._mode[1]
        self._mode = None
        self.switched.emit()

    def _turned(self, _event: Any) -> None:
        if self._session.viewer.dims.ndisplay == _2D:
            self.leave()

    def _removed(self, event: Any) -> None:
        if event.value in self._layers.values():
            self._layers = {k: v for k, v in self._layers.items() if v is not event.value}
            if not self._layers:
                self.leave()

    # -- following ----------------------------------------------------------------------------

    def _stepped(self, layer: Labels, step: Step | None, _way: str) -> None:
        if step is None:
            self._surfaces.pop(layer, None)
        elif layer in self._old:
            old, surfaces = self._old[layer], self._surfaces.get(layer, Surfaces())
            for label in step.labels:
                known = old.get(label, surfaces.boxes.get(label, step.box))
                old[label] = joined(known, step.box)
        if self.on and layer is self._shown:
            self._soon.start()  # napari tells of some steps before it writes them

    def _look_for_undo(self) -> None:
        if self._shown is not None and not self._session.gone:
            self._session.look_for_undo(self._shown)

    def _follow(self) -> None:
        layer = self._shown
        if self._session.gone or not self.on or layer is None:
            return
        if layer not in self._surfaces:
            self._make_and_show()
        elif self._mesh_again(layer):
            self._show_layers(layer)

    def _mesh_again(self, layer: Labels) -> bool:
        """Draw what was edited since its surface was made; return whether anything was."""
        old, self._old[layer] = self._old.get(layer, {}), {}
        self._surfaces[layer].mesh_again(self._mask(layer), old)
        return bool(old)

    def _recolour(self, _what: object = None) -> None:
        layer, shown = self._shown, self._layers.get(NODULES)
        if layer is None or shown is None or layer not in self._surfaces or self._soon.isActive():
            return
        meshes = self._surfaces[layer].meshes
        if meshes:
            colours = colours_of(layer, list(meshes), self.colour_by)
            shown.vertex_colors = vertex_colours(meshes, colours)

    def _others(self) -> None:
        """Show the surfaces of another mask, or slices where there is none."""
        if self.on and self._session.mask is not self._shown:
            if self.why_not():
                self.leave()
            else:
                self._make_and_show()
        self.switched.emit()


def spatial_view_of(session: Session) -> SpatialView:
    """Return the view in space of a session; the first call makes it."""
    return session.part(SpatialView)
