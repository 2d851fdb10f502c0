"""What a person corrected as something to learn from: where it goes, what is in it, the words.

Nothing here knows Qt, nor torch: the files of a run are named here as `napari_ctlns.teaching`
names them, which cannot be imported without it.
"""

import getpass
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_ctlns.errors import CtlnsError, RunError
from napari_ctlns.events import Event, Finished, Started
from napari_ctlns.findings import Findings
from napari_ctlns.inference.model import read_card
from napari_ctlns.plugin.predicting import file_name
from napari_ctlns.plugin.runs import runs_folder
from napari_ctlns.plugin.saving import leave_out_rejected, mask_on_scan
from napari_ctlns.plugin.training import arrays_in_words, stamp, unused_path
from napari_ctlns.plugin.words import counted
from napari_ctlns.recipe import Recipe, load_recipe
from napari_ctlns.specs import Device, LearnSpec, TrainSpec
from napari_ctlns.volume import Volume

if TYPE_CHECKING:
    from napari_ctlns.dataset.corrections import Added

_SPEC = "learn.json"
_DATASET_CARD = "dataset.json"
_DEFAULT_RECIPE = "ct-lns"


@dataclass(frozen=True)
class TaughtScans:
    """What is in a training set.

    Attributes
    ----------
    scans
        How many there are.
    corrected
        The ids of the corrected ones.
    paths
        Their files, where they are known.
    held_out
        How many of these are held out to judge by.
    """

    scans: int = 0
    corrected: frozenset[str] = frozenset()
    paths: frozenset[Path] = frozenset()
    held_out: int = 0


def reader_name() -> str:
    """Return the name under which a person works on this machine; nothing where it has none."""
    try:
        return getpass.getuser()
    except (OSError, ImportError, KeyError):  # no such user, or no such names
        return ""


def recipe_of(model: Path | None) -> Recipe:
    """Return the recipe by which scans are prepared for a model; without one the default.

    Raises
    ------
    ModelError
        If the model is damaged.
    """
    return load_recipe(_DEFAULT_RECIPE) if model is None else read_card(model).recipe


def training_set_of(model: Path | None, working_folder: Path) -> Path:
    """Return where corrections go unless told otherwise: to what the model was trained on.

    Only beside these can a model learn from corrections without forgetting. Where that dataset
    is not here, it is one in the working folder for all models that prepare scans alike.

    Raises
    ------
    ModelError
        If the model is damaged.
    """
    if model is not None:
        spec = _spec_of(model.parent)
        if spec is not None and (spec.dataset / _DATASET_CARD).is_file():
            return spec.dataset
    recipe = recipe_of(model)
    digits = hashlib.sha256(arrays_in_words(recipe).encode()).hexdigest()[:8]
    return working_folder.absolute() / "datasets" / f"corrected-{file_name(recipe.name)}-{digits}"


def read_training_set(folder: Path) -> TaughtScans:
    """Look into a training set; one that is not there yet is empty.

    Raises
    ------
    DatasetError
        If it is damaged.
    """
    if not (folder / _DATASET_CARD).is_file():
        return TaughtScans()
    # half a second, which no window waits for that opens without corrections
    from napari_ctlns.dataset import open_dataset

    dataset = open_dataset(folder)
    scans = dataset.scans()
    corrected = [scan for scan in scans if scan.corrected]
    held_out = [s for s in corrected if dataset.card.split.get(s.patient_id) in ("val", "test")]
    return TaughtScans(
        scans=len(scans),
        corrected=frozenset(scan.scan_id for scan in corrected),
        paths=frozenset(scan.card.source.path for scan in corrected),
        held_out=len(held_out),
    )


def add_job(
    mask: Volume,
    scan: Volume,
    folder: Path,
    reader: str,
    recipe: Recipe,
    findings: Findings | None = None,
) -> Iterator[Event]:
    """Add what a labels layer shows, without what was rejected, to a training set.

    `Finished` has ``added``.

    Parameters
    ----------
    mask
        What the layer shows, not copied.
    scan
        The scan it is drawn on.
    folder
        The training set.
    reader
        Who corrected it.
    recipe
        By which scans of a new training set are prepared.
    findings
        They know what was rejected; a model is not to learn it as a nodule.

    Raises
    ------
    CtlnsError
        As `add_correction` says.
    """
    yield Started(title="Add to the training set")
    own = mask_on_scan(mask, scan)
    leave_out_rejected(own, findings)
    from napari_ctlns.dataset import add_correction

    added = add_correction(folder, scan, own, reader, recipe.preparation)
    yield Finished(result={"added": added})


def learn_spec(model: Path, folder: Path, device: Device, working_folder: Path) -> LearnSpec:
    """Return what a click on Learn begins, in a new run folder.

    Raises
    ------
    ModelError
        If the model is damaged.
    """
    name = file_name(recipe_of(model).name)
    run = unused_path(runs_folder(working_folder) / f"{name}-learned-{stamp()}")
    return LearnSpec(
        dataset=folder.absolute(), model=model.absolute(), out=run.absolute(), device=device
    )


def is_learning(run: Path) -> bool:
    """Whether a run is one that learns from corrections."""
    return (run / _SPEC).is_file()


def resume_learning(run: Path, device: Device) -> LearnSpec:
    """Return what is to be done to go on with such a run.

    Raises
    ------
    RunError
        If it does not tell from what it learns.
    """
    try:
        spec = LearnSpec.model_validate_json((run / _SPEC).read_bytes())
    except (OSError, ValidationError) as error:
        raise RunError(f"{run.name} does not tell from what it learns; start a new one") from error
    changes = {"out": run.absolute(), "resume": True, "device": device}
    return spec.model_copy(update=changes)


def _spec_of(run: Path) -> TrainSpec | None:
    """Return what a run was to do; None where there is no run, or a damaged one."""
    try:
        return TrainSpec.model_validate_json((run / "spec.json").read_bytes())
    except (OSError, ValidationError):
        return None


# -- words ------------------------------------------------------------------------


def why_not_add(mask: object, scan: Volume | None) -> str:
    """Say why nothing can be added; nothing if it can."""
    if mask is None:
        return "There is no labels layer"
    return "" if scan is not None else "Open the scan first: it is stored with its mask"


def why_not_learn(model: Path | None, known: TaughtScans) -> str:
    """Say why nothing can be learned; nothing if it can."""
    if model is None:
        return "Choose a model first, in the Predict panel"
    try:
        imported = recipe_of(model).network.imported is not None
    except CtlnsError as error:
        return str(error)
    if imported:
        return "This model was imported; only models that were trained here can learn"
    if not known.corrected:
        return "Correct a scan first, and add it to the training set in the Nodules panel"
    if len(known.corrected) == known.held_out:
        return "All corrected scans are held out; correct another one first"
    return ""


def known_in_words(known: TaughtScans) -> str:
    """Say what is in a training set."""
    if not known.scans:
        return "No scans yet. A corrected mask is added in the Nodules panel."
    corrected, earlier = len(known.corrected), known.scans - len(known.corrected)
    learned = corrected - known.held_out
    words = f"{counted(corrected, 'corrected scan')}: {learned} to learn from, "
    return f"{words}{known.held_out} held out to judge by; {counted(earlier, 'earlier scan')}"


def added_in_words(added: "Added", folder: Path) -> str:
    """Say what became of a correction."""
    if added.change == "nothing":
        return f"Nothing to add: {folder.name} holds this mask already"
    use = "to learn from" if added.split == "train" else "held out, to judge by"
    what = "This scan" if added.change == "new scan" else "The changed mask"
    return "; ".join([f"{what} was added to {folder.name}, {use}", *added.remarks])


def learned_in_words(result: Mapping[str, Any]) -> str:
    """Say what learning brought: the Dice of held-out scans before and after."""
    parts = []
    for group in ("corrected", "earlier"):
        numbers = result.get(group) or {}
        before, after = (numbers.get(when, {}).get("scan_dice") for when in ("old", "new"))
        if before is not None and after is not None:
            cases = counted(numbers["scans"], f"{group} case")
            parts.append(f"of {cases} {before:.2f} \u2192 {after:.2f}")
    if not parts:
        return "Learned. No case is held out, so nothing tells whether the new model is better"
    return f"Held-out Dice {', '.join(parts)}"
