"""Adding a scan whose mask a person corrected to a dataset, so that a model can learn from it."""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_ctlns.atomic import alone
from napari_ctlns.dataset.beginning import scan_folders
from napari_ctlns.dataset.carrying import carried
from napari_ctlns.dataset.folder import (
    DATASET_CARD,
    Dataset,
    DatasetCard,
    PreparedScan,
    ScanCard,
    SourceNote,
    open_dataset,
    read_scan_folder,
    write_card,
)
from napari_ctlns.dataset.revisions import ReadersMask, add_mask, add_scan, folder_name
from napari_ctlns.errors import DatasetError, OutputError
from napari_ctlns.normalising import hu_statistics
from napari_ctlns.recipe import Preparation
from napari_ctlns.resampling import prepared_hu
from napari_ctlns.specs import Split
from napari_ctlns.volume import Volume

HELD_OUT = 0.2
"""Of the corrected patients, those that are held out to judge what was learned."""
_PATIENTS_BEFORE_ONE_IS_HELD_OUT = 3

Change = Literal["new scan", "new mask", "nothing"]


@dataclass(frozen=True)
class Added:
    """What became of a correction.

    Attributes
    ----------
    change
        "nothing": the dataset holds this very mask already.
    revision
        The mask's name in the dataset.
    split
        What the patient is for.
    remarks
        What was lost on the way to the prepared grid, in words.
    """

    scan_id: str
    change: Change
    revision: str
    split: Split
    remarks: tuple[str, ...] = ()


def add_correction(
    folder: Path, scan: Volume, mask: Volume, reader: str, preparation: Preparation
) -> Added:
    """Add a scan and its corrected mask to a dataset, or the mask to a scan that is there.

    The mask becomes a revision with its reader, the time and the revision that it takes the
    place of. The patient stays in the split where it is; a new one is placed by
    `split_of_correction`. Several processes may add at once.

    Parameters
    ----------
    folder
        The dataset; it is made if nothing is there.
    scan
        The CT on its own grid.
    mask
        Labels on that grid, one for each nodule; none at all: the scan has no nodule.
    reader
        Who corrected it.
    preparation
        Of a dataset that is made now; one that is there has its own.

    Raises
    ------
    DatasetError
        If the folder holds something else, or another scan of the same id.
    MaskError, ScanError
        If the mask does not lie on the scan, or the scan cannot be prepared.
    OutputError
        If the dataset cannot be written; it is as it was then.
    """
    if not scan.scan_id:
        raise DatasetError("the scan has no id; open it from its file")
    preparation = _opened(folder, preparation).preparation
    hu, grid = prepared_hu(scan, preparation)
    labels, remarks = carried(mask, scan, grid, f"the mask of {scan.scan_id}")
    card = _card(scan, Volume(hu, grid), preparation)
    corrected = ReadersMask(labels, reader, "hand")
    try:
        with alone(folder.absolute() / DATASET_CARD):
            added = _added(_opened(folder, preparation), card, hu, corrected)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {folder}: {reason}; choose another place") from error
    return replace(added, remarks=remarks)


def split_of_correction(
    patient: str, split: Mapping[str, Split], corrected: Collection[str]
) -> Split:
    """Return what the patient of a corrected scan is for.

    One that is in the split stays there. Of new ones those are held out whose ids' hashes
    fall into the first fifth (`HELD_OUT`), whatever was added before. Two bounds keep few
    patients in balance: the fourth is held out at the latest, and never more than half of
    them are. Held-out patients are for validation and testing in turn.

    Parameters
    ----------
    patient
        Whose scan it is.
    split
        What patients are for already.
    corrected
        The other patients with corrected scans.
    """
    if patient in split:
        return split[patient]
    places = Counter(split[other] for other in corrected if other in split)
    held_out = places["val"] + places["test"]
    digits = hashlib.sha256(patient.encode()).hexdigest()[:8]
    chosen = int(digits, 16) / 16**8 < HELD_OUT
    due = not held_out and len(corrected) >= _PATIENTS_BEFORE_ONE_IS_HELD_OUT
    too_many = held_out + 1 > (len(corrected) + 1) / 2
    if too_many or not (chosen or due):
        return "train"
    return "val" if places["val"] <= places["test"] else "test"


def held_out_scans(dataset: Dataset) -> list[PreparedScan]:
    """Return the scans for validation and testing, sorted by folder.

    Raises
    ------
    DatasetError
        If a scan's card is missing or damaged.
    """
    return [s for s in dataset.scans() if dataset.card.split.get(s.patient_id) in ("val", "test")]


def _added(
    dataset: Dataset, card: ScanCard, hu: npt.NDArray[np.int16], corrected: ReadersMask
) -> Added:
    """Write what is new, the array files first and ``dataset.json`` last."""
    # a scan may be there of which a killed process did not tell dataset.json
    scans = [read_scan_folder(dataset.path / name) for name in scan_folders(dataset.path)]
    there = next((scan for scan in scans if scan.scan_id == card.scan_id), None)
    change: Change = "new mask"
    if there is None:
        name = folder_name(card.scan_id, [scan.folder.name for scan in scans])
        now = add_scan(dataset.path / name, card, hu, [corrected])
        change = "new scan"
    elif not there.geometry.same_grid(card.geometry) or not np.array_equal(there.hu(), hu):
        raise DatasetError(
            f"{dataset.path} holds another scan called {card.scan_id}; choose another folder"
        )
    elif there.corrected and np.array_equal(there.mask(), corrected.array):
        now, change = there, "nothing"
    else:
        now = add_mask(there, corrected.array, corrected.reader)
    others = {scan.patient_id for scan in scans if scan.corrected} - {now.patient_id}
    place = split_of_correction(now.patient_id, dataset.card.split, others)
    _let_it_count(dataset, now, place)
    return Added(now.scan_id, change, now.card.mask, place)


def _opened(folder: Path, preparation: Preparation) -> Dataset:
    """Open the dataset, or begin one in a folder where nothing else is."""
    if (folder / DATASET_CARD).is_file():
        return open_dataset(folder)
    if folder.is_file():
        raise DatasetError(f"{folder} is a file; choose a folder")
    others = folder.iterdir() if folder.is_dir() and not scan_folders(folder) else ()
    something_else = any(not path.name.startswith(".") for path in others)
    if (folder / DATASET_CARD).is_file():  # another process has just begun it
        return open_dataset(folder)
    if something_else:
        raise DatasetError(f"{folder} holds something else; choose a dataset or an empty folder")
    return Dataset(folder, DatasetCard(preparation=preparation))


def _card(scan: Volume, prepared: Volume, preparation: Preparation) -> ScanCard:
    source = scan.source
    note = SourceNote(
        path=source.path or Path(scan.scan_id),
        series=source.series_uid or None,
        format=source.format,
        warnings=source.warnings,
    )
    standardise = preparation.normalisation == "standardise"
    return ScanCard(
        scan_id=scan.scan_id,
        patient_id=scan.patient_id or scan.scan_id,
        source=note,
        geometry=prepared.geometry,
        statistics=hu_statistics(preparation, prepared.array) if standardise else None,
    )


def _let_it_count(dataset: Dataset, scan: PreparedScan, place: Split) -> None:
    """Name the scan and its patient in ``dataset.json``, unless they are there."""
    card, path = dataset.card, dataset.path / DATASET_CARD
    scans = tuple(sorted({*card.scans, scan.folder.name}))
    split = {**card.split, scan.patient_id: place}
    if not path.is_file() or (scans, split) != (card.scans, dict(card.split)):
        write_card(path, card.model_copy(update={"scans": scans, "split": split}))
