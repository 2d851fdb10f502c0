"""Adding scans and mask revisions to a dataset; nothing that is there is changed."""

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ctlns.atomic import atomic_path
from napari_ctlns.dataset.folder import (
    SCAN_CARD,
    MaskRevision,
    PreparedScan,
    ScanCard,
    next_name,
    nodules_of,
    read_scan_folder,
    smallest_labels,
    write_card,
)
from napari_ctlns.errors import DatasetError
from napari_ctlns.findings import Origin


@dataclass(frozen=True, eq=False)
class ReadersMask:
    """A mask, labels (z, y, x) on the prepared grid, and whose work it is."""

    array: npt.NDArray[Any]
    reader: str = ""
    origin: Origin = "annotation"


def add_scan(
    folder: Path, card: ScanCard, hu: npt.NDArray[np.int16], masks: Sequence[ReadersMask]
) -> PreparedScan:
    """Write a scan's folder whole, or not at all.

    Parameters
    ----------
    folder
        The scan's folder, which does not exist yet.
    card
        Its ids, source and grid; where it points is set here.
    hu
        (z, y, x) on the prepared grid.
    masks
        At least one; the first counts.
    """
    revisions = []
    with atomic_path(folder) as temporary:
        (temporary / "masks").mkdir(parents=True)
        np.save(temporary / "ct.npy", hu)
        for number, mask in enumerate(masks, 1):
            revision = MaskRevision(
                name=f"r{number}",
                reader=mask.reader,
                origin=mask.origin,
                nodules=nodules_of(mask.array),
            )
            np.save(temporary / "masks" / f"r{number}.npy", smallest_labels(mask.array))
            revisions.append(revision)
        card = card.model_copy(update={"ct": "ct.npy", "mask": "r1", "masks": tuple(revisions)})
        write_card(temporary / SCAN_CARD, card)
    return PreparedScan(folder, card)


def replace_scan(
    scan: PreparedScan, card: ScanCard, hu: npt.NDArray[np.int16], masks: Sequence[ReadersMask]
) -> PreparedScan:
    """Write another CT and masks beside the old files, then point at the new ones.

    The first mask counts, unless a person chose a reader who has one of them too. A
    mask that a reader changed stays the current one as long as the grid is the same.
    """
    number = 2
    while (scan.folder / f"ct.{number}.npy").exists():
        number += 1
    name = f"ct.{number}.npy"
    _save(scan.folder / name, hu)
    old = scan.card
    before = {r.reader: r.name for r in old.masks if r.origin == "annotation"}
    fresh = [
        _save_revision(scan, m.array, m.reader, "annotation", before.get(m.reader)) for m in masks
    ]
    chosen = next((r for r in fresh if old.chosen and r.reader == old.chosen), None)
    edited = scan.revision.origin == "hand" and scan.geometry.same_grid(card.geometry)
    current = old.mask if edited else (chosen or fresh[0]).name
    changes = {
        "ct": name,
        "mask": current,
        "masks": (*old.masks, *fresh),
        "chosen": old.chosen if edited or chosen else "",
    }
    card = card.model_copy(update=changes)
    write_card(scan.folder / SCAN_CARD, card)
    return PreparedScan(scan.folder, card)


def choose_mask(scan: PreparedScan, name: str) -> PreparedScan:
    """Let another of a scan's masks count.

    Parameters
    ----------
    scan
        A scan of a dataset.
    name
        A reader, whose newest mask is taken, or the name of a revision.

    Raises
    ------
    DatasetError
        If the scan has no such mask, or it lies on a former grid of the scan.
    """
    scan = read_scan_folder(scan.folder)
    named = [r for r in scan.card.masks if r.name == name]
    found = named or [r for r in scan.card.masks if r.reader == name]
    if not found:
        there = ", ".join(f"{r.name} ({r.reader})" if r.reader else r.name for r in scan.card.masks)
        raise DatasetError(f"scan {scan.scan_id} has no mask {name}; there are: {there}")
    changes = {"mask": found[-1].name, "chosen": found[-1].reader}
    chosen = PreparedScan(scan.folder, scan.card.model_copy(update=changes))
    chosen.mask()  # it must be there, and fit
    write_card(scan.folder / SCAN_CARD, chosen.card)
    return chosen


def add_mask(
    scan: PreparedScan, mask: npt.NDArray[Any], reader: str, origin: Origin = "hand"
) -> PreparedScan:
    """Add a mask revision, child of the current one, and make it the current one.

    Parameters
    ----------
    scan
        A scan of a dataset.
    mask
        Labels (z, y, x) on the prepared grid.
    reader
        Whose work it is.
    """
    scan = read_scan_folder(scan.folder)
    revision = _save_revision(scan, mask, reader, origin, parent=scan.card.mask)
    masks = (*scan.card.masks, revision)
    card = scan.card.model_copy(update={"mask": revision.name, "masks": masks})
    write_card(scan.folder / SCAN_CARD, card)
    return PreparedScan(scan.folder, card)


def folder_name(scan_id: str, taken: Collection[str] = ()) -> str:
    """Return a name for a scan's folder that every file system takes.

    It is the scan's id, unless that cannot be a name, or differs from one of
    ``taken`` in capitals only: then it has a few digits of the id's hash.
    """
    name = re.sub(r"[^A-Za-z0-9._-]", "_", scan_id).strip("._")[:120]
    if name == scan_id and name.casefold() not in {other.casefold() for other in taken}:
        return name
    return f"{name}-{hashlib.sha256(scan_id.encode()).hexdigest()[:6]}"


def _save_revision(
    scan: PreparedScan, mask: npt.NDArray[Any], reader: str, origin: Origin, parent: str | None
) -> MaskRevision:
    taken = [path.stem for path in (scan.folder / "masks").glob("*.npy")]
    revision = MaskRevision(
        name=next_name("r", taken),
        reader=reader,
        parent=parent,
        origin=origin,
        nodules=nodules_of(mask),
    )
    _save(scan.folder / "masks" / f"{revision.name}.npy", smallest_labels(mask))
    return revision


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, array)
