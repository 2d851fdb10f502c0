"""Tables that a spreadsheet or a script wrote: rows of cells, however they are dressed."""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_ctlns.errors import AnnotationError

_MOST_NAMED = 5
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f]")
_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
"""The line by which spreadsheets tell each other what separates cells."""


def table_rows(
    path: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table: line numbers, and cells in the order of the columns asked for.

    Columns may stand in any order, capitals or not, and others beside them; a cell of an
    optional column that is missing is empty. The text may be UTF-8, UTF-16 or
    Windows-1252 with any line ends; cells are separated by commas, semicolons or tabs.
    With the latter two a decimal comma is a point; the first column is left as it is.

    Raises
    ------
    AnnotationError
        If the file cannot be read, is no table, or lacks a column.
    """
    lines, delimiter, skipped = _undressed(_text(path))
    rows = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter)
    places: list[int] | None = None
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if places is None:
                places = _places(path, row, columns, optional)
                continue
            cells = [row[i].strip() if 0 <= i < len(row) else "" for i in places]
            if delimiter != ",":
                cells[1:] = [cell.replace(",", ".") for cell in cells[1:]]
            yield rows.line_num + skipped, cells
    except csv.Error as error:
        raise AnnotationError(f"not a CSV table: {path} ({error}); save it as CSV") from error
    if places is None:
        message = f"empty table: {path} has no header"
        raise AnnotationError(f"{message}; its first line must be {','.join(columns)}")


def column_cells(path: Path, column: str) -> Iterator[str]:
    """Yield the cells of one column; of a table without a header, those of its first.

    Raises
    ------
    AnnotationError
        If the file cannot be read, or is no table.
    """
    lines, delimiter, _ = _undressed(_text(path))
    try:
        rows = [
            row for row in csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter) if row
        ]
    except csv.Error as error:
        raise AnnotationError(f"not a CSV table: {path} ({error}); save it as CSV") from error
    names = [cell.strip().lower() for cell in rows[0]] if rows else []
    has_header = column.lower() in names
    place = names.index(column.lower()) if has_header else 0
    yield from (row[place].strip() for row in rows[has_header:] if place < len(row))


def number_of(column: str, cell: str) -> float:
    """Return a finite number.

    Raises
    ------
    ValueError
        In words, if the cell holds none.
    """
    try:
        # Python reads 1_0 as ten
        number = float(cell if "_" not in cell else "")
    except ValueError:
        raise ValueError(f"{column} is {cell!r}, not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{column} is {cell}, not a number")
    return number


def summary(path: Path, problems: Sequence[tuple[int, str]]) -> str:
    """Name the lines of a table that cannot be used, the first ones in words."""
    named = "; ".join(f"line {line}: {words}" for line, words in problems[:_MOST_NAMED])
    more = len(problems) - _MOST_NAMED
    rest = f"; and {more} more lines" if more > 0 else ""
    return f"{named}{rest} in {path}; correct or remove them"


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise AnnotationError(f"no such table: {path}; check the name") from None
    except OSError as error:
        raise AnnotationError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        text = _decoded(data)
    except UnicodeDecodeError:
        text = "\0"
    if _NO_TEXT.search(text):
        raise AnnotationError(f"not a text table: {path}; save it as CSV in UTF-8")
    return text


def _decoded(data: bytes) -> str:
    if data.startswith(_UTF16):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252")


def _undressed(text: str) -> tuple[str, str, int]:
    """Return the lines from the header on, what separates cells, and how many lines it skipped."""
    skipped = 0
    first, _, rest = text.partition("\n")
    told = _SEPARATOR.fullmatch(first)
    if told:
        text, skipped = rest, 1
    header = (text.lstrip().splitlines() or [""])[0]
    if told and told[1] in ",;\t":
        return text, told[1], skipped
    return text, next((mark for mark in (";", "\t") if mark in header), ","), skipped


def _places(
    path: Path, header: list[str], columns: Sequence[str], optional: Sequence[str]
) -> list[int]:
    names = [cell.strip().lower() for cell in header]
    missing = [column for column in columns if column.lower() not in names]
    if missing:
        words = "column" if len(missing) == 1 else "columns"
        there = ", ".join(cell.strip() for cell in header)
        raise AnnotationError(f"missing {words} {', '.join(missing)} in {path}; there are: {there}")
    wanted = [column.lower() for column in (*columns, *optional)]
    return [names.index(column) if column in names else -1 for column in wanted]
