"""What a preparation knows before its first scan is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_ctlns.dataset.folder import (
    DATASET_CARD,
    SCAN_CARD,
    DatasetCard,
    PreparedScan,
    Unmatched,
    open_dataset,
    read_scan_folder,
)
from napari_ctlns.dataset.layouts import Source, look_into, subset_of
from napari_ctlns.dataset.mask_folder import MaskFolder
from napari_ctlns.dataset.patients import Patients
from napari_ctlns.dataset.readers_contours import ReadersContours
from napari_ctlns.dataset.serving import same_preparation
from napari_ctlns.dataset.split import places_of_subsets, read_splits, refuse_too_few
from napari_ctlns.dataset.truths import AnnotatedTruth, Truth
from napari_ctlns.errors import DatasetError
from napari_ctlns.formats import ScanFile
from napari_ctlns.specs import PrepareSpec, Split

COHORT_MANIFEST = "manifest.csv"
"""Where a cohort says what became of each scan."""


@dataclass
class Work:
    """One preparation: what it is about, and what it has done so far."""

    spec: PrepareSpec
    card: DatasetCard
    files: tuple[ScanFile, ...]
    truth: Truth
    patients: Patients
    remarks: tuple[str, ...]
    unmatched: list[Unmatched]
    scans: dict[str, PreparedScan]
    """By scan id, those of earlier preparations included."""
    places: Mapping[int, Split]
    """What the subsets are for, where they are the split."""
    seen: dict[str, Path] = field(default_factory=dict)
    """The files of this preparation by scan id."""
    failed: list[ScanFile] = field(default_factory=list)
    """Scans that cannot be used now."""
    said: set[str] = field(default_factory=set)
    """What was remarked already."""
    new: int = 0


def begin(spec: PrepareSpec, source: Source | None = None) -> Work:
    """Find scans, what marks their nodules, and what was prepared before.

    Parameters
    ----------
    source
        The scans, where they were found already; None: what lies at ``spec.source``.

    Raises
    ------
    CtlnsError
        If what is asked for cannot be done; nothing is written yet.
    """
    card = _card(spec)
    source = source or look_into(spec)
    truth = _truth(source.spec, source.scans)
    patients = Patients(spec.patients, source.scans)
    there = (spec.out / name for name in scan_folders(spec.out))
    scans = {scan.scan_id: scan for scan in map(read_scan_folder, there)}
    places = _places(spec, source.scans, scans.values())
    if spec.split_rule is not None:
        # a scan is of one patient: there cannot be more of these
        there_are = {(file.path, file.series) for file in source.scans}
        there_are |= {(s.card.source.path, s.card.source.series) for s in scans.values()}
        refuse_too_few(len(there_are), spec.split_rule)
    without = [file for file in source.scans if truth.why_not(file)]
    unknown = [Unmatched(what=str(file.path), why=truth.why_not(file)) for file in without]
    if spec.strict and unknown:
        raise DatasetError(f"refused, being strict: {unknown[0].what}: {unknown[0].why}")
    return Work(
        spec=spec,
        card=card,
        files=tuple(file for file in source.scans if file not in without),
        truth=truth,
        patients=patients,
        remarks=(*source.remarks, *truth.remarks),
        unmatched=[*source.unused, *unknown, *truth.strangers, *patients.strangers],
        scans=scans,
        places=places,
        failed=without,
    )


def _places(
    spec: PrepareSpec, files: Iterable[ScanFile], scans: Iterable[PreparedScan]
) -> dict[int, Split]:
    """Return what the subsets are for; refuse what else is refused when all is prepared."""
    given = (spec.splits, spec.test_subset, spec.split_rule)
    if sum(way is not None for way in given) > 1:
        raise DatasetError("the split is given twice; choose a file, the subsets or a rule")
    if spec.splits is not None:
        read_splits(spec.splits)
    if spec.test_subset is None:
        return {}
    subsets = {*(subset_of(f.path) for f in files), *(scan.card.fold for scan in scans)}
    return places_of_subsets({n for n in subsets if n is not None}, spec.test_subset)


def _card(spec: PrepareSpec) -> DatasetCard:
    preparation = spec.recipe.preparation
    if not spec.out.exists() or not any(map(_counts, spec.out.iterdir())):
        return DatasetCard(preparation=preparation)
    if not (spec.out / DATASET_CARD).is_file() and not scan_folders(spec.out):
        raise DatasetError(f"{spec.out} holds something else; choose a new or empty folder")
    if not (spec.out / DATASET_CARD).is_file():  # the first preparation did not come to its end
        return DatasetCard(preparation=preparation)
    card = open_dataset(spec.out).card
    if differs := same_preparation(card.preparation, preparation):
        raise DatasetError(
            f"{spec.out} was prepared otherwise: {differs}; choose another folder for this recipe"
        )
    return card.model_copy(update={"preparation": preparation})


def _counts(path: Path) -> bool:
    """Whether something in a folder may be another's: not what a cohort keeps beside scans."""
    return path.name != COHORT_MANIFEST and not path.name.startswith(".")


def scan_folders(out: Path) -> list[str]:
    """Return the names of the scan folders that are there, whole."""
    cards = out.glob(f"*/{SCAN_CARD}") if out.is_dir() else ()
    return sorted(card.parent.name for card in cards if not card.parent.name.startswith("."))


def _truth(spec: PrepareSpec, scans: Sequence[ScanFile]) -> Truth:
    if spec.structures and spec.masks is None:
        raise DatasetError("structures are chosen in masks only; give masks, or name no structures")
    if spec.masks is not None:
        return MaskFolder(spec.masks, scans, spec.structures, spec.recipe.structure)
    if spec.recipe.structure == "lung":
        raise DatasetError(
            f"annotations and contours mark nodules, and recipe {spec.recipe.name} learns lungs; "
            "give masks of them, --masks DIR"
        )
    if spec.lidc_xml is not None:
        return ReadersContours(spec.lidc_xml, scans, spec.lidc_share)
    assert spec.annotations is not None  # else the layout would have been refused
    return AnnotatedTruth(spec.annotations, scans, spec.skip_bad_rows)
