"""What lies on scans, from files to layers: masks, tables, and what LIDC's and other readers drew.

Each finds the scan it speaks of among those that are there; without one it may wait.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_ctlns.errors import AnnotationError, MaskError
from napari_ctlns.findings import Annotation, Findings
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.file_kinds import Kind
from napari_ctlns.volume import Geometry, Volume

if TYPE_CHECKING:
    from napari_ctlns.formats import Candidate

    Rows = Sequence[Annotation | Candidate]

Groups = Sequence[Sequence[Volume]]
"""Scans that something may lie on, the likeliest first; those of one group are equally likely."""


class NoScanYetError(AnnotationError):
    """No scan is there that a file speaks of; there may be one later."""


@dataclass(frozen=True)
class Placed:
    """What a file holds, as layer data, and what had to be mended."""

    layers: tuple[of.LayerTuple, ...]
    warnings: tuple[str, ...] = ()


def place(kind: Kind, path: Path, groups: Groups, leave_out: bool = False) -> Placed:
    """Read a file of one kind onto the scan that it speaks of.

    Parameters
    ----------
    kind
        As `kind_of` names it; no scan and no project.
    leave_out
        Leave out the rows of a table that cannot be used.

    Raises
    ------
    NoScanYetError
        If it needs a scan that is not among ``groups``.
    BadRows
        If rows of a table cannot be used and are not to be left out.
    CtlnsError
        If it cannot be read.
    """
    if kind == "annotations":
        return _table(path, groups, leave_out)
    scans = [scan for group in groups for scan in group]
    return _READERS[kind](path, scans)


# -- masks ------------------------------------------------------------------------


def is_mask_of_any(volume: Volume, scans: Sequence[Volume]) -> bool:
    """Whether signed integers are labels: none is negative, on the grid of a scan that has HU."""
    array = volume.array
    if volume.source.format == "dicom" or not np.issubdtype(array.dtype, np.integer):
        return False
    if array.min() < 0:
        return False
    beside = (s for s in scans if s is not volume and s.geometry.same_grid(volume.geometry))
    return any(scan.array.min() < 0 for scan in beside)


def _mask(path: Path, scans: Sequence[Volume]) -> Placed:
    from napari_ctlns.formats.images import file_stem

    mask = _mask_on(path, scans)
    layer = of.mask_tuple(mask, file_stem(path), _findings_in(path))
    return Placed((layer,), mask.source.warnings)


def _mask_on(path: Path, scans: Sequence[Volume]) -> Volume:
    """Read a mask onto the scan it was drawn on, else onto its own grid."""
    from napari_ctlns.formats import (
        is_rtstruct,
        mask_onto,
        read_mask,
        read_mask_onto,
        referenced_series,
    )

    series = referenced_series(path)
    for scan in scans:
        if series and series in (scan.scan_id, scan.source.series_uid):
            return read_mask_onto(path, scan)
    if is_rtstruct(path):
        raise NoScanYetError(f"open the scan first: contours have no voxels of their own ({path})")
    mask = read_mask(path)
    for fits in (Geometry.same_grid, _lies_within):
        for scan in scans:
            if fits(mask.geometry, scan.geometry):
                with contextlib.suppress(MaskError):  # too fine for this scan: none of it is left
                    return mask_onto(mask, scan, str(path))
    return mask


def _findings_in(path: Path) -> Findings | None:
    from napari_ctlns.formats.mask_files import mask_file
    from napari_ctlns.formats.seg import is_seg, seg_findings

    file = mask_file(path)
    return seg_findings(file) if is_seg(file) else None


def _lies_within(one: Geometry, other: Geometry) -> bool:
    """Whether nothing is lost of a mask on ``one`` when it is carried onto ``other``."""
    last = np.asarray(one.shape) - 1
    corners = np.array(np.meshgrid(*zip((0, 0, 0), last, strict=True), indexing="ij"))
    return bool(other.contains(one.index_to_world(corners.reshape(3, -1).T)).all())


# -- tables -----------------------------------------------------------------------


def _table(path: Path, groups: Groups, leave_out: bool) -> Placed:
    rows = _rows(path, leave_out)
    return Placed(tuple(_points(rows, path, groups)))


def _rows(path: Path, leave_out: bool) -> "Rows":
    """Read a table as what its columns say: candidates have a class or probability, no size."""
    from napari_ctlns.formats import BadRows, read_annotations, read_candidates

    for read in (read_candidates, read_annotations):
        try:
            rows: Rows = read(path)
        except BadRows as error:
            if read is read_candidates and not _are_candidates(error.good):
                continue
            if not leave_out:
                raise
            return error.good
        except AnnotationError:
            if read is read_annotations:
                raise
            continue
        if read is read_annotations or _are_candidates(rows):
            return rows
    raise AssertionError  # the last reader returned or raised


def _are_candidates(rows: "Rows") -> bool:
    return bool(rows) and all(row.diameter_mm is None for row in rows)


def _points(rows: "Rows", path: Path, groups: Groups) -> list[of.LayerTuple]:
    """Return the rows of a table as points on the first group of scans that it speaks of."""
    groups = [group for group in groups if group]
    if not groups:
        message = "open the scan first, or together with its annotations"
        raise NoScanYetError(f"{message}: no scan is there for {path.name} to lie on")
    troubles = []
    for scans in groups:
        try:
            return _points_on(rows, scans, path.stem)
        except AnnotationError as error:
            troubles.append(error)
    raise NoScanYetError(str(troubles[0])) from troubles[0]


def _points_on(rows: "Rows", scans: Sequence[Volume], name: str) -> list[of.LayerTuple]:
    layers: list[of.LayerTuple] = []
    troubles = []
    for scan in scans if rows else scans[:1]:
        title = name if len(scans) == 1 else f"{name} {scan.scan_id}"
        try:
            layers.append(_layer(rows, scan, title))
        except AnnotationError as error:
            troubles.append(error)
    if not layers:
        raise troubles[0]
    return layers


def _layer(rows: "Rows", scan: Volume, name: str) -> of.LayerTuple:
    from napari_ctlns.formats import Candidate, annotations_of

    mine = annotations_of(rows, scan)
    candidates = [row for row in mine if isinstance(row, Candidate)]
    if candidates:
        return of.candidates_tuple(candidates, scan.geometry, name)
    annotations = [row for row in mine if isinstance(row, Annotation)]
    return of.annotations_tuple(annotations, scan.geometry, scan.scan_id, name)


# -- XML --------------------------------------------------------------------------


def _lidc(path: Path, scans: Sequence[Volume]) -> Placed:
    """Read the consensus of LIDC's readers, as a mask and as annotations."""
    from napari_ctlns.formats import find_lidc, lidc_annotations, lidc_consensus, read_lidc

    files = find_lidc(path)
    for scan in scans:
        file = files.get(scan.source.series_uid) or files.get(scan.scan_id)
        if file is not None:
            truth = lidc_consensus(read_lidc(file), scan)
            findings = Findings(scan_id=scan.scan_id).follow(truth.mask.array, "annotation")
            mask = of.mask_tuple(truth.mask, f"{file.stem} consensus", findings)
            rows = lidc_annotations(truth)
            points = of.annotations_tuple(rows, scan.geometry, scan.scan_id, file.stem)
            return Placed((mask, points), truth.mask.source.warnings)
    if not files:
        read_lidc(path)  # says what is wrong with it
    raise NoScanYetError(f"open the scan first: no scan is there that {path.name} reads")


def _boxes(path: Path, scans: Sequence[Volume]) -> Placed:
    """Read Pascal-VOC boxes, which are named by the slices they lie on, as annotations."""
    from napari_ctlns.formats import box_annotations, list_boxes

    named = {file.stem for file in (path.glob("*.xml") if path.is_dir() else [path])}
    for scan in scans:
        if named & {one.uid for one in scan.source.slices}:
            boxes, warnings = list_boxes(path, scan)
            rows = box_annotations(boxes, scan)
            title = path.name if path.is_dir() else path.stem
            layer = of.annotations_tuple(rows, scan.geometry, scan.scan_id, title)
            return Placed((layer,), warnings)
    raise NoScanYetError(
        f"open the DICOM series first: the boxes in {path.name} are named by its slices"
    )


_READERS: dict[Kind, Callable[[Path, Sequence[Volume]], Placed]] = {
    "mask": _mask,
    "lidc": _lidc,
    "boxes": _boxes,
}
