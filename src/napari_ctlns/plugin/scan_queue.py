"""A folder of scans as a queue: what is to be done, how far it is, what came of it; without Qt.

The work itself is the cohort job, in a process of its own. Its manifest, a file in the folder
of the results, says what became of each scan.
"""

import hashlib
import importlib.util
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_ctlns.plugin.predicting import Choice, file_name
from napari_ctlns.plugin.teaching import TaughtScans
from napari_ctlns.plugin.words import counted, duration
from napari_ctlns.specs import CohortSpec, PredictMany

if TYPE_CHECKING:
    from napari_ctlns.cohort.manifest import Row  # brings all file formats with it

_EXTRA = ("dask", "distributed", "filelock")
_MASK_END = "_pred.nii.gz"
_STATUS = {"waiting": "waits", "running": "working", "done": "done", "failed": "failed"}


def why_no_queues() -> str:
    """Say what must be installed before scans can be a queue; nothing if all is there."""
    if all(importlib.util.find_spec(name) for name in _EXTRA):
        return ""
    return 'Many scans need Dask: pip install "napari-ctlns[cohort]", then start napari again'


def results_folder(scans: Path, working_folder: Path) -> Path:
    """Return where the results for a folder of scans go unless told otherwise: always the same."""
    digits = hashlib.sha256(str(scans.absolute()).encode()).hexdigest()[:8]
    return working_folder / "results" / f"{file_name(scans.absolute().name)}-{digits}"


def queue_why_not(scans: Path | None, out: Path | None) -> str:
    """Say what lacks before a queue can begin; nothing if it can."""
    if scans is None:
        return "Choose a folder of scans"
    if not scans.exists():
        return f"No such folder: {scans}"
    if out is not None and out.is_file():
        return f"{out} is a file; choose a folder for the results"
    if out is not None and out.absolute() == scans.absolute():
        return "Choose another folder for the results than that of the scans"
    return ""


def queue_spec(scans: Path, out: Path, choice: Choice) -> CohortSpec:
    """Return what is to be done with all scans of a folder, as chosen for one."""
    rules = choice.rules
    work = PredictMany(
        model=choice.model.absolute(),
        more_models=tuple(model.absolute() for model in choice.more_models),
        threshold=rules.threshold,
        seed_threshold=rules.seed_threshold,
        min_diameter_mm=rules.min_diameter_mm,
        fill_holes=rules.fill_holes,
        split_touching=rules.split_touching,
        mirrored=choice.mirrored,
        whole=choice.whole,
        device=choice.device,
    )
    return CohortSpec(scans=(str(scans.absolute()),), out=out.absolute(), work=work)


def rows_now(out: Path) -> "tuple[Row, ...]":
    """Return what became of each scan of a queue that goes on.

    Raises
    ------
    RunError
        If the manifest is damaged.
    """
    from napari_ctlns.cohort.manifest import read_rows
    from napari_ctlns.dataset.beginning import COHORT_MANIFEST

    return tuple(read_rows(out / COHORT_MANIFEST))


def rows_at_rest(out: Path) -> "tuple[Row, ...]":
    """Return what became of each scan where nobody works; none where there never was a queue.

    Raises
    ------
    RunError
        If the manifest is damaged.
    """
    from napari_ctlns.cohort.manifest import Manifest

    return tuple(Manifest(out))


def mask_of(row: "Row", out: Path) -> Path | None:
    """Return the mask of a scan; None: there is none, or not any more."""
    names = (name for name in row.outputs.split("; ") if name.endswith(_MASK_END))
    mask = next((out / name for name in names), None)
    return mask if mask is not None and mask.is_file() else None


# -- what to correct next ---------------------------------------------------------


def is_corrected(row: "Row", known: TaughtScans) -> bool:
    """Whether a scan is among the corrected ones of a training set."""
    if row.series:
        return row.series in known.corrected
    return Path(row.scan) in known.paths


def most_uncertain_first(rows: "Iterable[Row]") -> "tuple[Row, ...]":
    """Return rows by how unsure the model was; those of which that is not known come last."""
    return tuple(sorted(rows, key=lambda row: -_uncertainty(row)))


def next_to_correct(rows: "Iterable[Row]", known: TaughtScans) -> "Row | None":
    """Return the scan whose correction teaches most: the most uncertain uncorrected one."""
    there = (row for row in rows if row.status == "done" and not is_corrected(row, known))
    return next(iter(most_uncertain_first(there)), None)


def _uncertainty(row: "Row") -> float:
    return float(row.uncertainty) if row.uncertainty else -1.0


# -- words ------------------------------------------------------------------------


def status_in_words(row: "Row", corrected: bool = False) -> str:
    """Say what became of a scan; of a failed one also why."""
    words = "corrected" if corrected and row.status == "done" else _STATUS[row.status]
    return f"{words}: {row.error}" if row.error else words


def seconds_in_words(row: "Row") -> str:
    """Say how long the work on a scan took; nothing while there was none."""
    return duration(float(row.seconds)) if row.seconds else ""


def uncertainty_in_words(row: "Row") -> str:
    """Say how unsure the model was of a scan, 0 to 1; nothing where that is not known."""
    return f"{float(row.uncertainty):.2f}" if row.uncertainty else ""


def queue_in_words(rows: "Iterable[Row]") -> str:
    """Say how many scans are done and how many not."""
    found: Counter[str] = Counter(row.status for row in rows)
    parts = [f"{found[status]} {words}" for status, words in _PARTS.items() if found[status]]
    return f"{counted(found.total(), 'scan')}: {', '.join(parts)}" if parts else ""


_PARTS = {"done": "done", "failed": "failed", "running": "worked on", "waiting": "to do"}


def end_in_words(result: dict[str, Any], out: Path) -> str:
    """Say how a queue ended, and where its results are."""
    words = f"{counted(result['done'], 'scan')} done"
    if result["failed"]:
        words += f", {result['failed']} failed (point at the row to see why)"
    return f"{words}. Masks and tables are in {out}"


def same_scans(rows: "Sequence[Row]", others: "Sequence[Row]") -> bool:
    """Whether two states of a queue are of the same scans in the same order."""
    return [row.file for row in rows] == [row.file for row in others]
