"""Annotations are edited here: added, sized by dragging, resized, undone; and drawn as a mask.

napari's own modes add, select and move points and delete the selected ones. It lacks
three things for nodules: dragging a new one to its size, millimetres, and undo.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from app_model.types import KeyCode, KeyMod
from napari.layers import Points

from napari_ctlns.events import Control, Event, Finished, Progress, Started
from napari_ctlns.findings import Annotation
from napari_ctlns.plugin.annotation_history import history_of
from napari_ctlns.volume import Geometry, Volume

_DRAG_PIXELS = 5  # a shorter drag is a click, for napari too
_LEFT = 1

# -- diameters --------------------------------------------------------------------


def next_diameter(layer: Points) -> float:
    """Return the diameter, mm, of the next nodule that is added to a layer."""
    return round(float(layer.current_size) * _unit(layer), 2)


def set_diameter(layer: Points, diameter_mm: float) -> None:
    """Set the diameter of the next nodule, and of the selected ones."""
    layer.current_size = diameter_mm / _unit(layer)


def resize(layer: Points, row: int, diameter_mm: float) -> None:
    """Set the diameter of one nodule."""
    sizes = np.array(layer.size, float)
    sizes[row] = diameter_mm / _unit(layer)
    with history_of(layer).one_step():
        layer.size = sizes
        layer.events.size()  # napari does not tell it itself


def _unit(layer: Points) -> float:
    return float(layer.scale[-1])


# -- by mouse and keyboard -----------------------------------------------------------


def make_editable(layer: Points) -> None:
    """Let annotations be sized by dragging in napari's add mode, and undone by Ctrl+Z."""
    history_of(layer)
    if size_by_dragging in layer.mouse_drag_callbacks:
        return
    layer.mouse_drag_callbacks.append(size_by_dragging)
    layer.bind_key(KeyMod.CtrlCmd | KeyCode.KeyZ, undo)
    layer.bind_key(KeyMod.CtrlCmd | KeyMod.Shift | KeyCode.KeyZ, redo)


def size_by_dragging(layer: Points, event: Any) -> Iterator[None]:
    """Add a nodule where the mouse goes down, as large as it is dragged from there.

    For a click, and a drag that comes back to where it began, napari's own add mode
    adds one of the next diameter.
    """
    if layer.mode != "add" or event.button != _LEFT or len(event.dims_displayed) != 2:
        return
    began = np.array(event.pos)
    centre = np.array(layer.world_to_data(event.position))
    row, size = len(layer.data), layer.current_size

    def follow() -> None:
        if np.linalg.norm(np.array(event.pos) - began) >= _DRAG_PIXELS:
            _reach(layer, row, centre, layer.world_to_data(event.position))
        elif len(layer.data) > row:
            layer.remove([row])
            layer.current_size = size

    layer.mouse_pan = False
    try:
        with history_of(layer).one_step():
            yield
            while event.type == "mouse_move":
                follow()
                yield
            follow()  # where it was let go
    finally:
        layer.mouse_pan = True


def _reach(layer: Points, row: int, centre: npt.ArrayLike, edge: npt.ArrayLike) -> None:
    """Let the nodule that is being added reach from its centre to ``edge``."""
    if len(layer.data) == row:
        layer.add(np.asarray(centre))  # is selected then, and takes the size that follows
    diameter_mm = 2 * float(np.linalg.norm(np.subtract(edge, centre))) * _unit(layer)
    layer.current_size = max(round(diameter_mm, 1), 0.1) / _unit(layer)


def undo(layer: Points) -> None:
    """Take back the last change of annotations."""
    history_of(layer).undo()


def redo(layer: Points) -> None:
    """Make the change again that was undone last."""
    history_of(layer).redo()


# -- files and masks --------------------------------------------------------------------


@dataclass(frozen=True)
class TableRows:
    """The rows of a table that are of one scan.

    Attributes
    ----------
    rows
        Those of the scan that can be used.
    total
        How many usable ones the table has, of all scans.
    bad
        What is wrong with those that cannot be used, one ``"line 3: ..."`` for each.
    """

    rows: tuple[Annotation, ...]
    total: int
    bad: tuple[str, ...] = ()


def rows_of_scan(path: Path, volume: Volume) -> TableRows:
    """Return the annotations of one scan from a table.

    Raises
    ------
    AnnotationError
        If the table cannot be read, holds bad rows only, or is of other series only.
    """
    # napari's points need pandas; imported here, in a thread, it does not stop the window
    import pandas  # noqa: F401

    from napari_ctlns.formats import BadRows, annotations_of, read_annotations

    bad: tuple[str, ...] = ()
    try:
        rows = read_annotations(path)
    except BadRows as error:
        if not error.good:
            raise
        rows, bad = error.good, error.problems
    return TableRows(annotations_of(rows, volume), len(rows), bad)


def trouble_with(annotation: Annotation, geometry: Geometry) -> str:
    """Say why an annotation cannot be drawn; empty if it can."""
    if not annotation.diameter_mm > 0:
        return "its diameter is not above 0"
    if not geometry.contains(annotation.centre):
        return "its centre lies outside the scan"
    return ""


def fit_job(scan: Volume, annotations: Sequence[Annotation], control: Control) -> Iterator[Event]:
    """Draw annotations with the borders that they have in the scan; for a thread.

    Yields
    ------
    Event
        `Finished` has ``value``, the mask as `drawn_mask` gives it, and ``spheres``, the
        rows of those that had to be drawn as spheres.
    """
    from napari_ctlns.masks.components import smallest_dtype
    from napari_ctlns.masks.fitted import fitting

    rows = [row for row, a in enumerate(annotations, 1) if not trouble_with(a, scan.geometry)]
    yield Started(title="Finding the borders")
    steps = fitting(scan, [annotations[row - 1] for row in rows])
    so_far = next(steps)
    for done in range(len(rows)):
        so_far = next(steps)
        yield Progress(done=done + 1, total=len(rows), unit="nodules")
        if control.stop_requested():
            yield Finished(stopped=True)
            return
    table = np.array([0, *rows], smallest_dtype(len(annotations)))
    spheres = [rows[number] for number in so_far.spheres]
    yield Finished(result={"value": table[so_far.mask], "spheres": spheres})


def drawn_mask(geometry: Geometry, annotations: Sequence[Annotation]) -> npt.NDArray[Any]:
    """Draw annotations as spheres, those that cannot be drawn left out.

    Returns
    -------
    numpy.ndarray
        uint8 or uint16, (z, y, x): the number of its row, from 1, in the voxels of each.
    """
    from napari_ctlns.masks.components import smallest_dtype
    from napari_ctlns.masks.spheres import sphere_mask

    rows = [row for row, a in enumerate(annotations, 1) if not trouble_with(a, geometry)]
    mask = sphere_mask(geometry, [annotations[row - 1] for row in rows])
    if len(rows) == len(annotations):
        return mask
    return np.array([0, *rows], smallest_dtype(len(annotations)))[mask]
