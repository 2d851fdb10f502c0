"""What a preparation knows of its scans while it goes on, and adding one to the dataset."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ctlns.atomic import into_place
from napari_ctlns.dataset.beginning import Work
from napari_ctlns.dataset.folder import PreparedScan, ScanCard, Unmatched
from napari_ctlns.dataset.match import ids_of
from napari_ctlns.dataset.one_scan import Wanted
from napari_ctlns.dataset.revisions import ReadersMask, add_scan, folder_name, replace_scan
from napari_ctlns.dataset.unmatched import warnings
from napari_ctlns.errors import DatasetError, OutputError
from napari_ctlns.events import Event, Log
from napari_ctlns.formats import ScanFile


def opening(work: Work) -> Iterator[Event]:
    """Say what was concluded, and what cannot be used, before the first scan."""
    for remark in work.remarks:
        yield Log(message=remark)
    yield from warnings(work.unmatched)


def refuse_twin(work: Work, file: ScanFile) -> None:
    """Refuse a scan whose id another one of this preparation has.

    Raises
    ------
    DatasetError
        Always, if there is such a scan.
    """
    for scan_id in ids_of(file) & work.seen.keys():
        raise DatasetError(f"{work.seen[scan_id]} has the same id {scan_id}")


def known_scan(work: Work, wanted: Wanted) -> PreparedScan | None:
    """Return the scan if it was prepared before from the same files."""
    file = wanted.file
    for scan in work.scans.values():
        note = scan.card.source
        if (note.path, note.series, note.signature) == (file.path, file.series, wanted.signature):
            return scan
    return None


def left_out(work: Work, file: ScanFile, problems: Iterable[str]) -> Iterator[Event]:
    """Note and say what could not be used of a scan."""
    unmatched = [Unmatched(what=str(file.path), why=problem) for problem in problems]
    work.unmatched += unmatched
    yield from warnings(unmatched)


def remarked(work: Work, file: ScanFile, remarks: Iterable[str]) -> Iterator[Event]:
    """Say what is to be remarked on a scan, once each."""
    for remark in remarks:
        if remark not in work.said:
            yield Log(message=f"{file.path}: {remark}", level="warning")
            work.said.add(remark)


def keep(
    work: Work, card: ScanCard, hu: npt.NDArray[np.int16], masks: Sequence[ReadersMask]
) -> None:
    """Write a scan into the dataset: as a new one, or beside the files of its former state."""
    old = work.scans.get(card.scan_id)
    if old is None:
        scan = add_scan(_folder(work, card.scan_id), card, hu, masks)
    else:
        scan = replace_scan(old, card, hu, masks)
    noted(work, scan)
    work.new += 1


def keep_staged(work: Work, staged: PreparedScan) -> None:
    """Move a scan that lies whole in a folder elsewhere into the dataset, as `keep` does.

    Raises
    ------
    OutputError
        If it cannot be moved.
    DatasetError
        If it is no longer there.
    """
    if staged.scan_id in work.scans:
        masks = [ReadersMask(staged.mask(r.name), r.reader) for r in staged.card.masks]
        keep(work, staged.card, staged.hu(), masks)
        return
    folder = _folder(work, staged.scan_id)
    try:
        into_place(staged.folder, folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {folder}: {reason}; choose another place") from error
    noted(work, PreparedScan(folder, staged.card))
    work.new += 1


def noted(work: Work, scan: PreparedScan) -> None:
    """Count a scan in."""
    work.scans[scan.scan_id] = scan
    work.seen[scan.scan_id] = scan.card.source.path


def _folder(work: Work, scan_id: str) -> Path:
    """Return the folder for a new scan."""
    taken = [scan.folder.name for scan in work.scans.values()]
    return work.spec.out / folder_name(scan_id, taken)
