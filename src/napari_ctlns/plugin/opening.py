"""From paths to what they hold: the job that all open buttons, drops and menus start.

`reading` is a job for a thread. It reads files as `reading.read_files` does for
programs, but one that cannot be read does not keep the others from opening, a
folder with several scans leaves the choice, a scan is told of as soon as its
first slice is there, and annotations may come before their scan.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Control, Event, Failed, Finished, Progress, Started, Uncontrolled
from napari_ctlns.plugin.file_kinds import Kind, kind_of
from napari_ctlns.plugin.opened import Opened
from napari_ctlns.plugin.path_reader import PathReader, StoppedError, Tell
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.formats import ScanFile

# what lies on scans, last
_ORDER: tuple[Kind, ...] = ("project", "scan", "mask", "lidc", "boxes", "annotations")


def reading(
    paths: Sequence[Path],
    open_scans: Sequence[Volume] = (),
    kind: Kind | None = None,
    window: str = "lung",
    control: Control | None = None,
    waiting: Sequence[Path] = (),
    tell: Tell | None = None,
    leave_out: bool = False,
) -> Iterator[Event]:
    """Read files and folders; a job whose result is ``value``, an `Opened`.

    A path that cannot be read is a problem of that path: the others are opened.

    Parameters
    ----------
    paths
        In any order: scans are read before what lies on them.
    open_scans
        The scans that masks and annotations may lie on beside those among the paths,
        the likeliest first; none of them is read again.
    kind
        What all paths are; by default each is looked at.
    window
        The name of the window to show scans through, see `opening_window`.
    waiting
        Files that were given before their scans: what is for a scan among the
        paths, or among those open, is read; the others wait on, without a word.
    tell
        Called with each scan of which a first slice is there.
    leave_out
        Leave out the rows of tables that cannot be used; otherwise such tables are not opened.
    """
    opened = Opened(window, list(open_scans))
    reader = PathReader(opened, control or Uncontrolled(), tell, leave_out)
    yield Started(title=f"Reading {_named([*paths, *waiting])}")
    import scipy.ndimage  # noqa: F401 - half a second, which napari's first layer would take

    todo = [(kind or kind_of(path), path) for path in _distinct(paths)]
    todo.sort(key=lambda one: _ORDER.index(one[0]))
    try:
        for done, (what, path) in enumerate(todo):
            if len(todo) > 1:
                yield Progress(done=done, total=len(todo), unit="files")
            try:
                yield from reader.read(what, path, kind is not None)
            except CtlnsError as error:
                opened.problems.append(str(error))
            reader.stop_if_asked()
        for path in waiting:
            reader.try_again(path)
    except StoppedError:
        yield Finished(stopped=True)
        return
    yield _outcome(opened)


def reading_series(
    scan: "ScanFile",
    open_scans: Sequence[Volume] = (),
    window: str = "lung",
    control: Control | None = None,
    waiting: Sequence[Path] = (),
    tell: Tell | None = None,
) -> Iterator[Event]:
    """Read one scan of a folder that holds several; a job with the same result."""
    opened = Opened(window, list(open_scans))
    reader = PathReader(opened, control or Uncontrolled(), tell)
    title, *_ = scan.title.splitlines() or [scan.path.name]
    yield Started(title=f"Reading {title}")
    try:
        yield from reader.read_scan(scan.path, scan.series)
        reader.stop_if_asked()
        for path in waiting:
            reader.try_again(path)
    except StoppedError:
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

    Several slices of a folder are that folder, and so are several files of boxes; the
    voxels of a .mhd come with it.
    """
    folders = [path.parent for path in paths if _is_part(path)]
    kept = [p.parent if _is_part(p) and folders.count(p.parent) > 1 else p for p in paths]
    voxels = {p.with_suffix(s) for p in kept if p.suffix == ".mhd" for s in (".raw", ".zraw")}
    return [p for p in dict.fromkeys(kept) if p not in voxels]


def _is_part(path: Path) -> bool:
    from napari_ctlns.formats import is_mask_file
    from napari_ctlns.formats.dicom.series import is_dicom

    if not path.is_file():
        return False
    return (is_dicom(path) and not is_mask_file(path)) or kind_of(path) == "boxes"
