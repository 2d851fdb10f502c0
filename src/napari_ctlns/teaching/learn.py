"""The job by which a model learns from corrected scans, and shows what that brought."""

import json
from collections.abc import Generator, Iterator
from pathlib import Path

from pydantic import ValidationError

from napari_ctlns.atomic import write_text
from napari_ctlns.dataset import Dataset, open_dataset
from napari_ctlns.errors import DatasetError, ModelError, RunError
from napari_ctlns.events import Control, Event, Finished, Log, Saved, Started
from napari_ctlns.inference.model import read_card
from napari_ctlns.learning import train
from napari_ctlns.recipe import Recipe, load_recipe
from napari_ctlns.specs import LearnSpec, TrainSpec
from napari_ctlns.teaching.comparing import compared, comparison_text, held_out_cases
from napari_ctlns.teaching.tuned import tuned
from napari_ctlns.torchrun import rank_and_size

SPEC = "learn.json"
"""In a run folder: what was asked for, and that it was to learn from corrections."""
COMPARISON = "comparison.json"
TEXT = "comparison.txt"


def learn(spec: LearnSpec, control: Control) -> Iterator[Event]:
    """Let a model learn from corrected scans mixed with earlier ones, and compare both models.

    The run folder is that of a training, with `SPEC` in it. The new model is ``best``; the
    one that it started from stays where it is. Both then look at the held-out scans of the
    dataset, and `COMPARISON` and `TEXT` say what they found.

    Yields
    ------
    Event
        Those of `train`, then progress by scan. `Finished` has what that of `train` has,
        ``old_model``, ``corrected`` and ``earlier``, see `compared`.

    Raises
    ------
    DatasetError
        If no scan to learn from is corrected, or the dataset does not serve the model.
    RunError
        If the run cannot begin or go on, see `train`, or several processes were started.
    CtlnsError
        Whatever else `train` raises, or is wrong with a scan or model.
    """
    if rank_and_size()[1] > 1:
        raise RunError("learning from corrections works in one process; start it without torchrun")
    dataset = open_dataset(spec.dataset)
    trained = yield from _trained(spec, dataset, control)
    if trained.stopped:
        yield trained
        return
    cases = held_out_cases(dataset, spec.most_earlier)
    if not cases["corrected"]:
        yield Log(message=_NONE_HELD_OUT, level="warning")
    models = {"old": spec.model, "new": Path(trained.result["model"])}
    comparison = yield from compared(cases, models, spec.device, control)
    if comparison is None:
        yield Finished(result=trained.result, stopped=True)
        return
    write_text(spec.out / COMPARISON, json.dumps(comparison, indent=1) + "\n")
    write_text(spec.out / TEXT, comparison_text(comparison, tuple(models)))
    yield Saved(path=spec.out / TEXT, kind="report")
    yield Finished(result={**trained.result, "old_model": str(spec.model), **comparison})


_NONE_HELD_OUT = (
    "no corrected scan is held out yet, so nothing tells how well corrections were learned; "
    "from the fourth corrected patient on one is"
)


def _trained(
    spec: LearnSpec, dataset: Dataset, control: Control
) -> Generator[Event, None, Finished]:
    """Train, and note in the run folder what for as soon as there is a run."""
    training = _training(spec, dataset)
    ended = Finished(stopped=True)
    for event in train(training, control):
        if isinstance(event, Started):
            write_text(spec.out / SPEC, spec.model_dump_json(indent=1) + "\n")
            yield Started(title=f"Learn from corrections in {dataset.path.name}")
            if all(scan.corrected for scan in dataset.scans("train")):
                yield Log(message=_ONLY_CORRECTIONS, level="warning")
        elif isinstance(event, Finished):
            ended = event
        else:
            yield event
    return ended


_ONLY_CORRECTIONS = (
    "the dataset holds corrected scans alone, so the model may forget what it learned from "
    "others; add corrections to the dataset that it was trained on"
)


def _training(spec: LearnSpec, dataset: Dataset) -> TrainSpec:
    """Return the training that is meant: a new one, or the one in the run folder."""
    scans = dataset.scans("train")
    if not any(scan.corrected and scan.nodules for scan in scans):
        raise DatasetError(
            f"{dataset.path} has no corrected scan to learn from; correct some, and add them"
        )
    if spec.resume:
        _must_be_the_same(spec)
        recipe = load_recipe(spec.out / "recipe.toml")
    else:
        recipe = tuned(_comparable(spec.model), spec, len(scans))
    return TrainSpec(
        dataset=spec.dataset,
        out=spec.out,
        recipe=recipe,
        start_from=None if spec.resume else spec.model,
        resume=spec.resume,
        device=spec.device,
    )


def _comparable(model: Path) -> Recipe:
    """Return the recipe of a model that can look at whole scans; said before it learns."""
    recipe = read_card(model).recipe
    if recipe.network.clicks:
        raise ModelError(
            f"{model} marks what is clicked on and cannot be compared on whole scans; "
            "train it on with `ctlns train DATASET --recipe click --from MODEL`"
        )
    return recipe


def _must_be_the_same(spec: LearnSpec) -> None:
    """Refuse to go on with what is no such run, or one from another model."""
    try:
        before = LearnSpec.model_validate_json((spec.out / SPEC).read_bytes())
    except (OSError, ValidationError) as error:
        raise RunError(
            f"{spec.out} holds no learning from corrections to resume; leave out --resume"
        ) from error
    if before.model != spec.model:
        raise RunError(f"{spec.out} began from {before.model}; go on from that, --from")
