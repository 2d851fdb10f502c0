"""Saving all that is open in a viewer as a project, and opening it again.

Reading and writing the file, `read_project_file` and `write_project_file`, take
time and are for a thread; `snapshot` and `restore` are quick and belong to the
thread of the window.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points

from napari_ctlns.errors import CtlnsError
from napari_ctlns.findings import Findings
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.maps import map_of, map_tuple
from napari_ctlns.plugin.project_contents import (
    Contents,
    Place,
    SavedAnnotations,
    SavedMap,
    SavedMask,
    SavedRulers,
    SavedScan,
    View,
)
from napari_ctlns.plugin.project_file import Project, write_project_file
from napari_ctlns.plugin.ruler_layer import RulerLayer, is_rulers, rulers_tuple
from napari_ctlns.plugin.saving import mask_to_save
from napari_ctlns.plugin.session import Role, Session
from napari_ctlns.plugin.windowing import Window
from napari_ctlns.volume import Volume

_ROLES: tuple[Role, ...] = ("scan", "mask", "annotations")
SavedLayer = SavedScan | SavedMask | SavedAnnotations | SavedRulers | SavedMap


def save_project(session: Session, path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Write all that is open as a project, and wait for it.

    A panel takes a `snapshot` and lets a thread write it instead.

    Returns
    -------
    tuple of str
        What was left out, in words.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    project, layers = snapshot(session)
    write_project_file(project, path)
    session.saved(*layers)
    session.project = Path(path).absolute()
    return project.warnings


class Taking(Protocol):
    """How voxels and findings come from layers into what is saved."""

    def mask(self, layer: Labels) -> tuple[Volume, Findings]:
        """Return the mask that a labels layer shows, and its findings; may raise `MaskError`."""
        ...

    def keep(self, layer: Layer, array: Any) -> str:
        """Take an array of a layer, and return the name it has from now on."""
        ...

    def on_disk(self, path: Path) -> bool:
        """Whether there is such a file or folder."""
        ...


class _Copies:
    """Takes copies, on the grids that masks are written on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.arrays: dict[str, Any] = {}

    def mask(self, layer: Labels) -> tuple[Volume, Findings]:
        return mask_to_save(layer, self._session.volume_under(layer)), of.findings_of(layer)

    def keep(self, _layer: Layer, array: Any) -> str:
        name = f"arrays/{len(self.arrays)}.npy"
        self.arrays[name] = array
        return name

    def on_disk(self, path: Path) -> bool:
        return path.exists()


def snapshot(session: Session) -> tuple[Project, list[Layer]]:
    """Return what is open now, and the layers of it that are masks or annotations.

    Masks are copied, so that they can be edited while the project is written;
    ``session.saved(*layers)`` is for afterwards.
    """
    copies = _Copies(session)
    saved: list[SavedLayer] = []
    taken: list[Layer] = []
    words = []
    for layer in session.viewer.layers:
        if of.is_preview(layer):
            continue
        try:
            one = described(layer, copies)
        except CtlnsError as error:
            words.append(f"left out of the project: {error}")
            continue
        if one is None:
            words.append(f"left out of the project: {layer.name} is no scan, mask or annotations")
            continue
        saved.append(one)
        taken.append(layer)
    project = Project(contents_of(session, saved, taken), copies.arrays, warnings=tuple(words))
    return project, [layer for layer in taken if not isinstance(layer, Image)]


def contents_of(session: Session, saved: Sequence[SavedLayer], layers: Sequence[Layer]) -> Contents:
    """Return all but voxels of a project: its layers, which were worked on, the view."""
    return Contents(
        layers=tuple(saved),
        worked_on={
            role: layers.index(layer)
            for role in _ROLES
            if (layer := getattr(session, role)) is not None and layer in layers
        },
        view=session.slices or view_of(session.viewer),
        model=_place(session.model),
        run=_place(session.run),
    )


def restore(session: Session, project: Project) -> dict[int, Layer]:
    """Open a project in the viewer of a session; nothing of it counts as unsaved.

    Returns
    -------
    dict of int to Layer
        What was added, by place in the project. ``project.warnings`` tells what was not found.
    """
    added: dict[int, Layer] = {}
    for index, data in enumerate(layer_data(project)):
        if data is not None:
            layer = added[index] = Layer.create(*data)
            _draw_as(layer, project.contents.layers[index])
            session.viewer.add_layer(layer)
    session.saved(*added.values())
    for index in project.contents.worked_on.values():
        if index in added:
            session.choose(added[index])
    if project.contents.view is not None and added:
        look(session.viewer, project.contents.view)
    if project.model is not None:
        session.choose_model(project.model)
    if project.run is not None:
        session.watch_run(project.run)
    if project.path is not None and len(added) == len(project.contents.layers):
        session.project = project.path  # saving a part over the whole would lose the rest
    return added


def layer_data(project: Project) -> Sequence[of.LayerTuple | None]:
    """Return the layers of a project, None for scans and maps that were not found."""
    return [
        _layer_tuple(project, index, saved) for index, saved in enumerate(project.contents.layers)
    ]


# -- to a project ---------------------------------------------------------------------


def described(layer: Layer, taking: Taking) -> SavedLayer | None:
    """Return what a project says of a layer; None if it is nothing of ours.

    Raises
    ------
    CtlnsError
        If it is, but cannot be saved.
    """
    look = {"name": layer.name, "visible": of.is_shown(layer), "opacity": layer.opacity}
    volume = of.scan_of(layer)
    if volume is not None:
        return _saved_scan(layer, volume, look, taking)
    if isinstance(layer, Labels):
        mask, findings = taking.mask(layer)
        return SavedMask(
            **look,
            scan_id=mask.scan_id,
            patient_id=mask.patient_id,
            geometry=mask.geometry,
            array=taking.keep(layer, mask.array),
            findings=findings,
            contour=layer.contour,
            selected_label=layer.selected_label,
        )
    shown = map_of(layer)
    if shown is not None:
        return SavedMap(
            **look,
            what=shown.kind,
            scan_id=shown.scan_id,
            patient_id=shown.patient_id,
            geometry=shown.geometry,
            array=taking.keep(layer, np.asarray(layer.data)),
        )
    if isinstance(layer, Points) and of.is_annotations(layer):
        known: of.AnnotationLayer = layer.metadata[of.KEY]
        return SavedAnnotations(
            **look,
            scan_id=known.scan_id,
            geometry=known.geometry,
            rows=of.annotations_of_layer(layer),
        )
    if is_rulers(layer):
        drawn: RulerLayer = layer.metadata[of.KEY]
        return SavedRulers(
            **look, scan_id=drawn.scan_id, geometry=drawn.geometry, rows=drawn.rulers
        )
    return None


def _saved_scan(layer: Image, volume: Volume, look: dict[str, Any], taking: Taking) -> SavedScan:
    source = volume.source
    low, high = layer.contrast_limits
    on_disk = source.path is not None and taking.on_disk(source.path)
    return SavedScan(
        **look,
        scan_id=volume.scan_id,
        patient_id=volume.patient_id,
        geometry=volume.geometry,
        place=_place(source.path) if on_disk else None,
        series=volume.scan_id if on_disk else None,
        array=None if on_disk else taking.keep(layer, volume.array),
        window_hu=(float(low), float(high)),
        colormap=layer.colormap.name,
    )


def _place(path: Path | None) -> Place | None:
    return None if path is None else Place(absolute=str(path.absolute()))


def view_of(viewer: ViewerModel) -> View:
    """Return how a viewer looks at what is open."""
    camera = viewer.scene.camera
    return View(
        order=viewer.dims.order,
        point=viewer.dims.point,
        ndisplay=viewer.dims.ndisplay,
        centre=tuple(camera.center),
        zoom=camera.zoom,
        angles=tuple(camera.angles),
    )


# -- from a project -------------------------------------------------------------------


def _layer_tuple(project: Project, index: int, saved: SavedLayer) -> of.LayerTuple | None:
    if isinstance(saved, SavedScan):
        volume = project.scans.get(index)
        if volume is None:
            return None
        low, high = saved.window_hu
        window = Window(low, high) if high > low else Window.of(low, 1)
        data = of.scan_tuple(volume, window)
    elif isinstance(saved, SavedMask):
        array = project.arrays[saved.array]
        mask = Volume(array, saved.geometry, "mask", saved.scan_id, saved.patient_id)
        data = of.mask_tuple(mask, saved.name, saved.findings)
    elif isinstance(saved, SavedMap):
        thought = project.arrays.get(saved.array)
        if thought is None:
            return None
        volume = Volume(thought, saved.geometry, "probability", saved.scan_id, saved.patient_id)
        data = map_tuple(volume, saved.what, saved.name)
    elif isinstance(saved, SavedRulers):
        data = rulers_tuple(saved.rows, saved.geometry, saved.scan_id, saved.name)
    else:
        data = of.annotations_tuple(saved.rows, saved.geometry, saved.scan_id, saved.name)
    array, meta, kind = data
    look = {"name": saved.name, "visible": saved.visible, "opacity": saved.opacity}
    return array, {**meta, **look}, kind


def _draw_as(layer: Layer, saved: SavedLayer) -> None:
    """Set what layer data cannot say."""
    if isinstance(saved, SavedMask):
        layer.contour = saved.contour
        layer.selected_label = min(saved.selected_label, np.iinfo(layer.data.dtype).max)
    elif isinstance(saved, SavedScan):
        with contextlib.suppress(KeyError):  # a colormap that only the other napari knew
            layer.colormap = saved.colormap


def look(viewer: ViewerModel, view: View) -> None:
    """Let a viewer look at what is open as it did before."""
    if len(view.point) == viewer.dims.ndim and sorted(view.order) == list(range(len(view.point))):
        viewer.dims.order = view.order
        viewer.dims.ndisplay = view.ndisplay
        viewer.dims.point = view.point
    camera = viewer.scene.camera
    camera.center = view.centre
    camera.zoom = view.zoom
    camera.angles = view.angles
