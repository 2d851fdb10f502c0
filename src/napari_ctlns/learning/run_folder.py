"""What a training writes: recipe, spec, history, TensorBoard events, checkpoints, best model."""

import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from napari_ctlns.atomic import atomic_path, write_csv, write_text
from napari_ctlns.errors import OutputError, RunError
from napari_ctlns.specs import TrainSpec

Row = dict[str, float]
CHECKPOINT_VERSION = 2
_SPEC = "spec.json"
_FRAGMENTS = ".*.tmp.*"
"""What a killed process may leave of a file that it was writing, see `atomic_path`."""
COLUMNS = (
    *("epoch", "step", "seconds", "learning_rate", "train_loss"),
    *("val_loss", "val_dice", "val_nodule_voxel_accuracy", "val_iou"),
)
"""Of ``history.csv``."""
_OF_THE_STARTER = {
    *("asked.toml", "control.json", "events.jsonl", "run.lock", "state.json", "train.log"),
}
"""Files that whoever starts and watches a training puts there before it begins."""


def last_checkpoint(run: Path) -> Path:
    """Where a run's newest checkpoint lies."""
    return run / "checkpoints" / "last.pt"


def best_model(run: Path) -> Path:
    """Where a run's best model lies."""
    return run / "best"


def must_be_new(run: Path) -> None:
    """Refuse a folder that a training, or anybody else, has written to.

    Raises
    ------
    RunError
        If it is not empty.
    """
    if run.exists() and not run.is_dir():
        raise RunError(f"{run} is a file; choose another place for the run")
    paths = list(run.iterdir()) if run.exists() else []
    there = {path.name for path in paths if not path.match(_FRAGMENTS)}
    if last_checkpoint(run).exists():
        raise RunError(f"{run} holds a run already; resume it, or choose another folder")
    if there - _OF_THE_STARTER:
        raise RunError(f"{run} is not empty; choose another folder for the run")


def write_description(spec: TrainSpec) -> None:
    """Write the spec and the recipe; what a run started from stays known when it is resumed."""
    before = earlier_spec(spec.out)
    if spec.start_from is None and before is not None:
        spec = spec.model_copy(update={"start_from": before.start_from})
    write_text(spec.out / _SPEC, spec.model_dump_json(indent=1) + "\n")
    write_text(spec.out / "recipe.toml", spec.recipe.to_toml())


def earlier_spec(run: Path) -> TrainSpec | None:
    """Return what was last asked of a run; None where there is no run."""
    try:
        return TrainSpec.model_validate_json((run / _SPEC).read_bytes())
    except (OSError, ValidationError):
        return None


def write_history(run: Path, rows: Sequence[Row]) -> None:
    """Write ``history.csv``, a row an epoch."""
    write_csv(run / "history.csv", COLUMNS, rows)


def write_checkpoint(run: Path, state: Mapping[str, Any], epoch: int | None = None) -> Path:
    """Write the newest checkpoint in place of the one before.

    Parameters
    ----------
    run
        The run folder.
    state
        What it holds: tensors, numbers, texts, and lists and dicts of them.
    epoch
        Epochs done, if this is the end of one whose checkpoint is to stay.

    Raises
    ------
    OutputError
        If it cannot be written; the one before is whole then.
    """
    path = last_checkpoint(run)
    try:
        with atomic_path(path) as temporary:
            _save({"checkpoint_version": CHECKPOINT_VERSION, **state}, temporary)
            if epoch is not None:
                with atomic_path(path.with_name(f"epoch-{epoch:04d}.pt")) as copy:
                    shutil.copyfile(temporary, copy)
    except OutputError as error:
        reason = str(error).rpartition(";")[0]
        raise OutputError(f"{reason}; the one before is whole: make room, then --resume") from error
    return path


def remove_fragments(run: Path) -> None:
    """Remove what a killed process left half-written in a run."""
    for folder in (run, run / "checkpoints"):
        for path in folder.glob(_FRAGMENTS):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def read_checkpoint(run: Path) -> dict[str, Any]:
    """Return the newest checkpoint, on the CPU; reading it can run no code.

    Raises
    ------
    RunError
        If there is none, or it is damaged or of another version.
    """
    path = last_checkpoint(run)
    if not path.is_file():
        raise RunError(f"no checkpoint in {run}; train without resuming")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        version = state["checkpoint_version"]
    # torch.load raises whatever the damage leads to: RuntimeError, UnpicklingError, EOFError ...
    except Exception as error:
        raise RunError(f"{path} is damaged ({type(error).__name__}); train anew") from error
    if version != CHECKPOINT_VERSION:
        raise RunError(f"{path} is of another version of napari-ctlns; train anew, or with that")
    return state


def _save(state: dict[str, Any], path: Path) -> None:
    """Write a file that is on the disk before it takes the place of an older one.

    Raises
    ------
    OSError
        If the disk is full or gone. PyTorch itself tells of that by RuntimeErrors.
    """
    content = io.BytesIO()
    torch.save(state, content)
    with path.open("wb") as file:
        file.write(content.getbuffer())
        file.flush()
        os.fsync(file.fileno())
