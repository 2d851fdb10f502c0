"""The tables of a comparison of marks with annotations, as in the LUNA16 evaluation.

Marks are candidates with a probability each; annotations may say that their diameter is
not known; a list names the scans.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from napari_ctlns.errors import AnnotationError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats.annotations import COLUMNS, BadRows
from napari_ctlns.formats.candidates import Candidate
from napari_ctlns.formats.tables import column_cells, number_of, table_rows

MARK_COLUMNS = (*COLUMNS[:4], "probability")

_Row = TypeVar("_Row")


def read_marks(path: str | os.PathLike[str]) -> tuple[Candidate, ...]:
    """Read candidates that have a probability each; a table without rows gives none.

    Raises
    ------
    BadRows
        If a value is not a finite number: names the lines.
    AnnotationError
        If the file cannot be read, or a column is missing.
    """
    return _rows(Path(path), MARK_COLUMNS, _mark)


def read_truth(path: str | os.PathLike[str]) -> tuple[Annotation, ...]:
    """Read annotations of which some may have a diameter below 0: it is not known.

    LUNA16's table of excluded findings says -1 there.

    Raises
    ------
    BadRows
        If a value is not a finite number: names the lines.
    AnnotationError
        If the file cannot be read, or a column is missing.
    """
    return _rows(Path(path), COLUMNS, _finding)


def read_scan_ids(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read which scans there are: the column ``seriesuid``, or the first without a header.

    Raises
    ------
    AnnotationError
        If the file cannot be read, or names no scan.
    """
    found = tuple(dict.fromkeys(cell for cell in column_cells(Path(path), COLUMNS[0]) if cell))
    if not found:
        raise AnnotationError(f"no scans named in {path}; give one series UID a line")
    return found


def _rows(
    path: Path, columns: tuple[str, ...], read: Callable[[list[str]], _Row]
) -> tuple[_Row, ...]:
    rows: list[_Row] = []
    problems: list[tuple[int, str]] = []
    for line, cells in table_rows(path, columns):
        try:
            if not cells[0]:
                raise ValueError("seriesuid is empty")
            rows.append(read(cells))
        except ValueError as error:
            problems.append((line, str(error)))
    if problems:
        raise BadRows(path, tuple(rows), problems)
    return tuple(rows)


def _mark(cells: list[str]) -> Candidate:
    x, y, z, probability = map(number_of, MARK_COLUMNS[1:], cells[1:])
    return Candidate(cells[0], x, y, z, probability=probability)


def _finding(cells: list[str]) -> Annotation:
    x, y, z, diameter = map(number_of, COLUMNS[1:], cells[1:])
    return Annotation(cells[0], x, y, z, diameter)
