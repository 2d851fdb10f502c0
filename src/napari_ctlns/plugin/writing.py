"""Masks, annotations and projects to files: what the manifest names for saving."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.layers import Layer

from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.current import current_session
from napari_ctlns.plugin.saving import findings_are_judged, save_annotations, save_mask
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session


def write_mask(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a labels layer for napari's Save dialog; return the file it made."""
    session, layer = _layer_of(data, meta, "labels")
    words = save_mask(layer, path, _scan_under(session, layer))
    _tell_saved(session, layer, words)
    return [path]


def write_annotations(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a points layer for napari's Save dialog; return the file it made."""
    session, layer = _layer_of(data, meta, "points")
    save_annotations(layer, path, _scan_under(session, layer))
    _tell_saved(session, layer)
    return [path]


def write_project(path: str, layer_data: list[of.LayerTuple]) -> list[str]:
    """Write all that is open in the viewer in front; without a window, these layers."""
    from napari.utils.notifications import show_warning

    from napari_ctlns.plugin.project import save_project
    from napari_ctlns.plugin.session import session_of

    session = current_session()
    viewer = None
    if session is None:
        viewer = ViewerModel()  # a session lives as long as its viewer
        session = session_of(viewer)
        for one in layer_data:
            viewer.add_layer(Layer.create(*one))
    for words in save_project(session, path):
        show_warning(words)
    return [path]


def _layer_of(data: Any, meta: dict[str, Any], kind: str) -> "tuple[Session | None, Any]":
    """Return the layer that napari wants written: it passes on what the layer holds."""
    session = current_session()
    for layer in session.viewer.layers if session is not None else ():
        if layer.data is data:
            return session, layer
    return session, Layer.create(data, meta, kind)


def _scan_under(session: "Session | None", layer: Layer) -> Volume | None:
    return session.volume_under(layer) if session is not None else None


def _tell_saved(session: "Session | None", layer: Layer, words: Iterable[str] = ()) -> None:
    from napari.utils.notifications import show_warning

    if session is not None and not findings_are_judged(layer):
        session.saved(layer)
    for one in words:
        show_warning(f"{one} ({layer.name})")
