"""Which annotations or mask belong to which scan: by series UID or file stem."""

import glob
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_ctlns.dataset.folder import Unmatched
from napari_ctlns.errors import DatasetError
from napari_ctlns.findings import Annotation
from napari_ctlns.formats import ScanFile, read_annotations, read_mask_onto
from napari_ctlns.formats.images import extension, file_stem
from napari_ctlns.masks.components import label_components
from napari_ctlns.masks.spheres import sphere_mask
from napari_ctlns.volume import Volume


@dataclass(frozen=True)
class TrueMask:
    """The nodules of one scan on its prepared grid, and what was wrong with some of them."""

    mask: npt.NDArray[Any]
    annotations: tuple[Annotation, ...] = ()
    problems: tuple[str, ...] = ()


class Truth(Protocol):
    """Where the nodules of scans are known from."""

    def strangers(self, scans: Sequence[ScanFile]) -> list[Unmatched]:
        """Return what belongs to none of ``scans``; DatasetError if nothing belongs to any."""
        ...

    def signature(self, file: ScanFile) -> str:
        """Return a text that changes when the truth of this scan does."""
        ...

    def of(self, file: ScanFile, prepared: Volume) -> TrueMask:
        """Return the nodules of a scan; DatasetError if nothing is known of it."""
        ...


class AnnotatedTruth:
    """Spheres from a CSV like LUNA16's. A scan without a row there is one without nodules."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, list[Annotation]] = {}
        for row in read_annotations(path):
            self._rows.setdefault(row.scan_id, []).append(row)

    def strangers(self, scans: Sequence[ScanFile]) -> list[Unmatched]:
        """Return the annotations of scans that are not there."""
        names = set[str]().union(*(names_of(file) for file in scans))
        if self._rows and not names & self._rows.keys():
            raise DatasetError(
                f"{self._path} has annotations of other series only; "
                "its ids must be series UIDs or file names of these scans"
            )
        return [
            Unmatched(what=f"{len(rows)} annotations of {scan_id}", why="no such scan")
            for scan_id, rows in self._rows.items()
            if scan_id not in names
        ]

    def signature(self, file: ScanFile) -> str:
        """Return the scan's rows as text."""
        return json.dumps([asdict(row) for row in self._of(file)])

    def of(self, file: ScanFile, prepared: Volume) -> TrueMask:
        """Return the scan's nodules as spheres, labelled in the order of the rows."""
        rows = self._of(file)
        inside = [row for row in rows if prepared.geometry.contains(row.centre)]
        problems = tuple(
            "annotation at ({:g}, {:g}, {:g}) mm lies outside the scan".format(*row.centre)
            for row in rows
            if row not in inside
        )
        return TrueMask(sphere_mask(prepared.geometry, inside), tuple(inside), problems)

    def _of(self, file: ScanFile) -> list[Annotation]:
        return [row for name in sorted(names_of(file)) for row in self._rows.get(name, [])]


class MaskFolder:
    """Masks in files, each named as its scan's series UID or file."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DatasetError(f"no folder {folder}; give the folder that holds the masks")
        self._folder = folder
        files = sorted(path for path in folder.rglob("*") if extension(path) and path.is_file())
        self._files = {file_stem(p): p for p in files if not p.name.startswith(".")}

    def strangers(self, scans: Sequence[ScanFile]) -> list[Unmatched]:
        """Return the masks of scans that are not there."""
        names = set[str]().union(*(names_of(file) for file in scans))
        if not names & self._files.keys():
            raise DatasetError(
                f"{self._folder} has no mask of these scans; "
                "a mask's name must be its scan's series UID or file name"
            )
        return [
            Unmatched(what=f"mask {name}", why="no such scan")
            for name in sorted(self._files.keys() - names)
        ]

    def signature(self, file: ScanFile) -> str:
        """Return name, size and time of the scan's mask."""
        mask = self._of(file)
        return file_signature(mask) if mask else "no mask"

    def of(self, file: ScanFile, prepared: Volume) -> TrueMask:
        """Return the scan's mask, one label per nodule.

        A mask that has one label only is taken to say nodule or not: its connected
        components are numbered.
        """
        found = self._of(file)
        if found is None:
            raise DatasetError(f"no mask of this scan in {self._folder}")
        mask = read_mask_onto(found, prepared).array
        if len(np.unique(mask[mask > 0])) == 1:
            mask = label_components(mask > 0)
        return TrueMask(mask)

    def _of(self, file: ScanFile) -> Path | None:
        return next((self._files[n] for n in sorted(names_of(file)) if n in self._files), None)


def names_of(file: ScanFile) -> frozenset[str]:
    """Return what annotations and masks may call a scan."""
    return frozenset(name for name in (file.series, _name(file.path)) if name)


def file_signature(path: Path) -> str:
    """Return a text that changes when a file, what lies beside it under its name, or a folder does.

    Names, sizes and times of change; a header's data file is told by its stem.
    """
    if path.is_dir():
        files: Iterable[Path] = (f for f in path.iterdir() if f.is_file())
    else:
        files = (f for f in path.parent.glob(f"{glob.escape(file_stem(path))}.*") if f.is_file())
    stats = ((f.name, f.stat()) for f in sorted(files))
    return json.dumps([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])


def _name(path: Path) -> str:
    return path.name if path.is_dir() else file_stem(path)
