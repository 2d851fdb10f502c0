"""The work on one scan of a dataset: any process can do it, beside others."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ctlns.dataset.folder import PreparedScan, ScanCard, SourceNote
from napari_ctlns.dataset.layouts import subset_of
from napari_ctlns.dataset.match import file_signature
from napari_ctlns.dataset.patients import Patients
from napari_ctlns.dataset.revisions import add_scan
from napari_ctlns.dataset.truths import TrueMasks, Truth
from napari_ctlns.errors import DatasetError, ScanError
from napari_ctlns.formats import ScanFile, read_scan
from napari_ctlns.normalising import hu_statistics
from napari_ctlns.recipe import Preparation
from napari_ctlns.resampling import prepared_hu
from napari_ctlns.volume import Volume

AIR_BELOW_HU = -200
"""A chest CT has voxels below this; a mask, or a picture of something else, has none."""


@dataclass(frozen=True)
class Wanted:
    """A scan to prepare; ``signature`` changes when it has to be made anew."""

    file: ScanFile
    patient: str
    signature: str


@dataclass(frozen=True, eq=False)
class Made:
    """A scan on its prepared grid: its card, HU (int16, z y x) and what is true of it."""

    card: ScanCard
    hu: npt.NDArray[np.int16]
    true: TrueMasks


@dataclass(frozen=True)
class Staged:
    """A made scan in a folder that is in no dataset yet, and what else is to be remarked."""

    scan: PreparedScan
    remarks: tuple[str, ...]


def wanted_scan(file: ScanFile, patients: Patients, truth: Truth) -> Wanted:
    """Say what a scan's preparation depends on.

    Raises
    ------
    DatasetError
        If the table of patients gives it to two.
    """
    patient = patients.of(file)
    parts = [file_signature(file.path), truth.signature(file), patient]
    signature = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    return Wanted(file, patient, signature)


def make_scan(wanted: Wanted, truth: Truth, preparation: Preparation, strict: bool) -> Made:
    """Read a scan and bring it and its masks onto the prepared grid.

    Raises
    ------
    CtlnsError
        If it cannot be read, is no chest CT, what is known of it cannot be used, or,
        if ``strict``, not all of it.
    """
    file = wanted.file
    volume = read_scan(file.path, series=file.series, strict=strict)
    if volume.array.min() >= AIR_BELOW_HU:
        raise ScanError(f"no voxel is below {AIR_BELOW_HU} HU; this is no chest CT")
    hu, grid = prepared_hu(volume, preparation)
    prepared = Volume(hu, grid, "ct", volume.scan_id, volume.patient_id, volume.source)
    true = truth.of(file, volume, prepared)
    if strict and (refused := (*true.problems, *true.remarks)):
        raise DatasetError(f"refused, being strict: {file.path}: {refused[0]}")
    note = SourceNote(
        path=file.path,
        series=file.series,
        format=volume.source.format,
        signature=wanted.signature,
        warnings=volume.source.warnings,
    )
    standardise = preparation.normalisation == "standardise"
    card = ScanCard(
        scan_id=volume.scan_id,
        patient_id=wanted.patient or volume.patient_id or volume.scan_id,
        source=note,
        geometry=grid,
        fold=subset_of(file.path),
        annotations=true.annotations,
        ratings=true.ratings,
        problems=true.problems,
        statistics=hu_statistics(preparation, hu) if standardise else None,
    )
    return Made(card, hu, true)


def stage_scan(
    wanted: Wanted, truth: Truth, preparation: Preparation, strict: bool, folder: Path
) -> Staged:
    """Make a scan and write it, whole, into a folder that does not exist yet.

    Raises
    ------
    CtlnsError
        As `make_scan` does; OutputError if the folder cannot be written.
    """
    made = make_scan(wanted, truth, preparation, strict)
    scan = add_scan(folder, made.card, made.hu, made.true.masks)
    return Staged(scan, made.true.remarks)
