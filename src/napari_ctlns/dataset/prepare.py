"""The job that turns scans and their annotations or masks into a dataset."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
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
from napari_ctlns.dataset.match import (
    AnnotatedTruth,
    MaskFolder,
    TrueMask,
    Truth,
    file_signature,
    names_of,
)
from napari_ctlns.dataset.revisions import add_scan, folder_name, replace_scan
from napari_ctlns.dataset.split import split_by_share, split_from_file
from napari_ctlns.errors import CtlnsError, DatasetError, OutputError, ScanError
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.formats import ScanFile, find_scans, read_scan
from napari_ctlns.resampling import prepared_hu
from napari_ctlns.specs import PrepareSpec, Split
from napari_ctlns.volume import Volume

MASK_FOLDERS = ("masks", "mask", "labels")
"""Folders of such a name hold no scans, even below a folder of scans."""
AIR_BELOW_HU = -200
"""A chest CT has voxels below this; a mask, or a picture of something else, has none."""


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
    files: list[ScanFile]
    truth: Truth
    patients: Mapping[str, str]
    unmatched: list[Unmatched]
    scans: dict[str, PreparedScan]
    """By scan id, those of earlier preparations included."""
    seen: dict[str, Path] = field(default_factory=dict)
    """The files of this preparation by scan id."""
    new: int = 0


def _begun(spec: PrepareSpec) -> _Work:
    card = _card(spec)
    files = _scan_files(spec)
    truth = _truth(spec)
    there = (spec.out / name for name in _folders(spec.out))
    scans = {scan.scan_id: scan for scan in map(read_scan_folder, there)}
    strangers = truth.strangers(files)
    return _Work(spec, card, files, truth, _patients(spec.patients), strangers, scans)


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


def _scan_files(spec: PrepareSpec) -> list[ScanFile]:
    masks = spec.masks.resolve() if spec.masks else None
    files = []
    for file in find_scans(spec.source):
        below = file.path.relative_to(spec.source).parts[:-1] if spec.source.is_dir() else ()
        named_so = any(part.lower() in MASK_FOLDERS for part in below)
        if not named_so and (masks is None or masks not in file.path.resolve().parents):
            files.append(file)
    if not files:
        raise DatasetError(f"no scans at {spec.source}; give a folder of .mhd, .nii.gz or DICOM")
    return files


def _truth(spec: PrepareSpec) -> Truth:
    if (spec.annotations is None) == (spec.masks is None):
        raise DatasetError("give either annotations (a CSV) or masks (a folder)")
    return AnnotatedTruth(spec.annotations) if spec.annotations else MaskFolder(_given(spec.masks))


def _given(path: Path | None) -> Path:
    assert path is not None
    return path


def _patients(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = {"scan_id", "patient_id"} - set(reader.fieldnames or ())
            if missing:
                raise DatasetError(
                    f"{path} lacks the column {min(missing)}; it needs scan_id,patient_id"
                )
            return {row["scan_id"]: row["patient_id"] for row in reader}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot read patients {path}; give a CSV scan_id,patient_id") from error


def _take(work: _Work, file: ScanFile) -> Iterator[Event]:
    """Prepare one scan, or say why not."""
    try:
        problems = _prepare_one(work, file)
    except OutputError:
        raise  # the disk will refuse the next scan too
    except CtlnsError as error:
        if work.spec.strict:
            raise
        problems = (str(error),)
    left_out = [Unmatched(what=str(file.path), why=problem) for problem in problems]
    work.unmatched += left_out
    yield from _warnings(left_out)


def _prepare_one(work: _Work, file: ScanFile) -> tuple[str, ...]:
    """Write one scan's folder unless it is there already; return what could not be used."""
    signature = _signature(work, file)
    for scan in work.scans.values():
        note = scan.card.source
        if (note.path, note.series, note.signature) == (file.path, file.series, signature):
            work.seen[scan.scan_id] = file.path
            return ()
    volume = read_scan(file.path, series=file.series, strict=work.spec.strict)
    if volume.array.min() >= AIR_BELOW_HU:
        raise ScanError(f"no voxel is below {AIR_BELOW_HU} HU; this is no chest CT")
    if volume.scan_id in work.seen:
        raise DatasetError(f"{work.seen[volume.scan_id]} has the same id {volume.scan_id}")
    hu, grid = prepared_hu(volume, work.card.preparation)
    prepared = Volume(hu, grid, "ct", volume.scan_id, volume.patient_id, volume.source)
    true = work.truth.of(file, prepared)
    if work.spec.strict and true.problems:
        raise DatasetError(f"{file.path}: {true.problems[0]}")
    note = SourceNote(
        path=file.path,
        series=file.series,
        format=volume.source.format,
        signature=signature,
        warnings=volume.source.warnings,
    )
    _write(work, note, prepared, true)
    return true.problems


def _write(work: _Work, note: SourceNote, prepared: Volume, true: TrueMask) -> None:
    scan_id = prepared.scan_id
    card = ScanCard(
        scan_id=scan_id,
        patient_id=work.patients.get(scan_id) or prepared.patient_id or scan_id,
        source=note,
        geometry=prepared.geometry,
        annotations=true.annotations,
    )
    old = work.scans.get(scan_id)
    if old is None:
        taken = [scan.folder.name for scan in work.scans.values()]
        folder = work.spec.out / folder_name(scan_id, taken)
        work.scans[scan_id] = add_scan(folder, card, prepared.array, true.mask)
    else:
        work.scans[scan_id] = replace_scan(old, card, prepared.array, true.mask)
    work.seen[scan_id] = note.path
    work.new += 1


def _signature(work: _Work, file: ScanFile) -> str:
    patients = [work.patients.get(name) for name in sorted(names_of(file))]
    parts = [file_signature(file.path), work.truth.signature(file), patients]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _end(work: _Work, stopped: bool) -> Iterator[Event]:
    """Divide the patients and write ``dataset.json``."""
    patients_of = {scan_id: scan.patient_id for scan_id, scan in work.scans.items()}
    alone = sum(scan_id == patient for scan_id, patient in patients_of.items())
    if alone:
        yield Log(
            message=f"patient unknown for {alone} scans: each counts as a patient of its own",
            level="warning",
        )
    seed = work.spec.recipe.optimisation.seed
    split: Mapping[str, Split] = (
        split_from_file(work.spec.splits, patients_of)
        if work.spec.splits
        else split_by_share(patients_of.values(), seed, work.card.split)
    )
    unplaced = [
        Unmatched(what=f"patient {patient}", why=f"in no split of {work.spec.splits}")
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


def _warnings(unmatched: list[Unmatched]) -> Iterator[Event]:
    for item in unmatched:
        yield Log(message=f"{item.what}: {item.why}", level="warning")
