"""Results of each scan: whether they are there, and one table of all."""

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from napari_ctlns.atomic import write_csv
from napari_ctlns.cohort.manifest import Manifest, Row
from napari_ctlns.cohort.tasks import Todo
from napari_ctlns.dataset.match import file_signature
from napari_ctlns.events import Event, Log, Saved
from napari_ctlns.formats import ScanFile

ALL_NODULES = "nodules.csv"


def fingerprint(file: ScanFile, *others: Path) -> str:
    """Return a text that changes with the files of a scan, and others: names, sizes, times."""
    signatures = [file.series, *(file_signature(path) for path in (file.path, *others))]
    return hashlib.sha256(json.dumps(signatures).encode()).hexdigest()[:16]


def results_there(out: Path, todo: Todo, row: Row | None) -> bool:
    """Whether a scan's row says that it is done, as it is now, and its results are there."""
    return (
        row is not None
        and row.status == "done"
        and row.fingerprint == todo.fingerprint
        and all((out / name).is_file() for name in todo.outputs)
    )


def table_of_all(out: Path, manifest: Manifest, end: str) -> Iterator[Event]:
    """Write the nodule tables of all scans that are done into one, with their ids before.

    Parameters
    ----------
    out
        The cohort's folder.
    end
        What the name of a scan's table has after the scan's id.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    columns: dict[str, None] = {"scan_id": None}
    rows: list[dict[str, str]] = []
    for done in (row for row in manifest if row.status == "done"):
        path = out / f"{done.scan_id}{end}"
        try:
            with path.open(encoding="utf-8", newline="") as file:
                table = csv.DictReader(file)
                columns.update(dict.fromkeys(table.fieldnames or ()))
                rows += [{"scan_id": done.scan_id, **cells} for cells in table]
        except (OSError, ValueError, csv.Error):
            message = f"cannot read {path}, {ALL_NODULES} lacks it; remove it and run again"
            yield Log(message=message, level="warning")
    write_csv(out / ALL_NODULES, tuple(columns), rows)
    yield Saved(path=out / ALL_NODULES, kind="table")
