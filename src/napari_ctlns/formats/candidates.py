"""Candidates: places that may be nodules, as LUNA16 ships them or a detector finds them.

Columns ``seriesuid, coordX, coordY, coordZ`` and ``class`` (``candidates.csv``,
``candidates_V2.csv``) or ``probability`` (a submission to LUNA16), LPS millimetres.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from napari_ctlns.atomic import write_csv
from napari_ctlns.errors import AnnotationError
from napari_ctlns.formats.annotations import BadRows
from napari_ctlns.formats.tables import number_of, table_rows
from napari_ctlns.volume import Triple

_PLACE = ("seriesuid", "coordX", "coordY", "coordZ")
SUBMITTED = (*_PLACE, "probability")
"""The columns of a submission to LUNA16."""
_SAID = ("class", "probability", "diameter_mm")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that may be a nodule; None stands for what the table does not tell.

    Attributes
    ----------
    scan_id
        Series UID or file stem.
    x_mm, y_mm, z_mm
        LPS millimetres.
    is_nodule
        LUNA16's ``class``: whether a nodule of the reference lies there.
    probability
        A detector's score; as a rule, but not by force, from 0 to 1.
    diameter_mm
        Above 0.
    """

    scan_id: str
    x_mm: float
    y_mm: float
    z_mm: float
    is_nodule: bool | None = None
    probability: float | None = None
    diameter_mm: float | None = None

    @property
    def centre(self) -> Triple:
        """The place, LPS millimetres (x, y, z)."""
        return (self.x_mm, self.y_mm, self.z_mm)


def read_candidates(path: str | os.PathLike[str]) -> tuple[Candidate, ...]:
    """Read a table of candidates, dressed as any that `read_annotations` reads.

    Raises
    ------
    BadRows
        If a row holds values that cannot be: names the lines, and carries the others.
    AnnotationError
        If the file cannot be read, a column is missing, or neither class nor probability
        is told.
    """
    path = Path(path)
    candidates: list[Candidate] = []
    problems: list[tuple[int, str]] = []
    for line, cells in table_rows(path, _PLACE, _SAID):
        try:
            candidates.append(_candidate(cells))
        except ValueError as error:
            problems.append((line, str(error)))
    said = [c for c in candidates if c.is_nodule is not None or c.probability is not None]
    if candidates and not said:
        message = f"missing column class or probability in {path}"
        raise AnnotationError(f"{message}; give a table of candidates")
    if problems:
        raise BadRows(path, tuple(candidates), problems)
    return tuple(candidates)


def write_candidates(path: str | os.PathLike[str], candidates: Iterable[Candidate]) -> None:
    """Write candidates with their probabilities, as a detector hands them in to LUNA16.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    rows = [
        dict(zip(SUBMITTED, (c.scan_id, *c.centre, c.probability), strict=True)) for c in candidates
    ]
    write_csv(path, SUBMITTED, rows)


def _candidate(cells: list[str]) -> Candidate:
    scan_id, x, y, z, kind, probability, diameter = cells
    if not scan_id:
        raise ValueError("seriesuid is empty")
    if kind not in ("", "0", "1", "0.0", "1.0"):
        raise ValueError(f"class is {kind!r}, not 0 or 1")
    diameter_mm = number_of("diameter_mm", diameter) if diameter else None
    if diameter_mm is not None and diameter_mm <= 0:
        raise ValueError(f"diameter_mm is {diameter}, not above 0")
    x_mm, y_mm, z_mm = map(number_of, _PLACE[1:], (x, y, z))
    return Candidate(
        scan_id,
        x_mm,
        y_mm,
        z_mm,
        is_nodule=kind.startswith("1") if kind else None,
        probability=number_of("probability", probability) if probability else None,
        diameter_mm=diameter_mm,
    )
