"""Tables of annotations in the format of LUNA16.

Columns ``seriesuid, coordX, coordY, coordZ, diameter_mm``; coordinates are LPS
millimetres (https://luna16.grand-challenge.org/Data/).
"""

import csv
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from napari_ctlns.atomic import write_text
from napari_ctlns.errors import AnnotationError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats.images import file_stem
from napari_ctlns.formats.tables import number_of, summary, table_rows
from napari_ctlns.volume import Volume

COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


class BadRows(AnnotationError):  # noqa: N818 - it carries rows
    """Some rows of a table cannot be used; whoever may leave them out takes the others.

    Attributes
    ----------
    good
        What the other rows hold, in their order.
    problems
        What is wrong, one ``"line 3: ..."`` for each row that cannot be used.
    """

    def __init__(
        self, path: Path, good: tuple[Any, ...], problems: Iterable[tuple[int, str]]
    ) -> None:
        problems = tuple(problems)
        super().__init__(summary(path, problems))
        self.good = good
        self.problems = tuple(f"line {line}: {words}" for line, words in problems)


def read_annotations(path: str | os.PathLike[str]) -> tuple[Annotation, ...]:
    """Read a table of annotations; a table without rows gives an empty tuple.

    Columns may stand in any order and others beside them; a byte order mark,
    any line ends, and semicolons or tabs with decimal commas are understood.

    Raises
    ------
    BadRows
        If a value is not a finite number, or a diameter is not above 0: names the
        lines, and carries the rows that are fine.
    AnnotationError
        If the file cannot be read, or a column is missing.
    """
    path = Path(path)
    annotations: list[Annotation] = []
    problems: list[tuple[int, str]] = []
    for line, cells in table_rows(path, COLUMNS):
        try:
            annotations.append(_annotation(cells))
        except ValueError as error:
            problems.append((line, str(error)))
    if problems:
        raise BadRows(path, tuple(annotations), problems)
    return tuple(annotations)


def readable_annotations(
    path: str | os.PathLike[str],
) -> tuple[tuple[Annotation, ...], tuple[str, ...]]:
    """Return the rows that are fine, and what is wrong with the others, line by line.

    For callers that were told to leave bad rows out; otherwise as `read_annotations`.

    Raises
    ------
    AnnotationError
        If the file cannot be read, or a column is missing.
    """
    try:
        return read_annotations(path), ()
    except BadRows as error:
        return error.good, error.problems


def write_annotations(path: str | os.PathLike[str], annotations: Iterable[Annotation]) -> None:
    """Write a table of annotations; reading it gives the very same numbers.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for a in annotations:
        numbers = (a.x_mm, a.y_mm, a.z_mm, a.diameter_mm)
        writer.writerow([a.scan_id, *(repr(float(v)) for v in numbers)])
    write_text(path, table.getvalue())


class _OfScan(Protocol):
    @property
    def scan_id(self) -> str: ...


_Row = TypeVar("_Row", bound=_OfScan)


def annotations_of(annotations: Iterable[_Row], volume: Volume) -> tuple[_Row, ...]:
    """Return the annotations or candidates of one scan: by its id, series UID or file stem.

    Raises
    ------
    AnnotationError
        If there are annotations, but of other series only.
    """
    annotations = tuple(annotations)
    ids = names_of(volume)
    found = tuple(a for a in annotations if a.scan_id in ids)
    if annotations and not found:
        named = " or ".join(sorted(ids)) or "a scan without id"
        raise AnnotationError(
            f"annotations of other series only: none of {len(annotations)} rows is of {named}; "
            "give the table of this scan"
        )
    return found


def names_of(volume: Volume) -> set[str]:
    """Return what tables may call a scan: its id, series UID or file stem."""
    path = volume.source.path
    stem = file_stem(path) if path is not None and volume.source.format != "dicom" else ""
    return {volume.scan_id, volume.source.series_uid, stem} - {""}


def _annotation(cells: list[str]) -> Annotation:
    if not cells[0]:
        raise ValueError("seriesuid is empty")
    x, y, z, diameter = map(number_of, COLUMNS[1:], cells[1:])
    if diameter <= 0:
        raise ValueError(f"diameter_mm is {cells[4]}, not above 0")
    return Annotation(cells[0], x, y, z, diameter)
