"""From what the Train panel says to the specs of jobs.

Nothing here knows Qt. Where things go, below the working folder: ``datasets``
and ``runs``. A dataset's name tells its files apart by a hash of their paths,
so that the same scans are prepared only once.
"""

import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from napari_ctlns.atomic import write_text
from napari_ctlns.errors import DatasetError, RunError
from napari_ctlns.events import Control, Event, Finished, Progress, Started
from napari_ctlns.plugin.runs import runs_folder
from napari_ctlns.plugin.words import counted
from napari_ctlns.recipe import Recipe
from napari_ctlns.specs import Device, LearnSpec, PrepareSpec, TrainSpec
from napari_ctlns.volume import Volume

# -- data -------------------------------------------------------------------------


@dataclass(frozen=True)
class FolderData:
    """A folder of scans and a CSV of their annotations."""

    scans: Path | None
    annotations: Path | None

    def why_not(self) -> str:
        """Say what lacks before it can be prepared; nothing if it can."""
        if self.scans is None:
            return "choose the folder that holds the scans"
        if not self.scans.exists():
            return f"no such folder: {self.scans}"
        if self.annotations is None:
            return "choose the annotations, a CSV like LUNA16's"
        return "" if self.annotations.is_file() else f"no such file: {self.annotations}"


@dataclass(frozen=True)
class PreparedData:
    """A dataset that was prepared before."""

    folder: Path | None

    def why_not(self) -> str:
        """Say why nothing can be learned from it; nothing if it looks like a dataset."""
        if self.folder is None:
            return "choose a dataset, a folder that was prepared before"
        if (self.folder / "dataset.json").is_file():
            return ""
        return f"no dataset: {self.folder}; choose a folder that holds dataset.json"


@dataclass(frozen=True, eq=False)
class LayerData:
    """Open scans, each with its mask."""

    pairs: tuple[tuple[Volume, Volume], ...]

    def why_not(self) -> str:
        """Say what lacks before it can be prepared; nothing if it can."""
        return "" if self.pairs else "no open scan has a mask; draw, predict or make one first"

    def in_words(self) -> str:
        """Say how many scans these are."""
        if not self.pairs:
            return "no scan with a mask"
        return f"{counted(len(self.pairs), 'scan')} with a mask"

    @property
    def names(self) -> tuple[str, ...]:
        """What a person knows the scans by."""
        return tuple(scan.title for scan, _ in self.pairs)


Data = FolderData | PreparedData | LayerData


def pair_up(scans: Sequence[Volume], masks: Sequence[Volume]) -> LayerData:
    """Give each scan the first of ``masks`` that belongs to it; those without one are left out."""
    pairs: dict[str, tuple[Volume, Volume]] = {}
    for scan in scans:
        mask = next((mask for mask in masks if mask.scan_id == scan.scan_id), None)
        if mask is not None:
            pairs.setdefault(scan.scan_id, (scan, mask))
    return LayerData(tuple(pairs.values()))


# -- from choices to specs ----------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Copies:
    """Open layers, and the folder that they are written into to be prepared."""

    pairs: tuple[tuple[Volume, Volume], ...]
    folder: Path


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a click on Start begins, in order; what is None needs not be done."""

    train: TrainSpec | LearnSpec
    prepare: PrepareSpec | None = None
    copies: Copies | None = None


def plan_training(
    data: Data, recipe: Recipe, device: Device, working_folder: Path, run: Path | None = None
) -> Plan:
    """Return what is to be done to train on ``data``.

    Parameters
    ----------
    run
        The run folder; None: one in the working folder that is named by recipe and time.

    Raises
    ------
    DatasetError, RunError
        If something lacks, or there is a run already.
    """
    if why_not := data.why_not():
        raise DatasetError(why_not)
    if run is not None and (why_not := run_why_not(run)):
        raise RunError(why_not)
    out = run or unused_path(runs_folder(working_folder) / f"{recipe.name}-{stamp()}")
    prepare: PrepareSpec | None = None
    copies: Copies | None = None
    if isinstance(data, PreparedData):
        dataset = _given(data.folder)
    else:
        prepare, copies = _preparation(data, recipe, working_folder.absolute() / "datasets")
        dataset = prepare.out
    spec = TrainSpec(dataset=dataset.absolute(), out=out.absolute(), recipe=recipe, device=device)
    return Plan(spec, prepare, copies)


def prepared_dataset(data: Data, recipe: Recipe, working_folder: Path) -> Path | None:
    """Return the dataset that ``data`` were prepared into for a recipe; None if they were not."""
    if data.why_not() or isinstance(data, LayerData):
        return None
    if isinstance(data, PreparedData):
        return data.folder
    spec, _ = _preparation(data, recipe, working_folder.absolute() / "datasets")
    return None if PreparedData(spec.out).why_not() else spec.out


def run_why_not(run: Path) -> str:
    """Say why no new run can be written to a folder; nothing if it can."""
    if run.is_file():
        return f"{run} is a file; choose a new folder for the run"
    if run.is_dir() and any(run.iterdir()):
        return f"{run} is not empty; choose a new folder for the run, or attach to it"
    return ""


def _preparation(
    data: FolderData | LayerData, recipe: Recipe, datasets: Path
) -> tuple[PrepareSpec, Copies | None]:
    if isinstance(data, FolderData):
        scans, annotations = (_given(p).absolute() for p in (data.scans, data.annotations))
        told_apart = f"{scans}\n{annotations}\n{arrays_in_words(recipe)}"
        digits = hashlib.sha256(told_apart.encode()).hexdigest()[:8]
        out = datasets / f"{scans.name}-{digits}"
        return PrepareSpec(source=scans, out=out, recipe=recipe, annotations=annotations), None
    out = unused_path(datasets / f"open-layers-{stamp()}")
    copies = Copies(data.pairs, out.with_name(f"{out.name}-files"))
    spec = PrepareSpec(
        source=copies.folder / "scans",
        masks=copies.folder / "true",
        patients=copies.folder / "patients.csv",
        out=out,
        recipe=recipe,
    )
    return spec, copies


def arrays_in_words(recipe: Recipe) -> str:
    """Say all of a recipe that decides which arrays a scan is prepared into."""
    said = recipe.preparation
    clip = said.clip_hu if said.normalisation == "standardise" else None
    values = (said.spacing_mm, said.drop_first_slices, said.slice_size, said.smoothing_mm, clip)
    return f"{recipe.structure} {values}"


def _given(path: Path | None) -> Path:
    assert path is not None
    return path


def stamp() -> str:
    """Return the time, for names of folders."""
    return datetime.now().strftime("%Y-%m-%d-%H%M%S")


def unused_path(path: Path) -> Path:
    """Return ``path``, with a number if there is something of that name."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


# -- open layers as files -----------------------------------------------------------


def write_copies(copies: Copies, control: Control) -> Iterator[Event]:
    """Write open scans, their masks and whose they are into a folder: a job.

    Scans go to ``scans``, masks under the same names to ``true``, and patients,
    which such files do not tell, to ``patients.csv``.

    Raises
    ------
    DatasetError
        If no mask has a voxel.
    OutputError
        If the folder cannot be written.
    """
    from napari_ctlns.dataset.revisions import folder_name
    from napari_ctlns.formats import write_volume

    yield Started(title="Write the open layers")
    if not any(mask.array.any() for _, mask in copies.pairs):
        raise DatasetError("the masks are empty; draw, predict or make nodules first")
    patients: dict[str, str] = {}
    for done, (scan, mask) in enumerate(copies.pairs):
        yield Progress(done=done, total=len(copies.pairs), unit="scan")
        control.wait_while_paused()
        if control.stop_requested():
            yield Finished(stopped=True)
            return
        name = folder_name(scan.scan_id or "scan", patients)
        patients[name] = scan.patient_id or scan.scan_id or name
        write_volume(_signed(scan), copies.folder / "scans" / f"{name}.mhd")
        write_volume(mask, copies.folder / "true" / f"{name}.mhd")
    write_text(copies.folder / "patients.csv", _table(patients))
    yield Finished()


def _signed(scan: Volume) -> Volume:
    """Return a scan whose file is not taken for a mask, as those of unsigned numbers are."""
    if scan.array.dtype.kind != "u":
        return scan
    return Volume(scan.array.astype(np.int32), scan.geometry, "ct", scan.scan_id, scan.patient_id)


def _table(patients: dict[str, str]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("scan_id", "patient_id"), *patients.items()])
    return text.getvalue()
