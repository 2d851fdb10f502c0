"""Adding scans and mask revisions to a dataset; nothing that is there is changed."""

import hashlib
import re
from collections.abc import Collection
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
from napari_ctlns.findings import Origin


def add_scan(
    folder: Path, card: ScanCard, hu: npt.NDArray[np.int16], mask: npt.NDArray[Any]
) -> PreparedScan:
    """Write a scan's folder whole, or not at all.

    Parameters
    ----------
    folder
        The scan's folder, which does not exist yet.
    card
        Its ids, source and grid; where it points is set here.
    hu, mask
        (z, y, x) on the prepared grid.
    """
    revision = MaskRevision(name="r1", nodules=nodules_of(mask))
    card = card.model_copy(update={"ct": "ct.npy", "mask": "r1", "masks": (revision,)})
    with atomic_path(folder) as temporary:
        (temporary / "masks").mkdir(parents=True)
        np.save(temporary / card.ct, hu)
        np.save(temporary / "masks" / "r1.npy", smallest_labels(mask))
        write_card(temporary / SCAN_CARD, card)
    return PreparedScan(folder, card)


def replace_scan(
    scan: PreparedScan, card: ScanCard, hu: npt.NDArray[np.int16], mask: npt.NDArray[Any]
) -> PreparedScan:
    """Write another CT and mask beside the old files, then point at the new ones.

    A mask that a reader changed stays the current one as long as the grid is the same.
    """
    number = 2
    while (scan.folder / f"ct.{number}.npy").exists():
        number += 1
    name = f"ct.{number}.npy"
    _save(scan.folder / name, hu)
    revision = _save_revision(scan, mask, reader="", origin="annotation")
    edited = scan.revision.origin == "hand" and scan.geometry.same_grid(card.geometry)
    current = scan.card.mask if edited else revision.name
    masks = (*scan.card.masks, revision)
    card = card.model_copy(update={"ct": name, "mask": current, "masks": masks})
    write_card(scan.folder / SCAN_CARD, card)
    return PreparedScan(scan.folder, card)


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
    revision = _save_revision(scan, mask, reader, origin)
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
    scan: PreparedScan, mask: npt.NDArray[Any], reader: str, origin: Origin
) -> MaskRevision:
    taken = [path.stem for path in (scan.folder / "masks").glob("*.npy")]
    revision = MaskRevision(
        name=next_name("r", taken),
        reader=reader,
        parent=scan.card.mask,
        origin=origin,
        nodules=nodules_of(mask),
    )
    _save(scan.folder / "masks" / f"{revision.name}.npy", smallest_labels(mask))
    return revision


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, array)
