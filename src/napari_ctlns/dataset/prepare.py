"""The job that turns scans and their annotations or masks into a dataset."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from napari_ctlns.dataset.beginning import Work, begin
from napari_ctlns.dataset.folder import (
    DATASET_CARD,
    PreparedScan,
    Unmatched,
    write_card,
)
from napari_ctlns.dataset.keeping import (
    keep,
    known_scan,
    left_out,
    noted,
    opening,
    refuse_twin,
    remarked,
)
from napari_ctlns.dataset.one_scan import make_scan, wanted_scan
from napari_ctlns.dataset.split import (
    split_by_rule,
    split_by_share,
    split_by_subset,
    split_from_file,
)
from napari_ctlns.dataset.unmatched import summary, warnings
from napari_ctlns.errors import CtlnsError, DatasetError, OutputError
from napari_ctlns.events import Control, Event, Finished, Log, Progress, Saved, Started
from napari_ctlns.formats import ScanFile
from napari_ctlns.specs import PrepareSpec, Split


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
    yield from opening(work)
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
    yield from finish(work, stopped)


def finish(work: Work, stopped: bool) -> Iterator[Event]:
    """Divide the patients and write ``dataset.json``.

    Raises
    ------
    DatasetError
        If no scan could be prepared.
    """
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
    yield from left_out(work, file, problems)
    yield from remarked(work, file, remarks)


def _prepare_one(work: Work, file: ScanFile) -> tuple[Sequence[str], Sequence[str]]:
    """Write one scan's folder unless it is there already.

    Returns what could not be used, and what else is to be remarked.
    """
    wanted = wanted_scan(file, work.patients, work.truth)
    if scan := known_scan(work, wanted):
        noted(work, scan)
        return scan.card.problems, ()
    refuse_twin(work, file)
    made = make_scan(wanted, work.truth, work.card.preparation, work.spec.strict)
    keep(work, made.card, made.hu, made.true.masks)
    return made.true.problems, made.true.remarks


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
