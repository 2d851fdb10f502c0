"""Earlier false positives: places where a network is shown that there is no nodule."""

from collections.abc import Sequence
from pathlib import Path

from napari_ctlns.dataset.blocks import Index, as_index
from napari_ctlns.dataset.folder import PreparedScan
from napari_ctlns.errors import DatasetError
from napari_ctlns.formats import read_candidates


def false_positives(path: Path, scans: Sequence[PreparedScan]) -> tuple[tuple[int, Index], ...]:
    """Return the false positives of some scans: the scan's number, and the voxel (z, y, x).

    Parameters
    ----------
    path
        A table like LUNA16's candidates; rows that say they are nodules don't count, nor
        do places outside the prepared scan.
    scans
        Those to learn from; rows of others are passed over.

    Raises
    ------
    AnnotationError
        If the table cannot be read.
    DatasetError
        If it has no false positive of any of the scans.
    """
    numbers = {scan.scan_id: number for number, scan in enumerate(scans)}
    rows = [row for row in read_candidates(path) if not row.is_nodule and row.scan_id in numbers]
    places = []
    for row in rows:
        number = numbers[row.scan_id]
        geometry = scans[number].geometry
        if geometry.contains(row.centre):
            places.append((number, as_index(geometry.world_to_index(row.centre).round())))
    if not places:
        raise DatasetError(
            f"{path} has no false positive of the training scans; "
            "make it with `ctlns evaluate --split train`, or leave out patches.hard_negatives"
        )
    return tuple(places)
