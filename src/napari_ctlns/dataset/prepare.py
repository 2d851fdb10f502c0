"""The job that turns scans and their annotations or masks into a dataset."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_ctlns.dataset.folder import (
    DATASET_CARD,
    SCAN_CARD,
    DatasetCard,
    PreparedScan,
    ScanCard,
    SourceNote,
    Unmatched,
    open_dataset,
    read_scan_folder,
    same_spacing,
    write_card,
)
from napari_ctlns.dataset.layouts import look_into, subset_of
from napari_ctlns.dataset.mask_folder import MaskFolder
from napari_ctlns.dataset.match import file_signature
from napari_ctlns.dataset.patients import Patients
from napari_ctlns.dataset.readers_contours import ReadersContours
from napari_ctlns.dataset.revisions import add_scan, folder_name, replace_scan
from napari_ctlns.dataset.split import (
    check_subset,
    read_splits,
    split_by_share,
    split_by_subset,
    split_from_file,
)
from napari_ctlns.dataset.truths import AnnotatedTruth, TrueMasks, Truth
from napari_ctlns.errors import CtlnsError, DatasetError, OutputError, ScanError
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.formats import ScanFile, read_scan
from napari_ctlns.resampling import prepared_hu
from napari_ctlns.specs import PrepareSpec, Split
from napari_ctlns.volume import Volume

AIR_BELOW_HU = -200
"""A chest CT has voxels below this; a mask, or a picture of something else, has none."""
_MOST_ALIKE = 5


def prepare(spec: PrepareSpec, control: Control) -> Iterator[Event]:
    """Prepare every scan at ``spec.source`` and divide the patients.

    A scan that was prepared before from the same files is left as it is. A scan
    that cannot be used is reported and listed in ``dataset.json``; the others go on.

    Yields
    ------
    Event
        Progress by scan, a warning for everything that was left out, the dataset.

    Raises
    ------
    DatasetError
        If there are no scans, none fits the annotations or masks, none can be
        used, or the folder holds a dataset prepared in another way.
    OutputError
        If the dataset cannot be written; scans that are whole stay for the next try.
    CtlnsError
        Whatever is wrong with a scan, if ``spec.strict``.
    """
    work = _begun(spec)
    yield Started(title=f"Prepare {spec.source.name}")
    for remark in work.remarks:
        yield Log(message=remark)
    yield from _warnings(work.unmatched)
    stopped = False
    for done, file in enumerate(work.files):
        yield Progress(done=done, total=len(work.files), unit="scan")
        control.wait_while_paused()
        if control.stop_requested():
            stopped = True
            break
        yield from _take(work, file)
    else:
        yield Progress(done=len(work.files), total=len(work.files), unit="scan")
    if not work.scans and not stopped:
        raise DatasetError(f"no scan could be prepared; the last: {work.unmatched[-1].why}")
    yield from _end(work, stopped)


@dataclass
class _Work:
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
    seen: dict[str, Path] = field(default_factory=dict)
    """The files of this preparation by scan id."""
    said: set[str] = field(default_factory=set)
    """What was remarked already."""
    new: int = 0


def _begun(spec: PrepareSpec) -> _Work:
    card = _card(spec)
    source = look_into(spec)
    truth = _truth(source.spec, source.scans)
    patients = Patients(spec.patients, source.scans)
    there = (spec.out / name for name in _folders(spec.out))
    scans = {scan.scan_id: scan for scan in map(read_scan_folder, there)}
    _check_splits(spec, source.scans, scans.values())
    unknown = [
        Unmatched(what=str(file.path), why=why_not)
        for file in source.scans
        if (why_not := truth.why_not(file))
    ]
    if spec.strict and unknown:
        raise DatasetError(f"refused, being strict: {unknown[0].what}: {unknown[0].why}")
    return _Work(
        spec=spec,
        card=card,
        files=tuple(file for file in source.scans if not truth.why_not(file)),
        truth=truth,
        patients=patients,
        remarks=(*source.remarks, *truth.remarks),
        unmatched=[*source.unused, *unknown, *truth.strangers, *patients.strangers],
        scans=scans,
    )


def _check_splits(
    spec: PrepareSpec, files: Iterable[ScanFile], scans: Iterable[PreparedScan]
) -> None:
    """Refuse what would be refused after all scans are prepared."""
    if spec.splits is not None and spec.test_subset is not None:
        raise DatasetError("the split is given twice, by file and by subset; choose one")
    if spec.splits is not None:
        read_splits(spec.splits)
    if spec.test_subset is not None:
        subsets = {*(subset_of(f.path) for f in files), *(scan.card.fold for scan in scans)}
        check_subset([number for number in subsets if number is not None], spec.test_subset)


def _card(spec: PrepareSpec) -> DatasetCard:
    preparation = spec.recipe.preparation
    if not spec.out.exists() or not any(spec.out.iterdir()):
        return DatasetCard(preparation=preparation)
    if not (spec.out / DATASET_CARD).is_file() and not _folders(spec.out):
        raise DatasetError(f"{spec.out} holds something else; choose a new or empty folder")
    if not (spec.out / DATASET_CARD).is_file():  # the first preparation did not come to its end
        return DatasetCard(preparation=preparation)
    card = open_dataset(spec.out).card
    if not same_spacing(card.preparation, preparation):
        raise DatasetError(
            f"{spec.out} was prepared with spacing {card.preparation.spacing_mm}; "
            "choose another folder for this recipe"
        )
    return card.model_copy(update={"preparation": preparation})


def _folders(out: Path) -> list[str]:
    """Return the names of the scan folders that are there, whole."""
    cards = out.glob(f"*/{SCAN_CARD}") if out.is_dir() else ()
    return sorted(card.parent.name for card in cards if not card.parent.name.startswith("."))


def _truth(spec: PrepareSpec, scans: Sequence[ScanFile]) -> Truth:
    if spec.structures and spec.masks is None:
        raise DatasetError("structures are chosen in masks only; give masks, or name no structures")
    if spec.masks is not None:
        return MaskFolder(spec.masks, scans, spec.structures)
    if spec.lidc_xml is not None:
        return ReadersContours(spec.lidc_xml, scans, spec.lidc_share)
    assert spec.annotations is not None  # else the layout would have been refused
    return AnnotatedTruth(spec.annotations, scans, spec.skip_bad_rows)


def _take(work: _Work, file: ScanFile) -> Iterator[Event]:
    """Prepare one scan, or say why not."""
    remarks: Sequence[str] = ()
    try:
        problems, remarks = _prepare_one(work, file)
    except OutputError:
        raise  # the disk will refuse the next scan too
    except CtlnsError as error:
        if work.spec.strict:
            raise
        problems = (str(error),)
    left_out = [Unmatched(what=str(file.path), why=problem) for problem in problems]
    work.unmatched += left_out
    yield from _warnings(left_out)
    for remark in remarks:
        if remark not in work.said:
            yield Log(message=f"{file.path}: {remark}", level="warning")
            work.said.add(remark)


def _prepare_one(work: _Work, file: ScanFile) -> tuple[Sequence[str], Sequence[str]]:
    """Write one scan's folder unless it is there already.

    Returns what could not be used, and what else is to be remarked.
    """
    patient = work.patients.of(file)
    parts = [file_signature(file.path), work.truth.signature(file), patient]
    signature = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    for scan in work.scans.values():
        note = scan.card.source
        if (note.path, note.series, note.signature) == (file.path, file.series, signature):
            work.seen[scan.scan_id] = file.path
            return (), ()
    volume = read_scan(file.path, series=file.series, strict=work.spec.strict)
    if volume.array.min() >= AIR_BELOW_HU:
        raise ScanError(f"no voxel is below {AIR_BELOW_HU} HU; this is no chest CT")
    if volume.scan_id in work.seen:
        raise DatasetError(f"{work.seen[volume.scan_id]} has the same id {volume.scan_id}")
    hu, grid = prepared_hu(volume, work.card.preparation)
    prepared = Volume(hu, grid, "ct", volume.scan_id, volume.patient_id, volume.source)
    true = work.truth.of(file, volume, prepared)
    if work.spec.strict and (refused := (*true.problems, *true.remarks)):
        raise DatasetError(f"refused, being strict: {file.path}: {refused[0]}")
    note = SourceNote(
        path=file.path,
        series=file.series,
        format=volume.source.format,
        signature=signature,
        warnings=volume.source.warnings,
    )
    _write(work, note, patient, prepared, true)
    return true.problems, true.remarks


def _write(work: _Work, note: SourceNote, patient: str, prepared: Volume, true: TrueMasks) -> None:
    scan_id = prepared.scan_id
    card = ScanCard(
        scan_id=scan_id,
        patient_id=patient or prepared.patient_id or scan_id,
        source=note,
        geometry=prepared.geometry,
        fold=subset_of(note.path),
        annotations=true.annotations,
        ratings=true.ratings,
    )
    old = work.scans.get(scan_id)
    if old is None:
        taken = [scan.folder.name for scan in work.scans.values()]
        folder = work.spec.out / folder_name(scan_id, taken)
        work.scans[scan_id] = add_scan(folder, card, prepared.array, true.masks)
    else:
        work.scans[scan_id] = replace_scan(old, card, prepared.array, true.masks)
    work.seen[scan_id] = note.path
    work.new += 1


def _end(work: _Work, stopped: bool) -> Iterator[Event]:
    """Divide the patients and write ``dataset.json``."""
    patients_of = {scan_id: scan.patient_id for scan_id, scan in work.scans.items()}
    alone = sum(scan_id == patient for scan_id, patient in patients_of.items())
    if alone:
        yield Log(
            message=f"patient unknown for {alone} scans: each counts as a patient of its own",
            level="warning",
        )
    split = _split(work, patients_of)
    if work.spec.test_subset is not None:
        for patient in _in_several_subsets(work.scans.values()):
            message = (
                f"patient {patient} has scans in several subsets: all are for {split[patient]}"
            )
            yield Log(message=message, level="warning")
    asked = work.spec.splits or "the subsets"
    unplaced = [
        Unmatched(what=f"patient {patient}", why=f"in no split of {asked}")
        for patient in sorted(set(patients_of.values()) - split.keys())
    ]
    yield from _warnings(unplaced)
    card = work.card.model_copy(
        update={
            "scans": tuple(sorted(scan.folder.name for scan in work.scans.values())),
            "split": dict(split),
            "unmatched": (*work.unmatched, *unplaced),
        }
    )
    write_card(work.spec.out / DATASET_CARD, card)
    if card.unmatched:
        yield Log(message=_summary(card.unmatched), level="warning")
    yield Saved(path=work.spec.out, kind="dataset")
    counts = Counter(split[p] for p in patients_of.values() if p in split)
    yield Finished(
        result={
            "dataset": str(work.spec.out),
            "scans": len(work.scans),
            "new": work.new,
            "nodules": sum(len(scan.nodules) for scan in work.scans.values()),
            **{name: counts[name] for name in ("train", "val", "test")},
            "unmatched": len(card.unmatched),
        },
        stopped=stopped,
    )


def _split(work: _Work, patients_of: Mapping[str, str]) -> Mapping[str, Split]:
    if work.spec.splits is not None:
        return split_from_file(work.spec.splits, patients_of)
    if work.spec.test_subset is not None:
        subsets = {scan_id: scan.card.fold for scan_id, scan in work.scans.items()}
        return split_by_subset(subsets, patients_of, work.spec.test_subset)
    seed = work.spec.recipe.optimisation.seed
    return split_by_share(patients_of.values(), seed, work.card.split)


def _in_several_subsets(scans: Iterable[PreparedScan]) -> list[str]:
    subsets: dict[str, set[int | None]] = {}
    for scan in scans:
        subsets.setdefault(scan.patient_id, set()).add(scan.card.fold)
    return sorted(patient for patient, folds in subsets.items() if len(folds - {None}) > 1)


def _warnings(unmatched: Sequence[Unmatched]) -> Iterator[Event]:
    """Say what could not be used; of many for one reason the first few, and how many."""
    alike: dict[str, list[str]] = {}
    for item in unmatched:
        alike.setdefault(item.why, []).append(item.what)
    for why, things in alike.items():
        for what in things[:_MOST_ALIKE]:
            yield Log(message=f"{what}: {why}", level="warning")
        if more := len(things) - min(len(things), _MOST_ALIKE):
            message = f"and {more} more: {why}; {DATASET_CARD} lists them all"
            yield Log(message=message, level="warning")


def _summary(unmatched: Sequence[Unmatched]) -> str:
    reasons = Counter(item.why for item in unmatched)
    common = [f"{n} x {why}" for why, n in reasons.most_common(_MOST_ALIKE) if n > 1]
    told = f" ({'; '.join(common)})" if common else ""
    return f"{len(unmatched)} could not be used{told}; {DATASET_CARD} lists them all, and why"
