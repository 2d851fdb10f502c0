"""Reading one path after the other, for the job in `opening`."""

import contextlib
import gc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ctlns.errors import CtlnsError
from napari_ctlns.events import Control, Event, Progress
from napari_ctlns.plugin import layers as of
from napari_ctlns.plugin.belongings import NoScanYetError, Placed, is_mask_of_any, place
from napari_ctlns.plugin.coming import Coming
from napari_ctlns.plugin.file_kinds import Kind, kind_of
from napari_ctlns.plugin.opened import Opened
from napari_ctlns.plugin.project_file import read_project_file
from napari_ctlns.plugin.windowing import opening_window
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.formats.dicom.series import Series

_SECONDS_TO_SHOW = 0.5

Tell = Callable[[Coming], None]


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Let garbage wait.

    Headers and layers are trees of objects; looking for garbage among these and all of
    napari's takes as long as reading them.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class StoppedError(Exception):
    """Somebody asked for an end."""


class PathReader:
    """Reads one path after the other into an `Opened`."""

    def __init__(
        self, opened: Opened, control: Control, tell: Tell | None, leave_out: bool = False
    ) -> None:
        self._opened = opened
        self._control = control
        self._tell = tell
        self._leave_out = leave_out

    def stop_if_asked(self) -> None:
        """Raise `StoppedError` if somebody asked for an end."""
        if self._control.stop_requested():
            raise StoppedError

    def read(self, kind: Kind, path: Path, told: bool) -> Iterator[Event]:
        """Read one path; ``told`` that it is of this kind, a person insists on it."""
        if kind == "scan":
            yield from self._read_scans(path, told)
        elif kind == "project":
            project = read_project_file(path)
            self._opened.projects.append(project)
            self._opened.problems.extend(project.warnings)
        else:
            self._place(kind, path, told)

    # -- scans ------------------------------------------------------------------------

    def _read_scans(self, path: Path, told: bool) -> Iterator[Event]:
        from napari_ctlns.formats import ScanFile, find_scans
        from napari_ctlns.formats.dicom.series import SeveralSeriesError, visible_files
        from napari_ctlns.formats.images import extension

        if extension(path) or (path.is_dir() and any(map(extension, visible_files(path)))):
            found = find_scans(path)
            if len(found) == 1:
                one_told = told or path.is_dir()
                yield from self.read_scan(found[0].path, found[0].series, one_told)
                return
            self._opened.choices.extend(found)
            if found:
                return
        try:  # one series is by far the likeliest, and then its headers are read once only
            yield from self.read_scan(path, None, told)
        except SeveralSeriesError as error:
            for one in sorted(error.series, key=lambda one: (_patient(one), one.description)):
                place = one.folder if path.is_dir() else path
                self._opened.choices.append(ScanFile(place, one.uid, _about(one)))

    def read_scan(self, path: Path, series: str | None, told: bool = True) -> Iterator[Event]:
        """Read one scan, and tell of it as soon as a slice of it is there."""
        opened = self._opened
        if path.is_file() and self._is_open(path, series):
            return
        read = yield from self._read_parts(path, series)
        if read is None:
            return
        volume, coming = read
        if not told and is_mask_of_any(volume, opened.open_scans):
            self._place("mask", path, told)
            return
        opened.add(of.scan_tuple(volume, opening_window(volume, opened.window)))
        if coming is not None:
            opened.coming[volume] = coming

    def _read_parts(
        self, path: Path, series: str | None
    ) -> Generator[Event, None, tuple[Volume, Coming | None] | None]:
        """Read a scan part after part; return None if it turns out to be open already."""
        from napari_ctlns.formats.scans import scan_parts

        coming: Coming | None = None
        with contextlib.ExitStack() as at_end, contextlib.ExitStack() as when_shown:
            parts = at_end.enter_context(contextlib.closing(scan_parts(path, series=series)))
            when_shown.enter_context(_without_collecting())
            while True:
                try:
                    part = next(parts)
                except StopIteration as end:
                    volume: Volume = end.value
                    break
                self.stop_if_asked()
                yield Progress(done=part.done, total=part.total, unit=part.unit)
                if part.volume is None or part.read is None:
                    continue
                if coming is None:
                    if self._is_open(part.volume.source.path, part.volume.scan_id):
                        return None
                    coming = Coming((part.volume, part.read), self._opened.window)
                    self._say_it_comes(coming)
                    when_shown.close()
                elif coming.so_far[0] is not part.volume:
                    coming.so_far = (part.volume, part.read)
        if coming is None and self._is_open(volume.source.path, volume.scan_id):
            return None
        return volume, coming

    def _say_it_comes(self, coming: Coming) -> None:
        if self._tell is not None:
            self._tell(coming)
            # reading on at once would slow down the window, which draws it now
            coming.shown.wait(_SECONDS_TO_SHOW)

    def _is_open(self, path: Path | None, series: str | None) -> bool:
        """Whether a scan is open already; it is remembered that it was asked for."""
        for volume in self._opened.open_scans:
            place = volume.source.path
            if path is None or place is None or place.resolve() != path.resolve():
                continue
            if series is None or series in (volume.scan_id, volume.source.series_uid):
                self._opened.again.append(volume)
                return True
        return False

    # -- what lies on scans -------------------------------------------------------------

    def _place(self, kind: Kind, path: Path, told: bool) -> None:
        from napari_ctlns.formats import BadRows

        try:
            self._place_now(kind, path, told)
        except NoScanYetError as error:
            self._opened.waiting.append(path)
            if self._opened.open_scans:
                self._opened.problems.append(str(error))
        except BadRows as error:
            self._opened.problems.append(str(error))
            if error.good:
                self._opened.bad_tables[path] = error.problems

    def try_again(self, path: Path) -> None:
        """Read what waits, if its scan is there by now."""
        try:
            self._place_now(kind_of(path), path, told=False)
        except NoScanYetError:
            self._opened.still_waiting.append(path)
        except CtlnsError as error:  # the file was changed meanwhile
            self._opened.problems.append(str(error))

    def _place_now(self, kind: Kind, path: Path, told: bool) -> None:
        from napari_ctlns.formats import read_mask_onto
        from napari_ctlns.formats.images import file_stem

        opened = self._opened
        scans = opened.open_scans
        if kind == "mask" and told and scans:
            mask = read_mask_onto(path, scans[0])
            placed = Placed((of.mask_tuple(mask, file_stem(path)),), mask.source.warnings)
        else:
            placed = place(kind, path, (scans[:1], scans[1:]), self._leave_out)
        opened.add(*placed.layers)
        opened.problems.extend(placed.warnings)


def _about(series: "Series") -> str:
    """Say what a series is, in two lines: what it was called, and what is in it."""
    size = "{} slices of {} x {}".format(len(series.slices), *series.shape)
    called = series.description or "no description"
    return f"{called}\n{', '.join(filter(None, (_patient(series), series.modality, size)))}"


def _patient(series: "Series") -> str:
    return str(series.slices[0].header.get("PatientID") or "").strip()
