"""The job that turns scans and their annotations or masks into a dataset."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from napari_ctlns.dataset.beginning import Work, begin
from napari_ctlns.dataset.folder import (
    DATASET_CARD,
    PreparedScan,
    ScanCard,
    SourceNote,
    Unmatched,
    write_card,
)
from napari_ctlns.dataset.layouts import subset_of
from napari_ctlns.dataset.match import file_signature
from napari_ctlns.dataset.revisions import add_scan, folder_name, replace_scan
from napari_ctlns.dataset.split import (
    split_by_rule,
    split_by_share,
    split_by_subset,
    split_from_file,
)
from napari_ctlns.dataset.truths import TrueMasks
from napari_ctlns.dataset.unmatched import summary, warnings
from napari_ctlns.errors import CtlnsError, DatasetError, OutputError, ScanError
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.formats import ScanFile, read_scan
from napari_ctlns.normalising import hu_statistics
from napari_ctlns.resampling import prepared_hu
from napari_ctlns.specs import PrepareSpec, Split
from napari_ctlns.volume import Volume

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
    work = begin(spec)
    yield Started(title=f"Prepare {spec.source.name}")
    for remark in work.remarks:
        yield Log(message=remark)
    yield from warnings(work.unmatched)
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
    _leave_out_failed(work)
    if not work.scans and not stopped:
        raise DatasetError(f"no scan could be prepared; the last: {work.unmatched[-1].why}")
    yield from _end(work, stopped)


def _take(work: Work, file: ScanFile) -> Iterator[Event]:
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
        work.failed.append(file)
    left_out = [Unmatched(what=str(file.path), why=problem) for problem in problems]
    work.unmatched += left_out
    yield from warnings(left_out)
    for remark in remarks:
        if remark not in work.said:
            yield Log(message=f"{file.path}: {remark}", level="warning")
            work.said.add(remark)


def _prepare_one(work: Work, file: ScanFile) -> tuple[Sequence[str], Sequence[str]]:
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
            return scan.card.problems, ()
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


def _write(work: Work, note: SourceNote, patient: str, prepared: Volume, true: TrueMasks) -> None:
    scan_id = prepared.scan_id
    preparation = work.card.preparation
    standardise = preparation.normalisation == "standardise"
    card = ScanCard(
        scan_id=scan_id,
        patient_id=patient or prepared.patient_id or scan_id,
        source=note,
        geometry=prepared.geometry,
        fold=subset_of(note.path),
        annotations=true.annotations,
        ratings=true.ratings,
        problems=true.problems,
        statistics=hu_statistics(preparation, prepared.array) if standardise else None,
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


def _leave_out_failed(work: Work) -> None:
    """Leave out what was prepared before of scans that cannot be used as asked for now.

    Their folders stay. A mask that a reader drew is good whatever was asked for.
    """
    failed = {(file.path, file.series) for file in work.failed}
    for scan_id, scan in list(work.scans.items()):
        source = scan.card.source
        if (source.path, source.series) in failed and scan.revision.origin != "hand":
            del work.scans[scan_id]


def _end(work: Work, stopped: bool) -> Iterator[Event]:
    """Divide the patients and write ``dataset.json``."""
    patients_of = {scan_id: scan.patient_id for scan_id, scan in work.scans.items()}
    alone = sum(scan_id == patient for scan_id, patient in patients_of.items())
    if alone:
        yield Log(
            message=f"patient unknown for {alone} scans: each counts as a patient of its own",
            level="warning",
        )
    if len(patients_of) > 1 and len(set(patients_of.values())) == 1:
        message = f"all scans are of one patient, {next(iter(patients_of.values()))}; is that so?"
        yield Log(message=f"{message} Else say whose they are with --patients", level="warning")
    split = _split(work, patients_of)
    if work.places:
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
    yield from warnings(unplaced)
    card = work.card.model_copy(
        update={
            "scans": tuple(sorted(scan.folder.name for scan in work.scans.values())),
            "split": dict(split),
            "split_rule": work.spec.split_rule,
            "unmatched": (*work.unmatched, *unplaced),
        }
    )
    write_card(work.spec.out / DATASET_CARD, card)
    if card.unmatched:
        yield Log(message=summary(card.unmatched), level="warning")
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


def _split(work: Work, patients_of: Mapping[str, str]) -> Mapping[str, Split]:
    if work.spec.splits is not None:
        return split_from_file(work.spec.splits, patients_of)
    if work.places:
        subsets = {scan_id: scan.card.fold for scan_id, scan in work.scans.items()}
        return split_by_subset(subsets, patients_of, work.places)
    seed, rule = work.spec.recipe.optimisation.seed, work.spec.split_rule
    if rule is None:
        return split_by_share(patients_of.values(), seed, work.card.split)
    known = work.card.split if work.card.split_rule == rule else {}
    return split_by_rule(patients_of.values(), rule, seed, known)


def _in_several_subsets(scans: Iterable[PreparedScan]) -> list[str]:
    subsets: dict[str, set[int | None]] = {}
    for scan in scans:
        subsets.setdefault(scan.patient_id, set()).add(scan.card.fold)
    return sorted(patient for patient, folds in subsets.items() if len(folds - {None}) > 1)
