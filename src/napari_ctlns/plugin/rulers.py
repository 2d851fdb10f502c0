"""What a person measures by hand: rulers, and the long and short axis of a nodule.

No napari here. Points are in millimetres, in any frame in which lengths are true: kept ones
are LPS, those under the mouse lie on the canvas.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from napari_ctlns.atomic import write_csv
from napari_ctlns.findings import new_uid
from napari_ctlns.volume import FloatArray

Kind = Literal["ruler", "axes"]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Point = tuple[_Number, _Number, _Number]

COLUMNS = ("measure", "kind", "x1_mm", "y1_mm", "z1_mm", "x2_mm", "y2_mm", "z2_mm", "length_mm")
"""The columns of the CSV before that of the nodule's label."""
_FLAT_MM = 1e-3


class Ruler(BaseModel):
    """One measurement by hand; survives JSON.

    Attributes
    ----------
    kind
        A ruler has one line; axes have the long one and, once it is drawn, the short one.
    lines
        Each from one end to the other, LPS millimetres (x, y, z).
    finding
        The uid of the nodule that it lies on; "" if it lies on none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    uid: str = Field(default_factory=new_uid)
    kind: Kind
    lines: Annotated[tuple[tuple[_Point, _Point], ...], Field(min_length=1, max_length=2)]
    finding: str = ""

    @property
    def points(self) -> FloatArray:
        """The ends as (lines, 2, 3), LPS millimetres."""
        return np.asarray(self.lines, float)

    @property
    def lengths_mm(self) -> tuple[float, ...]:
        """How long its lines are, the longer one first."""
        return tuple(sorted(map(length_mm, self.points), reverse=True))

    @property
    def in_words(self) -> str:
        """What is written beside it."""
        return " x ".join(f"{mm:.1f}" for mm in self.lengths_mm) + " mm"

    def with_points(self, points: npt.ArrayLike) -> "Ruler":
        """Return it with other ends, (lines, 2, 3)."""
        lines = np.asarray(points, float).tolist()
        return Ruler.model_validate({**self.model_dump(), "lines": lines})


def length_mm(line: npt.ArrayLike) -> float:
    """Return the distance between two ends (2, 3)."""
    start, end = np.asarray(line, float)
    return float(np.linalg.norm(end - start))


def flat_axes(points: npt.ArrayLike) -> tuple[int, ...]:
    """Return the axes along which points (..., 3) do not differ: the planes they lie in."""
    spread = np.ptp(np.asarray(points, float).reshape(-1, 3), axis=0)
    return tuple(int(axis) for axis in np.flatnonzero(spread < _FLAT_MM))


def across(long: FloatArray, start: FloatArray, end: FloatArray, normal: FloatArray) -> FloatArray:
    """Return the short axis that a drag means: at right angles to the long one, across it.

    Parameters
    ----------
    long
        The long axis (2, 3).
    start, end
        Where the drag began and where it is now, (3,). It crosses the long axis where it
        began, or at the nearest end of it, and reaches as far to each side as the drag did.
    normal
        (3,), of unit length, at right angles to the plane that all of it lies in.
    """
    along, aside = _frame(long, normal)
    length = length_mm(long)
    at = float(np.clip((start - long[0]) @ along, 0, length))
    sides = sorted(((start - long[0]) @ aside, (end - long[0]) @ aside))
    return _crossing(long, at / length, min(sides[0], 0.0), max(sides[1], 0.0), normal)


def moved(
    points: FloatArray, line: int, end: int, place: FloatArray, normal: FloatArray
) -> FloatArray:
    """Return lines (n, 2, 3) after one end was dragged to a place.

    The short axis goes with the long one: it crosses it at the same share of its length, as
    far to each side. An end of the short axis slides it along the long one, and out or in.
    """
    new = points.copy()
    if len(points) == 1:
        new[0, end] = place
        return new
    long, short = points
    along, aside = _frame(long, normal)
    length = length_mm(long)
    at = float((short[0] - long[0]) @ along) / length
    reach = [float((tip - long[0]) @ aside) for tip in short]
    if line == 0:
        new[0, end] = place
    else:
        at = float(np.clip((place - long[0]) @ along / length, 0, 1))
        far = float((place - long[0]) @ aside)
        other = reach[1 - end]
        reach[end] = max(far, 0.0) if other < 0 or (other == 0 and far > 0) else min(far, 0.0)
    if length_mm(new[0]) > 0:
        new[1] = _crossing(new[0], at, reach[0], reach[1], normal)
    return new


def _frame(long: FloatArray, normal: FloatArray) -> tuple[FloatArray, FloatArray]:
    along = (long[1] - long[0]) / length_mm(long)
    return along, np.cross(normal, along)


def _crossing(
    long: FloatArray, share: float, first: float, second: float, normal: FloatArray
) -> FloatArray:
    _, aside = _frame(long, normal)
    foot = long[0] + share * (long[1] - long[0])
    return np.stack([foot + first * aside, foot + second * aside])


def save_rulers(
    rulers: Iterable[Ruler], labels: Mapping[str, int | None], path: str | Path
) -> None:
    """Write rulers as CSV: a line of the table for each line drawn, LPS millimetres.

    Parameters
    ----------
    rulers
        Those of one scan, in the order of their numbers, from 1, in the column ``measure``.
    labels
        The label of each nodule now, by its uid; the cell of one without is empty.
    path
        Where to.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    rows = [row for n, ruler in enumerate(rulers, 1) for row in _rows(n, ruler, labels)]
    write_csv(path, [*COLUMNS, "label"], rows)


def _rows(number: int, ruler: Ruler, labels: Mapping[str, int | None]) -> list[dict[str, Any]]:
    names = ["ruler"] if ruler.kind == "ruler" else ["long axis", "short axis"]
    lines = list(ruler.points)
    if ruler.kind == "axes":
        lines.sort(key=length_mm, reverse=True)
    label = labels.get(ruler.finding)
    ends = [[round(float(v), 4) for v in line.ravel()] for line in lines]
    return [
        {
            **dict(zip(COLUMNS, [number, name, *six, round(length_mm(line), 4)], strict=True)),
            "label": "" if label is None else label,
        }
        for name, line, six in zip(names, lines, ends, strict=False)
    ]
