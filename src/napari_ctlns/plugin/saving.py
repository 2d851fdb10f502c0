"""From layers to masks and annotations in files; without a window.

A mask is written on the grid of the file its scan came from, whichever layer it
was drawn in. What a thread is to write is copied first, so that painting can go on.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels, Layer, Points

from napari_ctlns.errors import AnnotationError, MaskError, OutputError
from napari_ctlns.events import Event, Finished, Started
from napari_ctlns.findings import Annotation, Findings
from napari_ctlns.masks.label_box import box_of
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.words import counted
from napari_ctlns.volume import Volume

_HIGHEST_LABEL = 65535


# -- masks ------------------------------------------------------------------------


def save_mask(layer: Labels, path: str | os.PathLike[str], scan: Volume | None) -> tuple[str, ...]:
    """Write the mask that a labels layer shows, without what was rejected.

    The format follows the extension.

    Parameters
    ----------
    layer
        One of ours, or a new one of napari's in millimetres.
    path
        The file to write.
    scan
        The scan it was drawn on, see `Session.volume_under`.

    Returns
    -------
    tuple of str
        What had to be changed, in words.

    Raises
    ------
    MaskError
        If the layer cannot be a mask of this scan.
    OutputError
        If the scan itself lies there, or the file cannot be written.
    """
    findings = of.findings_of(layer)
    mask = mask_to_save(layer, scan)
    left_out = leave_out_rejected(mask, findings)
    _write(mask, scan, Path(path), findings)
    return (*mask.source.warnings, *filter(None, [left_out_in_words(left_out)]))


def save_mask_job(
    mask: Volume, scan: Volume, path: Path, findings: Findings | None = None
) -> Iterator[Event]:
    """Save what a labels layer shows on the grid of its scan, without what was rejected.

    `Finished` has ``path``, and ``left_out``: how many rejected nodules are not in it.

    Parameters
    ----------
    mask
        What the layer shows, not copied.
    scan
        The scan it is drawn on.
    path
        The file to write; the format follows the extension.
    findings
        What a DICOM SEG is to tell of its labels, and which of them were rejected.

    Raises
    ------
    MaskError
        If its labels cannot be written, or none of it lies on the scan.
    OutputError
        If the scan itself lies there, or the file cannot be written.
    """
    yield Started(title=f"Save {path.name}")
    own = mask_on_scan(mask, scan)
    left_out = leave_out_rejected(own, findings)
    _write(own, scan, path, findings)
    yield Finished(result={"path": path, "left_out": left_out})


def mask_on_scan(mask: Volume, scan: Volume) -> Volume:
    """Return a copy of a mask on the grid of its scan, in the smallest type for its labels.

    Raises
    ------
    MaskError
        If its labels are negative or beyond 65535, or none of it lies on the scan.
    """
    from napari_ctlns.formats import mask_onto

    array = _checked_copy(mask.array, "this layer")
    small = array.astype(np.uint8 if array.max(initial=0) <= 255 else np.uint16, copy=False)
    return mask_onto(replace(mask, array=small), scan, "of this layer")


def leave_out_rejected(mask: Volume, findings: Findings | None) -> int:
    """Take what a person rejected out of a copy of a mask; return how many nodules it were.

    In the layer they stay as they are: a rejection can be taken back at any time.
    """
    labels = () if findings is None else sorted(findings.rejected_labels)
    gone = [label for label in labels if _erase(mask.array, label)]
    return len(gone)


def findings_are_judged(layer: Layer) -> bool:
    """Whether a person said something of a layer's findings, which only a project keeps."""
    known = layer.metadata.get(of.KEY)
    return isinstance(known, of.MaskLayer) and known.findings.are_judged


def _erase(labels: npt.NDArray[Any], label: int) -> bool:
    box = box_of(labels, label)
    if box is None:
        return False
    labels[box][labels[box] == label] = 0
    return True


def left_out_in_words(nodules: int) -> str:
    """Say that nodules are not in a file because they were rejected; nothing where none is."""
    return f"left out as rejected: {counted(nodules, 'nodule')}" if nodules else ""


def mask_to_save(layer: Labels, scan: Volume | None) -> Volume:
    """Return a copy of the mask that a labels layer shows, on the grid it is to be written on.

    Raises
    ------
    MaskError
        If the layer cannot be a mask of this scan.
    """
    if layer.multiscale or layer.ndim != 3:
        wrong = f"{layer.name} is no single three-dimensional grid"
        raise MaskError(f"not a mask of a scan: {wrong}")
    mask = of.mask_of(layer, scan)
    mask = replace(mask, array=_checked_copy(mask.array, layer.name))
    known = layer.metadata.get(of.KEY)
    if isinstance(known, of.MaskLayer) and known.geometry.shape == mask.array.shape:
        return mask
    _refuse_turned(layer)
    if scan is None:
        return mask
    from napari_ctlns.formats import mask_onto

    # room for more labels than there are: of a project the mask is painted on again
    return mask_onto(replace(mask, array=mask.array.astype(np.uint16)), scan, layer.name)


def _checked_copy(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return a copy of labels; refuse those that no file can hold."""
    copy = np.array(array)
    low, high = int(copy.min(initial=0)), int(copy.max(initial=0))
    if low < 0 or high > _HIGHEST_LABEL:
        wrong = low if low < 0 else high
        raise MaskError(f"label {wrong} in {name}: paint with labels from 1 to {_HIGHEST_LABEL}")
    return copy


def _refuse_turned(layer: Labels) -> None:
    straight = np.allclose(layer.affine.affine_matrix, np.eye(4))
    if not (straight and np.allclose(layer.rotate, np.eye(3)) and np.allclose(layer.shear, 0)):
        raise MaskError(f"{layer.name} is turned in napari; reset its transform first")


def _write(mask: Volume, scan: Volume | None, path: Path, findings: Findings | None) -> None:
    from napari_ctlns.formats import write_volume

    source = None if scan is None else scan.source.path
    if source is not None and path.absolute() == source.absolute():
        raise OutputError(f"{path.name} is the scan itself; choose another name")
    if scan is not None and mask.geometry.same_grid(scan.geometry):
        mask = scan.mask(mask.array)  # knows the slices that a DICOM SEG is drawn on
    write_volume(mask, path, findings)


# -- annotations ------------------------------------------------------------------


def save_annotations(layer: Points, path: str | os.PathLike[str], scan: Volume | None) -> None:
    """Write the annotations that a points layer shows, as a table like LUNA16's.

    Raises
    ------
    AnnotationError
        If nothing tells which scan they belong to, or a diameter is not above 0.
    OutputError
        If the file cannot be written.
    """
    save_rows(path, annotations_to_save(layer, scan))


def save_rows(path: str | os.PathLike[str], rows: Sequence[Annotation]) -> None:
    """Write annotations as a table like LUNA16's.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from napari_ctlns.formats import write_annotations

    write_annotations(path, rows)


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
