"""Marks against annotated nodules by the rules of the LUNA16 evaluation.

Setio et al. 2017, doi:10.1016/j.media.2017.06.015. The rules:

- A mark hits a nodule if it lies strictly within the annotated radius of its centre. A
  diameter below 0, which is not known, counts as 10 mm.
- Nodules are looked at first, then the findings that the reference excludes (too small,
  or too few readers saw them). Marks on those are dropped: neither true nor false.
- Of several marks on one nodule the most probable counts, the others are double marks.
  One mark may hit two nodules.
- Of each scan the 100 most probable marks count; of equal ones those that stand first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_ctlns.findings import Annotation
from napari_ctlns.masks.components import Bools, IntArray
from napari_ctlns.volume import FloatArray, Triple

MOST_MARKS = 100
"""Marks of a scan that count."""
UNKNOWN_DIAMETER_MM = 10.0
MISSED = -1


class Mark(Protocol):
    """A place, LPS millimetres, with the probability that a nodule is there."""

    @property
    def scan_id(self) -> str: ...  # noqa: D102
    @property
    def centre(self) -> Triple: ...  # noqa: D102
    @property
    def probability(self) -> float | None: ...  # noqa: D102


class Fate(IntEnum):
    """What became of a mark."""

    other_scan = 0
    cut = 1
    hit = 2
    double = 3
    excluded = 4
    false = 5


@dataclass(frozen=True, eq=False)
class LunaMatches:
    """What became of marks and nodules.

    Attributes
    ----------
    scan_ids
        The scans that were evaluated.
    mark_scans, nodule_scans
        For each mark and each nodule the place of its scan among them, -1 for others.
    scores
        The probability of each mark.
    fates
        The `Fate` of each mark.
    best
        For each nodule the most probable mark that hits it, or `MISSED`.
    double_marks
        Hits of a nodule beyond its best one. A mark that hits two nodules may be one of
        them and the best of the other.
    """

    scan_ids: tuple[str, ...]
    mark_scans: IntArray
    nodule_scans: IntArray
    scores: FloatArray
    fates: IntArray
    best: IntArray
    double_marks: int

    @property
    def true_positives(self) -> int:
        """Nodules that were hit."""
        return int(np.count_nonzero(self.best != MISSED))

    @property
    def missed(self) -> int:
        """Nodules of the scans that were not hit."""
        return int(np.count_nonzero(self.nodule_scans >= 0)) - self.true_positives

    @property
    def candidates(self) -> int:
        """Marks that count at all."""
        return int(np.count_nonzero(self.fates > Fate.cut))

    def count(self, fate: Fate) -> int:
        """Return how many marks have this fate."""
        return int(np.count_nonzero(self.fates == fate))


def match_marks(
    marks: Sequence[Mark],
    nodules: Sequence[Annotation],
    excluded: Sequence[Annotation] = (),
    scan_ids: Iterable[str] | None = None,
) -> LunaMatches:
    """Match marks with annotated nodules.

    Parameters
    ----------
    marks
        In the order of their file; a probability that is None counts as 0.
    nodules
        Those to be found.
    excluded
        Findings that are neither to be found nor false.
    scan_ids
        The scans to evaluate; None: all that any of the three names.
    """
    if scan_ids is None:
        scan_ids = (row.scan_id for rows in (nodules, excluded, marks) for row in rows)
    scans = tuple(dict.fromkeys(scan_ids))
    places = {scan_id: place for place, scan_id in enumerate(scans)}
    of_mark, of_nodule, of_excluded = (
        np.array([places.get(row.scan_id, -1) for row in rows], int)
        for rows in (marks, nodules, excluded)
    )
    scores = np.array([mark.probability or 0.0 for mark in marks], float)
    centres = _centres(marks)
    order, starts = _most_probable(of_mark, scores, len(scans))

    fates = np.where(of_mark < 0, Fate.other_scan, Fate.cut)
    fates[order] = Fate.false
    best, double = np.full(len(nodules), MISSED), 0
    for scan, own in _by_scan(of_nodule):
        here = order[starts[scan] : starts[scan + 1]]
        if not len(here):
            continue
        hits = _hits(centres[here], [nodules[i] for i in own])
        found = hits.any(axis=0)
        best[own[found]] = here[hits.argmax(axis=0)[found]]  # the first is the most probable
        fates[here[hits.any(axis=1)]] = Fate.double
        double += int(hits.sum() - found.sum())
    fates[best[best != MISSED]] = Fate.hit
    for scan, own in _by_scan(of_excluded):
        here = order[starts[scan] : starts[scan + 1]]
        on = _hits(centres[here], [excluded[i] for i in own]).any(axis=1)
        fates[here[on & (fates[here] == Fate.false)]] = Fate.excluded
    return LunaMatches(scans, of_mark, of_nodule, scores, fates, best, double)


def _most_probable(of_mark: IntArray, scores: FloatArray, scans: int) -> tuple[IntArray, IntArray]:
    """Return the marks that count, scan by scan from the most probable on, and where scans begin.

    The sort keeps the order of the file among equals.
    """
    order = np.lexsort((-scores, of_mark))
    order = order[of_mark[order] >= 0]
    begins = np.searchsorted(of_mark[order], np.arange(scans + 1))
    rank = np.arange(len(order)) - begins[of_mark[order]]
    order = order[rank < MOST_MARKS]
    return order, np.searchsorted(of_mark[order], np.arange(scans + 1))


def _by_scan(scans: IntArray) -> Iterable[tuple[int, IntArray]]:
    """Yield each scan that has rows, and which these are."""
    rows = np.argsort(scans, kind="stable")
    rows = rows[scans[rows] >= 0]
    there, begins = np.unique(scans[rows], return_index=True)
    return zip(there.tolist(), np.split(rows, begins[1:]), strict=False)


def _hits(centres: FloatArray, nodules: Sequence[Annotation]) -> Bools:
    """Return whether each mark (rows) hits each nodule (columns)."""
    diameters = np.array([nodule.diameter_mm for nodule in nodules])
    radii = np.where(diameters < 0, UNKNOWN_DIAMETER_MM, diameters) / 2
    squares = ((centres[:, None] - _centres(nodules)[None]) ** 2).sum(axis=-1)
    return np.asarray(squares < radii**2)


def _centres(rows: Sequence[Any]) -> npt.NDArray[np.float64]:
    return np.array([row.centre for row in rows], float).reshape(-1, 3)
