"""Runs that are there: what they were to do, how they ended, and going on with them.

Nothing here knows Qt, nor torch: the files of a run are named here as
`learning.run_folder` names them, which cannot be imported without it.
"""

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath

from pydantic import ValidationError

from napari_ctlns.errors import CtlnsError, RunError
from napari_ctlns.events import Failed, Finished, Preview
from napari_ctlns.inference.model import CARD
from napari_ctlns.plugin.words import counted
from napari_ctlns.recipe import Optimisation, Recipe, load_recipe
from napari_ctlns.specs import Device, TrainSpec

_CHECKPOINT = Path("checkpoints", "last.pt")
_BEST_MODEL = "best"
_PREVIEWS = "previews"
_MOST_RECENT = 8
_RECIPES = ("recipe.toml", "asked.toml")
"""The run's own; before its training has begun, what it was asked to do."""


def runs_folder(working_folder: Path) -> Path:
    """Return where runs go unless told otherwise."""
    return working_folder / "runs"


def models_folder(working_folder: Path) -> Path:
    """Return where models go that were trained elsewhere."""
    return working_folder / "models"


def recent_models(working_folder: Path) -> list[Path]:
    """Return models in the working folder, the newest first: imported ones, the best of runs."""
    trained, imported = runs_folder(working_folder), models_folder(working_folder)
    try:
        cards = list(trained.glob(f"*/{_BEST_MODEL}/{CARD}"))
        # several folds lie in folders of one model
        cards += [*imported.glob(f"*/{CARD}"), *imported.glob(f"*/fold_*/{CARD}")]
        newest = sorted(cards, key=lambda card: card.stat().st_mtime, reverse=True)
    except OSError:
        return []
    return [card.parent for card in newest[:_MOST_RECENT]]


def recipe_of_run(run: Path) -> Recipe | None:
    """Return the recipe of a run; None if it tells none."""
    for name in _RECIPES:
        try:
            return load_recipe(run / name)
        except CtlnsError:
            continue
    return None


def best_model_of(run: Path) -> Path | None:
    """Return the best model of a run, if it has one."""
    model = run / _BEST_MODEL
    return model if (model / CARD).is_file() else None


def picture_of(run: Path, preview: Preview) -> Path:
    """Return where the picture of an epoch lies; a run elsewhere knows its folder by another name.

    That may be a folder of Windows here, or the other way round.
    """
    return run / _PREVIEWS / PureWindowsPath(preview.path).name


def has_checkpoint(run: Path) -> bool:
    """Whether a run can be gone on with."""
    return (run / _CHECKPOINT).is_file()


def why_not_resume(run: Path, end: Finished | Failed | None, asked: Optimisation | None) -> str:
    """Say why a run cannot be gone on with; nothing if it can.

    Parameters
    ----------
    end
        How it ended; None while it goes on.
    asked
        What the form says.
    """
    if end is None:
        return "The run has not ended"
    if not has_checkpoint(run):
        return "The run has no checkpoint to go on from"
    if isinstance(end, Failed) or end.stopped:
        return ""
    if "old_model" in end.result:
        return "This round of learning is finished; begin another one"
    if more_to_do(run, end, asked):
        return ""
    if waited := no_better_for(end):
        return f"It was no better for {counted(waited, 'epoch')}; set a longer early stopping"
    return f"All {_epochs_of(run)} epochs are done; set more epochs to go on"


def more_to_do(
    run: Path, end: Finished | Failed | None, asked: Optimisation | None
) -> dict[str, int]:
    """Return changes of its recipe, as the form asks for them, by which a whole run goes on.

    One that ended early goes on if it may wait longer, or for ever, for a better epoch,
    any other one if it is to do more epochs.
    """
    if not isinstance(end, Finished) or end.stopped or asked is None:
        return {}
    if waited := no_better_for(end):
        patience = asked.early_stopping_patience
        longer = patience == 0 or patience > waited
        return {"optimisation.early_stopping_patience": patience} if longer else {}
    return {"optimisation.epochs": asked.epochs} if asked.epochs > _epochs_of(run) else {}


def _epochs_of(run: Path) -> int:
    recipe = recipe_of_run(run)
    return recipe.optimisation.epochs if recipe is not None else 0


def resume_spec(run: Path, device: Device, changes: Mapping[str, int] | None = None) -> TrainSpec:
    """Return what is to be trained to go on with a run, by its own recipe and data.

    Parameters
    ----------
    changes
        Of its recipe, as `more_to_do` has them.

    Raises
    ------
    RunError
        If the run has no checkpoint, or does not tell its recipe and dataset.
    """
    if not has_checkpoint(run):
        raise RunError(f"{run.name} has no checkpoint to go on from; start a new run")
    try:
        spec = TrainSpec.model_validate_json((run / "spec.json").read_bytes())
        recipe = load_recipe(run / "recipe.toml")
    except (OSError, ValidationError, CtlnsError) as error:
        message = f"{run.name} does not tell its recipe and dataset; start a new run"
        raise RunError(message) from error
    return TrainSpec(
        dataset=spec.dataset,
        out=run.absolute(),
        recipe=recipe.with_changes(changes or {}),
        resume=True,
        device=device,
    )


def ending_in_words(
    end: Finished | Failed, *, died: bool = False, killed: bool = False, checkpoint: bool = False
) -> str:
    """Say how a run ended, and what can be done now.

    Parameters
    ----------
    died
        Its process ended without a word.
    killed
        Because it was told to.
    checkpoint
        The run can be gone on with.
    """
    if isinstance(end, Failed):
        if not died:
            return end.message
        words = "Ended at once" if killed else "The training process ended without a word"
        kept = "Resume goes on from its last checkpoint" if checkpoint else "nothing was saved yet"
        return f"{words}; {kept}"
    return (_stop if end.stopped else _success)(end)


def _stop(end: Finished) -> str:
    epochs = end.result.get("epochs")
    after = f" after {counted(epochs, 'epoch')}" if isinstance(epochs, int) else ""
    return f"Stopped{after}; Resume goes on from there"


def no_better_for(end: Finished) -> int:
    """Return for how many epochs a run that stopped early was no better; 0: it did not."""
    epochs, best = end.result.get("epochs"), end.result.get("best")
    if not end.result.get("early") or not isinstance(epochs, int) or not isinstance(best, dict):
        return 0
    return max(epochs - int(best.get("epoch", epochs)), 1)


def _success(end: Finished) -> str:
    epochs, best = end.result.get("epochs"), end.result.get("best")
    waited = no_better_for(end)
    words = "Stopped early" if waited else "Finished"
    if isinstance(epochs, int):
        words += f" after {counted(epochs, 'epoch')}"
    if waited:
        words += f": no better for {counted(waited, 'epoch')}"
    if isinstance(best, dict) and isinstance(dice := best.get("val_dice"), int | float):
        words += f"; best Dice {dice:.3g}, epoch {best['epoch']:g}"
    return words
