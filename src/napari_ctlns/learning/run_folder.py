"""What a training writes: recipe, spec, history, TensorBoard events, checkpoints, best model."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from napari_ctlns.atomic import atomic_path, write_text
from napari_ctlns.errors import RunError
from napari_ctlns.specs import TrainSpec

Row = dict[str, float]
CHECKPOINT_VERSION = 1
COLUMNS = (
    *("epoch", "step", "seconds", "learning_rate", "train_loss"),
    *("val_loss", "val_dice", "val_nodule_voxel_accuracy"),
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
    there = {path.name for path in run.iterdir()} if run.exists() else set()
    if last_checkpoint(run).exists():
        raise RunError(f"{run} holds a run already; resume it, or choose another folder")
    if there - _OF_THE_STARTER:
        raise RunError(f"{run} is not empty; choose another folder for the run")


def write_description(spec: TrainSpec) -> None:
    """Write the recipe and the spec."""
    write_text(spec.out / "recipe.toml", spec.recipe.to_toml())
    write_text(spec.out / "spec.json", spec.model_dump_json(indent=1) + "\n")


def write_history(run: Path, rows: Sequence[Row]) -> None:
    """Write ``history.csv``, a row an epoch."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(run / "history.csv", text.getvalue())


def write_checkpoint(run: Path, state: Mapping[str, Any]) -> Path:
    """Write the newest checkpoint in place of the one before."""
    path = last_checkpoint(run)
    with atomic_path(path) as temporary:
        torch.save({"checkpoint_version": CHECKPOINT_VERSION, **state}, temporary)
    return path


def read_checkpoint(run: Path) -> dict[str, Any]:
    """Return the newest checkpoint, on the CPU; reading it can run no code.

    Raises
    ------
    RunError
        If there is none, or it is damaged or of a newer version.
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
    if version > CHECKPOINT_VERSION:
        raise RunError(f"{path} is of a newer version; update napari-ctlns")
    return state
