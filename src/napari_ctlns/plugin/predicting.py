"""What a prediction needs of the window, and what its files tell; without Qt.

Volumes cross to the child process by files in a temporary folder. Everything
here that touches files is meant for a thread.
"""

import shutil
import tempfile
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_ctlns.errors import OutputError, ScanError
from napari_ctlns.findings import Findings
from napari_ctlns.inference.model import ModelCard
from napari_ctlns.plugin.maps import halved
from napari_ctlns.plugin.refining import Predicted, opinions_of, predicted
from napari_ctlns.plugin.words import counted
from napari_ctlns.recipe import Inference
from napari_ctlns.specs import Device, PredictSpec
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

_TIMES = " \u00d7 "
_TABLE = "nodules.json"


@dataclass(frozen=True)
class Choice:
    """What a person chose for a prediction.

    Attributes
    ----------
    model, more_models
        Their folders; the probabilities of all are averaged.
    rules
        How the probability becomes a mask.
    mirrored
        Whether mirror images are looked at too.
    whole
        Whether the whole scan is looked at, not only the lungs.
    finds_nodules
        Whether nodules are what the models look for; what else may resemble nothing.
    """

    model: Path
    rules: Inference
    more_models: tuple[Path, ...] = ()
    mirrored: bool = False
    whole: bool = False
    device: Device = "auto"
    finds_nodules: bool = True


@dataclass(frozen=True, eq=False)
class Found:
    """What a prediction found.

    Attributes
    ----------
    mask
        On the scan's grid, one label per nodule; its array is free to be painted in, with
        as many labels as a file can hold.
    findings
        One for each label, with the mean probability and what it resembles.
    table
        One row per nodule.
    known
        From which other rules make other masks.
    uncertainty
        How far several models disagree, where several were asked.
    """

    mask: Volume
    findings: Findings
    table: "pd.DataFrame"
    known: Predicted
    uncertainty: Volume | None = None


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
    several = choice.mirrored or bool(choice.more_models)
    return PredictSpec(
        scan=path.absolute(),
        series=series,
        model=choice.model.absolute(),
        more_models=tuple(model.absolute() for model in choice.more_models),
        mask=folder / "mask.mha",
        probability=folder / "probability.mha",
        uncertainty=folder / "uncertainty.mha" if several else None,
        table=folder / _TABLE,
        threshold=choice.rules.threshold,
        seed_threshold=choice.rules.seed_threshold,
        min_diameter_mm=choice.rules.min_diameter_mm,
        fill_holes=choice.rules.fill_holes,
        split_touching=choice.rules.split_touching,
        mirrored=choice.mirrored,
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


def read_files(spec: PredictSpec, volume: Volume, choice: Choice) -> Found:
    """Read what a prediction wrote.

    Parameters
    ----------
    spec
        What it was told.
    volume
        The scan, as it was opened.
    choice
        From which ``spec`` was made.

    Raises
    ------
    ScanError
        If the scan's file is another by now than the scan that was opened.
    CtlnsError
        If the files cannot be read.
    """
    from napari_ctlns.formats import read_mask
    from napari_ctlns.measurement import read_table

    own = read_mask(spec.mask)
    if not own.geometry.same_grid(volume.geometry):
        raise ScanError(f"{spec.scan} has changed since it was opened; open it again")
    # wide enough for the labels that other rules and people come to need
    mask = volume.mask(np.require(own.array, np.uint16, ["C", "W", "O"]))
    probability = _read_map(spec.probability, volume)
    found = found_in(mask, probability, read_table(spec.mask.with_name(_TABLE)), choice)
    if spec.uncertainty is None:
        return found
    return replace(found, uncertainty=halved(_read_map(spec.uncertainty, volume)))


def found_in(mask: Volume, probability: Volume, table: "pd.DataFrame", choice: Choice) -> Found:
    """Return what a mask and the probability that it was made of tell."""
    known = predicted(mask, probability, choice.rules, choice.finds_nodules)
    # from the islands on, half precision will do
    known = replace(known, probability=halved(probability))
    findings = Findings(scan_id=mask.scan_id).follow_labels(known.nodules, "model")
    return Found(mask, findings.judged(opinions_of(known.nodules, known)), table, known)


def _read_map(path: Path | None, volume: Volume) -> Volume:
    """Read a probability or an uncertainty onto the grid of its scan."""
    from napari_ctlns.formats import read_scan

    if path is None:
        raise ValueError("the prediction was not told to write it")
    return volume.probability(read_scan(path).array)


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


def time_in_words(models: int, mirrored: bool, dimensions: int) -> str:
    """Say how much longer several answers take than one; nothing of one."""
    images = (4 if dimensions == 2 else 8) if mirrored else 1
    if models * images == 1:
        return ""
    each = f"{counted(images, 'image')} each" if mirrored else ""
    asked = ", ".join(words for words in (counted(models, "model") * (models > 1), each) if words)
    return f"{asked}: takes about {models * images} times as long"


def engine_in_words(engine: str, reason: str) -> str:
    """Say on what the network ran, and why."""
    return f"Ran on {engine}: {reason}"


def _metrics(metrics: dict[str, float]) -> str:
    known = {
        "val_dice": "Dice",
        "val_nodule_voxel_accuracy": "nodule voxels found",
        "val_loss": "loss",
    }
    said = [f"{words} {metrics[name]:.2f}" for name, words in known.items() if name in metrics]
    return ", ".join(said)
