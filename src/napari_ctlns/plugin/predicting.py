"""What a prediction needs of the window, and what its files tell; without Qt.

Volumes cross to the child process by files in a temporary folder. Everything
here that touches files is meant for a thread.
"""

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_ctlns.errors import OutputError, ScanError
from napari_ctlns.inference.model import ModelCard
from napari_ctlns.specs import Device, PredictSpec
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

_TIMES = " \u00d7 "
_TABLE = "nodules.json"


@dataclass(frozen=True)
class Choice:
    """What a person chose for a prediction; None is what the model's recipe says."""

    model: Path
    threshold: float | None = None
    min_diameter_mm: float | None = None
    whole: bool = False
    device: Device = "auto"


@dataclass(frozen=True, eq=False)
class Found:
    """What a prediction found.

    Attributes
    ----------
    mask
        On the scan's grid, one label per nodule; its array is free to be painted in.
    table
        One row per nodule.
    """

    mask: Volume
    table: "pd.DataFrame"

    @property
    def probabilities(self) -> dict[int, float]:
        """The mean probability of each label."""
        return dict(
            zip(self.table["label"].tolist(), self.table["mean_probability"].tolist(), strict=True)
        )


class TemporaryFolder:
    """A folder for the files of one prediction, gone with this object or this process.

    Raises
    ------
    OutputError
        If there is no room for temporary files.
    """

    def __init__(self) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix="napari-ctlns-"))
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(f"cannot write temporary files: {reason}; make room") from error
        # again at the end of the process: Windows removes no file that is being read
        self._last_resort = weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def prepare_files(volume: Volume, choice: Choice, folder: Path) -> PredictSpec:
    """Return what the child is to do; a scan that has no file gets one in ``folder``.

    Raises
    ------
    OutputError
        If the scan cannot be written.
    """
    source = volume.source
    path, series = source.path, source.series_uid if source.format == "dicom" else None
    if path is None or not path.exists():
        path, series = _write_scan(volume, folder), None
    return PredictSpec(
        scan=path.absolute(),
        series=series,
        model=choice.model.absolute(),
        mask=folder / "mask.mha",
        table=folder / _TABLE,
        threshold=choice.threshold,
        min_diameter_mm=choice.min_diameter_mm,
        whole=choice.whole,
        device=choice.device,
    )


def _write_scan(volume: Volume, folder: Path) -> Path:
    from napari_ctlns.formats import write_volume

    path = folder / f"{file_name(volume.scan_id)}.mha"
    write_volume(volume, path)
    return path


def file_name(scan_id: str) -> str:
    """Return a scan's id as a file's name on any system."""
    known = "".join(c if c.isalnum() or c in "-_." else "_" for c in scan_id).strip("._")
    return known[:100] or "scan"


def read_files(spec: PredictSpec, volume: Volume) -> Found:
    """Read what a prediction wrote.

    Raises
    ------
    ScanError
        If the scan's file is another by now than the scan that was opened.
    CtlnsError
        If the files cannot be read.
    """
    from napari_ctlns.formats import read_mask
    from napari_ctlns.measurement import read_table

    mask = read_mask(spec.mask)
    if not mask.geometry.same_grid(volume.geometry):
        raise ScanError(f"{spec.scan} has changed since it was opened; open it again")
    array = np.require(mask.array, requirements=["C", "W", "O"])
    return Found(volume.mask(array), read_table(spec.mask.with_name(_TABLE)))


# -- models -----------------------------------------------------------------------


def describe_model(card: ModelCard) -> str:
    """Say in a few lines what is to be known of a model."""
    recipe = card.recipe
    window = _TIMES.join(map(str, recipe.window))
    spacing = recipe.preparation.spacing_mm
    if isinstance(spacing, tuple):
        voxels = _TIMES.join(s if isinstance(s, str) else f"{s:g}" for s in spacing) + " mm"
    else:
        voxels = "the scan's own size" if spacing == "native" else f"{spacing:g} mm"
    made = "imported" if recipe.network.name == "imported" else "trained"
    lines = [
        f"{recipe.name}, {made} {card.created.astimezone():%Y-%m-%d %H:%M}",
        f"Window {window} voxels of {voxels}",
    ]
    if metrics := _metrics(card.metrics):
        lines.append(f"Validation: {metrics}")
    return "\n".join(lines)


def _metrics(metrics: dict[str, float]) -> str:
    known = {
        "val_dice": "Dice",
        "val_nodule_voxel_accuracy": "nodule voxels found",
        "val_loss": "loss",
    }
    said = [f"{words} {metrics[name]:.2f}" for name, words in known.items() if name in metrics]
    return ", ".join(said)
