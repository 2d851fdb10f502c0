"""Tables of annotations in the format of LUNA16.

Columns ``seriesuid, coordX, coordY, coordZ, diameter_mm``; coordinates are LPS
millimetres (https://luna16.grand-challenge.org/Data/).
"""

import csv
import io
import math
import os
from collections.abc import Iterable
from pathlib import Path

from napari_ctlns.atomic import write_text
from napari_ctlns.errors import AnnotationError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats.images import file_stem
from napari_ctlns.volume import Volume

COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")
_MOST_NAMED = 5


def read_annotations(path: str | os.PathLike[str]) -> tuple[Annotation, ...]:
    """Read a table of annotations; a table without rows gives an empty tuple.

    Columns may stand in any order and others beside them; a byte order mark,
    any line ends, and semicolons with decimal commas are understood.

    Raises
    ------
    AnnotationError
        If the file cannot be read, a column is missing, or a value is not a
        finite number, or a diameter is not above 0; names the lines.
    """
    path = Path(path)
    text = _text(path)
    delimiter = _delimiter(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    places: list[int] | None = None
    annotations: list[Annotation] = []
    problems: list[tuple[int, str]] = []
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if places is None:
                places = _places(path, row)
                continue
            cells = [row[i].strip() if i < len(row) else "" for i in places]
            if delimiter == ";":
                cells[1:] = [cell.replace(",", ".") for cell in cells[1:]]
            found = _annotation(cells)
            if isinstance(found, str):
                problems.append((rows.line_num, found))
            else:
                annotations.append(found)
    except csv.Error as error:
        raise AnnotationError(f"not a CSV table: {path} ({error}); save it as CSV") from error
    if problems:
        raise AnnotationError(_summary(path, problems))
    return tuple(annotations)


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


def annotations_of(annotations: Iterable[Annotation], volume: Volume) -> tuple[Annotation, ...]:
    """Return the annotations of one scan: by its id, series UID or file stem.

    Raises
    ------
    AnnotationError
        If there are annotations, but of other series only.
    """
    annotations = tuple(annotations)
    path = volume.source.path
    stem = file_stem(path) if path is not None and volume.source.format != "dicom" else ""
    ids = {volume.scan_id, volume.source.series_uid, stem} - {""}
    found = tuple(a for a in annotations if a.scan_id in ids)
    if annotations and not found:
        named = " or ".join(sorted(ids)) or "a scan without id"
        raise AnnotationError(
            f"annotations of other series only: none of {len(annotations)} rows is of {named}; "
            "give the table of this scan"
        )
    return found


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise AnnotationError(f"no such table: {path}; check the name") from None
    except UnicodeDecodeError as error:
        raise AnnotationError(f"not a text table: {path}; save it as CSV in UTF-8") from error
    except OSError as error:
        raise AnnotationError(f"cannot read {path}: {error.strerror or error}") from error
    if not text.strip():
        message = f"empty table: {path} has no header"
        raise AnnotationError(f"{message}; its first line must be {','.join(COLUMNS)}")
    return text


def _delimiter(text: str) -> str:
    header = text.lstrip().splitlines()[0]
    return next((mark for mark in (";", "\t") if mark in header), ",")


def _places(path: Path, header: list[str]) -> list[int]:
    names = [cell.strip().lower() for cell in header]
    missing = [column for column in COLUMNS if column.lower() not in names]
    if missing:
        columns = "column" if len(missing) == 1 else "columns"
        there = ", ".join(cell.strip() for cell in header)
        raise AnnotationError(
            f"missing {columns} {', '.join(missing)} in {path}; there are: {there}"
        )
    return [names.index(column.lower()) for column in COLUMNS]


def _annotation(cells: list[str]) -> Annotation | str:
    """Return the annotation of one row, or what is wrong with it."""
    if not cells[0]:
        return "seriesuid is empty"
    numbers = []
    for column, cell in zip(COLUMNS[1:], cells[1:], strict=True):
        try:
            number = float(cell)
        except ValueError:
            return f"{column} is {cell!r}, not a number"
        if not math.isfinite(number):
            return f"{column} is {cell}, not a number"
        numbers.append(number)
    if numbers[3] <= 0:
        return f"diameter_mm is {cells[4]}, not above 0"
    return Annotation(cells[0], *numbers)


def _summary(path: Path, problems: list[tuple[int, str]]) -> str:
    named = "; ".join(f"line {line}: {words}" for line, words in problems[:_MOST_NAMED])
    more = len(problems) - _MOST_NAMED
    rest = f"; and {more} more lines" if more > 0 else ""
    return f"{named}{rest} in {path}; correct or remove them"
