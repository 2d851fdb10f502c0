"""Findings against annotations, of the scan that is open or of many in tables; without Qt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from napari_ctlns.errors import AnnotationError
from napari_ctlns.events import Control, Event, Finished, Progress, Started
from napari_ctlns.findings import Annotation, Findings
from napari_ctlns.plugin.views.place_table import Column, Value
from napari_ctlns.plugin.words import counted
from napari_ctlns.volume import Triple, Volume

if TYPE_CHECKING:
    from napari_ctlns.formats import Candidate
    from napari_ctlns.metrics.luna_froc import FrocBands
    from napari_ctlns.metrics.luna_matching import LunaMatches
    from napari_ctlns.metrics.nodules import FrocCurve

Row = TypeVar("Row", Annotation, "Candidate")

CERTAIN = 1.0
"""The score of a nodule that a person drew: no model said how probable it is."""
PLACE_COLUMNS = (
    Column("What", "A nodule that was missed or found, or a finding that is none"),
    Column("Prob.", "Probability of the finding; of a nodule, of the best one that hits it", 2),
    Column("Diam.\nmm", "Annotated diameter; below 0 it is not known and counts as 10 mm", 1),
    Column("x\nmm", "LPS: towards the left", 0),
    Column("y\nmm", "LPS: towards the back", 0),
    Column("z\nmm", "LPS: towards the head", 0),
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """The nodules of a labels layer at one moment; the mask is copied by the job."""

    mask: Volume
    findings: Findings


@dataclass(frozen=True, eq=False)
class FrocSources:
    """What is compared.

    Attributes
    ----------
    scan
        The scan that is open, or None.
    findings
        A labels layer, or a table of candidates.
    nodules
        Annotations of the scan, or a table.
    excluded, scan_ids
        Tables of the findings that do not count, and of the scans; or None.
    """

    scan: Volume | None
    findings: Drawn | Path
    nodules: tuple[Annotation, ...] | Path
    excluded: Path | None = None
    scan_ids: Path | None = None

    @property
    def of_one_scan(self) -> bool:
        """Whether only the scan that is open is compared, because a layer is."""
        return isinstance(self.findings, Drawn) or not isinstance(self.nodules, Path)


@dataclass(frozen=True)
class FrocPlace:
    """A missed or found nodule or a false finding of the scan that is open."""

    what: str
    probability: float | None
    diameter_mm: float | None
    centre: Triple

    @property
    def row(self) -> tuple[Value, ...]:
        """What `PLACE_COLUMNS` show of it."""
        return (self.what, self.probability, self.diameter_mm, *self.centre)


@dataclass(frozen=True, eq=False)
class FrocComparison:
    """What came of it.

    Attributes
    ----------
    matches, curve, bands
        Of all scans.
    places
        In the scan that is open, missed nodules first.
    warnings
        What is to be known of the numbers.
    """

    matches: "LunaMatches"
    curve: "FrocCurve"
    bands: "FrocBands"
    places: tuple[FrocPlace, ...]
    warnings: tuple[str, ...]


def froc_job(sources: FrocSources, control: Control) -> Iterator[Event]:
    """Compare findings with annotations; `Finished` has ``comparison``.

    Raises
    ------
    CtlnsError
        If a table cannot be used, or is of other scans only.
    """
    from napari_ctlns.formats.marks import read_scan_ids
    from napari_ctlns.metrics.luna_froc import froc_bands, luna_froc
    from napari_ctlns.metrics.luna_matching import match_marks

    yield Started(title="Compare findings with annotations")
    marks, warnings = _marks(sources)
    nodules = _nodules(sources)
    excluded = _of_scan(_table(sources.excluded), sources, must_be=False)
    scan_ids: Sequence[str] | None = None
    if sources.of_one_scan and sources.scan is not None:
        scan_ids = [sources.scan.scan_id]
    elif sources.scan_ids is not None:
        scan_ids = read_scan_ids(sources.scan_ids)
    yield Progress(done=1, total=3, unit="steps")
    matches = match_marks(marks, nodules, excluded, scan_ids)
    curve = luna_froc(matches)
    yield Progress(done=2, total=3, unit="steps")
    if control.stop_requested():
        yield Finished(stopped=True)
        return
    places = _places(sources.scan, marks, nodules, matches)
    comparison = FrocComparison(matches, curve, froc_bands(matches), places, warnings)
    yield Finished(result={"comparison": comparison})


def froc_in_words(comparison: FrocComparison) -> str:
    """Say how findings and annotations agree."""
    from napari_ctlns.metrics.luna_matching import Fate

    matches = comparison.matches
    nodules = matches.true_positives + matches.missed
    left_out = [
        words
        for number, words in (
            (matches.count(Fate.excluded), "on excluded findings"),
            (matches.double_marks, "double"),
            (matches.count(Fate.cut), "beyond 100 a scan"),
        )
        for words in [f"{number} {words}"]
        if number
    ]
    false = counted(matches.count(Fate.false), "false positive")
    found = f"{matches.true_positives} of {counted(nodules, 'nodule')} found"
    sentences = [
        f"{found}, {matches.missed} missed, {false} in {counted(len(matches.scan_ids), 'scan')}",
        *([f"Not counted: {', '.join(left_out)}"] if left_out else []),
        *comparison.warnings,
    ]
    return ". ".join(sentences)


# -- findings -------------------------------------------------------------------------


def _marks(sources: FrocSources) -> "tuple[tuple[Candidate, ...], tuple[str, ...]]":
    from napari_ctlns.formats.marks import read_marks

    if isinstance(sources.findings, Path):
        return _of_scan(read_marks(sources.findings), sources, must_be=True), ()
    return drawn_marks(sources.findings, sources.scan.scan_id if sources.scan else "")


def drawn_marks(drawn: Drawn, scan_id: str) -> "tuple[tuple[Candidate, ...], tuple[str, ...]]":
    """Return the nodules of a mask as marks at their centroids, and what is to be said of them.

    Rejected ones are left out.
    """
    from napari_ctlns.formats import Candidate
    from napari_ctlns.masks.components import parts_of

    known = {finding.label: finding for finding in drawn.findings.items}
    parts = parts_of(np.array(drawn.mask.array))
    centres = drawn.mask.geometry.index_to_world(parts.centroids).tolist()
    marks, unknown, rejected = [], 0, 0
    for label, (x, y, z) in zip(parts.labels.tolist(), centres, strict=True):
        finding = known.get(label)
        if finding is not None and finding.status == "rejected":
            rejected += 1
            continue
        probability = None if finding is None else finding.probability
        unknown += probability is None
        score = CERTAIN if probability is None else probability
        marks.append(Candidate(scan_id, x, y, z, probability=score))
    words = []
    if unknown:
        words.append(f"{counted(unknown, 'finding')} without probability count as certain")
    if rejected:
        words.append(f"{counted(rejected, 'rejected finding')} left out")
    return tuple(marks), tuple(words)


# -- annotations ----------------------------------------------------------------------


def _nodules(sources: FrocSources) -> tuple[Annotation, ...]:
    if isinstance(sources.nodules, Path):
        return _of_scan(_table(sources.nodules), sources, must_be=True)
    scan_id = sources.scan.scan_id if sources.scan else ""
    return tuple(replace(row, scan_id=scan_id) for row in sources.nodules)


def _table(path: Path | None) -> tuple[Annotation, ...]:
    from napari_ctlns.formats.marks import read_truth

    return () if path is None else read_truth(path)


def _of_scan(rows: tuple[Row, ...], sources: FrocSources, must_be: bool) -> tuple[Row, ...]:
    """Return the rows of the scan that is open, by its own id, if only that is compared."""
    from napari_ctlns.formats import annotations_of

    scan = sources.scan
    if scan is None or not sources.of_one_scan:
        return rows
    try:
        own = annotations_of(rows, scan)
    except AnnotationError:
        if must_be:
            raise
        own = ()
    return tuple(replace(row, scan_id=scan.scan_id) for row in own)


def _places(
    scan: Volume | None,
    marks: "Sequence[Candidate]",
    nodules: Sequence[Annotation],
    matches: "LunaMatches",
) -> tuple[FrocPlace, ...]:
    """Return what is to be looked at in the scan that is open: missed, false, found."""
    from napari_ctlns.formats.annotations import names_of
    from napari_ctlns.metrics.luna_matching import MISSED, Fate

    if scan is None:
        return ()
    names = names_of(scan)
    missed: list[FrocPlace] = []
    found: list[FrocPlace] = []
    false: list[FrocPlace] = []
    for nodule, place, best in zip(nodules, matches.nodule_scans, matches.best, strict=True):
        if place < 0 or nodule.scan_id not in names:
            continue
        hit = best != MISSED
        score = float(matches.scores[best]) if hit else None
        row = FrocPlace("found" if hit else "missed", score, nodule.diameter_mm, nodule.centre)
        (found if hit else missed).append(row)
    for mark, fate in zip(marks, matches.fates, strict=True):
        if fate == Fate.false and mark.scan_id in names:
            false.append(FrocPlace("false", mark.probability, None, mark.centre))
    by_probability = sorted(false, key=lambda row: -(row.probability or 0))
    return (*missed, *by_probability, *found)
