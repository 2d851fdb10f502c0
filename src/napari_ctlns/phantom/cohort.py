"""Phantoms on disk, as LUNA16 is laid out: .mhd files, true masks and tables."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from napari_ctlns.atomic import write_text
from napari_ctlns.errors import OutputError
from napari_ctlns.events import Control, Event, Finished, Progress, Saved, Started, Uncontrolled
from napari_ctlns.formats import write_annotations, write_volume
from napari_ctlns.phantom.making import Phantom, PhantomNodule, make_phantom
from napari_ctlns.phantom.spec import PhantomSpec

COLUMNS = (
    "scan_id", "label", "shape", "density", "attachment",
    "x", "y", "z", "diameter_mm", "volume_mm3",
)  # fmt: skip


def write_phantom(phantom: Phantom, folder: str | Path) -> Path:
    """Write ``<scan_id>.mhd``, and ``<scan_id>.nii.gz`` into ``masks`` and ``lungs``.

    Returns
    -------
    Path
        The scan.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    folder = Path(folder)
    scan = folder / f"{phantom.volume.scan_id}.mhd"
    write_volume(phantom.mask, folder / "masks" / f"{phantom.volume.scan_id}.nii.gz")
    write_volume(phantom.lungs, folder / "lungs" / f"{phantom.volume.scan_id}.nii.gz")
    write_volume(phantom.volume, scan)
    return scan


def write_cohort(
    folder: str | Path, specs: Sequence[PhantomSpec], control: Control | None = None
) -> Iterator[Event]:
    """Make phantoms and write them: a job.

    Scans and masks as `write_phantom` does, ``annotations.csv`` as in LUNA16, and
    ``nodules.csv`` with what is known of every nodule. A job that is stopped
    leaves tables of the scans that are there.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    ScanError
        If a phantom has no room for its nodules.
    """
    folder = Path(folder)
    control = control or Uncontrolled()
    _make(folder)
    yield Started(title=f"Making {len(specs)} phantoms")
    made: list[tuple[PhantomNodule, ...]] = []
    for done, spec in enumerate(specs):
        control.wait_while_paused()
        if control.stop_requested():
            break
        yield Progress(done=done, total=len(specs), unit="scans")
        phantom = make_phantom(spec)
        yield Saved(path=write_phantom(phantom, folder), kind="scan")
        made.append(phantom.nodules)
    nodules = [n for scan in made for n in scan]
    write_annotations(folder / "annotations.csv", [n.annotation for n in nodules])
    yield Saved(path=folder / "annotations.csv", kind="annotations")
    write_text(folder / "nodules.csv", _table(nodules))
    yield Saved(path=folder / "nodules.csv", kind="table")
    yield Progress(done=len(made), total=len(specs), unit="scans")
    result = {"scans": len(made), "nodules": sum(len(nodules) for nodules in made)}
    yield Finished(result=result, stopped=len(made) < len(specs))


def _make(folder: Path) -> None:
    """Make the folder first: a phantom takes a while, a wrong path should not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {folder}: {reason}; choose another place") from error


def _table(nodules: Iterable[PhantomNodule]) -> str:
    """Return the nodules as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for n in nodules:
        a = n.annotation
        numbers = (a.x_mm, a.y_mm, a.z_mm, a.diameter_mm, n.volume_mm3)
        kinds = (n.shape, n.density, n.attachment)
        writer.writerow([a.scan_id, n.label, *kinds, *(f"{v:.4f}" for v in numbers)])
    return text.getvalue()
