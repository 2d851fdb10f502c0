"""Scans, masks, annotations and projects from files: what the manifest names for opening.

Files given together belong together: annotations and masks are looked for on
the scans among them first, then on the scans that are open.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ctlns.errors import AnnotationError, CtlnsError, MaskError, ScanError
from napari_ctlns.findings import Annotation
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.current import current_session, session_of_person
from napari_ctlns.plugin.file_kinds import is_ours, kind_of
from napari_ctlns.plugin.project_file import PROJECT_SUFFIX, read_project_file
from napari_ctlns.plugin.windowing import opening_window
from napari_ctlns.volume import Geometry, Volume

MOST_SCANS = 4
"""So many scans of a folder are opened together; of more, one has to be chosen."""

_MOST_NAMED = 6


@dataclass(frozen=True)
class FilesRead:
    """What files hold, as layer data, what had to be mended, and which tables wait on."""

    layers: tuple[of.LayerTuple, ...]
    warnings: tuple[str, ...]
    waiting: tuple[Path, ...] = ()


class NoScanForTableError(AnnotationError):
    """No scan is there that a table of annotations speaks of; there may be one later."""


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[Any]] | None:
    """Return what reads these files and folders, or None if one of them is not for us.

    It never raises: what is wrong with a file is told when it is read.
    """
    try:
        ours = all(map(is_ours, _paths(path)))
    except (CtlnsError, OSError, ValueError):
        return None
    return read_into_viewer if ours else None


def read_into_viewer(path: str | list[str]) -> list[Any]:
    """Read files for the viewer that they are opened in.

    What a person drops on a window, or opens by its menus, is read beside the
    window and added when it is there. A program gets the layers at once.

    Returns
    -------
    list
        Layer data; ``[(None,)]`` if nothing remains for napari to add.

    Raises
    ------
    CtlnsError
        If a program asks and a file cannot be read.
    """
    session = session_of_person()
    if session is None:
        return _read_at_once(_paths(path))
    from napari_ctlns.plugin.opener import opener_of

    opener_of(session).open(_paths(path), aloud=True)
    return [(None,)]


def _read_at_once(paths: Sequence[Path]) -> list[Any]:
    from napari.utils.notifications import show_info, show_warning

    from napari_ctlns.plugin.settings import read_settings

    session = current_session()
    projects = [p for p in paths if p.suffix.lower() == PROJECT_SUFFIX]
    waiting = session.waiting_tables if session is not None else []
    try:
        found = read_files(
            [p for p in paths if p not in projects],
            open_scans=session.open_scans if session is not None else (),
            window=read_settings().window,
            waiting=waiting,
        )
    except NoScanForTableError:
        if session is None or not all(kind_of(path) == "annotations" for path in paths):
            raise
        # napari hands files over one by one, whatever their order
        waiting += [path for path in paths if path not in waiting]
        show_info(f"{', '.join(path.name for path in paths)} waits: open its scan")
        return [(None,)]
    waiting[:] = found.waiting
    added: list[Any] = list(found.layers)
    words = list(found.warnings)
    for place in projects:
        from napari_ctlns.plugin.project import layer_data, restore

        project = read_project_file(place)
        words.extend(project.warnings)
        if session is None:
            added.extend(data for data in layer_data(project) if data is not None)
        else:
            restore(session, project)
    for one in words:
        show_warning(one)
    return added or [(None,)]


def read_files(
    paths: Iterable[Path],
    *,
    open_scans: Sequence[Volume] = (),
    window: str = "lung",
    series: str | None = None,
    strict: bool = False,
    waiting: Iterable[Path] = (),
) -> FilesRead:
    """Read scans, masks and annotations that belong together.

    Parameters
    ----------
    paths
        Image files, DICOM files, folders, tables of annotations; in any order.
    open_scans
        Scans that masks and annotations may lie on too, the likeliest first.
    window
        The HU window of the scans, as `opening_window` names it.
    series, strict
        As for `formats.read_scan`.
    waiting
        Tables that were given before their scans, and wait on if these are not there yet.

    Raises
    ------
    NoScanForTableError
        If annotations have no scan to lie on.
    CtlnsError
        If a file cannot be read, or a folder holds too many scans.
    """
    from napari_ctlns.formats import read_annotations

    kinds = [(kind_of(path), path) for path in paths]
    tables = [path for kind, path in kinds if kind == "annotations"]
    masks = [path for kind, path in kinds if kind == "mask"]
    images = [path for kind, path in kinds if kind in ("scan", "project")]
    scans = [scan for path in images for scan in _scans(path, series, strict)]
    signed = [s for s in scans if is_mask_of_any(s, [*scans, *open_scans])]
    masks += [s.source.path for s in signed if s.source.path is not None]
    scans = [s for s in scans if s not in signed]

    drawn = [_mask(path, [*scans, *open_scans]) for path in masks]
    layers = [of.scan_tuple(scan, opening_window(scan, window)) for scan in scans]
    layers += [of.mask_tuple(mask, name) for name, mask in drawn]
    groups = (scans, open_scans[:1], open_scans[1:])
    for path in tables:
        layers += points_on(read_annotations(path), path, *groups)
    without_scan = []
    for path in waiting if scans else ():
        try:
            layers += points_on(read_annotations(path), path, scans)
        except NoScanForTableError:
            without_scan.append(path)
    named = [*((s.scan_id, s) for s in scans), *drawn]
    return FilesRead(
        layers=tuple(layers),
        warnings=tuple(f"{words} ({name})" for name, v in named for words in v.source.warnings),
        waiting=tuple(without_scan if scans else waiting),
    )


def _paths(path: str | list[str]) -> list[Path]:
    return [Path(p) for p in ([path] if isinstance(path, str) else path)]


def _scans(path: Path, series: str | None, strict: bool) -> list[Volume]:
    """Read the scan that a path means, or the few that a folder holds."""
    from napari_ctlns.formats import find_scans, read_scan

    found = find_scans(path) if path.is_dir() and series is None else []
    if len(found) > MOST_SCANS:
        named = [scan.series or scan.path.name for scan in found[:_MOST_NAMED]]
        more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise ScanError(
            f"{len(found)} scans in {path}: open one of its files or folders, or choose a series "
            f"with ctlns open --series: {'; '.join(named)}{more}"
        )
    if not found:
        return [read_scan(path, series=series, strict=strict)]
    return [read_scan(scan.path, series=scan.series, strict=strict) for scan in found]


def is_mask_of_any(volume: Volume, scans: Sequence[Volume]) -> bool:
    """Whether signed integers are labels: none is negative, on the grid of a scan that has HU."""
    array = volume.array
    if volume.source.format == "dicom" or not np.issubdtype(array.dtype, np.integer):
        return False
    if array.min() < 0:
        return False
    beside = (s for s in scans if s is not volume and s.geometry.same_grid(volume.geometry))
    return any(scan.array.min() < 0 for scan in beside)


def _mask(path: Path, scans: Sequence[Volume]) -> tuple[str, Volume]:
    """Read a mask onto the scan it was drawn on, else onto its own grid; return its name too."""
    from napari_ctlns.formats import mask_onto, read_mask, read_mask_onto, referenced_series
    from napari_ctlns.formats.images import file_stem

    series = referenced_series(path)
    for scan in scans:
        if series and series == scan.source.series_uid:
            return file_stem(path), read_mask_onto(path, scan)
    mask = read_mask(path)
    for fits in (Geometry.same_grid, _lies_within):
        for scan in scans:
            if fits(mask.geometry, scan.geometry):
                with contextlib.suppress(MaskError):  # too fine for this scan: none of it is left
                    return file_stem(path), mask_onto(mask, scan, str(path))
    return file_stem(path), mask


def _lies_within(one: Geometry, other: Geometry) -> bool:
    """Whether nothing is lost of a mask on ``one`` when it is carried onto ``other``."""
    last = np.asarray(one.shape) - 1
    corners = np.array(np.meshgrid(*zip((0, 0, 0), last, strict=True), indexing="ij"))
    return bool(other.contains(one.index_to_world(corners.reshape(3, -1).T)).all())


def points_on(
    rows: tuple[Annotation, ...], path: Path, *groups: Sequence[Volume]
) -> list[of.LayerTuple]:
    """Return the rows of a table as points on the first group of scans that it speaks of.

    Raises
    ------
    NoScanForTableError
        If it speaks of none of them.
    """
    trouble: AnnotationError | None = None
    for scans in groups:
        try:
            if scans:
                return _points(rows, scans, path.stem)
        except AnnotationError as error:
            trouble = trouble or error
    if trouble is not None:
        raise NoScanForTableError(str(trouble)) from trouble
    message = "open the scan first, or together with its annotations"
    raise NoScanForTableError(f"{message}: no scan is there for {path.name} to lie on")


def _points(
    rows: tuple[Annotation, ...], scans: Sequence[Volume], name: str
) -> list[of.LayerTuple]:
    from napari_ctlns.formats import annotations_of

    layers: list[of.LayerTuple] = []
    troubles = []
    for scan in scans if rows else scans[:1]:
        try:
            mine = annotations_of(rows, scan)
        except AnnotationError as error:
            troubles.append(error)
            continue
        title = name if len(scans) == 1 else f"{name} {scan.scan_id}"
        layers.append(of.annotations_tuple(mine, scan.geometry, scan.scan_id, title))
    if not layers:
        raise troubles[0]
    return layers
