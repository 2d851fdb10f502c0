"""Writing what is kept against a crash, and reading it again; no napari here.

A folder holds states, `state-N.json`, and the pieces of arrays that they name. A state
appears when all of its pieces are there, and the one before it stays with its own, so
that there is a whole one at every moment.
"""

import contextlib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from napari_ctlns.atomic import remove_leftovers
from napari_ctlns.errors import MaskError, OutputError, ProjectError
from napari_ctlns.events import Control, Event, Finished, Progress, Saved, Started
from napari_ctlns.plugin.pieces import Pieces, PieceStore, read_pieces, write_durably
from napari_ctlns.plugin.project_contents import SavedMap, SavedMask, SavedScan
from napari_ctlns.plugin.project_file import Project, with_files
from napari_ctlns.plugin.recovery_contents import Recovery, SavedTable
from napari_ctlns.plugin.recovery_folder import hold, read_state, remove, state_path, states
from napari_ctlns.plugin.words import counted

if TYPE_CHECKING:
    import pandas as pd
    from filelock import BaseFileLock

_SECONDS_FOR_LOCK = 2.0
_Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Moment:
    """What is open in a window at one moment, its voxels not copied.

    Attributes
    ----------
    state
        All but arrays and tables.
    drawn
        The arrays that a person edits: they are kept before the state is.
    large
        Arrays that never change, of scans without a file and maps: kept when there is time.
    tables
        Nodule tables by the places of their masks, and whether they are fresh.
    """

    state: Recovery
    drawn: Mapping[str, _Array] = field(default_factory=dict)
    large: Mapping[str, _Array] = field(default_factory=dict)
    tables: "Mapping[int, tuple[pd.DataFrame, bool]]" = field(default_factory=dict)


class RecoveryWriter:
    """Keeps one window's work in a folder of its own; one thread at a time.

    Parameters
    ----------
    folder
        Made, and locked, with the first moment that is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._store = PieceStore(folder)
        self._large: dict[str, Pieces] = {}
        self._lock: BaseFileLock | None = None
        self._number = self._written = 0
        self._files: set[str] = set()
        self._tables: dict[int, tuple[pd.DataFrame, str]] = {}

    def keep(self, moment: Moment, control: Control) -> Iterator[Event]:
        """Keep a moment; a job that says `Saved` as soon as all that was drawn is safe.

        What is large comes after that, piece by piece; it goes on with the next moment
        when it is stopped.

        Raises
        ------
        OutputError
            If there is no room, or no right to write; what was kept before stays.
        """
        yield Started(title="Keeping edits")
        try:
            yield from self._keep(moment, control)
        except OutputError as error:
            reason = getattr(error.__cause__, "strerror", None) or str(error)
            raise OutputError(f"{reason} ({self.folder})") from error

    def _keep(self, moment: Moment, control: Control) -> Iterator[Event]:
        self._hold()
        self._store.forget({*moment.drawn, *moment.large})
        self._large = {k: v for k, v in self._large.items() if k in moment.large}
        drawn = {name: self._store.put(name, array) for name, array in moment.drawn.items()}
        self._publish(moment, drawn)
        yield Saved(path=self.folder)
        for name, array in moment.large.items():
            if name not in self._large:
                pieces = yield from self._put_slowly(name, array, control)
                if pieces is None:
                    yield Finished(stopped=True)
                    return
                self._large[name] = pieces
                self._publish(moment, drawn)
        yield Finished()

    def clear(self) -> None:
        """Remove what was kept: nothing is unsaved."""
        remove(self.folder, self._lock)
        self._lock = None
        self._store = PieceStore(self.folder)
        self._large, self._tables = {}, {}
        self._files = set()

    def let_go(self) -> None:
        """Leave what was kept to whoever looks for it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _hold(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {self.folder}: {error.strerror or error}") from error
        if self._lock is None:
            self._lock = hold(self.folder, _SECONDS_FOR_LOCK)

    def _put_slowly(
        self, name: str, array: _Array, control: Control
    ) -> Generator[Event, None, Pieces | None]:
        steps = self._store.put_slowly(name, array)
        while True:
            if control.stop_requested():
                return None
            try:
                next(steps)
            except StopIteration as end:
                pieces: Pieces = end.value
                return pieces
            yield Progress(done=0, total=None, unit="pieces")

    def _publish(self, moment: Moment, drawn: Mapping[str, Pieces]) -> None:
        tables = {
            place: SavedTable(file=self._keep_table(place, table), fresh=fresh)
            for place, (table, fresh) in moment.tables.items()
        }
        arrays = {**drawn, **self._large}
        changes = {"arrays": arrays, "tables": tables, "written": datetime.now(UTC)}
        state = moment.state.model_copy(update=changes)
        path = state_path(self.folder, self._number + 1)
        write_durably(path, state.model_dump_json().encode())
        self._number += 1
        before, self._files = self._files, _files_of(arrays) | {t.file for t in tables.values()}
        self._tidy(before | self._files | self._store.files)

    def _keep_table(self, place: int, table: "pd.DataFrame") -> str:
        from napari_ctlns.measurement import write_table

        known, name = self._tables.get(place, (None, ""))
        if known is not table:
            self._written += 1
            name = f"{self._written}.csv"
            write_table(table, self.folder / name)
            self._tables[place] = (table, name)
        return name

    def _tidy(self, needed: set[str]) -> None:
        """Remove what neither this state nor the one before it needs."""
        remove_leftovers(self.folder)
        with contextlib.suppress(OSError):
            for path in states(self.folder)[2:]:
                path.unlink()
            for path in (*self.folder.glob("*.z"), *self.folder.glob("*.csv")):
                if path.name not in needed:
                    path.unlink()


def _files_of(arrays: Mapping[str, Pieces]) -> set[str]:
    return {name for pieces in arrays.values() for name in pieces.files if name is not None}


# -- reading --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Recovered:
    """What was kept of a window, in memory.

    Attributes
    ----------
    project
        Scans, masks, annotations, view. Its ``warnings`` tell what was not found.
    state
        The rest.
    arrays
        Voxels of masks and of other layers, by name.
    tables
        Nodule tables that can be read, by the places of their masks.
    """

    project: Project
    state: Recovery
    arrays: Mapping[str, _Array]
    tables: "Mapping[int, pd.DataFrame]"


def read_recovery(folder: Path) -> Recovered:
    """Read the newest work that was kept in a folder, and the scans that it names.

    Raises
    ------
    ProjectError
        If none of it can be read.
    """
    there = states(folder)
    if not there:
        raise ProjectError("this work is gone: another window has opened or discarded it")
    trouble = None
    for leave_out in (False, True):
        for path in there:
            try:
                return _read(folder, read_state(path), leave_out)
            except ProjectError as error:
                trouble = trouble or error
            except MemoryError:
                raise ProjectError("too little memory for what was kept; close others") from None
    raise trouble or ProjectError("this work cannot be read")


def _read(folder: Path, state: Recovery, leave_out: bool) -> Recovered:
    arrays: dict[str, _Array] = {}
    words = []
    for name, pieces in state.arrays.items():
        arrays[name], damaged = read_pieces(folder, pieces, leave_out)
        if damaged:
            words.append(f"{counted(damaged, 'part')} of {_named(state, name)} could not be read")
    layers = []
    for layer in state.contents.layers:
        if isinstance(layer, SavedScan) and layer.array not in arrays:
            layer = layer.model_copy(update={"array": None})
        elif isinstance(layer, SavedMask) or (
            isinstance(layer, SavedMap) and layer.array in arrays
        ):
            _refuse_other_grid(layer, arrays.get(layer.array))
        layers.append(layer)
    contents = state.contents.model_copy(update={"layers": tuple(layers)})
    project = with_files(Project(contents, arrays), folder)
    project = replace(project, warnings=(*project.warnings, *words))
    return Recovered(project, state, arrays, _tables(folder, state))


def _named(state: Recovery, name: str) -> str:
    for layer in (*state.contents.layers, *state.others):
        if getattr(layer, "array", None) == name:
            return layer.name
    return name


def _refuse_other_grid(layer: SavedMask | SavedMap, array: _Array | None) -> None:
    if array is None or array.shape != layer.geometry.shape:
        raise ProjectError(f"damaged: {layer.name} is not on its grid")


def _tables(folder: Path, state: Recovery) -> "dict[int, pd.DataFrame]":
    """Return the tables that can be read; the others are measured again."""
    from napari_ctlns.measurement import read_table

    tables = {}
    for place, saved in state.tables.items():
        with contextlib.suppress(MaskError):
            tables[place] = read_table(folder / saved.file)
    return tables
