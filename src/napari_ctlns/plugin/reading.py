"""Scans, masks, annotations and projects from files: what the manifest names for opening.

Files given together belong together: annotations and masks are looked for on
the scans among them first, then on the scans that are open.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_ctlns.errors import CtlnsError, ScanError
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.belongings import NoScanYetError, is_mask_of_any, place
from napari_ctlns.plugin.current import current_session, session_of_person
from napari_ctlns.plugin.file_kinds import Kind, is_ours, kind_of
from napari_ctlns.plugin.project_file import PROJECT_SUFFIX, read_project_file
from napari_ctlns.plugin.windowing import opening_window
from napari_ctlns.volume import Volume

MOST_SCANS = 4
"""So many scans of a folder are opened together; of more, one has to be chosen."""

_MOST_NAMED = 6


@dataclass(frozen=True)
class FilesRead:
    """What files hold, as layer data, what had to be mended, and which tables wait on."""

    layers: tuple[of.LayerTuple, ...]
    warnings: tuple[str, ...]
    waiting: tuple[Path, ...] = ()


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
    waiting = session.waiting if session is not None else []
    try:
        found = read_files(
            [p for p in paths if p not in projects],
            open_scans=session.open_scans if session is not None else (),
            window=read_settings().window,
            waiting=waiting,
        )
    except NoScanYetError:
        if session is None or any(kind_of(path) in ("scan", "project") for path in paths):
            raise
        # napari hands files over one by one, whatever their order
        waiting += [path for path in paths if path not in waiting]
        show_info(f"{', '.join(path.name for path in paths)} waits: open its scan")
        return [(None,)]
    waiting[:] = found.waiting
    added: list[Any] = list(found.layers)
    words = list(found.warnings)
    for path in projects:
        from napari_ctlns.plugin.project import layer_data, restore

        project = read_project_file(path)
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
    NoScanYetError
        If annotations have no scan to lie on.
    CtlnsError
        If a file cannot be read, or a folder holds too many scans.
    """
    from napari_ctlns.formats.images import file_stem

    kinds = [(kind_of(path), path) for path in paths]
    images = [path for kind, path in kinds if kind in ("scan", "project")]
    scans = [scan for path in images for scan in _scans(path, series, strict)]
    signed = [s for s in scans if is_mask_of_any(s, [*scans, *open_scans])]
    kinds += [("mask", s.source.path) for s in signed if s.source.path is not None]
    scans = [s for s in scans if s not in signed]

    groups = (scans, open_scans[:1], open_scans[1:])
    layers = [of.scan_tuple(scan, opening_window(scan, window)) for scan in scans]
    words = [f"{word} ({scan.scan_id})" for scan in scans for word in scan.source.warnings]
    wait_on = list(waiting)
    on_scans = [(kind, path) for kind, path in kinds if kind not in ("scan", "project")]
    for kind, path in sorted(on_scans, key=_is_table):
        placed = place(kind, path, groups)
        layers += placed.layers
        words += [f"{word} ({file_stem(path)})" for word in placed.warnings]
    for path in tuple(wait_on) if scans else ():
        with contextlib.suppress(NoScanYetError):
            layers += place(kind_of(path), path, [scans]).layers
            wait_on.remove(path)
    return FilesRead(layers=tuple(layers), warnings=tuple(words), waiting=tuple(wait_on))


def _is_table(what: tuple[Kind, Path]) -> bool:
    return what[0] == "annotations"


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
