"""Masks, annotations and projects to files: what the manifest names for saving.

A mask is written on the grid of the file its scan came from, whichever layer it
was drawn in. `save_mask` and `save_annotations` need no window.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels, Layer, Points

from napari_ctlns.errors import AnnotationError, MaskError
from napari_ctlns.findings import Annotation
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.current import current_session, scan_under
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.plugin.session import Session

_HIGHEST_LABEL = 65535


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


def save_mask(layer: Labels, path: str | os.PathLike[str], scan: Volume | None) -> tuple[str, ...]:
    """Write the mask that a labels layer shows; the format follows the extension.

    Parameters
    ----------
    layer
        One of ours, or a new one of napari's in millimetres.
    path
        The file to write.
    scan
        The scan it was drawn on, see `scan_under`.

    Returns
    -------
    tuple of str
        What had to be changed, in words.

    Raises
    ------
    MaskError
        If the layer cannot be a mask of this scan.
    OutputError
        If the file cannot be written.
    """
    from napari_ctlns.formats import write_volume

    mask = mask_to_save(layer, scan)
    write_volume(mask, path)
    return mask.source.warnings


def save_annotations(layer: Points, path: str | os.PathLike[str], scan: Volume | None) -> None:
    """Write the annotations that a points layer shows, as a table like LUNA16's.

    Raises
    ------
    AnnotationError
        If nothing tells which scan they belong to, or a diameter is not above 0.
    OutputError
        If the file cannot be written.
    """
    from napari_ctlns.formats import write_annotations as write_table

    write_table(path, annotations_to_save(layer, scan))


def mask_to_save(layer: Labels, scan: Volume | None) -> Volume:
    """Return the mask that a labels layer shows, on the grid it is to be written on.

    It is a copy, so that a thread can write it while the layer is edited.

    Raises
    ------
    MaskError
        If the layer cannot be a mask of this scan.
    """
    name = layer.name
    if layer.multiscale or layer.ndim != 3:
        raise MaskError(f"not a mask of a scan: {name} is no single three-dimensional grid")
    mask = of.mask_of(layer, scan)
    low, high = int(mask.array.min(initial=0)), int(mask.array.max(initial=0))
    if low < 0 or high > _HIGHEST_LABEL:
        wrong = low if low < 0 else high
        raise MaskError(f"label {wrong} in {name}: labels go from 1 to {_HIGHEST_LABEL}; change it")
    mask = replace(mask, array=mask.array.copy())
    known = layer.metadata.get(of.KEY)
    if isinstance(known, of.MaskLayer) and known.geometry.shape == mask.array.shape:
        return mask
    _refuse_turned(layer)
    if scan is None:
        return mask
    from napari_ctlns.formats import mask_onto

    room = replace(mask, array=mask.array.astype(np.uint16))
    return mask_onto(room, scan, name)


def annotations_to_save(layer: Points, scan: Volume | None) -> tuple[Annotation, ...]:
    """Return the annotations that a points layer shows, if they can be written.

    Raises
    ------
    AnnotationError
        If nothing tells which scan they belong to, or a diameter is not above 0.
    """
    if layer.ndim != 3:
        raise AnnotationError(f"no annotations of a scan: {layer.name} is not three-dimensional")
    rows = of.annotations_of_layer(layer, scan)
    if rows and not rows[0].scan_id:
        raise AnnotationError(f"open the scan first: nothing tells which one {layer.name} is of")
    if any(not row.diameter_mm > 0 for row in rows):
        raise AnnotationError(f"a point of {layer.name} has no diameter; give it a size above 0")
    return rows


def _refuse_turned(layer: Labels) -> None:
    straight = np.allclose(layer.affine.affine_matrix, np.eye(4))
    if not (straight and np.allclose(layer.rotate, np.eye(3)) and np.allclose(layer.shear, 0)):
        raise MaskError(f"{layer.name} is turned in napari; reset its transform first")


def _layer_of(data: Any, meta: dict[str, Any], kind: str) -> "tuple[Session | None, Any]":
    """Return the layer that napari wants written: it passes on what the layer holds."""
    session = current_session()
    for layer in session.viewer.layers if session is not None else ():
        if layer.data is data:
            return session, layer
    return session, Layer.create(data, meta, kind)


def _scan_under(session: "Session | None", layer: Layer) -> Volume | None:
    return scan_under(session, layer) if session is not None else None


def _tell_saved(session: "Session | None", layer: Layer, words: Iterable[str] = ()) -> None:
    from napari.utils.notifications import show_warning

    if session is not None:
        session.saved(layer)
    for one in words:
        show_warning(f"{one} ({layer.name})")
