"""Where the nodules of scans are known from: a table, files of masks, readers' contours."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from napari_ctlns.dataset.folder import RatedNodule, Unmatched
from napari_ctlns.dataset.match import Names
from napari_ctlns.dataset.revisions import ReadersMask
from napari_ctlns.errors import AnnotationError, DatasetError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import BadRows, ScanFile, read_annotations
from napari_ctlns.masks.spheres import sphere_mask
from napari_ctlns.volume import Geometry, Volume


@dataclass(frozen=True, eq=False)
class TrueMasks:
    """The nodules of one scan on its prepared grid.

    Attributes
    ----------
    masks
        At least one; the first counts.
    annotations, ratings
        What else is known of the nodules.
    problems
        What was given for this scan but could not be used, and why.
    remarks
        What else a person should know.
    """

    masks: tuple[ReadersMask, ...]
    annotations: tuple[Annotation, ...] = ()
    ratings: tuple[RatedNodule, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Truth(Protocol):
    """Where the nodules of scans are known from.

    Making one raises a CtlnsError if it cannot be read, or nothing in it belongs
    to any of the scans.
    """

    @property
    def strangers(self) -> Sequence[Unmatched]:
        """What belongs to none of the scans, or cannot be used for any."""
        ...

    @property
    def remarks(self) -> Sequence[str]:
        """What a person should know before the first scan is prepared."""
        ...

    def why_not(self, file: ScanFile) -> str:
        """Say why nothing is known of a scan; nothing if something is."""
        ...

    def signature(self, file: ScanFile) -> str:
        """Return a text that changes when the truth of this scan does."""
        ...

    def of(self, file: ScanFile, volume: Volume, prepared: Volume) -> TrueMasks:
        """Return the nodules of a scan; CtlnsError if what is known cannot be used.

        Parameters
        ----------
        file
            Where the scan lies.
        volume
            The scan on its own grid, with the slices it was read from.
        prepared
            The scan on the grid of the masks.
        """
        ...


class AnnotatedTruth:
    """Spheres from a CSV like LUNA16's. A scan without a row there is one without nodules.

    Parameters
    ----------
    path
        The table.
    scans
        All scans there are.
    skip_bad_rows
        Leave out rows that cannot be understood, which are refused otherwise.
    """

    def __init__(self, path: Path, scans: Iterable[ScanFile], skip_bad_rows: bool = False) -> None:
        rows, bad = _rows(path, skip_bad_rows)
        self.remarks: tuple[str, ...] = ()
        by_name: dict[str, list[Annotation]] = {}
        for row in rows:
            by_name.setdefault(row.scan_id, []).append(row)
        names = Names(scans)
        self._rows: dict[ScanFile, list[Annotation]] = {}
        for name, found in by_name.items():
            for file in names.bearers(name):
                self._rows.setdefault(file, []).extend(found)
        if rows and not self._rows:
            raise DatasetError(
                f"{path} has annotations of other series only; "
                "its ids must be series UIDs or file names of these scans"
            )
        self.strangers = (
            *(Unmatched(what=str(path), why=f"left out, as asked: {words}") for words in bad),
            *(
                Unmatched(what=f"{len(found)} annotations of {name}", why=names.why_none(name))
                for name, found in by_name.items()
                if name not in names
            ),
        )

    def why_not(self, file: ScanFile) -> str:  # noqa: ARG002 - all scans are alike here
        """Return nothing: what has no row has no nodules."""
        return ""

    def signature(self, file: ScanFile) -> str:
        """Return the scan's rows as text."""
        return json.dumps([asdict(row) for row in self._rows.get(file, ())])

    def of(
        self,
        file: ScanFile,
        volume: Volume,
        prepared: Volume,
    ) -> TrueMasks:
        """Return the scan's nodules as spheres, labelled in the order of the rows."""
        rows = self._rows.get(file, [])
        whole = _with_slices_left_out(prepared.geometry, volume.geometry)
        inside = [row for row in rows if whole.contains(row.centre)]
        mask = sphere_mask(whole, inside)[whole.shape[0] - prepared.geometry.shape[0] :]
        there = set(np.unique(mask))
        left_out = [
            label
            for label, row in enumerate(inside, 1)
            if label not in there and not prepared.geometry.contains(row.centre)
        ]
        kept = [label for label in range(1, len(inside) + 1) if label not in left_out]
        labels = np.zeros(len(inside) + 1, mask.dtype)
        labels[kept] = np.arange(1, len(kept) + 1)
        problems = (
            *_told((row for row in rows if row not in inside), "lies outside the scan"),
            *_told((inside[label - 1] for label in left_out), "lies in slices left out"),
        )
        annotations = tuple(inside[label - 1] for label in kept)
        return TrueMasks((ReadersMask(labels[mask]),), annotations, problems=problems)


def _with_slices_left_out(prepared: Geometry, scan: Geometry) -> Geometry:
    """Return the prepared grid and the slices before it: spheres reach from there into it."""
    bottom = prepared.world_to_index(scan.index_to_world((-0.5, -0.5, -0.5)))
    dropped = max(0, round(-bottom[0] - 0.5))
    z, y, x = prepared.shape
    return prepared.cropped((-dropped, 0, 0), (z + dropped, y, x))


def _told(rows: Iterable[Annotation], why: str) -> tuple[str, ...]:
    return tuple(
        f"annotation at ({row.x_mm:g}, {row.y_mm:g}, {row.z_mm:g}) mm {why}" for row in rows
    )


def _rows(path: Path, skip_bad_rows: bool) -> tuple[Sequence[Annotation], Sequence[str]]:
    """Return the rows of a table, and what is wrong with those that are left out."""
    try:
        return read_annotations(path), ()
    except BadRows as error:
        if skip_bad_rows:
            return error.good, error.problems
        raise AnnotationError(f"{error}, or leave them out with --skip-bad-rows") from error
