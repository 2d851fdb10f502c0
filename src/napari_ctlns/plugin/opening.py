"""From paths to layers: what the open buttons and the drop target do.

`reading` is a job for a thread, `show` adds what it read to the viewer. Files
are read as `reading.read_files` reads them for napari's own menus; here one
that cannot be read does not keep the others from opening, and a folder with
several scans leaves the choice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Control, Event, Failed, Finished, Progress, Started, Uncontrolled
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.file_kinds import Kind, kind_of
from napari_ctlns.plugin.project import restore
from napari_ctlns.plugin.project_file import Project, read_project_file
from napari_ctlns.plugin.reading import read_files
from napari_ctlns.plugin.session import Session
from napari_ctlns.plugin.windowing import opening_window
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.formats import ScanFile

_ORDER: tuple[Kind, ...] = ("project", "scan", "mask", "annotations")  # what lies on scans, last
_NOUNS = {
    "project": ("a project", "projects"),
    "image": ("a scan", "scans"),
    "labels": ("a mask", "masks"),
    "points": ("annotations", "tables of annotations"),
}


@dataclass
class Opened:
    """What was read of some paths.

    Attributes
    ----------
    window
        The name of the window to show scans through.
    open_scans
        The scans that masks and annotations may lie on: those read just now, then
        those that were open already.
    projects
        Whole projects.
    layers
        Scans, masks and annotations as layer data.
    choices
        The scans of folders that hold several: one is to be chosen.
    problems
        What could not be read, or not as it was, in words.
    """

    window: str = "lung"
    open_scans: list[Volume] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)
    layers: list[of.LayerTuple] = field(default_factory=list)
    choices: list["ScanFile"] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        """Whether there is something to show or to choose from."""
        return bool(self.projects or self.layers or self.choices)

    def in_words(self) -> str:
        """Say what was opened."""
        kinds = ["project"] * len(self.projects) + [kind for _, _, kind in self.layers]
        said = [
            one if kinds.count(kind) == 1 else f"{kinds.count(kind)} {many}"
            for kind, (one, many) in _NOUNS.items()
            if kind in kinds
        ]
        return f"Opened {' and '.join(said)}" if said else ""

    def add(self, *layers: of.LayerTuple) -> None:
        """Add layer data; masks and annotations may lie on its scans from now on."""
        self.layers.extend(layers)
        read = [meta["metadata"][of.KEY].volume for _, meta, kind in layers if kind == "image"]
        self.open_scans[:0] = read


def reading(
    paths: Sequence[Path],
    open_scans: Sequence[Volume] = (),
    kind: Kind | None = None,
    window: str = "lung",
    control: Control | None = None,
) -> Iterator[Event]:
    """Read files and folders; a job whose result is ``value``, an `Opened`.

    A path that cannot be read is a problem of that path: the others are opened.

    Parameters
    ----------
    paths
        In any order: scans are read before what lies on them.
    open_scans
        The scans that masks and annotations may lie on beside those among the paths,
        the likeliest first.
    kind
        What all paths are; by default each is looked at.
    window
        The name of the window to show scans through, see `opening_window`.
    """
    control = control or Uncontrolled()
    opened = Opened(window, list(open_scans))
    yield Started(title=f"Reading {_named(paths)}")
    import scipy.ndimage  # noqa: F401 - half a second, which napari's first layer would take

    todo = [(kind or kind_of(path), path) for path in _distinct(paths)]
    todo.sort(key=lambda one: _ORDER.index(one[0]))
    for done, (what, path) in enumerate(todo):
        if len(todo) > 1:
            yield Progress(done=done, total=len(todo), unit="files")
        try:
            _READERS[what](path, opened, kind is not None)
        except CtlnsError as error:
            opened.problems.append(str(error))
        if control.stop_requested():
            yield Finished(stopped=True)
            return
    yield _outcome(opened)


def reading_series(
    scan: "ScanFile", window: str = "lung", control: Control | None = None
) -> Iterator[Event]:
    """Read one scan of a folder that holds several; a job with the same result."""
    opened = Opened(window)
    yield Started(title=f"Reading {scan.title or scan.path.name}")
    _read_one(scan.path, scan.series, opened)
    if control is not None and control.stop_requested():
        yield Finished(stopped=True)
    else:
        yield Finished(result={"value": opened})


def _outcome(opened: Opened) -> Event:
    if opened.problems and not opened.anything:
        return Failed(message=". ".join(opened.problems))
    return Finished(result={"value": opened})


def _named(paths: Sequence[Path]) -> str:
    more = len(paths) - 1
    return paths[0].name + (f" and {more} more" if more else "") if paths else "nothing"


def _distinct(paths: Sequence[Path]) -> list[Path]:
    """Leave out what another path stands for.

    Several slices of a folder are that folder; the voxels of a .mhd come with it.
    """
    folders = [path.parent for path in paths if _is_slice(path)]
    kept = [p.parent if _is_slice(p) and folders.count(p.parent) > 1 else p for p in paths]
    voxels = {p.with_suffix(s) for p in kept if p.suffix == ".mhd" for s in (".raw", ".zraw")}
    return [p for p in dict.fromkeys(kept) if p not in voxels]


def _is_slice(path: Path) -> bool:
    from napari_ctlns.formats.dicom.series import is_dicom

    return path.is_file() and is_dicom(path)


# -- readers, one a kind ----------------------------------------------------------


def _read_scan(path: Path, opened: Opened, told: bool) -> None:
    from napari_ctlns.formats import find_scans

    found = find_scans(path)
    if len(found) > 1:
        opened.choices.extend(found)
    elif told and found:
        _read_one(found[0].path, found[0].series, opened)
    else:
        _read_whatever(path, opened)  # which says what is in it instead of a scan


def _read_one(path: Path, series: str | None, opened: Opened) -> None:
    from napari_ctlns.formats import read_scan

    volume = read_scan(path, series=series)
    opened.add(of.scan_tuple(volume, opening_window(volume, opened.window)))


def _read_mask(path: Path, opened: Opened, told: bool) -> None:
    from napari_ctlns.formats import read_mask_onto
    from napari_ctlns.formats.images import file_stem

    if not (told and opened.open_scans):
        _read_whatever(path, opened)
        return
    mask = read_mask_onto(path, opened.open_scans[0])
    opened.add(of.mask_tuple(mask, file_stem(path)))
    opened.problems.extend(mask.source.warnings)


def _read_annotations(path: Path, opened: Opened, _told: bool) -> None:
    _read_whatever(path, opened)


def _read_whatever(path: Path, opened: Opened) -> None:
    """Read a file as napari's own menus do."""
    found = read_files([path], open_scans=opened.open_scans, window=opened.window)
    opened.add(*found.layers)
    if any(kind != "image" for _, _, kind in found.layers):
        opened.problems.extend(found.warnings)  # those of a scan stand among its facts


def _read_project(path: Path, opened: Opened, _told: bool) -> None:
    project = read_project_file(path)
    opened.projects.append(project)
    opened.problems.extend(project.warnings)


_READERS: dict[Kind, Callable[[Path, Opened, bool], None]] = {
    "project": _read_project,
    "scan": _read_scan,
    "mask": _read_mask,
    "annotations": _read_annotations,
}


# -- to the viewer ----------------------------------------------------------------


def show(session: Session, opened: Opened) -> None:
    """Add what was read as layers."""
    for project in opened.projects:
        restore(session, project)
    for data in opened.layers:
        session.saved(session.add(data))  # its file has it
    if any(kind == "image" for _, _, kind in opened.layers):
        fit(session)


def fit(session: Session) -> None:
    """Show the middle of the scan that is worked on, whole, with a scale bar."""
    viewer, layer = session.viewer, session.scan
    if layer is None:
        return
    viewer.canvas.overlays.scale_bar.visible = True
    middle = layer.extent.world.mean(axis=0)
    viewer.dims.set_point(range(viewer.dims.ndim), middle)
    viewer.reset_view()
