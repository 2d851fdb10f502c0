"""The manifest: a table of what became of each scan, whole at any time."""

import csv
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from napari_ctlns.atomic import write_csv
from napari_ctlns.dataset.beginning import COHORT_MANIFEST
from napari_ctlns.errors import OutputError, RunError
from napari_ctlns.formats import ScanFile

Status = Literal["waiting", "running", "done", "failed"]
_SECONDS_BETWEEN_WRITES = 0.5
_BETWEEN_OUTPUTS = "; "


@dataclass(frozen=True)
class Row:
    """What became of one scan.

    Attributes
    ----------
    scan, series
        Where it lies.
    scan_id
        What its results are named after.
    seconds
        How long the work on it took; empty while there is none.
    worker
        Machine and process that had it last.
    error
        What is wrong, in one line.
    outputs
        Its results, in the manifest's folder.
    uncertainty
        How unsure the model was of what it found, 0 to 1; empty: it was not asked.
    fingerprint
        Changes when it has to be done anew.
    """

    scan: str
    series: str
    scan_id: str
    status: Status = "waiting"
    seconds: str = ""
    worker: str = ""
    error: str = ""
    outputs: str = ""
    uncertainty: str = ""
    fingerprint: str = ""

    @property
    def file(self) -> ScanFile:
        """The scan."""
        return ScanFile(Path(self.scan), self.series or None)


COLUMNS = tuple(field.name for field in fields(Row))
_LATER = {"uncertainty"}
"""Columns that manifests of earlier versions lack."""


class Manifest:
    """The rows of a folder by scan, those of former cohorts there included."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / COHORT_MANIFEST
        self._rows = {row.file: row for row in read_rows(self.path)}
        self._changed = False
        self._written = time.monotonic()
        self.settle()

    def __iter__(self) -> Iterator[Row]:
        """Give the rows, in the order in which their scans came."""
        return iter(self._rows.values())

    def row(self, file: ScanFile) -> Row | None:
        """Return the row of a scan, if there is one."""
        return self._rows.get(file)

    def names(self) -> dict[ScanFile, str]:
        """Return what the results of each scan are named after."""
        return {file: row.scan_id for file, row in self._rows.items()}

    def add(self, file: ScanFile, scan_id: str, **values: Any) -> None:
        """Put in a scan, or put it back to the beginning."""
        self._rows[file] = Row(str(file.path), file.series or "", scan_id, **values)
        self._changed = True

    def change(self, file: ScanFile, **values: Any) -> None:
        """Change what is said of a scan."""
        self._rows[file] = replace(self._rows[file], **values)
        self._changed = True

    def settle(self) -> None:
        """Let wait what nobody works on any more."""
        for file, row in self._rows.items():
            if row.status == "running":
                self.change(file, status="waiting", worker="")

    def write(self) -> None:
        """Write it, whole.

        Raises
        ------
        OutputError
            If that cannot be.
        """
        write_csv(self.path, COLUMNS, map(asdict, self))
        self._changed, self._written = False, time.monotonic()

    def write_if_due(self) -> None:
        """Write what changed, unless that was done a moment ago, or somebody is in the way now."""
        if not self._changed or time.monotonic() - self._written < _SECONDS_BETWEEN_WRITES:
            return
        try:
            self.write()
        except OutputError:  # a table program on Windows keeps files for itself; later, then
            self._written = time.monotonic()


def joined(outputs: Iterable[str]) -> str:
    """Return the names of results as one cell."""
    return _BETWEEN_OUTPUTS.join(outputs)


def one_line(words: object) -> str:
    """Return words for a cell."""
    return " ".join(str(words).split())


def read_rows(path: Path) -> Iterator[Row]:
    """Give the rows of a manifest as they are; none where there is no file.

    Raises
    ------
    RunError
        If it is no manifest, or damaged.
    """
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, strict=True)
            if missing := set(COLUMNS) - _LATER - set(table.fieldnames or ()):
                raise KeyError(missing)
            for cells in table:
                values: dict[str, Any] = {name: cells.get(name) or "" for name in COLUMNS}
                if values["status"] not in get_args(Status):
                    raise ValueError(values["status"])
                float(values["uncertainty"] or 0)  # a ValueError where it is no number
                yield Row(**values)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise RunError(
            f"{path} is no manifest of a cohort, or damaged; remove it to begin anew, "
            "or choose another --out"
        ) from error
