"""DICOM SEG: masks as segmentations of a series, in and out."""

import re
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_ctlns.findings import Finding, Findings, NoduleType, Origin, new_uid
from napari_ctlns.formats.dicom.regridding import mask_onto_grid
from napari_ctlns.formats.seg.grid import on_own_grid, on_slices
from napari_ctlns.formats.seg.reading import (
    Segment,
    Segmentation,
    is_seg,
    read_header,
    read_segmentation,
    read_segments,
    segment_numbers,
)
from napari_ctlns.formats.seg.writing import (
    SEG_EXTENSION,
    Structure,
    seg_of,
    series_plane,
    told,
    write_seg,
)
from napari_ctlns.volume import Source, Volume

__all__ = [
    "SEG_EXTENSION",
    "Structure",
    "findings_in",
    "is_seg",
    "read_header",
    "read_seg",
    "read_seg_onto",
    "seg_findings",
    "seg_of",
    "seg_series",
    "segment_numbers",
    "series_plane",
    "told",
    "write_seg",
]

_ORIGINS: dict[str, Origin] = {"MANUAL": "hand", "SEMIAUTOMATIC": "click", "AUTOMATIC": "model"}
_TYPES: dict[str, NoduleType] = {t: t for t in ("solid", "part-solid", "ground-glass")}
_UUID_UID = re.compile(r"2\.25\.(\d{1,39})")


def read_seg(path: Path, names: tuple[str, ...] = ()) -> Volume:
    """Read a DICOM SEG onto its own grid.

    Parameters
    ----------
    path
        The file.
    names
        Take only segments of these names; the k-th of them gets label k.

    Returns
    -------
    Volume
        Kind "mask", axes along LPS. It covers the whole series that was drawn on where
        the file tells enough of it, and reaches from the first plane to the last else.

    Raises
    ------
    MaskError
        If it is damaged, does not lie in the patient, or lacks one of ``names``.
    """
    return _on_own_grid(read_segmentation(path, names))


def read_seg_onto(path: Path, scan: Volume, names: tuple[str, ...] = ()) -> Volume:
    """Read a DICOM SEG onto the grid of a scan, if it was drawn on the scan's slices.

    Returns
    -------
    Volume
        On ``scan.geometry``, or on the SEG's own grid if it was not.

    Raises
    ------
    MaskError
        As `read_seg`, and if the SEG says that it was drawn on images of the scan and
        lies elsewhere.
    """
    seg = read_segmentation(path, names)
    labels = on_slices(seg, scan.source)
    words = _strangers(seg, scan)
    if labels is None or scan.source.plane is None:
        mask = _on_own_grid(seg)
        told = (*mask.source.warnings, *words)
        return replace(mask, source=replace(mask.source, warnings=told))
    own = scan.geometry.source
    carried = mask_onto_grid(labels, scan.source.slices, scan.source.plane, own)
    source = replace(scan.source, path=path, format="seg", warnings=(*seg.warnings, *words))
    array = np.ascontiguousarray(scan.geometry.from_source(carried))
    return replace(scan.mask(array), source=source)


def seg_series(path: Path) -> str:
    """Return the UID of the series that a SEG was drawn on, or an empty string.

    Raises
    ------
    MaskError
        If it is damaged.
    """
    return read_segments(path)[1]


def seg_findings(path: Path) -> Findings:
    """Return what a SEG tells of its nodules, as findings with the labels `read_seg` gives.

    Raises
    ------
    MaskError
        If it is damaged.
    """
    segments, series_uid, ours = read_segments(path)
    findings = Findings(scan_id=series_uid)
    for segment in segments:
        if ours and not segment.tracking_id:
            continue  # the one that stands for no nodule at all
        finding = _finding(segment, ours)
        if any(finding.uid == other.uid for other in findings.items):
            finding = finding.model_copy(update={"uid": new_uid()})
        if finding.label not in findings.labels:
            findings = findings.add(finding)
    return findings


def findings_in(source: Source) -> Findings | None:
    """Return `seg_findings` of the file that a mask was read from, None of other formats."""
    return seg_findings(source.path) if source.format == "seg" and source.path else None


def _on_own_grid(seg: Segmentation) -> Volume:
    labels, grid, words = on_own_grid(seg)
    geometry = grid.oriented()
    return Volume(
        array=np.ascontiguousarray(geometry.from_source(labels)),
        geometry=geometry,
        kind="mask",
        scan_id=seg.series_uid or seg.path.stem,
        patient_id=seg.patient_id or seg.series_uid or seg.path.stem,
        source=Source(
            path=seg.path,
            format="seg",
            series_uid=seg.series_uid,
            modality="SEG",
            warnings=(*seg.warnings, *words),
        ),
    )


def _strangers(seg: Segmentation, scan: Volume) -> tuple[str, ...]:
    mine, other = scan.source.series_uid, seg.series_uid
    if not (mine and other) or mine == other:
        return ()
    return (f"the mask was drawn on another series ({other}): check that it is of this scan",)


def _finding(segment: Segment, ours: bool) -> Finding:
    kind, _, note = segment.description.partition("; ") if ours else ("", "", "")
    if kind not in _TYPES:
        kind, note = "", segment.description
    return Finding(
        uid=_uid(segment, ours),
        label=segment.label,
        type=_TYPES.get(kind, "unknown"),
        note=note,
        origin=_ORIGINS.get(segment.algorithm, "hand"),
    )


def _uid(segment: Segment, ours: bool) -> str:
    if ours:
        return segment.tracking_id
    whole = _UUID_UID.fullmatch(segment.tracking_uid)
    if whole and int(whole[1]) < 1 << 128:
        return uuid.UUID(int=int(whole[1])).hex
    return segment.tracking_uid or new_uid()
